"""Middleware in groups does what it does by itself: the same calls, in the same order, and the same answer."""

from __future__ import annotations

import asyncio
import logging
import sys
from collections.abc import AsyncIterator, Mapping
from functools import wraps
from types import ModuleType
from typing import Any

import httpx
import pytest
from django.core.handlers.asgi import ASGIHandler
from django.core.signals import request_finished, request_started
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.urls import path
from pytest_django import Settings

from async_uploads.asgi import StreamingASGIHandler
from async_uploads.middleware import UploadOwnerMiddleware
from async_uploads.middleware_groups import HookGroup
from async_uploads.middleware_groups.groups import consists_of_hooks
from async_uploads.views import GenerateUploadUrlView
from tests import hooked
from tests.watching import PATIENCE, eventually

OUTER, MIDDLE, INNER = (f"tests.hooked.{name}" for name in ("Outer", "Middle", "Inner"))
CHAINS = {
    "one group": [OUTER, MIDDLE, INNER],
    "ends that are missing": [OUTER, "tests.hooked.OnlyIn", "tests.hooked.OnlyOut", INNER],
    "a function between": [OUTER, "tests.hooked.function", MIDDLE, INNER],
    "a function outside": ["tests.hooked.function", OUTER, INNER],
    "a function inside": [OUTER, INNER, "tests.hooked.function"],
    "one that is more than its hooks": [OUTER, "tests.hooked.OwnCall", INNER],
    "one that blocks": [OUTER, "tests.hooked.sync_only", INNER],
    "one that is not used": [OUTER, "tests.hooked.NotUsed", INNER],
    "one that changes the path": [OUTER, "tests.hooked.Changing", INNER],
    "none": [],
}
HOOKS = (
    "process_request",
    "process_view",
    "process_response",
    "process_exception",
    "process_template_response",
)
VIEWS = ("blocking/7/", "awaited/7/")
QUERIES = [
    "",
    "view=raise",
    "view=crash",
    "view=template",
    "view=stream",
    "status=404",
    *(f"Outer.{hook}={what}" for hook in HOOKS for what in ("answer", "raise", "crash")),
    *(f"Inner.{hook}={what}" for hook in HOOKS for what in ("answer", "raise", "crash")),
    "Inner.process_view=template",
    "view=crash&Inner.process_exception=answer",
    "view=crash&Inner.process_exception=crash",
    "view=template&Outer.process_template_response=crash",
    "Inner.process_request=answer&Outer.process_response=raise",
]


