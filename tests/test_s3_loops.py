"""One client of S3 for each event loop, whoever makes the loop, and nothing left when it ends."""

from __future__ import annotations

import asyncio
import copy
import gc
import logging
import os
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from async_uploads.storage.clients import aclose_clients
from async_uploads.storage.s3 import S3AsyncUploadStorage
from tests.s3_storage import CONTENT, FIELD_ID, content_of, put, storage_on, ticket_for
from tests.servers.proxy import Proxy
from tests.servers.seaweedfs import S3Server

NAME = "documents/report.pdf"


@pytest.fixture
def storage(seaweedfs: S3Server) -> S3AsyncUploadStorage:
    return storage_on(seaweedfs)


def sockets() -> int:
    """The open sockets of this process (proc(5))."""
    found = 0
    for link in Path("/proc/self/fd").iterdir():
        try:
            found += os.readlink(link).startswith("socket:")
        except FileNotFoundError:  # the one that listed them
            continue
    return found


async def use(storage: S3AsyncUploadStorage) -> None:
    """All the clients: of requests, of copies, of unsigned URLs."""
    await put(storage, NAME)
    await storage.adelete("copy.pdf")
    await storage.acopy_file(NAME, "copy.pdf")
    await ticket_for(storage, NAME)
    assert await content_of(storage, "copy.pdf") == CONTENT


def test_a_thousand_requests_leave_no_sockets(storage: S3AsyncUploadStorage) -> None:
    async def ask() -> int:
        await put(storage, NAME)
        for _round in range(20):
            await asyncio.gather(*(storage.aread_range(NAME, 0, 4) for _request in range(50)))
        return sockets()

    before = sockets()
    while_open = asyncio.run(ask())

    assert while_open > before
    assert sockets() == before


def test_connections_are_used_again(seaweedfs: S3Server) -> None:
    storage = storage_on(seaweedfs)

    async def ask() -> int:
        await put(storage, NAME)
        before = sockets()
        for _request in range(50):
            await storage.astat(NAME)
            await storage.aread_range(NAME, 0, 4)
        return sockets() - before

    assert asyncio.run(ask()) <= 1


def test_every_loop_has_a_client_of_its_own(storage: S3AsyncUploadStorage) -> None:
    before = sockets()

    asyncio.run(use(storage))
    asyncio.run(use(storage))
    async_to_sync(use)(storage)
    with asyncio.Runner() as runner:
        runner.run(use(storage))
        runner.run(use(storage))

    assert sockets() == before


def test_threads_with_loops_of_their_own_work_at_once(
    storage: S3AsyncUploadStorage, seaweedfs: S3Server
) -> None:
    storages = [storage_on(seaweedfs, location=f"{storage.location}-{number}") for number in range(8)]
    before = sockets()

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(lambda each: asyncio.run(use(each)), storages))
        list(threads.map(lambda _: storage.generate_download_url(NAME, FIELD_ID), range(16)))

    assert sockets() == before


def test_the_sync_forms_work_where_no_loop_runs(storage: S3AsyncUploadStorage) -> None:
    asyncio.run(use(storage))
    before = sockets()

    assert storage.stat(NAME).size == len(CONTENT)
    assert storage.read_range(NAME, 0, 4) == CONTENT[:4]
    storage.copy_file(NAME, "another.pdf")
    storage.move_file("another.pdf", "moved.pdf")
    assert storage.generate_upload_url(NAME, FIELD_ID, expire=60, max_size=1)["method"] == "POST"
    assert NAME in storage.generate_download_url(NAME, FIELD_ID)
    assert sockets() == before


async def test_closing_at_shutdown_leaves_no_sockets_and_a_storage_that_works(
    storage: S3AsyncUploadStorage,
) -> None:
    before = sockets()
    await use(storage)
    assert sockets() > before

    await aclose_clients()

    assert sockets() == before
    await use(storage)


async def test_a_storage_that_is_dropped_leaves_no_unclosed_sockets(seaweedfs: S3Server) -> None:
    """A ResourceWarning would fail this test."""
    await use(storage_on(seaweedfs))

    gc.collect()
    await asyncio.sleep(0)
    gc.collect()


async def test_many_first_requests_at_once_open_one_client(storage: S3AsyncUploadStorage) -> None:
    clients = await asyncio.gather(*(storage.aclient() for _ in range(20)))

    assert len({id(client) for client in clients}) == 1


async def test_requests_of_one_client_run_at_once(seaweedfs: S3Server, seaweedfs_proxy: Proxy) -> None:
    """More of them than botocore's ten connections."""
    storage = storage_on(seaweedfs, endpoint_url=seaweedfs_proxy.url)
    await put(storage, NAME)
    seaweedfs_proxy.delay(3600, when=lambda asked: asked.method == "HEAD")

    waiting = [asyncio.create_task(storage.astat(NAME)) for _ in range(60)]
    while len(seaweedfs_proxy.requests(lambda asked: asked.method == "HEAD")) < 60:
        await asyncio.sleep(0.01)

    for task in waiting:
        task.cancel()
    assert {type(each) for each in await asyncio.gather(*waiting, return_exceptions=True)} == {
        asyncio.CancelledError
    }


async def test_making_signing_and_pickling_log_no_credentials(
    seaweedfs: S3Server, caplog: pytest.LogCaptureFixture
) -> None:
    storage = storage_on(seaweedfs)
    with caplog.at_level(logging.DEBUG, logger="async_uploads"):
        await use(storage)
        await sync_to_async(pickle.dumps)(storage)

    assert "app-secret" not in caplog.text
    assert "app-secret" not in repr(storage) + str(storage)


@pytest.mark.parametrize(
    "duplicate",
    [copy.copy, copy.deepcopy, lambda storage: pickle.loads(pickle.dumps(storage))],
    ids=["copy", "deepcopy", "pickle"],
)
async def test_a_storage_can_be_copied_and_pickled(seaweedfs: S3Server, duplicate: object) -> None:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    storage = storage_on(
        seaweedfs, conditional_writes=False, cloudfront_key_id="K123", cloudfront_key=pem.decode()
    )
    await use(storage)

    other = duplicate(storage)  # type: ignore[operator]  # one of three functions

    assert isinstance(other, S3AsyncUploadStorage)
    assert other.cloudfront_signer is not None
    assert not other.copies_exclusively
    assert await content_of(other, NAME) == CONTENT
    assert await other.aclient() is not await storage.aclient()


def test_a_migration_names_the_storage_by_its_public_path() -> None:
    storage = S3AsyncUploadStorage(bucket_name="uploads")

    path, args, options = storage.deconstruct()

    assert (path, args, options) == (
        "async_uploads.storage.s3.S3AsyncUploadStorage",
        (),
        {"bucket_name": "uploads"},
    )
