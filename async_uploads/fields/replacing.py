"""Files that nobody needs any more: of a record that was given another file, or that was deleted."""

from __future__ import annotations

import logging
from typing import Any, Literal

from asgiref.sync import async_to_sync, sync_to_async
from django.db import models, transaction

from async_uploads.promotion import async_fields_of
from async_uploads.references import is_referenced

logger: logging.Logger = logging.getLogger("async_uploads")

DeleteReplaced = Literal["keep", "on_commit"]
KEEP: DeleteReplaced = "keep"
ON_COMMIT: DeleteReplaced = "on_commit"

LeftBehind = list[tuple[Any, str]]
"""Fields and the names of files that their records have just let go."""


def left_behind_by_save(instance: models.Model, before: dict[str, Any]) -> LeftBehind:
    """The files that the record's columns held ``before`` and hold no longer."""
    return [
        (field, before[field.name])
        for field in async_fields_of(type(instance))
        if field.delete_replaced == ON_COMMIT
        and before.get(field.name)
        and before[field.name] != str(getattr(instance, field.attname) or "")
    ]


def left_behind_by_delete(model: type[models.Model], pk: Any, using: str) -> LeftBehind:
    """The files of a record that is about to go, as the database names them: an object in memory may be behind."""
    fields = {field.name: field for field in async_fields_of(model) if field.delete_replaced == ON_COMMIT}
    record = model._base_manager.using(using).filter(pk=pk).values(*fields).first() or {}
    return [(fields[column], name) for column, name in record.items() if name]


def delete_after_commit(left_behind: LeftBehind, using: str) -> None:
    """A rollback means that the record has its file again, so nothing may be deleted before the commit."""
    # What lies under a temporary key is promotion's to delete, and the sweep's.
    final = [(field, name) for field, name in left_behind if not field.storage.is_temporary_path(name)]
    if not final:
        return

    def delete_left_behind() -> None:  # no partial: Django logs a callback that failed by its __qualname__
        async_to_sync(_adelete)(final, using)

    transaction.on_commit(delete_left_behind, using=using, robust=True)


async def _adelete(left_behind: LeftBehind, using: str) -> None:
    for field, name in left_behind:
        if await sync_to_async(is_referenced)(field.storage, name, using=using):
            continue
        try:
            await field.storage.adelete(name)
        except Exception as error:  # noqa: BLE001  # whatever a storage raises: the save is done and stays so
            logger.error("%s, replaced in %s, could not be deleted: %s", name, field, error)  # noqa: TRY400
