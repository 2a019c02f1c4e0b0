"""Which stored files the project still needs: those that records name, and those that promotions are about to."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, nullcontext
from typing import Any

from django.apps import apps
from django.db import connections, models, router, transaction
from django.db.models import Q

from async_uploads.storage.base import AsyncUploadStorage
from async_uploads.storage.folders import Folder, known_folder
from async_uploads.temp_files import PROMOTION_FAILED, AsyncTempFile, State

logger: logging.Logger = logging.getLogger("async_uploads")

MOST_NAMES = 500
"""Names that one query asks for: databases limit the parameters of a query."""

NO_DATABASE = "django.db.backends.dummy"
"""What Django makes of an empty entry in DATABASES."""

# Before the first attempt nothing lies under the reserved name but what was there before.
_BEING_PROMOTED = Q(attempts__gt=0) & (
    Q(state=State.PROMOTING) | Q(state=State.FAILED, error_code=PROMOTION_FAILED)
)


class StoredName:
    """A file by its name in a storage. Equal are those that are surely one file, whichever object leads there."""

    def __init__(self, storage: Any, name: str) -> None:
        self.storage: Any = _unwrapped(storage)
        self.name: str = name
        self._folder = _folder_of(self.storage)

    @classmethod
    def each(cls, storage: Any, names: Iterable[str]) -> Iterator[StoredName]:
        """Many of one storage, whose folder is then looked for once."""
        one = cls(storage, "")
        for name in names:
            other = cls.__new__(cls)
            other.storage, other.name, other._folder = one.storage, name, one._folder
            yield other

    def name_in(self, other: Any, there: Folder | None) -> str | None:
        """What the storage ``other``, with the folder ``there``, may call this file; None where it can't have it."""
        here = self._folder
        if other is self.storage or here is None or there is None or here == there:
            return self.name
        return there.name_of(here.path_of(self.name)) if there.may_share_store(here) else None

    @property
    def _identity(self) -> tuple[object, str]:
        folder = self._folder
        return (folder.store, folder.path_of(self.name)) if folder else (id(self.storage), self.name)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, StoredName) and self._identity == other._identity

    def __hash__(self) -> int:
        return hash(self._identity)


def unreferenced(files: Iterable[StoredName]) -> list[StoredName]:
    """Those of ``files`` that nothing needs: no row in any database of the project, and no promotion.

    Asks each file field, Django's own too, in each database that the routers let its model into. What can't be asked
    keeps the files. Blocking: a query for each field, database and ``MOST_NAMES`` names.
    """
    left = dict.fromkeys(files)
    fields = list(_file_fields())
    # First: what is promoted meanwhile goes from here into a column, which is then asked later.
    for needed in (_being_promoted, *(_naming(field, alias) for field, alias in _with_databases(fields))):
        if not left:
            break
        for file in needed(list(left), fields):
            left.pop(file, None)
    return list(left)


_Needed = Callable[[list[StoredName], list[models.FileField]], list[StoredName]]


def _naming(field: models.FileField, alias: str) -> _Needed:
    """Asks which files the rows of ``field`` name in one database."""

    def named(files: list[StoredName], fields: list[models.FileField]) -> list[StoredName]:
        names = _names_in(field.storage, files)
        # Not the model's manager, which may leave rows out.
        rows: models.QuerySet[Any] = models.QuerySet(field.model, using=alias).order_by()
        found = _ask(
            alias,
            str(field),
            names,
            lambda some: rows.filter(**{f"{field.attname}__in": some}).values_list(field.attname).distinct(),
        )
        if found is None:
            return [file for each in names.values() for file in each]
        return [file for (name,) in found for file in names.get(name, ())]

    return named


def _being_promoted(files: list[StoredName], fields: list[models.FileField]) -> list[StoredName]:
    """The files to which bytes may be on their way."""
    names: dict[str, list[StoredName]] = {}
    for storage in {id(field.storage): field.storage for field in fields}.values():
        for name, called_so in _names_in(storage, files).items():
            names.setdefault(name, []).extend(called_so)
    alias = router.db_for_write(AsyncTempFile)
    rows = AsyncTempFile.objects.using(alias).filter(_BEING_PROMOTED).order_by()
    columns = ("model", "field_name", "final_name")
    found = _ask(
        alias,
        "the uploads",
        names,
        lambda some: rows.filter(final_name__in=some).values_list(*columns).distinct(),
    )
    if found is None:
        return files
    storages = {(field.model._meta.label_lower, field.name): field.storage for field in fields}
    needed: list[StoredName] = []
    for model, field_name, final_name in found:
        called_so, owner = names.get(final_name, []), (model, field_name)
        if owner in storages:  # a field that the project no longer has may have had any storage
            called_so = _names_in(storages[owner], called_so).get(final_name, [])
        needed += called_so
    return needed


def _ask(
    alias: str, whom: str, names: Iterable[str], query: Callable[[list[str]], Iterable[Any]]
) -> list[Any] | None:
    """The rows found, asked in one query for each ``MOST_NAMES`` of ``names``. None where there was no answer."""
    asked = list(names)
    found: list[Any] = []
    try:
        with _apart(alias):
            for start in range(0, len(asked), MOST_NAMES):
                found += query(asked[start : start + MOST_NAMES])
    except Exception as error:  # noqa: BLE001  # no table, no server, no permission: then the files stay
        logger.warning(
            "%d file(s) are kept: %s could not be asked in the database %r whether they are needed (%s). Where it has "
            "no such table, a database router should say so: allow_migrate.",
            len(asked),
            whom,
            alias,
            error,
        )
        return None
    return found


def _apart(alias: str) -> AbstractContextManager[Any]:
    """A query that fails breaks the transaction that it is in, on PostgreSQL."""
    return transaction.atomic(using=alias) if connections[alias].in_atomic_block else nullcontext()


def _names_in(storage: Any, files: Iterable[StoredName]) -> dict[str, list[StoredName]]:
    """The files that ``storage`` may have, by what it calls them."""
    storage = _unwrapped(storage)
    folder = _folder_of(storage)
    names: dict[str, list[StoredName]] = {}
    for file in files:
        name = file.name_in(storage, folder)
        if name is not None:
            names.setdefault(name, []).append(file)
    return names


def _file_fields() -> Iterator[models.FileField]:
    """All of the project. Unmanaged models have rows too."""
    for model in apps.get_models():
        if not model._meta.proxy:
            for each in model._meta.local_concrete_fields:
                if isinstance(each, models.FileField):
                    yield each


def _with_databases(fields: list[models.FileField]) -> Iterator[tuple[models.FileField, str]]:
    databases = [alias for alias in connections if connections[alias].settings_dict["ENGINE"] != NO_DATABASE]
    for each in fields:
        for alias in databases:
            if router.allow_migrate_model(alias, each.model):
                yield each, alias


def _folder_of(storage: Any) -> Folder | None:
    return storage.root_folder() if isinstance(storage, AsyncUploadStorage) else known_folder(storage)


def _unwrapped(storage: Any) -> Any:
    """The storage behind a LazyObject such as Django's ``default_storage``."""
    storage.__class__  # noqa: B018  # makes a LazyObject set itself up
    return getattr(storage, "_wrapped", storage)
