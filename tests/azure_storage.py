"""Azure storages for tests, the browser that sends to them, and what Azurite holds in the end."""

from __future__ import annotations

import asyncio
import base64
import ssl
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qs
from uuid import uuid4

import httpx
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import (
    AccountSasPermissions,
    BlobClient,
    BlobProperties,
    ResourceTypes,
    generate_account_sas,
)
from django.core.files.base import ContentFile

from async_uploads.storage.azure import AzureAsyncUploadStorage
from tests.servers.azurite import AzureServer
from tests.servers.proxy import Asked, Proxy, put_block_from_url

Headers = Mapping[str, str]

CONTENT = b"0123456789"
FINAL = "documents/report.txt"
WRONG_KEY = base64.b64encode(b"not the account's key at all").decode()
ACCOUNT = AzureServer.account_name


def azure_storage(server: AzureServer, **options: Any) -> AzureAsyncUploadStorage:
    """A storage in a folder of its own, which asks once and waits for two seconds."""
    given = {
        "connection_string": server.connection_string,
        "azure_container": server.container,
        "location": f"site-{uuid4().hex[:8]}",
        "timeout": 2,
        "client_options": {"retry_total": 0},
        "copy_poll_interval": 0.01,
    }
    return AzureAsyncUploadStorage(**{**given, **options})


def with_key(server: AzureServer, **options: Any) -> dict[str, Any]:
    return {
        "connection_string": None,
        "account_url": server.account_url,
        "account_name": server.account_name,
        "account_key": server.account_key,
        **options,
    }


def with_sas(server: AzureServer) -> dict[str, Any]:
    """As somebody who was given a SAS for the whole account, and no key."""
    token = generate_account_sas(
        server.account_name,
        server.account_key,
        ResourceTypes(object=True, container=True),
        AccountSasPermissions(read=True, write=True, create=True, delete=True, list=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    return with_key(server, account_key=None, sas_token=token)


def temporary(storage: AzureAsyncUploadStorage, filename: str = "report.txt") -> str:
    return storage.generate_temporary_path(filename)


async def ticket(storage: AzureAsyncUploadStorage, key: str, content_type: str | None = "text/plain") -> Any:
    return await storage.agenerate_upload_url(
        key, "field", expire=600, max_size=None, content_type=content_type
    )


async def send(
    storage: AzureAsyncUploadStorage, key: str, content: bytes = CONTENT, headers: Headers | None = None
) -> httpx.Response:
    """The browser's request, with what an uploader may add to its headers."""
    upload = await ticket(storage, key)
    return await request(
        upload["method"], upload["url"], content=content, headers={**upload["headers"], **(headers or {})}
    )


async def uploaded(
    storage: AzureAsyncUploadStorage,
    content: bytes = CONTENT,
    filename: str = "report.txt",
    headers: Headers | None = None,
) -> str:
    """The key of a file that the browser has sent."""
    key = temporary(storage, filename)
    response = await send(storage, key, content, headers)
    assert response.status_code == 201, response.text
    return key


async def request(method: str, url: str, *, verify: str | bool = True, **options: Any) -> httpx.Response:
    context = ssl.create_default_context(cafile=verify) if isinstance(verify, str) else verify
    async with httpx.AsyncClient(verify=context, timeout=30) as client:
        return await client.request(method, url, **options)


def file(content: bytes = CONTENT, name: str = "report.txt") -> ContentFile[bytes]:
    return ContentFile(content, name=name)


async def content_of(storage: AzureAsyncUploadStorage, name: str) -> bytes:
    return await (await storage.aopen(name)).read()


@contextmanager
def blob_at(server: AzureServer, storage: AzureAsyncUploadStorage, name: str) -> Iterator[BlobClient]:
    """The blob as the server itself has it: with the location in front."""
    with server.service() as service:
        yield service.get_blob_client(server.container, f"{storage.location}/{name}")


def overwrite(server: AzureServer, storage: AzureAsyncUploadStorage, name: str, content: bytes) -> None:
    """What somebody with the account key does behind our back."""
    with blob_at(server, storage, name) as blob:
        blob.upload_blob(content, overwrite=True)


def names_in(server: AzureServer, storage: AzureAsyncUploadStorage) -> list[str]:
    """All that lies in the storage's folder, without the folder's name."""
    folder = f"{storage.location}/"
    with server.service() as service, service.get_container_client(server.container) as container:
        return sorted(
            name.removeprefix(folder) for name in container.list_blob_names(name_starts_with=folder)
        )


def properties_of(server: AzureServer, storage: AzureAsyncUploadStorage, name: str = FINAL) -> BlobProperties:
    with blob_at(server, storage, name) as blob:
        return blob.get_blob_properties()


class Watched:
    """Where a copy says that it is, and a moment to wait for."""

    def __init__(self) -> None:
        self.steps: list[tuple[int, int]] = []
        self.begun = asyncio.Event()

    async def __call__(self, copied: int, total: int) -> None:
        self.steps.append((copied, total))
        self.begun.set()


class BlocksFromUrls:
    """Put Block From URL, which Azurite does not know: read from the URL, with its signature, and put as a block."""

    def __init__(self, server: AzureServer, proxy: Proxy) -> None:
        self._server = server
        self._proxy = proxy
        self.statuses: list[int] = []
        self.ranges: list[str] = []
        proxy.answer(201, when=self._is_done)
        proxy.answer(412, headers={"x-ms-error-code": "SourceConditionNotMet"}, when=self._ended_with(412))
        proxy.answer(404, headers={"x-ms-error-code": "CannotVerifyCopySource"}, when=self._ended_with(404))
        proxy.answer(403, headers={"x-ms-error-code": "CannotVerifyCopySource"}, when=self._ended_with(403))

    def _is_done(self, asked: Asked) -> bool:
        if not put_block_from_url(asked):
            return False
        try:
            self._put_block(asked)
        except HttpResponseError as error:
            self.statuses.append(error.status_code or 0)
            return False
        self.statuses.append(201)
        return True

    def _ended_with(self, status: int) -> Any:
        return lambda asked: put_block_from_url(asked) and self.statuses[-1] == status

    def _put_block(self, asked: Asked) -> None:
        self.ranges.append(asked.headers["x-ms-source-range"])
        first, last = (int(number) for number in self.ranges[-1].removeprefix("bytes=").split("-"))
        # Not by the proxy, which waits for this.
        url = asked.headers["x-ms-copy-source"].replace(self._proxy.url, self._server.account_url)
        with BlobClient.from_blob_url(url, retry_total=0) as source:
            source.get_blob_properties()  # else Azurite takes what is missing for a condition that is not met
            condition = {"if-match": asked.headers["x-ms-source-if-match"]}
            content = source.download_blob(first, last - first + 1, headers=condition).readall()
        container, _, name = asked.path.removeprefix(f"/{self._server.account_name}/").partition("/")
        block_id = base64.b64decode(parse_qs(asked.query)["blockid"][0]).decode()
        with self._server.service() as service, service.get_blob_client(container, name) as target:
            target.stage_block(block_id, content)
