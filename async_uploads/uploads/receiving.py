"""Receive: the bytes of an upload, from the request to the storage, as they arrive."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

from asgiref.sync import sync_to_async
from django.db import Error
from django.utils.translation import gettext as _

from async_uploads.conf import upload_settings
from async_uploads.databases import apatiently, is_outage
from async_uploads.events import apublish
from async_uploads.exceptions import (
    REFUSALS,
    TransferTimedOut,
    UploadError,
    UploadExpired,
    UploadInUse,
    UploadStateError,
    ValidationUnavailable,
)
from async_uploads.inspection import HEAD_SIZE, check_size, check_type, detect_type
from async_uploads.metrics import counted_in_flight
from async_uploads.request_threads import release_request_thread
from async_uploads.storage.arrival import aaccept
from async_uploads.storage.base import IncomingFile
from async_uploads.temp_files import AsyncTempFile, State
from async_uploads.tracing import traced
from async_uploads.uploads.patience import Patience
from async_uploads.uploads.progress import Progress
from async_uploads.uploads.writing import CoalescingWriter

logger: logging.Logger = logging.getLogger("async_uploads")

ACCEPTED_STATES = (State.UPLOADED, State.PROMOTING, State.PROMOTED)
"""Where the bytes have passed the checks, whoever asked for them."""


@counted_in_flight
@traced("async_uploads.upload")
async def areceive(
    temp_file: AsyncTempFile,
    body: AsyncIterator[bytes],
    *,
    max_size: int | None,
    announced: int | None = None,
    at_least: int | None = None,
) -> None:
    """Write ``body`` to the storage, check it and make the row ``uploaded``.

    ``announced`` is the size in bytes that the client told, ``at_least`` what it can't be smaller than.
    Raises UploadError of every kind and UploadDisconnected; the partial file is then gone and the row moved: to
    ``failed`` where a check refused it, else back to ``pending``, so that the same URL can be tried again.
    ValidationUnavailable alone leaves the whole file where it is: ``acomplete`` has it checked again.
    """
    kept = temp_file.awaits_validation
    await _astart(temp_file, announced)
    incoming: IncomingFile | None = None
    committed = False
    try:
        check_size(max(announced or 0, at_least or 0), max_size)
        await apublish(temp_file)
        await release_request_thread()
        if kept:
            await temp_file.field.storage.adelete(temp_file.key)
        incoming = await temp_file.field.storage.aopen_incoming(temp_file.key)
        await _awrite(temp_file, body, incoming, max_size)
        await _acommit(incoming)
        committed = True
        await apatiently(lambda: _aaccept_once(temp_file))
    except BaseException as error:
        if incoming is not None:
            await incoming.abort()
        unwanted = committed and not isinstance(error, ValidationUnavailable)
        await _aclear_up(temp_file, error, incoming if unwanted else None)
        if temp_file.state in (State.CANCELLED, State.EXPIRED):
            raise UploadExpired() from error
        raise
    await apublish(temp_file)


async def _astart(temp_file: AsyncTempFile, announced: int | None) -> None:
    """One transfer at a time, and none after the last."""
    if temp_file.state in (State.CANCELLED, State.EXPIRED) or temp_file.is_over:
        raise UploadExpired()
    if temp_file.state != State.PENDING:
        raise UploadInUse()
    changes: dict[str, Any] = {"received": 0, "error_code": "", "error": ""}
    if announced is not None:
        changes["total"] = announced
    try:
        await temp_file.amove(State.UPLOADING, **changes)
    except UploadStateError as error:
        given_up = temp_file.state in (State.CANCELLED, State.EXPIRED)
        raise (UploadExpired() if given_up else UploadInUse()) from error


async def _awrite(
    temp_file: AsyncTempFile, body: AsyncIterator[bytes], incoming: IncomingFile, max_size: int | None
) -> None:
    loop = asyncio.get_running_loop()
    began = loop.time()
    idle, whole = upload_settings.IDLE_TIMEOUT, upload_settings.UPLOAD_TIMEOUT

    def latest() -> float:
        """When the next chunk has to be here."""
        return loop.time() + idle if whole is None else min(loop.time() + idle, began + whole)

    restrictions = temp_file.field.file_restrictions
    received = 0
    head: bytes | None = b""
    progress: Progress | None = None
    try:
        async with Patience(latest()) as patience, CoalescingWriter(incoming) as writer:
            progress = Progress(temp_file, patience)
            async for chunk in body:
                received += len(chunk)
                check_size(received, max_size)
                if head is not None:
                    head = (head + chunk)[:HEAD_SIZE]
                    if len(head) == HEAD_SIZE:
                        check_type(temp_file.name, detect_type(head, temp_file.name), restrictions)
                        head = None
                patience.without_end()  # the disk may take its time
                await writer.feed(chunk)
                patience.until(latest())
                progress.update(received)
                del chunk  # the next one may be long in coming
            patience.without_end()
    except TimeoutError as error:
        if progress is not None and progress.is_lost:
            raise UploadExpired() from error
        logger.info(
            "%s was given up: %d bytes in %.0f seconds (IDLE_TIMEOUT, UPLOAD_TIMEOUT).",
            temp_file.key,
            received,
            loop.time() - began,
        )
        raise TransferTimedOut() from error
    finally:
        if progress is not None:
            await progress.aclose()
    temp_file.received = received


async def _acommit(incoming: IncomingFile) -> None:
    """A sweep that took this transfer for dead has taken its part, and maybe another one has the name by now."""
    try:
        await incoming.commit()
    except (FileExistsError, FileNotFoundError) as error:
        raise UploadInUse() from error


async def _aaccept_once(temp_file: AsyncTempFile) -> None:
    """As ``aaccept``, and content where the row has got that far already: by the promotion of a record that was saved
    meanwhile, or by an attempt of ours whose answer was lost with the connection."""
    version = temp_file.version
    try:
        await aaccept(temp_file, sent=temp_file.received)
    except (UploadStateError, FileNotFoundError):  # once it is promoted, its bytes are elsewhere
        await sync_to_async(temp_file.reload)()
        # Where there were more moves, it was taken from this transfer, and another one has arrived.
        is_another = temp_file.state == State.UPLOADED and temp_file.version != version + 1
        if is_another or temp_file.state not in ACCEPTED_STATES:
            raise


async def _aclear_up(temp_file: AsyncTempFile, error: BaseException, committed: IncomingFile | None) -> None:
    """The row and the bytes of a transfer that ended early. Where the database is away, they wait for the sweep: it
    finds the row still ``uploading``, and deletes its bytes."""

    async def clear_up() -> None:
        if committed is not None:
            await _aretract_unaccepted(temp_file, committed)
        await _aput_back(temp_file, error)

    # Where the database is what failed, or the server stops, there is nothing to wait for any more.
    no_hope = is_outage(error) or isinstance(error, asyncio.CancelledError)
    try:
        await apatiently(clear_up, patience=0 if no_hope else None)
    except Error as outage:
        if not is_outage(outage):
            raise


async def _aretract_unaccepted(temp_file: AsyncTempFile, incoming: IncomingFile) -> None:
    """The row may be ``uploaded`` already, with its bytes promised, whatever went wrong after that."""
    await sync_to_async(temp_file.reload)()
    if not temp_file.is_readable:
        await incoming.retract()


async def _aput_back(temp_file: AsyncTempFile, error: BaseException) -> None:
    """Move the row of a transfer that ended early; the watchers are told why."""
    refused = isinstance(error, REFUSALS)
    told = error if isinstance(error, UploadError) else None
    if temp_file.state == State.UPLOADING:
        with suppress(UploadStateError):  # somebody else has moved the row
            await temp_file.amove(
                State.FAILED if refused else State.PENDING,
                received=temp_file.received if isinstance(error, ValidationUnavailable) else 0,
                error_code=told.code if told else "interrupted",
                error=told.detail if told else _("The transfer was interrupted. Please try again."),
            )
    await apublish(temp_file)
