"""One server of each kind for the whole session; each test makes what it needs in it."""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.servers.azurite import AzureServer
from tests.servers.azurite_oauth import OAuthAzureServer
from tests.servers.processes import HasEnded, Server
from tests.servers.proxy import Proxy
from tests.servers.seaweedfs import S3Server

Kind = TypeVar("Kind", bound=Server)
RUNNING = pytest.StashKey[list[Server]]()
ATTEMPTS = 3  # Between our asking for a free port and the server's taking it, another may take it.


@pytest.fixture(scope="session")
def seaweedfs(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[S3Server]:
    yield from _serving(S3Server, tmp_path_factory.mktemp("seaweedfs"), pytestconfig)


@pytest.fixture(scope="session")
def azurite(tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config) -> Iterator[AzureServer]:
    yield from _serving(AzureServer, tmp_path_factory.mktemp("azurite"), pytestconfig)


@pytest.fixture(scope="session")
def azurite_oauth(
    tmp_path_factory: pytest.TempPathFactory, pytestconfig: pytest.Config
) -> Iterator[OAuthAzureServer]:
    yield from _serving(OAuthAzureServer, tmp_path_factory.mktemp("azurite-oauth"), pytestconfig)


@pytest.fixture
def seaweedfs_proxy(seaweedfs: S3Server) -> Iterator[Proxy]:
    """Between a test and SeaweedFS; use ``.url`` as the endpoint."""
    with Proxy(seaweedfs.endpoint_url) as proxy:
        yield proxy


@pytest.fixture
def azurite_proxy(azurite: AzureServer) -> Iterator[Proxy]:
    """Between a test and Azurite; use ``azurite.connection_string_by(proxy)``."""
    with Proxy(azurite.account_url) as proxy:
        yield proxy


@pytest.fixture(autouse=True)
def servers_as_found(pytestconfig: pytest.Config) -> Iterator[None]:
    """A server that a test has paused or stopped, and then failed, serves the next one."""
    yield
    for server in pytestconfig.stash.get(RUNNING, []):
        server.restore()


@pytest.fixture
def localhost_names(monkeypatch: pytest.MonkeyPatch) -> None:
    """Names under localhost are this machine (RFC 6761), as browsers know and not every resolver does."""
    ask = socket.getaddrinfo

    def getaddrinfo(host: Any, *args: Any, **options: Any) -> Any:
        local = isinstance(host, str) and host.endswith(".localhost")
        return ask("127.0.0.1" if local else host, *args, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)


def _serving(make: Callable[[Path], Kind], directory: Path, config: pytest.Config) -> Iterator[Kind]:
    server = _started(make, directory)
    running = config.stash.setdefault(RUNNING, [])
    running.append(server)
    try:
        yield server
    finally:
        running.remove(server)
        server.discard()


def _started(make: Callable[[Path], Kind], directory: Path) -> Kind:
    for attempt in range(1, ATTEMPTS + 1):
        folder = directory / str(attempt)
        folder.mkdir()
        server = make(folder)
        try:
            server.start()
        except HasEnded:
            server.discard()
            if attempt == ATTEMPTS:
                raise
        except BaseException:
            server.discard()
            raise
        else:
            return server
    raise AssertionError("unreachable")
