"""Copies that take their time. Azurite makes none of them, so a proxy tells what Azure would, and Azurite does it."""

from __future__ import annotations

import asyncio

import pytest

from async_uploads.exceptions import StorageUnavailable
from async_uploads.storage.azure import AzureAsyncUploadStorage
from async_uploads.storage.base import FileChanged
from tests.azure_storage import (
    CONTENT,
    FINAL,
    Watched,
    azure_storage,
    content_of,
    names_in,
    overwrite,
    properties_of,
    uploaded,
)
from tests.servers.azurite import AzureServer
from tests.servers.proxy import Asked, Proxy, copy_blob


@pytest.fixture
def storage(azurite: AzureServer, azurite_proxy: Proxy) -> AzureAsyncUploadStorage:
    return azure_storage(azurite, connection_string=azurite.connection_string_by(azurite_proxy.url))


def abort_copy(asked: Asked) -> bool:
    return asked.method == "PUT" and "comp=copy" in asked.query


def pending(proxy: Proxy, *progress: str, turns: int | None = None) -> None:
    """Copies are pending, and have come so far when they are asked after; without ``turns`` for ever."""
    proxy.rewrite({"x-ms-copy-status": "pending"}, when=_starts_copy, turns=1)
    for each in progress:
        answer = {"x-ms-copy-status": "pending", "x-ms-copy-progress": each}
        proxy.rewrite(answer, when=copy_blob, turns=1 if len(progress) > 1 or turns else None)


def _starts_copy(asked: Asked) -> bool:
    return copy_blob(asked) and asked.method == "PUT"


