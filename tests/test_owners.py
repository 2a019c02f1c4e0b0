"""Whose upload it is: a visitor's by their session, a user's wherever they are signed in, and nobody else's."""

from __future__ import annotations

import json
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django import forms
from django.contrib.auth.models import User
from django.core.exceptions import ValidationError
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.test import AsyncClient, Client
from django.urls import include, path

from async_uploads.models import AsyncTempFile
from async_uploads.owners import Owner, aowner_of_request
from tests.asking import as_json, ask_ticket, ask_upload, send, url_of
from tests.conftest import field_id_of
from tests.testapp.models import Document

pytestmark = pytest.mark.django_db(transaction=True)


class DocumentForm(forms.ModelForm):
    class Meta:
        model = Document
        fields = ["title", "file"]


def save_by_form(request: HttpRequest) -> HttpResponse:
    form = DocumentForm(request.POST)
    if not form.is_valid():
        return JsonResponse(form.errors.get_json_data(), status=400)
    return HttpResponse(str(form.save().file.name))


def save(request: HttpRequest) -> HttpResponse:
    try:
        return HttpResponse(str(Document.objects.create(file=request.POST["key"]).file.name))
    except ValidationError as error:
        return HttpResponse(error.code, status=400)


async def asave(request: HttpRequest) -> HttpResponse:
    try:
        return HttpResponse(str((await Document.objects.acreate(file=request.POST["key"])).file.name))
    except ValidationError as error:
        return HttpResponse(error.code, status=400)


async def mine(request: HttpRequest) -> HttpResponse:
    owner = await aowner_of_request(request)
    return JsonResponse([row.name async for row in AsyncTempFile.objects.owned_by(owner)], safe=False)


urlpatterns = [
    path("form/", save_by_form),
    path("save/", save),
    path("asave/", asave),
    path("mine/", mine),
    path("", include("tests.urls")),
]


@pytest.fixture(autouse=True)
def pages(settings: Any) -> None:
    settings.ROOT_URLCONF = __name__


async def may_touch(client: AsyncClient, key: str) -> bool:
    """Do status, complete and cancel know this upload? They agree with each other, or the test fails."""
    answers = [
        await client.get(url_of("upload-status", key=key)),
        await client.post(url_of("complete-upload"), **as_json(key=key)),
        await client.post(url_of("cancel-upload"), **as_json(key=key)),
    ]
    known = {answer.status_code != 404 for answer in answers}
    assert len(known) == 1, [answer.status_code for answer in answers]
    return known.pop()


async def user_named(name: str) -> User:
    return await sync_to_async(User.objects.create_user)(name)


async def test_visitor_without_a_session_gets_one_with_the_ticket(async_client: AsyncClient) -> None:
    assert "sessionid" not in async_client.cookies

    key = await ask_upload(async_client)

    assert "sessionid" in async_client.cookies
    assert await may_touch(async_client, key)


async def test_looking_around_makes_no_session(async_client: AsyncClient) -> None:
    await async_client.get(url_of("upload-status", key="made up"))
    await async_client.get(url_of("download-file", field_id=field_id_of(), instance_id=1))

    assert "sessionid" not in async_client.cookies


async def test_another_visitor_is_told_that_there_is_no_such_upload(async_client: AsyncClient) -> None:
    key = await ask_upload(async_client)
    stranger, other = AsyncClient(), AsyncClient()
    await ask_ticket(other)  # has a session, too

    assert not await may_touch(stranger, key)
    assert not await may_touch(other, key)
    assert await may_touch(async_client, key)


async def test_another_user_is_told_that_there_is_no_such_upload(async_client: AsyncClient) -> None:
    await async_client.aforce_login(await user_named("ada"))
    key = await ask_upload(async_client)
    other = AsyncClient()
    await other.aforce_login(await user_named("bob"))

    assert not await may_touch(other, key)


async def test_upload_begun_before_login_stays_theirs_after_it(async_client: AsyncClient) -> None:
    ticket = await ask_ticket(async_client, "a.txt")
    before = async_client.cookies["sessionid"].value

    await async_client.aforce_login(await user_named("ada"))

    assert async_client.cookies["sessionid"].value != before
    assert (await send(async_client, ticket, b"x")).status_code == 201
    assert (await async_client.post("/asave/", {"key": ticket["key"]})).content == b"documents/a.txt"
    assert await may_touch(async_client, ticket["key"])


