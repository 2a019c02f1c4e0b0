"""Cross-site request forgery: acting in a visitor's name needs Django's token, the upload URL is its own permission."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.http import HttpRequest, HttpResponse
from django.template import engines
from django.test import Client
from django.urls import include, path

from async_uploads.models import AsyncTempFile
from tests.asking import as_json, url_of
from tests.conftest import field_id_of

pytestmark = pytest.mark.django_db


def page(request: HttpRequest) -> HttpResponse:
    template = engines["django"].from_string("<form>{% csrf_token %}</form>")
    return HttpResponse(template.render({}, request))


urlpatterns = [path("page/", page), path("", include("tests.urls"))]

TICKET = as_json(fieldId=field_id_of(), filename="a.txt")


@pytest.fixture
def browser(settings: Any) -> Client:
    settings.ROOT_URLCONF = __name__
    return Client(enforce_csrf_checks=True)


def token_of_page(browser: Client) -> str:
    """As the widget gets it: from the form's own input."""
    found = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', browser.get("/page/").content.decode())
    assert found is not None
    return found.group(1)


@pytest.mark.parametrize("view", ["generate-upload-url", "complete-upload", "cancel-upload"])
def test_acting_without_a_token_is_refused(browser: Client, view: str) -> None:
    response = browser.post(url_of(view), **as_json(key="x", fieldId=field_id_of(), filename="a.txt"))

    assert response.status_code == 403
    assert b"CSRF" in response.content


@pytest.mark.parametrize(
    "kept",
    [{}, {"CSRF_COOKIE_HTTPONLY": True}, {"CSRF_USE_SESSIONS": True}],
    ids=["in a cookie", "in a cookie that scripts can not read", "in the session"],
)
def test_the_token_of_the_form_is_enough(browser: Client, settings: Any, kept: dict[str, bool]) -> None:
    for name, value in kept.items():
        setattr(settings, name, value)
    headers = {"X-CSRFToken": token_of_page(browser)}

    ticket = browser.post(url_of("generate-upload-url"), headers=headers, **TICKET)
    assert ticket.status_code == 200, ticket.content
    body = as_json(key=ticket.json()["key"])
    complete = browser.post(url_of("complete-upload"), headers=headers, **body)
    cancel = browser.post(url_of("cancel-upload"), headers=headers, **body)

    assert complete.status_code == 409  # seen by the view: nothing has arrived
    assert cancel.status_code == 204


@pytest.mark.parametrize("method", ["put", "post"])
def test_the_upload_url_needs_no_token(browser: Client, method: str) -> None:
    headers = {"X-CSRFToken": token_of_page(browser)}
    ticket = browser.post(url_of("generate-upload-url"), headers=headers, **TICKET).json()
    without_cookies = Client(enforce_csrf_checks=True)

    if method == "put":
        response = without_cookies.put(ticket["uploadUrl"]["url"], b"x", content_type="text/plain")
    else:
        body = b'--X\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx\r\n--X--\r\n'
        response = without_cookies.post(
            ticket["uploadUrl"]["url"], body, content_type="multipart/form-data; boundary=X"
        )

    assert response.status_code == 201, response.content


def test_reading_needs_no_token(browser: Client) -> None:
    ticket = browser.get(url_of("generate-upload-url", fieldId=field_id_of(), filename="a.txt")).json()

    assert browser.get(url_of("upload-status", key=ticket["key"])).status_code == 200


@pytest.mark.parametrize(
    ("site", "status"),
    [("cross-site", 403), ("same-site", 200), ("same-origin", 200), ("none", 200), (None, 200)],
)
def test_another_site_cannot_use_up_a_visitors_places(browser: Client, site: str | None, status: int) -> None:
    """GET needs no token: a page elsewhere could send a person's browser there again and again."""
    headers = {} if site is None else {"Sec-Fetch-Site": site, "Sec-Fetch-Mode": "navigate"}

    response = browser.get(
        url_of("generate-upload-url", fieldId=field_id_of(), filename="a.txt"), headers=headers
    )

    assert response.status_code == status
    assert AsyncTempFile.objects.exists() is (status == 200)
    if status == 403:
        assert response.json()["code"] == "permission_denied"
