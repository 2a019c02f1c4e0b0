"""How much one visitor may ask for: unfinished uploads, and the project's own throttle."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from django.core.cache import cache
from django.http import HttpRequest
from django.test import AsyncClient
from django.urls import include, path
from django.utils import timezone

from async_uploads.exceptions import Throttled
from async_uploads.models import AsyncTempFile
from async_uploads.registry import default_async_field_registry
from async_uploads.views import GenerateUploadUrlView
from tests.asking import as_json, ask_ticket, ask_upload, send, url_of
from tests.conftest import field_id_of
from tests.permission_asking import ask, signed_in
from tests.testapp.models import Document, Guarded

pytestmark = pytest.mark.django_db(transaction=True)


async def ask_for_ticket(client: AsyncClient) -> Any:
    return await client.post(
        url_of("generate-upload-url"), **as_json(fieldId=field_id_of(), filename="a.txt")
    )


# Unfinished uploads


@pytest.fixture
def at_most_two(settings: Any) -> None:
    settings.ASYNC_UPLOADS = {"MAX_PENDING_PER_OWNER": 2}


@pytest.mark.usefixtures("at_most_two")
async def test_unfinished_uploads_count_for_all_fields_and_sessions_of_a_user() -> None:
    ada = await signed_in("ada", "add_guarded")
    await ask_ticket(ada, "a.txt")
    assert await ask(ada) == 200

    assert await ask(ada) == 429
    assert await ask(ada, model=Document) == 429
    assert await ask(await signed_in("bob", "add_guarded")) == 200


@pytest.mark.usefixtures("at_most_two")
async def test_upload_under_way_counts_as_unfinished(async_client: AsyncClient) -> None:
    await ask_ticket(async_client, "a.txt")
    await AsyncTempFile.objects.aupdate(state="uploading")
    await ask_ticket(async_client, "b.txt")

    assert (await ask_for_ticket(async_client)).status_code == 429


@pytest.mark.usefixtures("at_most_two")
@pytest.mark.parametrize("ended_by", ["cancelling", "arriving", "expiring", "failing"])
async def test_upload_that_has_ended_makes_room(async_client: AsyncClient, ended_by: str) -> None:
    tickets = [await ask_ticket(async_client, "a.txt") for _twice in range(2)]
    row = AsyncTempFile.objects.filter(key=tickets[0]["key"])
    assert (await ask_for_ticket(async_client)).status_code == 429

    match ended_by:
        case "cancelling":
            await async_client.post(url_of("cancel-upload"), **as_json(key=tickets[0]["key"]))
        case "arriving":
            await send(async_client, tickets[0], b"x")
        case "expiring":
            await row.aupdate(expires_at=timezone.now() - timedelta(seconds=1))
        case "failing":
            await send(async_client, tickets[0], bytes(2 * 1024**2))

    assert (await ask_for_ticket(async_client)).status_code == 200


@pytest.mark.usefixtures("at_most_two")
async def test_refused_ticket_leaves_no_row(async_client: AsyncClient) -> None:
    for _each in range(4):
        await ask_for_ticket(async_client)

    assert await AsyncTempFile.objects.acount() == 2


async def test_limit_of_none_at_all_refuses_everyone(async_client: AsyncClient, settings: Any) -> None:
    settings.ASYNC_UPLOADS = {"MAX_PENDING_PER_OWNER": 0}

    assert (await ask_for_ticket(async_client)).status_code == 429


# The project's own throttle


def one_ticket_a_minute(request: HttpRequest) -> None:
    """As a project would: with its cache, and another limit for each view."""
    match = request.resolver_match
    assert match is not None
    if match.url_name != "generate-upload-url":
        return
    if not cache.add(f"ticket-{request.user.pk}", 1, timeout=60):
        raise Throttled(retry_after=59.2)


async def never(request: HttpRequest) -> None:
    raise Throttled("Come back tomorrow.")


@pytest.fixture(autouse=True)
def empty_cache() -> None:
    cache.clear()


async def test_throttle_of_the_project_is_answered_with_429_and_when_to_come_again(settings: Any) -> None:
    settings.ASYNC_UPLOADS = {"THROTTLE": f"{__name__}.one_ticket_a_minute"}
    ada = await signed_in("ada")
    ticket = await ask_ticket(ada, "a.txt")

    refused = await ask_for_ticket(ada)

    assert refused.status_code == 429
    assert refused["Retry-After"] == "60"
    assert refused.json() == {
        "code": "too_many_uploads",
        "detail": "You have asked too often. Please wait a little.",
    }
    assert await AsyncTempFile.objects.acount() == 1
    assert (await send(ada, ticket, b"x")).status_code == 201  # another view
    assert (await ask_for_ticket(await signed_in("bob"))).status_code == 200


@pytest.mark.parametrize(
    ("method", "view"),
    [
        ("post", "generate-upload-url"),
        ("get", "generate-upload-url"),
        ("post", "complete-upload"),
        ("post", "cancel-upload"),
        ("get", "upload-status"),
        ("get", "download-file"),
        ("put", "upload-file-direct"),
        ("get", "download-file-direct"),
    ],
)
async def test_every_view_asks_the_throttle_first(
    async_client: AsyncClient, settings: Any, method: str, view: str
) -> None:
    settings.ASYNC_UPLOADS = {"THROTTLE": f"{__name__}.never"}

    response = await getattr(async_client, method)(url_of(view))

    assert response.status_code == 429
    assert response.json()["detail"] == "Come back tomorrow."
    assert not response.has_header("Retry-After")


async def test_throttled_upload_can_be_sent_later(async_client: AsyncClient, settings: Any) -> None:
    ticket = await ask_ticket(async_client, "a.txt")
    settings.ASYNC_UPLOADS = {"THROTTLE": f"{__name__}.never"}
    assert (await send(async_client, ticket, b"x")).status_code == 429
    settings.ASYNC_UPLOADS = {}

    assert (await send(async_client, ticket, b"x")).status_code == 201


class TicketsForStaff(GenerateUploadUrlView):
    async def throttle(self, request: HttpRequest) -> None:
        await super().throttle(request)
        if not (await request.auser()).is_staff:
            raise Throttled(retry_after=3600)


class WithViewOfTheProject:
    urlpatterns = [
        path(
            "async-uploads/generate-upload-url/",
            TicketsForStaff.as_view(),
            {"registry": default_async_field_registry},
        ),
        path("", include("tests.urls")),
    ]


async def test_view_of_the_project_in_front_of_ours_has_its_own_throttle(settings: Any) -> None:
    settings.ROOT_URLCONF = WithViewOfTheProject

    assert (await ask_for_ticket(await signed_in("ada", is_staff=True))).status_code == 200
    assert (await ask_for_ticket(await signed_in("bob"))).headers["Retry-After"] == "3600"


async def test_without_a_throttle_nothing_is_held_back(async_client: AsyncClient) -> None:
    key = await ask_upload(async_client)

    assert (await async_client.get(url_of("upload-status", key=key))).status_code == 200
    assert not await Guarded.objects.aexists()
