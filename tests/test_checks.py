"""The system checks: what is missing, and what to do about it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from channels.routing import ProtocolTypeRouter, URLRouter
from channels.security.websocket import AllowedHostsOriginValidator
from django.contrib.sessions.middleware import SessionMiddleware
from django.core import checks
from django.core.asgi import get_asgi_application as djangos_asgi_application
from django.urls import path

from async_uploads.asgi import get_asgi_application
from async_uploads.checks import OWNER_MIDDLEWARE, SESSION_MIDDLEWARE
from async_uploads.middleware import UploadOwnerMiddleware
from async_uploads.registry import default_async_field_registry
from tests.checking import found, the_only
from tests.testapp.models import Document


def test_a_whole_project_has_nothing_to_complain_about() -> None:
    assert found() == {}


@pytest.mark.parametrize(
    ("wrong", "near"),
    [
        ("UPLOAD_URL_EXPIRE", "UPLOAD_URL_EXPIRY"),
        ("max_pending_per_owner", "MAX_PENDING_PER_OWNER"),
        ("PROMOTION_DISPATCH", "PROMOTION_DISPATCHER"),
        ("INLINE_TYPE", "INLINE_TYPES"),
    ],
)
def test_unknown_setting_names_the_nearest_known_one(settings: Any, wrong: str, near: str) -> None:
    settings.ASYNC_UPLOADS = {wrong: 1, "CHUNK_SIZE": 1024}

    message = the_only("async_uploads.E001")

    assert message.is_serious(checks.ERROR)
    assert wrong in message.msg
    assert message.hint == f"Did you mean {near!r}?"


def test_unknown_setting_that_is_near_to_none_lists_them_all(settings: Any) -> None:
    settings.ASYNC_UPLOADS = {"QQQ": 1}

    message = the_only("async_uploads.E001")

    assert "UPLOAD_URL_EXPIRY" in str(message.hint)
    assert "SENDFILE" in str(message.hint)


def test_each_unknown_setting_is_told(settings: Any) -> None:
    settings.ASYNC_UPLOADS = {"SENDFILES": None, "CHUNKSIZE": 1}

    assert len(found()["async_uploads.E001"]) == 2


def test_every_documented_setting_is_known(settings: Any) -> None:
    settings.ASYNC_UPLOADS = {
        "UPLOAD_URL_EXPIRY": 3600,
        "DOWNLOAD_URL_EXPIRY": 3600,
        "TEMP_FILE_MAX_AGE": 48,
        "PROGRESS_INTERVAL": 0.1,
        "CHUNK_SIZE": 1024**2,
        "IDLE_TIMEOUT": 30,
        "MAX_PENDING_PER_OWNER": 100,
        "PROMOTION_DISPATCHER": "async_uploads.promotion.promote_inline",
        "PROMOTION_MAX_ATTEMPTS": 5,
        "RESOLVE_PERM_NAME": None,
        "INLINE_TYPES": ["image/png"],
        "SENDFILE": None,
        "THROTTLE": None,
    }

    assert found() == {}


class MountedOnce:
    urlpatterns = [path("async-uploads/", default_async_field_registry.get_url_patterns())]


def test_registry_that_is_not_mounted(settings: Any) -> None:
    settings.ROOT_URLCONF = MountedOnce

    message = the_only("async_uploads.W001")

    assert "second" in message.msg
    assert "get_url_patterns" in str(message.hint)


def test_project_without_urls_can_be_checked(settings: Any) -> None:
    del settings.ROOT_URLCONF

    assert found() == {}


@pytest.mark.parametrize("layers", [{}, {"other": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}])
def test_channel_layer_that_is_missing(settings: Any, layers: dict[str, Any]) -> None:
    settings.CHANNEL_LAYERS = layers

    assert "CHANNEL_LAYERS" in str(the_only("async_uploads.W002").hint)


def wrapped(http: Any) -> Any:
    """As in a project: behind a router, and a middleware of somebody else's."""

    class Middleware:
        def __init__(self, app: Any) -> None:
            self.app = app

    return ProtocolTypeRouter(
        {"http": Middleware(http), "websocket": AllowedHostsOriginValidator(URLRouter([]))}
    )


