"""The demo with its files in a cloud: a real server, and what there is to see in it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlsplit

from tests.browser.demo_server import DemoServer
from tests.servers.azurite import AzureServer
from tests.servers.proxy import Asked, Proxy
from tests.servers.requests import Request
from tests.servers.seaweedfs import S3Server

PLACE = "demo"
"""The bucket or container that the demo's settings name."""


def sent_by_a_page(asked: Asked) -> bool:
    """A file that a browser sends, not what it asks before it (the preflight), and not what Django asks."""
    return asked.method in ("POST", "PUT") and "origin" in asked.headers


class CloudDemo:
    """``network`` lies between the storage and all who use it, browsers and Django."""

    preparation: str
    """The command that makes the bucket or container, as `make demo STORAGE=…` calls it."""

    def __init__(
        self, data: Path, storage: S3Server | AzureServer, network: Proxy, environment: dict[str, str]
    ) -> None:
        address = urlsplit(network.url)
        self.origin = f"{address.scheme}://{address.netloc}"
        self.storage = storage
        self.network = network
        self.server = DemoServer(data, {"DEMO_STORAGE_URL": self.origin, **environment})

    def start(self) -> None:
        self.server.prepare()
        self.server.manage(self.preparation, self.server.url)
        self.server.start()

    def names(self) -> set[str]:
        """All that lies in the cloud."""
        raise NotImplementedError

    def uploads(self) -> list[Request]:
        """The files that pages have sent, as the storage's own log tells."""
        raise NotImplementedError


class S3Demo(CloudDemo):
    preparation = "demo_bucket"

    def __init__(self, data: Path, storage: S3Server, network: Proxy) -> None:
        keys = storage.admin.access_key, storage.admin.secret_key
        named = dict(zip(("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"), keys, strict=True))
        super().__init__(data, storage, network, {"DEMO_STORAGE": "s3", **named})
        self._s3 = storage

    def names(self) -> set[str]:
        client = self._s3.client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=PLACE)
        found = {entry["Key"] for page in pages for entry in page.get("Contents", [])}
        client.close()
        return found

    def uploads(self) -> list[Request]:
        asked = self._s3.requests()
        return [request for request in asked if (request.method, request.path.strip("/")) == ("POST", PLACE)]


class AzureDemo(CloudDemo):
    preparation = "demo_container"

    def __init__(self, data: Path, storage: AzureServer, network: Proxy) -> None:
        named = {"AZURE_STORAGE_CONNECTION_STRING": storage.connection_string_by(network.url)}
        super().__init__(data, storage, network, {"DEMO_STORAGE": "azure", **named})
        self._azure = storage

    def names(self) -> set[str]:
        with self._azure.service() as service, service.get_container_client(PLACE) as container:
            return set(container.list_blob_names())

    def uploads(self) -> list[Request]:
        asked = self._azure.requests()
        temporary = f"/{PLACE}/async-temp-files/"
        return [request for request in asked if request.method == "PUT" and temporary in request.path]
