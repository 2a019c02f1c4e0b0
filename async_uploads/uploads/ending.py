"""The other ways an upload changes: completed after a direct upload, cancelled by its owner, expired by the sweep."""

from __future__ import annotations

from asgiref.sync import sync_to_async

from async_uploads.events import apublish, apublish_all
from async_uploads.exceptions import (
    UploadExpired,
    UploadIncomplete,
    UploadInUse,
    UploadNotFound,
    UploadStateError,
)
from async_uploads.owners import Owner
from async_uploads.storage.arrival import aaccept, atidy
from async_uploads.temp_files import NOT_TAKEN, AsyncTempFile, State, is_storable
from async_uploads.tracing import traced
from async_uploads.uploads.outages import logged_outage


async def afind_upload(key: object, owner: Owner) -> AsyncTempFile:
    """The visitor's upload with exactly this key; raises UploadNotFound, also for what belongs to someone else."""
    if not isinstance(key, str) or not is_storable(key):
        raise UploadNotFound()
    temp_file = await AsyncTempFile.awith_key(key)
    if temp_file is None or not owner.owns(temp_file.owner) or not temp_file.has_field:
        raise UploadNotFound()
    return temp_file


@traced("async_uploads.complete")
async def acomplete(temp_file: AsyncTempFile) -> None:
    """After a direct upload: ask the storage what arrived, check it and make the row ``uploaded``. Harmless twice.

    Raises UploadIncomplete where nothing has arrived, UploadExpired where it is over, and FileTooLarge, TypeNotAllowed
    or UploadRefused where a check fails (the bytes are then deleted). Where the storage does not answer, raises
    StorageUnavailable, and where a validator can't tell, ValidationUnavailable: the row stays, to be tried again.
    """
    if temp_file.state in (State.CANCELLED, State.EXPIRED):
        raise UploadExpired()
    if temp_file.state not in (State.PENDING, State.UPLOADING):
        return
    field = temp_file.field
    if field.storage.receives_uploads and not temp_file.awaits_validation:
        raise UploadIncomplete()
    try:
        with logged_outage("Completion", field, temp_file.key):
            await aaccept(temp_file)
    except FileNotFoundError as error:
        raise UploadIncomplete() from error
    except UploadStateError:
        if temp_file.state in (State.CANCELLED, State.EXPIRED):
            raise UploadExpired() from None
    finally:
        await apublish(temp_file)


async def acancel(temp_file: AsyncTempFile) -> None:
    """Give an upload up and delete its bytes. Harmless twice; raises UploadInUse where a record has taken it."""
    await _agive_up(temp_file, State.CANCELLED)
    await atidy(temp_file.field.storage, temp_file.key)


async def aexpire(temp_file: AsyncTempFile) -> None:
    """As ``acancel``, for an upload that nobody came back for; raises what the storage raises."""
    await _agive_up(temp_file, State.EXPIRED)
    await temp_file.field.storage.adelete(temp_file.key)


async def aexpire_all(temp_files: list[AsyncTempFile]) -> list[AsyncTempFile]:
    """Expire what nobody has taken or moved meanwhile, and return those; their bytes are still there."""
    move_all = sync_to_async(AsyncTempFile.move_all)
    expired = await move_all(temp_files, State.EXPIRED, where=NOT_TAKEN, lease_until=None)
    await apublish_all(expired)
    return expired


async def _agive_up(temp_file: AsyncTempFile, to: State) -> None:
    while temp_file.state in (State.PENDING, State.UPLOADING, State.UPLOADED):
        if temp_file.record_pk:
            raise UploadInUse()
        try:
            await temp_file.amove(to, where=NOT_TAKEN)
        except UploadStateError:
            continue  # somebody moved it meanwhile, and the instance has been read again
        await apublish(temp_file)
    if temp_file.record_pk:
        raise UploadInUse()
