"""The project's own throttle, the setting THROTTLE, in the views of the API."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.cache import cache
from django.core.exceptions import PermissionDenied
from django.http import Http404
from django.test import AsyncClient, override_settings
from django.urls import path
from rest_framework.permissions import IsAuthenticated

from async_uploads.drf import views
from async_uploads.exceptions import Throttled
from async_uploads.models import AsyncTempFile
from tests.drfapp.asking import UPLOADS, ask_for_ticket, client_of
from tests.test_drf_views import Twice, ask, urls_of

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.drfapp.urls")]


def one_request_a_minute(request: Any) -> None:
    """A project's THROTTLE: by the user, whom the token tells, and by the view."""
    match = request.resolver_match
    if not cache.add(f"{match.url_name}-{request.user.pk}", 1, timeout=60):
        raise Throttled(retry_after=59.2)


async def never(request: Any) -> None:
    raise Throttled("Come back tomorrow.")


def throttled_by(function: Any) -> Any:
    cache.clear()
    return override_settings(ASYNC_UPLOADS={"THROTTLE": f"{__name__}.{function.__name__}"})


@pytest.mark.parametrize(
    ("method", "view"),
    [
        ("post", "generate-upload-url"),
        ("post", "complete-upload"),
        ("post", "cancel-upload"),
        ("get", "upload-status"),
        ("get", "download-file"),
    ],
)
async def test_throttle_of_the_project_is_asked_by_every_view_first(method: str, view: str) -> None:
    ada = await client_of("ada")

    with throttled_by(never):
        answer = await getattr(ada, method)(f"{UPLOADS}{view}/")

    assert answer.status_code == 429
    assert answer.json() == {"code": "too_many_uploads", "detail": "Come back tomorrow."}
    assert not answer.has_header("Retry-After")


async def test_throttle_of_the_project_knows_the_tokens_user_and_tells_when_to_come_again() -> None:
    ada, bob = await client_of("ada"), await client_of("bob")

    with throttled_by(one_request_a_minute):
        answers = [await ask_for_ticket(client) for client in (ada, ada, bob)]
        other_view = await ada.get(f"{UPLOADS}upload-status/?key=x")

    assert [answer.status_code for answer in answers] == [200, 429, 200]
    assert answers[1]["Retry-After"] == "60"
    assert answers[1].json()["code"] == "too_many_uploads"
    assert other_view.status_code == 404
    assert await AsyncTempFile.objects.acount() == 2


async def test_who_may_not_ask_at_all_is_not_counted() -> None:
    view = views.UploadStatusView.as_view(permission_classes=[IsAuthenticated])

    with urls_of(path("api/uploads/upload-status/", view)), throttled_by(never):
        stranger = await AsyncClient().get(f"{UPLOADS}upload-status/?key=x")
        ada = await (await client_of("ada")).get(f"{UPLOADS}upload-status/?key=x")

    assert (stranger.status_code, ada.status_code) == (401, 429)


async def test_throttle_of_the_project_and_throttle_classes_are_both_asked() -> None:
    ada = await client_of("ada")
    asked: list[str] = []

    class Counting(views.CancelUploadView):
        throttle_classes = [Twice]

        async def throttle(self, request: Any) -> None:
            await super().throttle(request)
            asked.append(request.user.get_username())

    cache.clear()
    with urls_of(path("api/uploads/cancel-upload/", Counting.as_view())):
        answers = [await ask(ada, "cancel-upload", "x") for _thrice in range(3)]

    assert [answer.status_code for answer in answers] == [404, 404, 429]
    assert answers[-1].json()["code"] == "throttled"
    assert asked == ["ada", "ada", "ada"]


def http404(request: Any) -> None:
    raise Http404("Closed.")


def forbidden(request: Any) -> None:
    raise PermissionDenied("Not you.")


@pytest.mark.parametrize(
    ("function", "status", "code"), [(http404, 404, "not_found"), (forbidden, 403, "permission_denied")]
)
async def test_throttle_of_the_project_may_refuse_as_django_views_do(
    function: Any, status: int, code: str
) -> None:
    ada = await client_of("ada")

    with throttled_by(function):
        answer = await ask_for_ticket(ada)

    assert (answer.status_code, answer.json()["code"]) == (status, code)
