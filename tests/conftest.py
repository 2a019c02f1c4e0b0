"""Fixtures that any test may use: a real server in the test's own event loop, a visitor's client, uploads."""

from __future__ import annotations

import asyncio
import gc
import io
import shutil
import socket
import warnings
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest
import uvicorn
from django.conf import settings
from PIL import Image

from async_uploads import registry
from async_uploads.registry import AsyncFieldRegistry, default_async_field_registry
from tests.servers.postgresql import PostgreSQL, running_postgresql
from tests.testapp.models import Document

pytest.register_assert_rewrite("async_uploads.testing")

pytest_plugins = ["tests.servers.fixtures"]

POSTGRESQL = pytest.StashKey[PostgreSQL]()


@pytest.fixture(scope="session")
def django_db_modify_db_settings(pytestconfig: pytest.Config) -> Iterator[None]:
    """Where the settings ask for PostgreSQL, it runs from here on, before pytest-django makes the test database."""
    if not _on_postgresql():
        yield
        return
    with running_postgresql(Path(str(settings.DATABASES["default"]["HOST"]))) as server:
        pytestconfig.stash[POSTGRESQL] = server
        yield


@pytest.fixture
def postgresql(pytestconfig: pytest.Config, transactional_db: None) -> PostgreSQL:
    """The server that the tests' database is on; for tests that are ``postgresql_only``."""
    return pytestconfig.stash[POSTGRESQL]


@pytest.fixture(scope="session")
def django_db_keepdb() -> bool:
    """The server goes with all its data, and would not drop a database to which a thread is still connected."""
    return _on_postgresql()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if _on_postgresql():
        return
    left_out = [item for item in items if item.get_closest_marker("postgresql_only")]
    config.hook.pytest_deselected(items=left_out)
    items[:] = [item for item in items if item not in set(left_out)]


def pytest_runtest_logfinish(nodeid: str) -> None:
    """A TLS connection whose shutdown the end of a test's event loop cuts short is collected here, without a warning.

    Servers go on; only loops that live for one test and speak TLS leave such.
    """
    if "test_azure_identities" in nodeid:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


def _on_postgresql() -> bool:
    return settings.DATABASES["default"]["ENGINE"] == "django.db.backends.postgresql"


@pytest.fixture(autouse=True)
def empty_media() -> Iterator[None]:
    """Each test begins and ends without files."""
    shutil.rmtree(settings.MEDIA_ROOT, ignore_errors=True)
    yield
    shutil.rmtree(settings.MEDIA_ROOT, ignore_errors=True)


@pytest.fixture
def own_registry() -> Iterator[AsyncFieldRegistry]:
    """A registry that is forgotten after the test."""
    made = AsyncFieldRegistry("own")
    yield made
    registry._registries.remove(made)


@pytest.fixture(autouse=True)
def fresh_channel_layer() -> None:
    """The in-memory channel layer keeps queues that belong to the event loop of the test before."""
    from channels.layers import channel_layers

    channel_layers.backends.clear()


@asynccontextmanager
async def serving(application: Any, **options: Any) -> AsyncIterator[str]:
    """uvicorn in this event loop; yields its address, ``http://127.0.0.1:PORT``."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    config = uvicorn.Config(
        application, lifespan="off", log_level="warning", ws="websockets-sansio", **options
    )
    server = uvicorn.Server(config)
    server.config.load()
    serving_task = asyncio.create_task(server.serve(sockets=[listener]))
    while not server.started:
        await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        server.should_exit = True
        await serving_task


@pytest.fixture
async def server(transactional_db: None) -> AsyncIterator[str]:
    """The test project under uvicorn; the address to ask."""
    from tests.asgi import application

    async with serving(application) as address:
        yield address


@pytest.fixture
async def visitor(server: str) -> AsyncIterator[httpx.AsyncClient]:
    """An anonymous visitor's HTTP client, with their cookies and a CSRF token."""
    async with visiting(server) as client:
        yield client


@asynccontextmanager
async def visiting(address: str) -> AsyncIterator[httpx.AsyncClient]:
    token = "a" * 32
    async with httpx.AsyncClient(base_url=address, timeout=30) as client:
        client.cookies.set("csrftoken", token)
        client.headers["X-CSRFToken"] = token
        yield client


def field_id_of(model: Any = Document, name: str = "file") -> str:
    field = model._meta.get_field(name)
    return str(field.async_field_registry.generate_id(field))


async def ticket_for(
    client: httpx.AsyncClient,
    filename: str = "report.pdf",
    *,
    model: Any = Document,
    field: str = "file",
    **more: Any,
) -> dict[str, Any]:
    """An upload ticket; fails the test where there is none."""
    response = await client.post(
        "/async-uploads/generate-upload-url/",
        json={"fieldId": field_id_of(model, field), "filename": filename, **more},
    )
    assert response.status_code == 200, response.text
    ticket: dict[str, Any] = response.json()
    return ticket


async def upload(
    client: httpx.AsyncClient, content: bytes = b"some bytes", filename: str = "report.txt", **more: Any
) -> str:
    """A whole upload; returns its key."""
    ticket = await ticket_for(client, filename, **more)
    response = await client.put(ticket["uploadUrl"]["url"], content=content)
    assert response.status_code == 201, response.text
    return str(ticket["key"])


def image_bytes(kind: str = "PNG", size: tuple[int, int] = (7, 5)) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, "teal").save(file, kind)
    return file.getvalue()


@pytest.fixture
def registered() -> Callable[[], dict[str, Any]]:
    return lambda: dict(default_async_field_registry.fields_by_id)
