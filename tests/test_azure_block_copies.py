"""Large files are copied in blocks. Azurite makes none from a URL, so a proxy does, with blocks that Azurite puts."""

from __future__ import annotations

import asyncio

import pytest

from async_uploads.exceptions import StorageUnavailable
from async_uploads.storage.azure import AzureAsyncUploadStorage
from async_uploads.storage.base import FileChanged
from tests.azure_storage import (
    CONTENT,
    FINAL,
    BlocksFromUrls,
    Watched,
    azure_storage,
    blob_at,
    content_of,
    names_in,
    overwrite,
    properties_of,
    uploaded,
)
from tests.servers.azurite import AzureServer
from tests.servers.proxy import Asked, Proxy, copy_blob, put_block_from_url


def _starts_copy(asked: Asked) -> bool:
    return copy_blob(asked) and asked.method == "PUT"


@pytest.fixture
def blocks(azurite: AzureServer, azurite_proxy: Proxy) -> BlocksFromUrls:
    return BlocksFromUrls(azurite, azurite_proxy)


@pytest.fixture
def by_blocks(azurite: AzureServer, azurite_proxy: Proxy) -> AzureAsyncUploadStorage:
    return azure_storage(
        azurite,
        connection_string=azurite.connection_string_by(azurite_proxy.url),
        block_copy_threshold=9,
        block_size=4,
        copy_concurrency=3,
    )


