"""Files that come with the form itself, as browsers without JavaScript send them: staged, like any other upload."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import ValidationError
from django.core.files.base import File

from async_uploads.conf import upload_settings
from async_uploads.exceptions import InvalidParameters, UploadError, UploadIncomplete, UploadStateError
from async_uploads.input import AsyncFileInputData
from async_uploads.inspection import HEAD_SIZE, check_name, check_size, check_type, clean_name, detect_type
from async_uploads.owners import current_owner
from async_uploads.storage.arrival import aaccept, atidy
from async_uploads.storage.base import AsyncUploadStorage
from async_uploads.temp_files import AsyncTempFile, State, expiry
from async_uploads.uploads import logged_outage


def stage(field: Any, file: File[Any]) -> AsyncFileInputData:
    """Put a posted file under a temporary key of whoever is asking; the form then goes on with the key.

    The rules of ``field`` hold as for every upload. Permissions are the view's: whoever may post the form may stage.
    So is the number of uploads: MAX_PENDING_PER_OWNER bounds those that are begun and not done, and this one is done
    when the form is. Raises ValidationError. Sync: called in a thread, as forms are validated.
    """
    owner = current_owner(create=True)
    try:
        return async_to_sync(_astage)(field, file, "" if owner is None else owner.identity)
    except InvalidParameters as error:
        raise ValidationError(" ".join(error.errors["filename"]), code=error.code) from error
    except UploadError as error:
        raise ValidationError(error.detail, code=error.code) from error


async def _astage(field: Any, file: File[Any], owner: str) -> AsyncFileInputData:
    name = clean_name(file.name)
    check_name(name, field.file_restrictions)
    check_size(file.size or 0, field.max_size_bytes)
    # Before the bytes go to a cloud: a disguise is seen at once.
    check_type(name, detect_type(await _aread(file, 0, HEAD_SIZE), name), field.file_restrictions)
    temp_file = await AsyncTempFile.objects.acreate(
        key=field.storage.generate_temporary_path(name, max_length=field.max_length),
        name=name,
        model=field.model._meta.label_lower,
        field_name=field.name,
        owner=owner,
        total=file.size,
        expires_at=expiry(upload_settings.UPLOAD_URL_EXPIRY),
    )
    try:
        with logged_outage("Staging", field, temp_file.key):
            await _awrite(field.storage, temp_file.key, file)
            await _acheck(temp_file)
    except Exception as error:
        await _agive_up(temp_file, error)
        raise
    return AsyncFileInputData(key=temp_file.key, name=name, width=temp_file.width, height=temp_file.height)


async def _awrite(storage: AsyncUploadStorage, key: str, file: File[Any]) -> None:
    """In chunks, and no connection is waited for meanwhile: only one chunk is in memory."""
    if not storage.receives_uploads:
        # Without the type that the browser claims: the storage tells it by the name.
        stored = await storage.asave(key, File(file.file, name=key))
        if stored != key:  # the answer to a first attempt was lost, and the second one found the name taken
            await atidy(storage, stored)
        return
    incoming = await storage.aopen_incoming(key)
    try:
        position = 0
        while chunk := await _aread(file, position, upload_settings.CHUNK_SIZE):
            await incoming.write(chunk)
            position += len(chunk)
        await incoming.commit()
    except BaseException:
        await incoming.abort()
        raise


async def _acheck(temp_file: AsyncTempFile) -> None:
    try:
        await aaccept(temp_file)
    except FileNotFoundError as error:  # a storage that has lost it, or does not show it yet
        raise UploadIncomplete() from error


async def _aread(file: File[Any], position: int, size: int) -> bytes:
    def read() -> bytes:
        file.seek(position)
        return bytes(file.read(size))

    return await sync_to_async(read, thread_sensitive=False)()


async def _agive_up(temp_file: AsyncTempFile, error: Exception) -> None:
    """Nobody has the key of a file that could not be staged. A refusal has moved the row and deleted the bytes."""
    if temp_file.state != State.PENDING:
        return
    code, detail = (error.code, error.detail) if isinstance(error, UploadError) else ("failed", "")
    with suppress(UploadStateError):
        await temp_file.amove(State.FAILED, error_code=code, error=detail)
    await atidy(temp_file.field.storage, temp_file.key)
