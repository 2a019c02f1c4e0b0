"""Whoever follows a link to a file sees the project's own error pages; scripts and API clients get JSON."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.test import AsyncClient
from django.test.utils import override_settings
from django.utils.translation import override

from async_uploads.exceptions import PermissionDenied
from tests.asking import ask_upload, url_of
from tests.conftest import field_id_of
from tests.testapp.models import Document, Guarded

pytestmark = pytest.mark.django_db(transaction=True)

CHROMIUM = {
    "Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,*/*;q=0.8",
    "Sec-Fetch-Dest": "document",
    "Sec-Fetch-Mode": "navigate",
}
NAVIGATIONS = [CHROMIUM, {"Accept": CHROMIUM["Accept"]}, {"Sec-Fetch-Dest": "document"}]
SCRIPTS = [
    {},
    {"Accept": "*/*", "Sec-Fetch-Dest": "empty", "Sec-Fetch-Mode": "cors"},
    {"Accept": "image/avif,image/webp,image/apng,*/*;q=0.8", "Sec-Fetch-Dest": "image"},
    {"Accept": "application/json, text/html;q=0.5"},
]


@pytest.fixture(autouse=True)
def pages_of_the_project(settings: Any, tmp_path: Path) -> None:
    for code in (400, 403, 404):
        (tmp_path / f"{code}.html").write_text(f"<h1>The project's {code}</h1> {{{{ exception }}}}")
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "DIRS": [tmp_path]}]


async def urls_that_are_refused(client: AsyncClient) -> dict[str, int]:
    guarded = await Guarded.objects.acreate()
    empty = await Document.objects.acreate()
    lost = await Document.objects.acreate(file=await ask_upload(client))
    gone = (await client.get(lost.file.url))["Location"]
    with override_settings(ASYNC_UPLOADS={"DOWNLOAD_URL_EXPIRY": -1}):
        expired = (await client.get(lost.file.url))["Location"]
    await lost.file.storage.adelete(str(lost.file.name))
    return {
        url_of("download-file", field_id=field_id_of(Guarded), instance_id=guarded.pk): 403,
        url_of("download-file", field_id=field_id_of(), instance_id=empty.pk): 404,
        url_of("download-file", field_id=field_id_of(), instance_id=empty.pk + 99): 404,
        url_of("download-file"): 400,
        url_of("download-file-direct", token="made:up"): 403,
        gone: 404,
        expired: 410,
    }


@pytest.mark.parametrize("headers", NAVIGATIONS)
async def test_person_sees_the_page_of_the_project(
    async_client: AsyncClient, headers: dict[str, str]
) -> None:
    for url, status in (await urls_that_are_refused(async_client)).items():
        response = await async_client.get(url, headers=headers)

        shown = 404 if status == 410 else status  # Django has no page for what has expired
        assert response.status_code == shown, url
        assert response["Content-Type"].startswith("text/html")
        assert f"The project's {shown}" in response.content.decode()


@pytest.mark.parametrize("headers", SCRIPTS)
async def test_script_gets_json(async_client: AsyncClient, headers: dict[str, str]) -> None:
    for url, status in (await urls_that_are_refused(async_client)).items():
        response = await async_client.get(url, headers=headers)

        assert (response.status_code, response["Content-Type"]) == (status, "application/json"), url


async def test_page_tells_the_project_why(async_client: AsyncClient) -> None:
    record = await Guarded.objects.acreate()
    url = url_of("download-file", field_id=field_id_of(Guarded), instance_id=record.pk)

    response = await async_client.get(url, headers=CHROMIUM)

    assert "You are not logged in" in response.content.decode()


async def test_what_scripts_ask_stays_json_whatever_they_accept(async_client: AsyncClient) -> None:
    response = await async_client.get(url_of("upload-status", key="x"), headers=CHROMIUM)

    assert (response.status_code, response["Content-Type"]) == (404, "application/json")


async def test_json_is_readable_in_every_language(async_client: AsyncClient) -> None:
    with override("ar"):
        response = await async_client.get(url_of("download-file-direct", token="made:up"))
        words = PermissionDenied().detail

    assert not words.isascii()
    assert words in response.content.decode()
