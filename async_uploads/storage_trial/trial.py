"""The trial: the steps in their order, and what is made of how each went."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

from django.core.files.storage import Storage
from django.urls import NoReverseMatch

from async_uploads.exceptions import StorageUnavailable
from async_uploads.storage.base import AsyncUploadStorage
from async_uploads.storage_trial import pages, verbs
from async_uploads.storage_trial.bench import Bench
from async_uploads.storage_trial.findings import Finding, NotTried, Outcome, Wrong, without_secrets

Tell = Callable[[Finding], object]


async def atry_storage(
    storage: Storage, *, field_id: str, origins: Sequence[str] = (), tell: Tell = lambda finding: None
) -> list[Finding]:
    """Use each verb of ``storage``. ``origins`` are those of the pages that browsers will send from.

    ``tell`` is called with each finding as it is made. Nothing stays behind; a trial that is cancelled finishes
    the step that it is at, and deletes.
    """
    if not isinstance(storage, AsyncUploadStorage):
        findings = [_not_ours(storage)]
        tell(findings[0])
        return findings
    trial = _Trial(Bench(storage, field_id), tell)
    await trial.arun(_steps(storage, origins))
    return trial.findings


@dataclass(frozen=True)
class _Step:
    """``needs`` is the step that must have gone well before."""

    name: str
    action: Callable[[Bench], Awaitable[None]]
    needs: str = ""


SIGN = "signing an upload URL"
SEND = "uploading as a browser does"
RECEIVE = "uploading through Django"
STAT = "asking what arrived"
COPY = "copying"


def _steps(storage: AsyncUploadStorage, origins: Sequence[str]) -> Iterator[_Step]:
    yield _Step(SIGN, pages.asign)
    yield _Step("asking for a file that is not there", verbs.aask_for_nothing)
    if storage.receives_uploads:
        yield _Step(RECEIVE, verbs.areceive)
    else:
        yield from _steps_of_sending(storage, origins)
    yield _Step(STAT, verbs.astat, needs=RECEIVE if storage.receives_uploads else SEND)
    yield _Step("reading a part", verbs.aread, needs=STAT)
    yield _Step(COPY, verbs.acopy, needs=STAT)
    yield _Step("not copying onto a name that is taken", verbs.acopy_onto_a_taken_name, needs=COPY)
    if storage.copies_exclusively:
        yield _Step("giving a name to one of several copies at once", verbs.acopy_at_once, needs=COPY)
    yield _Step("not copying swapped bytes", verbs.acopy_swapped_bytes, needs=COPY)
    if storage.serves_downloads:
        yield _Step("signing a download URL", pages.asign_download)
    else:
        yield _Step("downloading as a browser does", pages.adownload, needs=COPY)


def _steps_of_sending(storage: AsyncUploadStorage, origins: Sequence[str]) -> Iterator[_Step]:
    yield _Step(SEND, pages.asend, needs=SIGN)
    yield _Step("comparing the clocks", pages.acompare_clocks, needs=SIGN)
    yield _Step("refusing an upload to another key", pages.asend_elsewhere, needs=SEND)
    if storage.provider == "s3":
        yield _Step("refusing more bytes than allowed", pages.asend_too_much, needs=SEND)
    if storage.provider == "azure":
        yield _Step("refusing a second upload to a key", pages.asend_again, needs=SEND)
    for origin in origins:
        name = f"letting pages of {origin} upload (CORS)"
        yield _Step(name, partial(pages.asend_from, origin=origin), needs=SIGN)
    if not origins:
        yield _Step("letting your pages upload (CORS)", _ask_for_origins)


class _Trial:
    def __init__(self, bench: Bench, tell: Tell) -> None:
        self.bench = bench
        self.tell = tell
        self.findings: list[Finding] = []

    async def arun(self, steps: Iterator[_Step]) -> None:
        try:
            for step in steps:
                await _to_its_end(self._take(step))
        finally:
            if not self.bench.is_clear:
                await _to_its_end(self._take(_Step("deleting", Bench.aclear)))

    async def _take(self, step: _Step) -> None:
        if step.needs and not self._went_well(step.needs):
            self._found(step, Outcome.SKIPPED, f"it needs {step.needs}")
            return
        try:
            await step.action(self.bench)
        except NotTried as error:
            self._found(step, Outcome.SKIPPED, str(error))
        except Wrong as error:
            self._found(step, Outcome.WRONG, error.reason, error.advice)
        except StorageUnavailable as error:
            wrong = self.bench.wrong(error.reason)
            self._found(step, Outcome.WRONG, wrong.reason, wrong.advice)
        except Exception as error:  # noqa: BLE001  # whatever a storage raises; the next steps may work
            self._found(step, Outcome.WRONG, *_explain(error))
        else:
            self._found(step, Outcome.OK)

    def _went_well(self, name: str) -> bool:
        return any(each.step == name and each.outcome is Outcome.OK for each in self.findings)

    def _found(self, step: _Step, outcome: Outcome, reason: str = "", advice: str = "") -> None:
        finding = Finding(step=step.name, outcome=outcome, reason=without_secrets(reason), advice=advice)
        self.findings.append(finding)
        self.tell(finding)


async def _to_its_end(action: Coroutine[Any, Any, None]) -> None:
    """A request that is cut off may still be carried out, after everything was deleted."""
    task = asyncio.ensure_future(action)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait([task])
        raise


async def _ask_for_origins(bench: Bench) -> None:
    raise NotTried("tell where they are with --origin https://example.com")


def _not_ours(storage: Storage) -> Finding:
    return Finding(
        step="taking uploads",
        outcome=Outcome.WRONG,
        reason=f"{storage.__class__.__module__}.{storage.__class__.__qualname__} is no AsyncUploadStorage",
        advice="Set its BACKEND to one that is, such as 'async_uploads.storage.s3.S3AsyncUploadStorage'",
    )


def _explain(error: Exception) -> tuple[str, str]:
    if isinstance(error, NoReverseMatch):
        return (
            "the views that take uploads are not mounted",
            'Add path("async-uploads/", default_async_field_registry.get_url_patterns()) to the URLconf',
        )
    if isinstance(error, OSError):
        return str(error), "Check the storage's location, and what the user that Django runs as may do there"
    return f"{type(error).__name__}: {error}", ""