async def test_a_large_file_is_copied_in_blocks(
    azurite: AzureServer, azurite_proxy: Proxy, blocks: BlocksFromUrls, by_blocks: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(by_blocks, CONTENT * 3)
    etag = (await by_blocks.astat(key)).etag
    watched = Watched()

    await by_blocks.acopy_file(key, FINAL, if_match=etag, on_progress=watched)

    assert await content_of(by_blocks, FINAL) == CONTENT * 3
    assert sorted(copied for copied, _total in watched.steps) == [copied for copied, _total in watched.steps]
    assert len(watched.steps) == 8
    assert watched.steps[-1] == (30, 30)
    assert azurite_proxy.requests(_starts_copy) == []
    assert len(set(blocks.ranges)) == 8


async def test_a_file_of_just_the_threshold_is_copied_whole(
    azurite_proxy: Proxy, by_blocks: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(by_blocks, b"123456789")

    await by_blocks.acopy_file(key, FINAL)

    assert len(azurite_proxy.requests(_starts_copy)) == 1


async def test_a_copy_in_blocks_has_what_the_project_wants(
    azurite: AzureServer, azurite_proxy: Proxy, blocks: BlocksFromUrls
) -> None:
    storage = azure_storage(
        azurite,
        connection_string=azurite.connection_string_by(azurite_proxy.url),
        block_copy_threshold=0,
        cache_control="max-age=60",
        copy_parameters={
            "metadata": {"department": "sales"},
            "tags": {"kind": "report"},
            "standard_blob_tier": "Cool",
        },
    )
    headers = {"x-ms-meta-title": "The report", "x-ms-blob-content-type": "text/html"}
    key = await uploaded(storage, headers=headers)

    await storage.acopy_file(key, FINAL)

    promoted = properties_of(azurite, storage)
    assert promoted.content_settings.content_type == "text/html"
    assert promoted.content_settings.content_disposition == "attachment"
    assert promoted.content_settings.cache_control == "max-age=60"
    assert (
        promoted.content_settings.content_md5
        == properties_of(azurite, storage, key).content_settings.content_md5
    )
    assert {"title": "The report", "department": "sales"}.items() <= promoted.metadata.items()
    assert promoted.blob_tier == "Cool"
    with blob_at(azurite, storage, FINAL) as blob:
        assert blob.get_blob_tags() == {"kind": "report"}


async def test_an_encryption_scope_is_told_with_every_block(
    azurite: AzureServer, azurite_proxy: Proxy, blocks: BlocksFromUrls
) -> None:
    storage = azure_storage(
        azurite,
        connection_string=azurite.connection_string_by(azurite_proxy.url),
        block_size=4,
        copy_parameters={"encryption_scope": "customers"},
    )
    key = await uploaded(storage)

    await storage.acopy_file(key, FINAL)

    puts = [each for each in azurite_proxy.requests() if "comp=block" in each.query]
    assert len(puts) == 4
    assert {each.headers["x-ms-encryption-scope"] for each in puts} == {"customers"}


async def test_a_source_swapped_between_two_blocks_is_not_copied(
    azurite: AzureServer, azurite_proxy: Proxy, by_blocks: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(by_blocks, CONTENT * 3)
    blocks = BlocksFromUrls(azurite, azurite_proxy)

    async def swap(copied: int, total: int) -> None:
        overwrite(azurite, by_blocks, key, b"swapped!" * 4)

    with pytest.raises(FileChanged):
        await by_blocks.acopy_file(key, FINAL, on_progress=swap)

    assert blocks.statuses.count(201) < 8
    assert names_in(azurite, by_blocks) == [key]


async def test_a_source_that_goes_away_between_two_blocks_is_not_found(
    azurite: AzureServer, blocks: BlocksFromUrls, by_blocks: AzureAsyncUploadStorage
) -> None:
    by_blocks.copy_concurrency = 1
    key = await uploaded(by_blocks, CONTENT * 3)

    async def delete(copied: int, total: int) -> None:
        with blob_at(azurite, by_blocks, key) as blob:
            if blob.exists():
                blob.delete_blob()

    with pytest.raises(FileNotFoundError):
        await by_blocks.acopy_file(key, FINAL, on_progress=delete)

    assert names_in(azurite, by_blocks) == []


async def test_a_block_that_cannot_be_copied_ends_the_others(
    azurite: AzureServer, azurite_proxy: Proxy, by_blocks: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(by_blocks, CONTENT * 30)
    azurite_proxy.answer(403, when=put_block_from_url, turns=1)
    blocks = BlocksFromUrls(azurite, azurite_proxy)

    with pytest.raises(StorageUnavailable, match="answered 403"):
        await by_blocks.acopy_file(key, FINAL)

    assert len(blocks.ranges) < 74
    assert names_in(azurite, by_blocks) == [key]


async def test_a_copy_in_blocks_overwrites_nothing(
    azurite: AzureServer, blocks: BlocksFromUrls, by_blocks: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(by_blocks, CONTENT * 3)
    overwrite(azurite, by_blocks, FINAL, b"somebody else's")

    with pytest.raises(FileExistsError):
        await by_blocks.acopy_file(key, FINAL)

    assert blocks.ranges == []
    assert await content_of(by_blocks, FINAL) == b"somebody else's"


async def test_a_copy_in_blocks_does_not_overwrite_what_came_meanwhile(
    azurite: AzureServer, blocks: BlocksFromUrls, by_blocks: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(by_blocks, CONTENT * 3)

    async def come(copied: int, total: int) -> None:
        if copied == total:
            overwrite(azurite, by_blocks, FINAL, b"somebody else's")

    with pytest.raises(FileExistsError):
        await by_blocks.acopy_file(key, FINAL, on_progress=come)

    assert await content_of(by_blocks, FINAL) == b"somebody else's"


async def test_of_two_copies_in_blocks_to_one_name_one_is_made_whole(
    blocks: BlocksFromUrls, by_blocks: AzureAsyncUploadStorage
) -> None:
    contents = [b"a" * 30, b"b" * 30]
    keys = [await uploaded(by_blocks, content) for content in contents]

    results = await asyncio.gather(
        *(by_blocks.acopy_file(key, FINAL) for key in keys), return_exceptions=True
    )

    (lost,) = (result for result in results if result is not None)
    assert isinstance(lost, FileExistsError)
    assert await content_of(by_blocks, FINAL) == contents[results.index(None)]


async def test_a_copy_in_blocks_that_is_made_is_not_made_again(
    blocks: BlocksFromUrls, by_blocks: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(by_blocks, CONTENT * 3)
    await by_blocks.acopy_file(key, FINAL)
    made = len(blocks.ranges)

    await by_blocks.acopy_file(key, FINAL)

    assert len(blocks.ranges) == made


async def test_a_commit_whose_answer_was_lost_is_found_made(
    azurite: AzureServer, azurite_proxy: Proxy, blocks: BlocksFromUrls
) -> None:
    storage = azure_storage(
        azurite,
        connection_string=azurite.connection_string_by(azurite_proxy.url),
        client_options={},
        block_copy_threshold=0,
    )
    key = await uploaded(storage)
    azurite_proxy.lose_answer(when=lambda asked: "comp=blocklist" in asked.query, turns=1)

    await storage.acopy_file(key, FINAL)

    assert await content_of(storage, FINAL) == CONTENT


async def test_a_copy_in_blocks_that_is_cancelled_leaves_nothing_to_see(
    azurite: AzureServer, blocks: BlocksFromUrls, by_blocks: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(by_blocks, CONTENT * 30)
    watched = Watched()
    copying = asyncio.create_task(by_blocks.acopy_file(key, FINAL, on_progress=watched))
    await watched.begun.wait()

    copying.cancel()
    with pytest.raises(asyncio.CancelledError):
        await copying

    assert names_in(azurite, by_blocks) == [key]


async def test_an_empty_file_can_be_copied_in_blocks(
    azurite: AzureServer, blocks: BlocksFromUrls, azurite_proxy: Proxy
) -> None:
    storage = azure_storage(
        azurite,
        connection_string=azurite.connection_string_by(azurite_proxy.url),
        copy_parameters={"encryption_scope": "customers"},
    )
    key = await uploaded(storage, b"")

    await storage.acopy_file(key, FINAL)

    assert (await storage.astat(FINAL)).size == 0
