"""Under Django's LoginRequiredMiddleware our views go on asking for their own permissions and tokens."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.http import HttpRequest, HttpResponse
from django.test import AsyncClient
from django.urls import include, path, reverse

from async_uploads.exceptions import PermissionDenied
from async_uploads.permissions import arequire
from tests.asking import as_json, ask_ticket, ask_upload, send, url_of
from tests.conftest import field_id_of
from tests.permission_asking import signed_in
from tests.testapp.models import Document, Guarded

pytestmark = pytest.mark.django_db(transaction=True)

LOGIN_REQUIRED = "django.contrib.auth.middleware.LoginRequiredMiddleware"
JSON_VIEWS = ["generate-upload-url", "complete-upload", "cancel-upload", "upload-status", "download-file"]


def page(request: HttpRequest) -> HttpResponse:
    return HttpResponse("A page of the project.")


urlpatterns = [path("page/", page), path("", include("tests.drfapp.urls"))]


@pytest.fixture(autouse=True)
def login_required(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, LOGIN_REQUIRED]


async def test_the_middleware_is_at_work(async_client: AsyncClient) -> None:
    response = await async_client.get("/page/")

    assert (response.status_code, response["Location"]) == (302, "/accounts/login/?next=/page/")


async def test_whole_upload_and_download_of_a_visitor_without_a_session(async_client: AsyncClient) -> None:
    ticket = await ask_ticket(async_client, "a.txt")

    sent = await send(AsyncClient(), ticket, b"bytes")  # the token is enough
    document = await Document.objects.acreate(file=ticket["key"])
    redirect = await AsyncClient().get(document.file.url)
    got: Any = await AsyncClient().get(redirect["Location"])

    assert sent.status_code == 201
    assert b"".join([chunk async for chunk in got]) == b"bytes"


async def test_status_completion_and_cancelling(async_client: AsyncClient) -> None:
    key = await ask_upload(async_client)

    assert (await async_client.get(url_of("upload-status", key=key))).status_code == 200
    assert (await async_client.post(url_of("complete-upload"), **as_json(key=key))).status_code == 200
    assert (await async_client.post(url_of("cancel-upload"), **as_json(key=key))).status_code == 204


@pytest.mark.parametrize(
    "view",
    [*JSON_VIEWS, "upload-file-direct", "download-file-direct"],
)
@pytest.mark.parametrize("method", ["get", "post", "put"])
async def test_no_url_sends_to_the_login_page(async_client: AsyncClient, view: str, method: str) -> None:
    response = await getattr(async_client, method)(url_of(view, token="x", key="x"))

    assert response.status_code in (400, 403, 404, 405)


@pytest.mark.parametrize("view", JSON_VIEWS)
@pytest.mark.parametrize("method", ["get", "post"])
async def test_no_url_of_the_api_sends_to_the_login_page(
    async_client: AsyncClient, view: str, method: str
) -> None:
    response = await getattr(async_client, method)(reverse(f"async_uploads_api:{view}"))

    assert response.status_code in (400, 401, 403, 404, 405)


async def test_who_is_not_logged_in_is_told_so_where_a_permission_is_missing(
    async_client: AsyncClient,
) -> None:
    given = as_json(fieldId=field_id_of(Guarded), filename="a.txt")

    anonymous = await async_client.post(url_of("generate-upload-url"), **given)
    known = await (await signed_in("ada")).post(url_of("generate-upload-url"), **given)

    assert (anonymous.status_code, known.status_code) == (403, 403)
    assert anonymous.json() == {
        "code": "permission_denied",
        "detail": "You are not logged in. Please log in and try again.",
    }
    assert known.json()["detail"] == "You do not have permission to do this."


@pytest.mark.parametrize(("user", "words"), [(AnonymousUser(), "not logged in"), (User(), "do not have")])
async def test_words_for_a_callable_that_says_no(user: Any, words: str) -> None:
    with pytest.raises(PermissionDenied, match=words):
        await arequire(lambda user, record: False, user, None)
