"""Dispatching: after the commit, claimed uploads are promoted here and now, or handed to a queue."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.db import models, router, transaction
from django.utils.module_loading import import_string

from async_uploads.conf import INLINE_PROMOTION, upload_settings
from async_uploads.exceptions import UploadAlreadyUsed
from async_uploads.promotion.claims import Claim, async_fields_of, claim
from async_uploads.promotion.linking import promote_on_the_spot
from async_uploads.promotion.promoting import apromote
from async_uploads.temp_files import AsyncTempFile

logger: logging.Logger = logging.getLogger("async_uploads")


def promote_after_commit(claims: list[Claim], using: str) -> None:
    """A rollback means that nothing happened; a promotion that fails does not fail the save."""

    def dispatch_claims() -> None:  # no partial: Django logs a callback that failed by its __qualname__
        for each in claims:
            each.tell()
        dispatch(claims)

    transaction.on_commit(dispatch_claims, using=using, robust=True)


def dispatch(claims: list[Claim]) -> None:
    """A queue that can't be reached costs time, not the save: the sweep promotes what was not handed to it."""
    if upload_settings.PROMOTION_DISPATCHER == INLINE_PROMOTION:
        if long_way := [each for each in claims if not promote_on_the_spot(each)]:
            async_to_sync(_apromote_all)(long_way)
        return
    for each in claims:
        try:
            hand_over(each.temp_file.key)
        except Exception as error:  # noqa: BLE001  # whatever a queue may raise
            logger.error(  # noqa: TRY400  # one line
                "%s could not be handed to %s (%r); the sweep will promote it.",
                each.temp_file.key,
                upload_settings.PROMOTION_DISPATCHER,
                error,
            )


def hand_over(key: str) -> None:
    """Call PROMOTION_DISPATCHER, sync or async; raises what it raises. Blocking."""
    dispatcher = import_string(upload_settings.PROMOTION_DISPATCHER)
    (async_to_sync(dispatcher) if iscoroutinefunction(dispatcher) else dispatcher)(key)


def promote_inline(key: str) -> None:
    """The default PROMOTION_DISPATCHER: promote here and now. A queue's task calls it too: it is idempotent."""
    async_to_sync(apromote_key)(key)


async def apromote_key(key: str) -> bool:
    """Promote the upload with this key; True where its record has the final file now. Harmless at any time."""
    temp_file = await AsyncTempFile.awith_key(key)
    return temp_file is not None and temp_file.record_pk != "" and await apromote(Claim(temp_file=temp_file))


async def promote_temp_files(instances: Iterable[models.Model]) -> None:
    """Promote the uploads of records that were written without ``post_save``: ``bulk_create``, ``QuerySet.update``.

    Call it outside of a transaction. Raises UploadAlreadyUsed where a key belongs to another record, after the
    promotion of all that do not.
    """
    claims, refused = await sync_to_async(_claim_all)(instances)
    await _apromote_all(claims)
    if refused is not None:
        raise refused


def _claim_all(instances: Iterable[models.Model]) -> tuple[list[Claim], UploadAlreadyUsed | None]:
    claims = []
    refused = None
    for instance in instances:
        using = router.db_for_write(type(instance), instance=instance)
        for field in async_fields_of(type(instance)):
            name = str(getattr(instance, field.attname) or "")
            if not field.storage.is_temporary_path(name):
                continue
            temp_file = AsyncTempFile.with_key(name)
            if temp_file is None or not temp_file.belongs_to(field):
                continue
            try:
                claims.append(claim(temp_file, field, instance, using))
            except UploadAlreadyUsed as error:
                refused = error
    for each in claims:
        each.tell()
    return claims, refused


async def _apromote_all(claims: list[Claim]) -> None:
    await asyncio.gather(*(apromote(each) for each in claims))