plain_asgi = djangos_asgi_application()
wrapped_plain_asgi = wrapped(plain_asgi)
streaming_asgi = get_asgi_application()
wrapped_streaming_asgi = wrapped(streaming_asgi)


@pytest.mark.parametrize("name", ["plain_asgi", "wrapped_plain_asgi"])
def test_djangos_own_asgi_handler_spools_uploads(settings: Any, name: str) -> None:
    settings.ASGI_APPLICATION = f"{__name__}.{name}"

    assert "async_uploads.asgi" in str(the_only("async_uploads.W003").hint)


@pytest.mark.parametrize("name", ["streaming_asgi", "wrapped_streaming_asgi", "missing"])
def test_streaming_asgi_handler_is_right(settings: Any, name: str) -> None:
    settings.ASGI_APPLICATION = f"{__name__}.{name}"

    assert found() == {}


@pytest.mark.parametrize(
    ("middleware", "check_id"),
    [(SESSION_MIDDLEWARE, "async_uploads.W004"), (OWNER_MIDDLEWARE, "async_uploads.W005")],
)
def test_middleware_that_is_missing(settings: Any, middleware: str, check_id: str) -> None:
    settings.MIDDLEWARE = [each for each in settings.MIDDLEWARE if each != middleware]

    assert middleware in str(the_only(check_id).hint)


class SessionsOfTheProject(SessionMiddleware):
    pass


class OwnersOfTheProject(UploadOwnerMiddleware):
    pass


def middleware_function(get_response: Any) -> Any:
    return get_response


@pytest.mark.parametrize(
    ("replaced", "by"),
    [(SESSION_MIDDLEWARE, SessionsOfTheProject), (OWNER_MIDDLEWARE, OwnersOfTheProject)],
)
def test_middleware_that_a_project_has_derived_counts(settings: Any, replaced: str, by: type) -> None:
    derived = f"{__name__}.{by.__name__}"
    settings.MIDDLEWARE = [derived if each == replaced else each for each in settings.MIDDLEWARE]

    assert found() == {}


def test_other_middleware_is_none_of_ours_be_it_a_function_or_missing(settings: Any) -> None:
    rest = [each for each in settings.MIDDLEWARE if each != OWNER_MIDDLEWARE]
    settings.MIDDLEWARE = [*rest, f"{__name__}.middleware_function", f"{__name__}.Missing", "no.such.module"]

    assert OWNER_MIDDLEWARE in str(the_only("async_uploads.W005").hint)


@pytest.mark.parametrize(
    ("max_length", "is_enough"), [(30, False), (60, False), (100, True), (500, True), (None, True)]
)
def test_max_length_has_to_hold_a_temporary_key(
    monkeypatch: pytest.MonkeyPatch, max_length: int | None, is_enough: bool
) -> None:
    field = Document._meta.get_field("file")
    monkeypatch.setattr(field, "max_length", max_length)

    if is_enough:
        assert found() == {}
    else:
        message = the_only("async_uploads.E002")
        assert message.obj is field
        assert "500" in str(message.hint)


@pytest.mark.parametrize("length_of", [lambda name: name, lambda name: name * 40])
def test_the_shortest_max_length_that_passes_is_really_enough(
    monkeypatch: pytest.MonkeyPatch, length_of: Callable[[str], str]
) -> None:
    field: Any = Document._meta.get_field("file")
    shortest = next(length for length in range(1, 500) if _passes(monkeypatch, field, length))

    key = field.storage.generate_temporary_path(length_of("report.docx"), max_length=shortest)

    assert len(key) <= shortest
    assert key.endswith(".docx")


def _passes(monkeypatch: pytest.MonkeyPatch, field: Any, length: int) -> bool:
    monkeypatch.setattr(field, "max_length", length)
    return "async_uploads.E002" not in found()


def test_project_under_wsgi_is_told_what_it_misses(settings: Any) -> None:
    settings.ASGI_APPLICATION = None

    assert "async_uploads.asgi" in str(the_only("async_uploads.W006").hint)
