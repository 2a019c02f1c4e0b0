"""Loops come and go: under WSGI one for each request, in commands one for each run, in threads one each."""

from __future__ import annotations

import asyncio
import gc
import os
import subprocess
import sys
from pathlib import Path
from threading import Event, Thread

import pytest
from asgiref.sync import async_to_sync
from azure.storage.blob import ExponentialRetry, LinearRetry
from azure.storage.blob.aio import LinearRetry as AsyncLinearRetry
from django.core.exceptions import ImproperlyConfigured

from async_uploads.exceptions import StorageUnavailable
from async_uploads.storage.azure import AzureAsyncUploadStorage
from async_uploads.storage.clients import aclose_clients
from tests.azure_storage import CONTENT, WRONG_KEY, azure_storage, file, with_key
from tests.servers.azurite import AzureServer
from tests.servers.proxy import Asked, Proxy

NAME = "notes.txt"


@pytest.fixture
def storage(azurite: AzureServer) -> AzureAsyncUploadStorage:
    storage = azure_storage(azurite)
    async_to_sync(storage.asave)(NAME, file())
    return storage


def open_sockets() -> int:
    links = (Path("/proc/self/fd") / name for name in os.listdir("/proc/self/fd"))
    return sum(_target(link).startswith("socket:") for link in links)


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except FileNotFoundError:  # the one that listed the folder
        return ""


def test_a_thousand_requests_leave_no_sockets(storage: AzureAsyncUploadStorage) -> None:
    async def ask_often() -> None:
        for _ in range(10):
            await asyncio.gather(*(storage.astat(NAME) for _ in range(100)))

    before = open_sockets()

    asyncio.run(ask_often())

    assert open_sockets() == before


def test_a_loop_for_each_question_leaves_no_sockets(storage: AzureAsyncUploadStorage) -> None:
    before = open_sockets()

    for _ in range(20):
        assert asyncio.run(storage.asize(NAME)) == len(CONTENT)
        assert storage.stat(NAME).size == len(CONTENT)
        assert async_to_sync(storage.aexists)(NAME)

    gc.collect()
    assert open_sockets() == before


def test_threads_have_clients_of_their_own(storage: AzureAsyncUploadStorage) -> None:
    before = open_sockets()
    found: list[bytes] = []
    threads = [Thread(target=lambda: found.append(storage.read_range(NAME, 0, 4))) for _ in range(8)]

    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert found == [b"0123"] * 8
    assert open_sockets() == before


async def test_one_loop_has_one_client_and_reuses_its_connection(
    azurite: AzureServer, storage: AzureAsyncUploadStorage
) -> None:
    await storage.astat(NAME)
    before = open_sockets()

    for _ in range(20):
        await storage.astat(NAME)

    assert open_sockets() == before


async def test_a_server_that_ends_its_life_closes_the_client(storage: AzureAsyncUploadStorage) -> None:
    before = open_sockets()
    await storage.astat(NAME)

    await aclose_clients()

    assert open_sockets() == before
    assert (await storage.astat(NAME)).size == len(CONTENT)


SCRIPT = """
import asyncio, logging, os, sys, warnings
logging.basicConfig(level=logging.DEBUG)
from django.conf import settings
settings.configure()
from async_uploads.exceptions import StorageUnavailable
from async_uploads.storage.azure import AzureAsyncUploadStorage
storage = AzureAsyncUploadStorage(connection_string=sys.argv[1], azure_container="uploads", location=sys.argv[2])
async def main():
    await storage.astat("notes.txt")
    return await storage.aread_range("notes.txt", 0, 4)
assert asyncio.run(main()) == asyncio.run(main()) == storage.read_range("notes.txt", 0, 4) == b"0123"
"""


def test_a_script_that_ends_complains_of_nothing_that_was_left_open(
    azurite: AzureServer, storage: AzureAsyncUploadStorage
) -> None:
    ended = subprocess.run(
        [sys.executable, "-X", "dev", "-c", SCRIPT, azurite.connection_string, storage.location],
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )

    assert ended.returncode == 0, ended.stderr
    for complaint in ("Unclosed", "unclosed", "ResourceWarning", "never awaited", "destroyed"):
        assert complaint not in ended.stderr


@pytest.mark.parametrize(
    "policy",
    [
        ExponentialRetry(initial_backoff=0, increment_base=1, retry_total=2, random_jitter_range=0),
        LinearRetry(backoff=0, retry_total=2, random_jitter_range=0),
        AsyncLinearRetry(backoff=0, retry_total=2, random_jitter_range=0),
    ],
    ids=["exponential", "linear", "async"],
)
def test_a_retry_policy_may_be_shared_by_loops_and_is_that_of_both_clients(
    azurite: AzureServer, azurite_proxy: Proxy, storage: AzureAsyncUploadStorage, policy: object
) -> None:
    retrying = azure_storage(
        azurite,
        location=storage.location,
        connection_string=azurite.connection_string_by(azurite_proxy.url),
        client_options={"retry_policy": policy},
    )
    for _ in range(2):
        azurite_proxy.answer(503, turns=2)

        assert asyncio.run(retrying.asize(NAME)) == len(CONTENT)


async def test_a_retry_policy_that_storages_share_does_not_mix_them_up(
    azurite: AzureServer, azurite_proxy: Proxy, storage: AzureAsyncUploadStorage
) -> None:
    shared = {"retry_policy": AsyncLinearRetry(backoff=0, retry_total=1, random_jitter_range=0)}
    by_proxy = azurite.connection_string_by(azurite_proxy.url)
    right = azure_storage(
        azurite, location=storage.location, connection_string=by_proxy, client_options=shared
    )
    wrong = azure_storage(azurite, **with_key(azurite, account_key=WRONG_KEY, client_options=shared))
    arrived, held = Event(), Event()

    def once_the_other_has_asked(asked: Asked) -> bool:
        arrived.set()
        return held.wait(20)

    azurite_proxy.answer(503, when=once_the_other_has_asked, turns=1)

    asking = asyncio.create_task(right.astat(NAME))
    await asyncio.to_thread(arrived.wait, 20)
    with pytest.raises(StorageUnavailable):
        await wrong.astat(NAME)
    held.set()

    assert (await asking).size == len(CONTENT)


async def test_a_retry_policy_that_would_block_the_loop_is_told(azurite: AzureServer) -> None:
    class Patient(LinearRetry):
        """Of the project's own."""

    storage = azure_storage(azurite, client_options={"retry_policy": Patient()})

    with pytest.raises(ImproperlyConfigured, match="Patient"):
        await storage.astat(NAME)
