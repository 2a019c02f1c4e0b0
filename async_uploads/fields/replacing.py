"""Files that nobody needs any more: of a record that was given another file, or that was deleted."""

from __future__ import annotations

import logging
import posixpath
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Literal

from asgiref.sync import async_to_sync, sync_to_async
from django.db import models, transaction

from async_uploads.promotion import async_fields_of
from async_uploads.references import StoredName, unreferenced
from async_uploads.temp_files import AsyncTempFile, State

logger: logging.Logger = logging.getLogger("async_uploads")

DeleteReplaced = Literal["keep", "on_commit"]
KEEP: DeleteReplaced = "keep"
ON_COMMIT: DeleteReplaced = "on_commit"

NO_OWNER = "-"
"""Of a row that stands for a file which nobody needs any more: nobody may ask after it."""

LONGEST_KEY: int = AsyncTempFile._meta.get_field("key").max_length or 0

AT_ONCE = 500
"""Files of a commit that are asked for together, and deleted before the next are asked for."""


@dataclass(frozen=True, kw_only=True)
class LeftFile:
    """A file that a record has just let go. ``happened`` goes before the field's name in the log."""

    field: Any
    name: str
    happened: str


LeftBehind = list[LeftFile]


def left_behind_by_save(instance: models.Model, before: dict[str, Any]) -> LeftBehind:
    """The files that the record's columns held ``before`` and hold no longer."""
    left_behind = []
    for each in async_fields_of(type(instance)):
        old = before.get(each.name)
        if not old or each.delete_replaced != ON_COMMIT:
            continue  # unread, it is not to be loaded for this
        new = str(getattr(instance, each.attname) or "")
        if old != new:
            happened = "replaced in" if new else "cleared from"
            left_behind.append(LeftFile(field=each, name=old, happened=happened))
    return left_behind


def left_behind_by_delete(model: type[models.Model], pk: Any, using: str) -> LeftBehind:
    """The files of a record that is about to go, as the database names them: an object in memory may be behind."""
    fields = {each.name: each for each in async_fields_of(model) if each.delete_replaced == ON_COMMIT}
    # Not the model's manager, which may leave the record out.
    record = models.QuerySet(model, using=using).filter(pk=pk).values(*fields).first() or {}
    return [
        LeftFile(field=fields[column], name=name, happened="of a deleted record's")
        for column, name in record.items()
        if name
    ]


def delete_after_commit(left_behind: LeftBehind, using: str) -> None:
    """A rollback means that the record has its file again, so nothing may be deleted before the commit."""
    # What lies under a temporary key is promotion's to delete, and the sweep's.
    final = {
        StoredName(left.field.storage, left.name): left
        for left in left_behind
        if not left.field.storage.is_temporary_path(left.name)
    }
    if final:
        _note(final.values())
        _Deletion.join(final, using)


def _note(left_behind: Iterable[LeftFile]) -> None:
    """Leave a row for each file, in the same transaction: a sweep deletes what a process that dies could not."""
    rows = [
        AsyncTempFile(
            key=left.name,
            name=posixpath.basename(left.name),
            model=left.field.model._meta.label_lower,
            field_name=left.field.name,
            owner=NO_OWNER,
            state=State.EXPIRED,
        )
        for left in left_behind
        if len(left.name) <= LONGEST_KEY
    ]
    AsyncTempFile.objects.bulk_create(rows, ignore_conflicts=True)


def _forget(names: list[str]) -> None:
    AsyncTempFile.objects.filter(key__in=names, owner=NO_OWNER).delete()


@dataclass(kw_only=True)
class _Deletion:
    """What one savepoint of a transaction has let go: deleted together after the commit, or rolled back together."""

    savepoints: set[str | None]
    deleted: set[StoredName]
    """Shared by the whole transaction. A name that is free again may be somebody else's at once."""
    waiting: dict[StoredName, LeftFile] = field(default_factory=dict)
    last: _AfterCommit | None = None

    @classmethod
    def join(cls, files: dict[StoredName, LeftFile], using: str) -> None:
        connection = transaction.get_connection(using)
        savepoints = set(connection.savepoint_ids)
        callbacks = [getattr(callback, "__self__", None) for _, callback, _ in connection.run_on_commit]
        known = [callback.deletion for callback in callbacks if isinstance(callback, _AfterCommit)]
        deletion = next((each for each in known if each.savepoints == savepoints), None)
        if deletion is None:
            deletion = cls(savepoints=savepoints, deleted=known[0].deleted if known else set())
        deletion.waiting.update(files)
        deletion.deleted.difference_update(files)  # in a test, whose transaction outlives its commits
        deletion.last = _AfterCommit(deletion)
        transaction.on_commit(deletion.last.run, using=using, robust=True)

    async def arun(self) -> None:
        files = [file for file in self.waiting if file not in self.deleted]
        for start in range(0, len(files), AT_ONCE):
            some = files[start : start + AT_ONCE]
            done = {file.name for file in some}
            for file in await sync_to_async(unreferenced)(some):
                self.deleted.add(file)
                if not await _adelete(self.waiting[file]):
                    done.discard(file.name)
            await sync_to_async(_forget)(list(done))
        self.waiting.clear()


@dataclass(frozen=True)
class _AfterCommit:
    """A callback for each save, so that Django knows which of them were rolled back. The last one does the work:
    what was promoted by the others before it has its name by then."""

    deletion: _Deletion

    def run(self) -> None:
        if self.deletion.last is self:
            async_to_sync(self.deletion.arun)()


async def _adelete(left: LeftFile) -> bool:
    try:
        await left.field.storage.adelete(left.name)
    except Exception as error:  # noqa: BLE001  # whatever a storage raises: the save is done and stays so
        logger.error(  # noqa: TRY400
            "%s, %s %s, could not be deleted, and the sweep will: %s",
            left.name,
            left.happened,
            left.field,
            error,
        )
        return False
    return True
