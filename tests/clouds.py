"""Album's files on real clouds: SeaweedFS for S3 and Azurite for Azure, each reached past Django by the browser."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import pytest
from botocore.config import Config

from async_uploads.storage.azure import AzureAsyncUploadStorage
from async_uploads.storage.base import AsyncUploadStorage
from async_uploads.storage.s3 import S3AsyncUploadStorage
from tests.servers.azurite import AzureServer
from tests.servers.proxy import Proxy
from tests.servers.seaweedfs import S3Server
from tests.testapp.models import Album

PATIENCE = 2
"""Seconds that the storages of these tests wait for an answer."""


@dataclass
class RealCloud:
    """A server and the storage that uses it. ``secrets`` are what no log and no answer may tell."""

    server: S3Server | AzureServer
    storage: AsyncUploadStorage
    secrets: list[str]
    broken: dict[str, AsyncUploadStorage]
    """Storages that are configured wrongly, by what is wrong."""
    through: Callable[..., AsyncUploadStorage]
    """The storage as it is reached by a proxy; ``retrying``: it asks again, as it does in use."""

    @contextmanager
    def paused(self) -> Iterator[None]:
        self.server.pause()
        try:
            yield
        finally:
            self.server.resume()

    @contextmanager
    def stopped(self) -> Iterator[None]:
        self.server.stop()
        try:
            yield
        finally:
            self.server.start()

    def use(self, storage: AsyncUploadStorage, monkeypatch: pytest.MonkeyPatch) -> None:
        for name in ("booklet", "cover"):
            monkeypatch.setattr(Album._meta.get_field(name), "storage", storage)


def s3_cloud(server: S3Server) -> RealCloud:
    location = f"site-{uuid4().hex[:8]}"

    def storage(**changed: Any) -> S3AsyncUploadStorage:
        options = {
            "endpoint_url": server.endpoint_url,
            "bucket_name": server.bucket,
            "region_name": server.region,
            "access_key": server.app.access_key,
            "secret_key": server.app.secret_key,
            "location": location,
            "client_config": Config(
                connect_timeout=PATIENCE,
                read_timeout=PATIENCE,
                retries={"total_max_attempts": 1},
                s3={"addressing_style": "path"},
                signature_version="s3v4",
            ),
        }
        return S3AsyncUploadStorage(**{**options, **changed})

    def through(proxy: Proxy, *, retrying: bool = False) -> AsyncUploadStorage:
        config = {"client_config": Config(s3={"addressing_style": "path"})} if retrying else {}
        return storage(endpoint_url=proxy.url, **config)

    broken: dict[str, AsyncUploadStorage] = {
        "a wrong key": storage(secret_key="wrong-secret-key"),
        "no such place": storage(bucket_name="nowhere", access_key="admin-key", secret_key="admin-secret"),
    }
    secrets = [server.app.secret_key, server.admin.secret_key, "wrong-secret-key"]
    return RealCloud(
        server=server,
        storage=storage(),
        secrets=secrets,
        broken=broken,
        through=through,
    )


def azure_cloud(server: AzureServer) -> RealCloud:
    location = f"site-{uuid4().hex[:8]}"
    wrong_key = "d3Jvbmcta2V5LXdyb25nLWtleQ=="

    def storage(**changed: Any) -> AzureAsyncUploadStorage:
        options = {
            "connection_string": server.connection_string,
            "azure_container": server.container,
            "location": location,
            "timeout": PATIENCE,
            "client_options": {"retry_total": 0},
        }
        return AzureAsyncUploadStorage(**{**options, **changed})

    def through(proxy: Proxy, *, retrying: bool = False) -> AsyncUploadStorage:
        retries: dict[str, Any] = {"client_options": {}} if retrying else {}
        return storage(connection_string=server.connection_string_by(proxy.url), **retries)

    broken: dict[str, AsyncUploadStorage] = {
        "a wrong key": storage(
            connection_string=server.connection_string.replace(server.account_key, wrong_key)
        ),
        "no such place": storage(azure_container="nowhere"),
    }
    secrets = [server.account_key, wrong_key, "sig="]
    return RealCloud(
        server=server,
        storage=storage(),
        secrets=secrets,
        broken=broken,
        through=through,
    )


def cloud_in_use(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, *, max_size: float
) -> RealCloud:
    """The cloud that ``request.param`` names, ``s3`` or ``azure``, as the storage of albums; ``max_size`` in MiB."""
    if request.param == "s3":
        cloud = s3_cloud(request.getfixturevalue("seaweedfs"))
    else:
        cloud = azure_cloud(request.getfixturevalue("azurite"))
    monkeypatch.setattr(Album._meta.get_field("booklet"), "max_size", max_size)
    cloud.use(cloud.storage, monkeypatch)
    return cloud
