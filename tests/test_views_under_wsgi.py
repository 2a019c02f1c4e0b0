"""The async views under WSGI, and with ATOMIC_REQUESTS, which Django refuses for async views."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from django.db import connections
from django.test import AsyncClient, Client

from async_uploads.models import AsyncTempFile
from tests.asking import as_json, ask_upload, url_of
from tests.conftest import field_id_of
from tests.testapp.models import Document

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def atomic_requests() -> Any:
    """The database's setting is read by each request."""
    database = connections.settings["default"]
    database["ATOMIC_REQUESTS"] = True
    yield
    database["ATOMIC_REQUESTS"] = False


def test_whole_journey_under_wsgi(client: Client) -> None:
    ticket = client.post(
        url_of("generate-upload-url"), **as_json(fieldId=field_id_of(), filename="a.txt")
    ).json()
    put = client.put(ticket["uploadUrl"]["url"], b"hello world", content_type="text/plain")
    complete = client.post(ticket["completeUrl"], {"key": ticket["key"]})
    document = Document.objects.create(file=ticket["key"])
    status = client.get(ticket["statusUrl"], {"key": ticket["key"]})
    redirect = client.get(document.file.url)
    page = client.get(redirect["Location"])

    assert put.status_code == 201, put.content
    assert complete.json()["state"] == "uploaded"
    assert status.json()["state"] == "promoted"
    assert document.file.name == "documents/a.txt"
    assert b"".join(page) == b"hello world"


def test_errors_under_wsgi(client: Client) -> None:
    asked = {"fieldId": field_id_of(), "filename": "a.txt"}
    ticket = client.post(url_of("generate-upload-url"), **as_json(**asked)).json()
    url = ticket["uploadUrl"]["url"]

    assert client.post(url_of("generate-upload-url"), **as_json()).status_code == 400
    assert client.put(url, bytes(1024**2 + 1), content_type="text/plain").status_code == 413
    assert client.put(url, b"x", content_type="text/plain").status_code == 409
    assert client.post(ticket["cancelUrl"], {"key": "made up"}).status_code == 404
    assert client.delete(ticket["cancelUrl"]).status_code == 405


@pytest.mark.usefixtures("atomic_requests")
def test_atomic_requests_do_not_break_the_views_under_wsgi(client: Client) -> None:
    test_whole_journey_under_wsgi(client)


@pytest.mark.usefixtures("atomic_requests")
async def test_atomic_requests_do_not_break_the_views_under_asgi(async_client: AsyncClient) -> None:
    key = await ask_upload(async_client)
    document = await Document.objects.acreate(file=key)

    for url in (url_of("upload-status", key=key), document.file.url):
        assert (await async_client.get(url)).status_code in (200, 302)
    for view in ("complete-upload", "cancel-upload"):
        assert (await async_client.post(url_of(view), {"key": key})).status_code in (200, 409)
    assert (await AsyncTempFile.objects.aget()).state == "promoted"


TWO_DATABASES = """
from tests import settings
for name in ("default", "other"):
    settings.DATABASES[name] = {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:", "ATOMIC_REQUESTS": True}
import django
django.setup()
from django.test import Client
print(Client().get("/async-uploads/upload-status/").status_code)
"""


def test_atomic_requests_of_several_databases_do_not_break_the_views() -> None:
    """In a process of its own: a project's databases are known before its views are loaded."""
    environment = {"DJANGO_SETTINGS_MODULE": "tests.settings"}

    answer = subprocess.run(
        [sys.executable, "-c", TWO_DATABASES],
        capture_output=True,
        text=True,
        cwd=Path(__file__).parent.parent,
        env={**os.environ, **environment},
        check=False,
    )

    assert answer.stdout.strip() == "400", answer.stderr