async def test_a_pending_copy_is_waited_for_and_its_progress_told(
    azurite_proxy: Proxy, storage: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(storage)
    pending(azurite_proxy, "0/10", "4/10", "9/10")
    watched = Watched()

    await storage.acopy_file(key, FINAL, on_progress=watched)

    assert watched.steps == [(0, 10), (4, 10), (9, 10)]
    assert azurite_proxy.requests(copy_blob)[-1].method == "HEAD"
    assert await content_of(storage, FINAL) == CONTENT


async def test_a_pending_copy_gets_what_the_project_wants_when_it_is_done(
    azurite: AzureServer, azurite_proxy: Proxy
) -> None:
    by_proxy = azurite.connection_string_by(azurite_proxy.url)
    storage = azure_storage(azurite, connection_string=by_proxy, cache_control="max-age=60")
    key = await uploaded(storage)
    pending(azurite_proxy, "0/10", "5/10")

    await storage.acopy_file(key, FINAL)

    assert properties_of(azurite, storage).content_settings.cache_control == "max-age=60"
    (started,) = azurite_proxy.requests(_starts_copy)
    asked = azurite_proxy.requests()
    done = next(index for index, each in enumerate(asked) if "comp=properties" in each.query)
    assert len([each for each in asked[asked.index(started) : done] if each.method == "HEAD"]) == 3


async def test_a_file_that_is_being_copied_is_not_there_yet(
    azurite_proxy: Proxy, storage: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(storage)
    await storage.acopy_file(key, FINAL)
    azurite_proxy.rewrite({"x-ms-copy-status": "pending"}, when=copy_blob)

    with pytest.raises(FileNotFoundError):
        await storage.astat(FINAL)


@pytest.mark.parametrize("status", ["failed", "aborted"])
async def test_a_copy_that_fails_says_why_and_leaves_nothing(
    azurite: AzureServer, azurite_proxy: Proxy, storage: AzureAsyncUploadStorage, status: str
) -> None:
    key = await uploaded(storage)
    pending(azurite_proxy, "4/10", turns=1)
    azurite_proxy.rewrite({"x-ms-copy-status": status}, when=copy_blob, turns=1)

    with pytest.raises(StorageUnavailable, match=f"{FINAL} was {status}"):
        await storage.acopy_file(key, FINAL)

    assert names_in(azurite, storage) == [key]
    await storage.acopy_file(key, FINAL)
    assert await content_of(storage, FINAL) == CONTENT


async def test_a_copy_that_somebody_began_before_a_crash_is_waited_for(
    azurite_proxy: Proxy, storage: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(storage)
    await storage.acopy_file(key, FINAL)
    on_source = {"x-ms-copy-status": "pending", "x-ms-copy-progress": "7/10"}
    azurite_proxy.rewrite(on_source, when=copy_blob, turns=1)
    watched = Watched()

    await storage.acopy_file(key, FINAL, on_progress=watched)

    assert watched.steps == [(7, 10)]


async def test_what_is_left_of_a_copy_that_failed_before_a_crash_is_copied_anew(
    azurite: AzureServer, azurite_proxy: Proxy, storage: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(storage)
    await storage.acopy_file(key, FINAL)
    first = properties_of(azurite, storage)
    azurite_proxy.rewrite({"x-ms-copy-status": "failed"}, when=copy_blob, turns=1)

    await storage.acopy_file(key, FINAL)

    assert properties_of(azurite, storage).copy.id != first.copy.id
    assert await content_of(storage, FINAL) == CONTENT


async def test_a_copy_whose_answer_was_lost_is_found_made(azurite: AzureServer, azurite_proxy: Proxy) -> None:
    by_proxy = azurite.connection_string_by(azurite_proxy.url)
    storage = azure_storage(azurite, connection_string=by_proxy, client_options={})
    key = await uploaded(storage)
    azurite_proxy.lose_answer(when=_starts_copy, turns=1)

    await storage.acopy_file(key, FINAL)

    assert [each.status for each in azurite_proxy.requests(_starts_copy)] == [202, 409]
    assert await content_of(storage, FINAL) == CONTENT


async def test_a_source_swapped_while_the_copy_begins_is_not_copied(
    azurite: AzureServer, azurite_proxy: Proxy, storage: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(storage)
    azurite_proxy.first(lambda: overwrite(azurite, storage, key, b"swapped!"), when=_starts_copy)

    with pytest.raises(FileChanged):
        await storage.acopy_file(key, FINAL)

    assert names_in(azurite, storage) == [key]


async def test_a_copy_that_is_no_longer_wanted_is_aborted_and_leaves_nothing(
    azurite: AzureServer, azurite_proxy: Proxy, storage: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(storage)
    azurite_proxy.answer(204, when=abort_copy)
    azurite_proxy.rewrite(
        {"x-ms-copy-status": "aborted"},
        when=lambda asked: copy_blob(asked) and bool(azurite_proxy.requests(abort_copy)),
    )
    pending(azurite_proxy, "1/10")
    watched = Watched()
    copying = asyncio.create_task(storage.acopy_file(key, FINAL, on_progress=watched))
    await watched.begun.wait()

    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying

    assert len(azurite_proxy.requests(abort_copy)) == 1
    assert names_in(azurite, storage) == [key]


async def test_cancelling_leaves_a_file_that_is_whole(
    azurite: AzureServer, azurite_proxy: Proxy, storage: AzureAsyncUploadStorage
) -> None:
    """It was done while the cancellation was on its way: who tries again finds it."""
    key = await uploaded(storage)
    pending(azurite_proxy, "1/10", turns=1)
    azurite_proxy.delay(0.1, when=lambda asked: asked.method == "HEAD", turns=1)
    watched = Watched()
    copying = asyncio.create_task(storage.acopy_file(key, FINAL, on_progress=watched))
    await watched.begun.wait()

    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying

    assert names_in(azurite, storage) == sorted([key, FINAL])
    assert await content_of(storage, FINAL) == CONTENT


async def test_deleting_a_file_that_is_being_copied_aborts_the_copy(
    azurite: AzureServer, azurite_proxy: Proxy, storage: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(storage)
    await storage.acopy_file(key, FINAL)
    azurite_proxy.answer(
        409,
        headers={"x-ms-error-code": "PendingCopyOperation"},
        when=lambda asked: asked.method == "DELETE",
        turns=1,
    )
    azurite_proxy.answer(204, when=abort_copy, turns=1)

    await storage.adelete(FINAL)

    assert len(azurite_proxy.requests(abort_copy)) == 1
    assert names_in(azurite, storage) == [key]