async def test_upload_of_a_user_is_theirs_in_every_session(async_client: AsyncClient) -> None:
    ada = await user_named("ada")
    await async_client.aforce_login(ada)
    key = await ask_upload(async_client)
    telephone = AsyncClient()
    await telephone.aforce_login(ada)

    assert await may_touch(telephone, key)


async def test_signing_out_leaves_nothing_behind_for_the_next_visitor(async_client: AsyncClient) -> None:
    await ask_ticket(async_client, "a.txt")
    await async_client.aforce_login(await user_named("ada"))
    key = await ask_upload(async_client)
    await async_client.alogout()

    assert not await may_touch(async_client, key)
    assert (await async_client.get("/mine/")).json() == []


async def test_list_of_ones_own_uploads(async_client: AsyncClient) -> None:
    await ask_ticket(AsyncClient(), "other.txt")
    await ask_ticket(async_client, "before.txt")
    await async_client.aforce_login(await user_named("ada"))
    await ask_ticket(async_client, "after.txt")

    assert set((await async_client.get("/mine/")).json()) == {"before.txt", "after.txt"}
    assert (await AsyncClient().get("/mine/")).json() == []


async def test_session_key_is_not_what_the_row_holds(async_client: AsyncClient) -> None:
    """Who can read the table of uploads must not be able to take over a visitor's session."""
    await ask_ticket(async_client)

    row = await AsyncTempFile.objects.aget()

    assert row.owner.startswith("session:")
    assert async_client.cookies["sessionid"].value not in row.owner


async def test_without_session_middleware_the_key_alone_is_the_proof(
    async_client: AsyncClient, settings: Any
) -> None:
    settings.MIDDLEWARE = ["async_uploads.middleware.UploadOwnerMiddleware"]
    key = await ask_upload(async_client)

    assert not async_client.cookies
    assert (await AsyncTempFile.objects.aget()).owner == ""
    assert await may_touch(AsyncClient(), key)
    assert not await may_touch(AsyncClient(), f"{key}x")


@pytest.mark.parametrize("page", ["/form/", "/save/", "/asave/"])
@pytest.mark.parametrize("serving", ["sync", "async"])
async def test_nobody_saves_an_upload_of_somebody_else(
    async_client: AsyncClient, page: str, serving: str
) -> None:
    key = await ask_upload(async_client)

    status, content = await _save(AsyncClient() if serving == "async" else Client(), page, key)

    assert status == 400
    assert b"not_found" in content
    assert not await Document.objects.aexists()
    assert (await AsyncTempFile.objects.aget()).state == "uploaded"


@pytest.mark.parametrize("page", ["/form/", "/save/", "/asave/"])
@pytest.mark.parametrize("serving", ["sync", "async"])
async def test_ones_own_upload_is_saved(async_client: AsyncClient, page: str, serving: str) -> None:
    key = await ask_upload(async_client, b"x", "a.txt")
    browser: Any = async_client
    if serving == "sync":
        browser = Client()
        browser.cookies = async_client.cookies

    status, content = await _save(browser, page, key)

    assert (status, content) == (200, b"documents/a.txt")
    assert (await AsyncTempFile.objects.aget()).state == "promoted"


async def _save(client: AsyncClient | Client, page: str, key: str) -> tuple[int, bytes]:
    values = {"file": json.dumps({"key": key, "name": "a.txt"})} if page == "/form/" else {"key": key}
    if isinstance(client, AsyncClient):
        answer = await client.post(page, values)
        return answer.status_code, answer.content
    response = await sync_to_async(client.post)(page, values)
    return response.status_code, response.content


async def test_request_is_forgotten_when_it_is_over(async_client: AsyncClient) -> None:
    """Else a command or the next task in this context would be taken for its visitor."""
    key = await ask_upload(async_client)
    await AsyncClient().get("/mine/")
    await sync_to_async(Client().get)("/mine/")

    await Document.objects.acreate(file=key)

    assert (await AsyncTempFile.objects.aget()).state == "promoted"


def test_owner_without_user_and_session_owns_only_what_is_nobodys() -> None:
    assert Owner().owns("")
    assert not Owner().owns("user:1")
    assert Owner(user="user:1", session="session:x").owns("session:x")
    assert Owner(user="user:1", session="session:x").identity == "user:1"
