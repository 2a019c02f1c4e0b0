"""Promotion: copy to the final name, compare-and-swap the model's column, delete the source.

A save claims its uploads in its own transaction (``claim``); after the commit they are promoted (``dispatch``).
Whoever promotes holds a lease on the row, so that a queue may deliver twice and a sweep may look in at any time.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.db import DEFAULT_DB_ALIAS, connections, models, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.module_loading import import_string

from async_uploads.conf import INLINE_PROMOTION, upload_settings
from async_uploads.events import apublish
from async_uploads.exceptions import FileTooLarge, TypeNotAllowed, UploadAlreadyUsed, UploadStateError
from async_uploads.signals import asend_logged, file_promoted, promotion_failed
from async_uploads.storage.arrival import aaccept
from async_uploads.storage.base import AsyncUploadStorage, FileChanged
from async_uploads.temp_files import FILE_CHANGED, NOT_TAKEN, PROMOTION_FAILED, AsyncTempFile, State, expiry

logger = logging.getLogger("async_uploads")

LEASE = 60.0
"""Seconds for which one promoter has a row to itself; renewed while bytes move."""

LONG_COPY = 0.1
"""Seconds after which a copy counts as long, and the saving thread's database connections are given back."""

RETRY_DELAY = 30.0
MAX_NAMES = 20


@dataclass(kw_only=True)
class Claim:
    """An upload that a save has taken. ``instance`` is the saved object, shown the final name when it is known."""

    temp_file: AsyncTempFile
    instance: models.Model | None = None
    leased: bool = False


@cache
def async_fields_of(model: type[models.Model]) -> list[Any]:
    """The async file fields of a model, its parents' included."""
    return [field for field in model._meta.concrete_fields if hasattr(field, "async_field_registry")]


def record_pk_of(field: Any, instance: models.Model) -> str:
    """The primary key of the record that holds ``field``, as text; empty while it has none."""
    pk = field.model._meta.pk
    if getattr(instance, pk.attname, None) is None:
        return ""
    return str(pk.value_to_string(instance))


def claim(temp_file: AsyncTempFile, field: Any, instance: models.Model, using: str) -> Claim:
    """Bind an upload to the record that has just been written, in the same transaction, and reserve its final name.

    Raises UploadAlreadyUsed where another record was first.
    """
    record_pk = record_pk_of(field, instance)
    if temp_file.record_pk == record_pk:
        return Claim(temp_file=temp_file, instance=instance)
    inline = upload_settings.PROMOTION_DISPATCHER == INLINE_PROMOTION
    name = field.generate_filename(instance, temp_file.name)
    taken: dict[str, Any] = {
        "record_pk": record_pk,
        "record_db": using,
        "final_name": field.storage.fit_name(name, field.max_length),
    }
    try:
        if temp_file.state != State.UPLOADED:  # not completed yet: promotion will ask the storage
            _bind(temp_file, taken)
            return Claim(temp_file=temp_file, instance=instance)
        lease = {"attempts": 1, "lease_until": expiry(LEASE)} if inline else {}
        temp_file.move(State.PROMOTING, where=NOT_TAKEN, **taken, **lease)
    except UploadStateError as error:
        if temp_file.record_pk == record_pk:  # the same record saved twice at once: the other save promotes
            return Claim(temp_file=temp_file, instance=instance)
        raise UploadAlreadyUsed() from error
    return Claim(temp_file=temp_file, instance=instance, leased=inline)


def _bind(temp_file: AsyncTempFile, taken: dict[str, Any]) -> None:
    if not AsyncTempFile.objects.filter(NOT_TAKEN, pk=temp_file.pk, state=temp_file.state).update(**taken):
        temp_file.reload()
        raise UploadStateError("an upload that no record has taken", temp_file.state)
    for name, value in taken.items():
        setattr(temp_file, name, value)


def promote_after_commit(claims: list[Claim], using: str) -> None:
    """A rollback means that nothing happened; a promotion that fails does not fail the save."""

    def dispatch_claims() -> None:  # no partial: Django logs a callback that failed by its __qualname__
        dispatch(claims)

    transaction.on_commit(dispatch_claims, using=using, robust=True)


def dispatch(claims: list[Claim]) -> None:
    path = upload_settings.PROMOTION_DISPATCHER
    if path == INLINE_PROMOTION:
        async_to_sync(_apromote_all)(claims)
        return
    dispatcher = import_string(path)
    for each in claims:
        dispatcher(each.temp_file.key)


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
        using = instance._state.db or DEFAULT_DB_ALIAS
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
    return claims, refused


async def _apromote_all(claims: list[Claim]) -> None:
    await asyncio.gather(*(apromote(each) for each in claims))


async def apromote(claimed: Claim) -> bool:
    """Promote one upload. True where the record has the final file now; False where somebody else is at it, the
    record has changed meanwhile, or it failed (the row then tells why, and when it may be tried again)."""
    temp_file = claimed.temp_file
    try:
        if temp_file.state == State.PROMOTED:
            return await _aswap(temp_file, claimed.instance)
        if temp_file.state in (State.PENDING, State.UPLOADING):
            await aaccept(temp_file)
        if temp_file.state == State.FAILED and not temp_file.failed_in_promotion:
            return False
        if not claimed.leased and not await _atake_lease(temp_file):
            return False
        await apublish(temp_file)
        await _while_leased(temp_file, _acopy(temp_file))
        if not await _aswap(temp_file, claimed.instance):
            await _agive_up(temp_file)
            return False
        await temp_file.amove(State.PROMOTED, lease_until=None, error_code="", error="")
    except (FileTooLarge, TypeNotAllowed) as error:
        await apublish(temp_file)
        await _atell_failure(temp_file, error, will_retry=False)
        return False
    except UploadStateError:
        return False  # the lease ran out, and somebody else has the row now
    except Exception as error:  # noqa: BLE001  # whatever a storage raises: told, kept and tried again
        await _afail(temp_file, error)
        return False
    await _afinish(temp_file)
    return True