@pytest.fixture(autouse=True)
def urls(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.hooked"
    settings.DEBUG_PROPAGATE_EXCEPTIONS = False


async def ask(handler: Any, url: str, method: str = "GET", content: bytes = b"") -> tuple[Any, ...]:
    """Status, headers and body of the answer, and what was called for it."""
    hooked.trace.clear()
    transport = httpx.ASGITransport(handler, raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://testserver") as client:
        response = await client.request(method, url, content=content)
    return response.status_code, dict(response.headers), response.text, list(hooked.trace)


@pytest.mark.filterwarnings("ignore:StreamingHttpResponse must consume:Warning")
@pytest.mark.parametrize("chain", CHAINS)
@pytest.mark.parametrize("view", VIEWS)
async def test_calls_and_answers_are_those_of_djangos_handler(
    settings: Settings, chain: str, view: str
) -> None:
    settings.MIDDLEWARE = CHAINS[chain]
    theirs, ours = ASGIHandler(), StreamingASGIHandler(threads=2)

    for query in QUERIES:
        url = f"/{view}?{query}"
        assert await ask(ours, url) == await ask(theirs, url), url


@pytest.mark.parametrize("url", ["/nowhere/", "/nothing/", "/changed/", "/blocking/not-a-number/"])
@pytest.mark.parametrize("chain", CHAINS)
async def test_so_are_they_where_there_is_no_view_or_a_wrong_one(
    settings: Settings, chain: str, url: str
) -> None:
    settings.MIDDLEWARE = CHAINS[chain]

    assert await ask(StreamingASGIHandler(), url) == await ask(ASGIHandler(), url)


@pytest.mark.parametrize("view", VIEWS)
async def test_so_are_they_for_a_request_with_a_body(settings: Settings, view: str) -> None:
    settings.MIDDLEWARE = CHAINS["one group"]
    body = b"x" * 3_000_000  # more than Django keeps in memory
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = None

    answer = await ask(StreamingASGIHandler(), f"/{view}", "POST", body)

    assert answer == await ask(ASGIHandler(), f"/{view}", "POST", body)
    assert len(answer[2]) > 3_000_000


async def test_so_are_they_where_requests_are_transactions(
    settings: Settings, transactional_db: None
) -> None:
    settings.MIDDLEWARE = CHAINS["one group"]
    from django.db import connections

    connections.settings["default"]["ATOMIC_REQUESTS"] = True
    try:
        for view in VIEWS:  # an async one is refused, by both
            assert (await ask(StreamingASGIHandler(), f"/{view}"))[0] == (
                await ask(ASGIHandler(), f"/{view}")
            )[0]
    finally:
        connections.settings["default"]["ATOMIC_REQUESTS"] = False


async def test_djangos_own_middleware_is_one_group(settings: Settings) -> None:
    settings.ROOT_URLCONF = "tests.urls"
    handler = StreamingASGIHandler()

    group = handler._middleware_chain.__wrapped__

    assert isinstance(group, HookGroup)
    assert [type(each).__name__ for each in group.middleware] == [
        path.rpartition(".")[2] for path in settings.MIDDLEWARE
    ]


@pytest.mark.parametrize("view", VIEWS)
async def test_a_request_begins_and_ends_once(settings: Settings, view: str) -> None:
    settings.MIDDLEWARE = CHAINS["one group"]
    sent: list[str] = []

    def begun(**kwargs: Any) -> None:
        sent.append("started")

    async def ended(**kwargs: Any) -> None:
        sent.append("finished")

    request_started.connect(begun)
    request_finished.connect(ended)
    try:
        await ask(StreamingASGIHandler(), f"/{view}")
        await eventually(lambda: len(sent) >= 2)
    finally:
        request_started.disconnect(begun)
        request_finished.disconnect(ended)

    assert sent == ["started", "finished"]


async def test_what_is_refused_is_logged_as_django_logs_it(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.MIDDLEWARE = CHAINS["one group"]
    logged = []
    for handler in (ASGIHandler(), StreamingASGIHandler()):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "django.request"):
            await ask(handler, "/blocking/7/?status=404")
            await ask(handler, "/nowhere/")
            await ask(handler, "/blocking/7/?view=crash")
        logged.append([(record.levelno, record.getMessage()) for record in caplog.records])

    assert logged[0] == logged[1]
    assert len(logged[0]) == 3


async def test_a_page_costs_one_thread_hop_and_its_end_another(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from asgiref.sync import SyncToAsync

    settings.MIDDLEWARE = CHAINS["one group"]
    hops: list[str] = []
    call = SyncToAsync.__call__

    async def counted(self: Any, *args: Any, **kwargs: Any) -> Any:
        hops.append(self.func.__qualname__)
        return await call(self, *args, **kwargs)

    handler = StreamingASGIHandler()
    await ask(handler, "/blocking/7/")
    monkeypatch.setattr(SyncToAsync, "__call__", counted)
    await ask(handler, "/blocking/7/")

    assert hops == ["GroupingASGIHandler._begin", "HttpResponseBase.close"]


@pytest.fixture
def blocking_view(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> type[GenerateUploadUrlView]:
    """Answers without being awaited, whoever asks."""
    monkeypatch.setattr(
        GenerateUploadUrlView, "post_blocking", lambda self, request, **captured: HttpResponse("a ticket")
    )
    settings.MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
    return GenerateUploadUrlView


def only_url(settings: Settings, monkeypatch: pytest.MonkeyPatch, view: Any) -> None:
    module = ModuleType("tests.only_url")
    module.urlpatterns = [path("view/", view)]  # type: ignore[attr-defined]  # made here
    monkeypatch.setitem(sys.modules, module.__name__, module)
    settings.ROOT_URLCONF = module.__name__


async def test_a_decorated_view_is_not_answered_without_its_decorator(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, blocking_view: type[GenerateUploadUrlView]
) -> None:
    def refuse(view: Any) -> Any:
        @wraps(view)
        async def refusal(request: HttpRequest) -> HttpResponse:
            return HttpResponse(status=403)

        return refusal

    only_url(settings, monkeypatch, blocking_view.as_view())
    bare = await ask(StreamingASGIHandler(), "/view/", "POST")
    only_url(settings, monkeypatch, refuse(blocking_view.as_view()))
    decorated = await ask(StreamingASGIHandler(), "/view/", "POST")

    assert (bare[0], decorated[0]) == (200, 403)


async def test_methods_that_a_view_does_not_take_are_refused(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, blocking_view: type[GenerateUploadUrlView]
) -> None:
    only_url(settings, monkeypatch, blocking_view.as_view(http_method_names=["get"]))

    assert (await ask(StreamingASGIHandler(), "/view/", "POST"))[0] == 405


def test_a_subclass_of_our_middleware_is_called_as_it_wants_to_be() -> None:
    class Own(UploadOwnerMiddleware):
        async def __acall__(self, request: HttpRequest) -> HttpResponse:
            return HttpResponse(status=418)

    def respond(request: HttpRequest) -> HttpResponse:
        return HttpResponse()

    assert consists_of_hooks(UploadOwnerMiddleware(respond))
    assert not consists_of_hooks(Own(respond))


@pytest.mark.parametrize("handler", [ASGIHandler, StreamingASGIHandler])
async def test_a_stream_without_an_end_ends_with_its_client(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, handler: type[ASGIHandler]
) -> None:
    ended = asyncio.Event()

    async def events() -> AsyncIterator[bytes]:
        try:
            while True:
                yield b"data: \n\n"
                await asyncio.sleep(0.01)
        finally:
            ended.set()

    settings.MIDDLEWARE = ["django.middleware.common.CommonMiddleware"]
    only_url(settings, monkeypatch, lambda request: StreamingHttpResponse(events()))
    coming: asyncio.Queue[dict[str, Any]] = asyncio.Queue()
    coming.put_nowait({"type": "http.request", "body": b"", "more_body": False})
    begun = asyncio.Event()

    async def send(message: Mapping[str, Any]) -> None:
        if message.get("body"):
            begun.set()

    scope = {
        "type": "http",
        "method": "GET",
        "path": "/view/",
        "query_string": b"",
        "headers": [(b"host", b"testserver")],
    }
    serving = asyncio.create_task(handler()(scope, coming.get, send))
    await asyncio.wait_for(begun.wait(), PATIENCE)
    assert not serving.done()
    coming.put_nowait({"type": "http.disconnect"})

    await asyncio.wait_for(serving, PATIENCE)
    assert ended.is_set()
