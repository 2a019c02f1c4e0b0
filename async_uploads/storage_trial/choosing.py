"""Which storages of the project there are to try."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.core.files.storage import Storage, storages

from async_uploads.registry import all_registries
from async_uploads.storage.base import AsyncUploadStorage
from async_uploads.storage_trial.findings import without_secrets

NO_FIELD = "check"


@dataclass(frozen=True, kw_only=True)
class Candidate:
    """A storage, how a person calls it, and the id of a field that uses it."""

    label: str
    storage: Storage
    field_id: str = NO_FIELD

    @property
    def backend(self) -> str:
        # Not type(): Django's default_storage is a wrapper, and tells the class of what it wraps.
        return f"{self.storage.__class__.__module__}.{self.storage.__class__.__qualname__}"


class NoSuchStorage(Exception):
    """There is no storage of this name, or it cannot be made."""


def candidate_by_alias(alias: str) -> Candidate:
    """The storage of this name in ``STORAGES``; raises NoSuchStorage."""
    if alias not in storages.backends:
        raise NoSuchStorage(f"STORAGES has no alias {alias!r}, only {', '.join(sorted(storages.backends))}.")
    storage = _make(alias)
    field_ids = (field_id for field_id, field in _fields() if field.storage == storage)
    return Candidate(label=alias, storage=storage, field_id=next(field_ids, NO_FIELD))


def candidates_in_use() -> list[Candidate]:
    """The storages of async fields, then what else in ``STORAGES`` takes uploads; each once. Raises NoSuchStorage."""
    made = {alias: _make(alias) for alias in storages.backends}
    candidates: list[Candidate] = []
    for field_id, field in _fields():
        label = next((alias for alias, storage in made.items() if storage == field.storage), str(field))
        candidates.append(Candidate(label=label, storage=field.storage, field_id=field_id))
    for alias, storage in made.items():
        if isinstance(storage, AsyncUploadStorage):
            candidates.append(Candidate(label=alias, storage=storage))
    return _each_once(candidates)


def _each_once(candidates: list[Candidate]) -> list[Candidate]:
    """Compared by ``==``: Django's ``default_storage`` is a wrapper around what ``storages`` has."""
    return [
        candidate
        for position, candidate in enumerate(candidates)
        if all(candidate.storage != before.storage for before in candidates[:position])
    ]


def _fields() -> Iterator[tuple[str, Any]]:
    for registry in all_registries():
        yield from registry.fields_by_id.items()


def _make(alias: str) -> Storage:
    try:
        return storages[alias]
    except Exception as error:
        raise NoSuchStorage(
            f"STORAGES[{alias!r}] cannot be made: {type(error).__name__}: {without_secrets(str(error))}"
        ) from error