async def _atake_lease(temp_file: AsyncTempFile) -> bool:
    free = Q(lease_until=None) | Q(lease_until__lte=timezone.now())
    try:
        await temp_file.amove(
            State.PROMOTING, where=free, attempts=temp_file.attempts + 1, lease_until=expiry(LEASE)
        )
    except UploadStateError:
        return False
    return True


async def _acopy(temp_file: AsyncTempFile) -> None:
    """Copy to the reserved name; where that is taken, reserve another one first, so that a crash can be resumed."""
    field = temp_file.field
    storage: AsyncUploadStorage = field.storage
    wanted = temp_file.final_name
    for _attempt in range(MAX_NAMES):
        try:
            await storage.acopy_file(temp_file.key, temp_file.final_name, if_match=temp_file.etag or None)
        except FileExistsError:
            other = storage.alternative_name(wanted, field.max_length)
            await temp_file.amove(State.PROMOTING, final_name=other)
        else:
            return
    raise FileExistsError(f"No free name was found for {wanted}.")


async def _while_leased(temp_file: AsyncTempFile, copying: Coroutine[Any, Any, None]) -> None:
    """Copy; if it takes long, hold no database connection meanwhile and keep the lease alive."""
    copy = asyncio.ensure_future(copying)
    try:
        done, _pending = await asyncio.wait({copy}, timeout=LONG_COPY)
        if not done:
            await sync_to_async(close_idle_connections)()
        while not done:
            done, _pending = await asyncio.wait({copy}, timeout=LEASE / 3)
            if not done:
                await AsyncTempFile.objects.filter(pk=temp_file.pk).aupdate(lease_until=expiry(LEASE))
        await copy
    finally:
        copy.cancel()


def close_idle_connections() -> None:
    """Give back this thread's connections that no transaction is using; Django opens them again when needed."""
    for connection in connections.all(initialized_only=True):
        if not connection.in_atomic_block:
            connection.close()


async def _aswap(temp_file: AsyncTempFile, instance: models.Model | None) -> bool:
    """Write the final name, if the record still has the key. False where it has something else, or has gone."""
    field = temp_file.field
    final: dict[str, Any] = {field.attname: temp_file.final_name}
    measured = {field.width_field: temp_file.width, field.height_field: temp_file.height}
    final |= {name: pixels for name, pixels in measured.items() if name}
    pk = field.model._meta.pk.to_python(temp_file.record_pk)
    record = field.model._base_manager.using(temp_file.record_db or None).filter(pk=pk)
    swapped = await record.filter(**{field.attname: temp_file.key}).aupdate(**final)
    if not swapped and not await record.filter(**{field.attname: temp_file.final_name}).aexists():
        return False
    if instance is not None:
        _show(instance, field, temp_file, final)
    return True


def _show(instance: models.Model, field: Any, temp_file: AsyncTempFile, final: dict[str, Any]) -> None:
    """Let the saved object in memory say what the database says, unless it has been given another file meanwhile."""
    value = instance.__dict__.get(field.attname)
    if str(value or "") == temp_file.key:
        instance.__dict__.update(final)


async def _afinish(temp_file: AsyncTempFile) -> None:
    """The record has its file: what is left may fail without harm, the sweep deletes the source again."""
    field = temp_file.field
    try:
        await field.storage.adelete(temp_file.key)
    except Exception:
        logger.exception("The temporary file %s could not be deleted; the sweep will.", temp_file.key)
    await apublish(temp_file)
    await asend_logged(
        file_promoted,
        field.model,
        temp_file=temp_file,
        record_pk=temp_file.record_pk,
        field_name=field.name,
        name=temp_file.final_name,
    )


async def _agive_up(temp_file: AsyncTempFile) -> None:
    """The record no longer wants the file: delete the copy, then the source."""
    storage: AsyncUploadStorage = temp_file.field.storage
    await storage.adelete(temp_file.final_name)
    await temp_file.amove(State.CANCELLED, lease_until=None, error_code="", error="")
    await storage.adelete(temp_file.key)
    await apublish(temp_file)


async def _afail(temp_file: AsyncTempFile, error: Exception) -> None:
    """Keep bytes and error, for another attempt after a while; after the last one, for a person."""
    hopeless = isinstance(error, FileChanged) or temp_file.attempts >= upload_settings.PROMOTION_MAX_ATTEMPTS
    logger.error(
        "Promotion of %s for %s.%s failed (attempt %d): %r",
        temp_file.key,
        temp_file.model,
        temp_file.field_name,
        temp_file.attempts,
        error,
        exc_info=error,
    )
    if temp_file.state != State.PROMOTING:
        return
    try:
        await temp_file.amove(
            State.FAILED if hopeless else State.PROMOTING,
            lease_until=None if hopeless else expiry(RETRY_DELAY * 2 ** (temp_file.attempts - 1)),
            error_code=FILE_CHANGED if isinstance(error, FileChanged) else PROMOTION_FAILED,
            error=str(error) or type(error).__name__,
        )
    except UploadStateError:
        return  # somebody else has the row now
    await apublish(temp_file)
    await _atell_failure(temp_file, error, will_retry=not hopeless)


async def _atell_failure(temp_file: AsyncTempFile, error: Exception, *, will_retry: bool) -> None:
    await asend_logged(
        promotion_failed, temp_file.field.model, temp_file=temp_file, error=error, will_retry=will_retry
    )
