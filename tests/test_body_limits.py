"""Django's limits of a request's size: what they mean for uploads, and what they do not."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.handlers.asgi import ASGIHandler
from django.test import Client
from pytest_django import Settings

from async_uploads.checks.limits import SMALLEST_BODY_LIMIT
from tests.asgi import application
from tests.asking import as_json, url_of
from tests.conftest import field_id_of, serving, ticket_for, visiting
from tests.pages.models import Story
from tests.test_spooled_uploads import serving_wsgi
from tests.testapp.models import Document

pytestmark = pytest.mark.django_db(transaction=True)

CONTENT = b"0123456789" * 50_000


@pytest.fixture(params=[2_500_000, 1], ids=["in memory", "on disk"])
def small_limits(request: pytest.FixtureRequest, settings: Settings) -> None:
    """A hundredth of the upload for bodies; uploaded files are kept in memory, or go to the disk at once."""
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = len(CONTENT) // 100
    settings.FILE_UPLOAD_MAX_MEMORY_SIZE = request.param


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize(
    "sent",
    [{"method": "PUT", "content": CONTENT}, {"method": "POST", "files": {"file": ("x", CONTENT)}}],
    ids=["PUT", "POST multipart"],
)
@pytest.mark.parametrize("handler", [application, ASGIHandler()], ids=["streaming", "Django's own"])
async def test_limits_of_a_body_do_not_limit_uploads(handler: Any, sent: dict[str, Any]) -> None:
    async with serving(handler) as address, visiting(address) as visitor:
        ticket = await ticket_for(visitor)
        response = await visitor.request(url=ticket["uploadUrl"]["url"], **sent)

    assert response.status_code == 201, response.text
    assert response.json()["received"] == len(CONTENT)


@pytest.mark.usefixtures("small_limits")
@pytest.mark.parametrize(
    "sent",
    [{"method": "PUT", "content": CONTENT}, {"method": "POST", "files": {"file": ("x", CONTENT)}}],
    ids=["PUT", "POST multipart"],
)
async def test_limits_of_a_body_do_not_limit_uploads_under_wsgi(sent: dict[str, Any]) -> None:
    with serving_wsgi() as address:
        async with visiting(address) as visitor:
            ticket = await ticket_for(visitor)
            response = await visitor.request(url=ticket["uploadUrl"]["url"], **sent)

    assert response.status_code == 201, response.text
    assert response.json()["received"] == len(CONTENT)


@pytest.mark.urls("tests.pages.urls")
@pytest.mark.usefixtures("small_limits")
def test_limits_of_a_body_do_not_limit_files_that_come_with_a_form(client: Client) -> None:
    management = {"attachments-TOTAL_FORMS": "0", "attachments-INITIAL_FORMS": "0"}

    response = client.post(
        "/stories/new/",
        {"title": "Long", "text-plain": SimpleUploadedFile("report.txt", CONTENT), **management},
    )

    assert response.status_code == 302
    assert Story.objects.get().text.size == len(CONTENT)


LONGEST_NAMES = ["x" * 251 + ".txt", "年" * 251 + ".txt", "👩" * 123 + ".txt", '"' * 251 + ".txt"]


@pytest.mark.parametrize("name", LONGEST_NAMES, ids=["latin", "han", "emoji", "quotes"])
def test_smallest_limit_that_passes_the_check_is_enough_to_ask_for_an_upload(
    client: Client, settings: Settings, name: str
) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = SMALLEST_BODY_LIMIT
    asked = as_json(
        fieldId=field_id_of(),
        filename=name,
        instanceId=str(Document.objects.create().pk),
        contentType="x" * 127 + "/" + "x" * 127,
        size=1024**2,
    )

    response = client.post(url_of("generate-upload-url"), **asked)

    assert response.status_code == 200, response.content


def test_a_smaller_limit_refuses_requests_for_an_upload(client: Client, settings: Settings) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = 1024

    asked = as_json(fieldId=field_id_of(), filename="年" * 251 + ".txt")

    assert client.post(url_of("generate-upload-url"), **asked).status_code == 413
