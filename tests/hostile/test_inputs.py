"""Whatever comes in by whichever door: tokens, headers, socket messages, formsets, serializers."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from asgiref.testing import ApplicationCommunicator
from django.conf import settings as project
from django.db import connection
from django.forms import modelformset_factory
from django.test import AsyncClient
from hypothesis import example, given
from hypothesis import strategies as st

from async_uploads.models import AsyncTempFile
from tests.arrivals import arrived
from tests.asgi import application
from tests.asking import ask_ticket, ask_upload, url_of
from tests.conftest import field_id_of
from tests.hostile.profile import bounded
from tests.test_names import DocumentSerializer
from tests.test_views_bad_input import encoded, json_values, text
from tests.testapp.models import Document

pytestmark = pytest.mark.django_db(transaction=True)

INVALID = {"type": "error", "code": "invalid", "key": None}
VIEWS = [
    "generate-upload-url",
    "complete-upload",
    "cancel-upload",
    "upload-status",
    "download-file",
    "upload-file-direct",
    "download-file-direct",
]


@pytest.fixture
def lenient() -> AsyncClient:
    return AsyncClient(raise_request_exception=False)


####################################
# Tokens
####################################


def changed(token: str) -> list[str]:
    """Each byte another one, each one missing, each one twice."""
    places = range(len(token))
    return [
        *(f"{token[:n]}{'A' if token[n] != 'A' else 'B'}{token[n + 1 :]}" for n in places),
        *(token[:n] + token[n + 1 :] for n in places if token[n] not in token[max(n - 1, 0) : n]),
    ]


def token_in(url: str) -> str:
    return parse_qs(urlsplit(url).query)["token"][0]


async def test_token_with_any_byte_changed_is_refused(lenient: AsyncClient) -> None:
    ticket = await ask_ticket(lenient, "a.txt")
    document = await Document.objects.acreate(file=await ask_upload(lenient))
    link = (await lenient.get(document.file.url))["Location"]
    up, down = token_in(ticket["uploadUrl"]["url"]), token_in(link)

    uploads = {
        (await lenient.put(url_of("upload-file-direct", token=one), data=b"x")).status_code
        for one in changed(up)
    }
    downloads = {
        (await lenient.get(url_of("download-file-direct", token=one))).status_code for one in changed(down)
    }

    assert uploads == downloads == {403}
    assert (await AsyncTempFile.objects.aget(key=ticket["key"])).state == "pending"


####################################
# Headers
####################################

header_names = st.sampled_from(
    [
        "accept",
        "accept-language",
        "authorization",
        "content-length",
        "content-type",
        "cookie",
        "expect",
        "host",
        "if-match",
        "if-modified-since",
        "if-none-match",
        "if-range",
        "origin",
        "range",
        "referer",
        "sec-fetch-dest",
        "sec-fetch-site",
        "transfer-encoding",
        "x-csrftoken",
        "x-forwarded-for",
        "x-forwarded-proto",
    ]
)
header_values = st.binary(max_size=40) | st.sampled_from(
    [
        b"bytes=0-",
        b"bytes=-0",
        b"bytes=9-1",
        b"*/*;q=x",
        b"sessionid=\xff",
        b"csrftoken=",
        b'W/""',
        b"9" * 5000,
    ]
)


@pytest.mark.parametrize("view", VIEWS)
@bounded
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "HEAD"]),
    headers=st.lists(st.tuples(header_names, header_values), max_size=5),
    body=st.binary(max_size=30) | json_values.map(encoded),
)
async def test_headers_of_any_bytes(
    view: str, method: str, headers: list[tuple[str, bytes]], body: bytes
) -> None:
    """Handed to the application as a server does, past what a test client would mend."""
    query = f"fieldId={field_id_of()}&filename=a.txt&key=x&instanceId=1&token=x"
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": url_of(view),
        "raw_path": url_of(view).encode(),
        "query_string": query.encode(),
        "root_path": "",
        "headers": [(b"host", b"localhost"), *((name.encode(), value) for name, value in headers)],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 80),
    }
    sent: list[dict[str, Any]] = []
    messages = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive() -> dict[str, Any]:
        if messages:
            return messages.pop()
        await asyncio.Event().wait()
        raise AssertionError

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    await application(scope, receive, send)  # type: ignore[arg-type]  # channels' types know only their own

    assert sent[0]["status"] < 500
    assert not any(set(b"\r\n\0") & set(name + value) for name, value in sent[0]["headers"])


####################################
# The socket
####################################

messages = st.fixed_dictionaries(
    {},
    optional={
        "action": st.sampled_from(["subscribe", "unsubscribe", "progress", "connect", "receive", "send"])
        | json_values,
        "keys": json_values | st.lists(st.just("KEY") | text | json_values, max_size=4),
        "key": st.just("KEY") | json_values,
        "received": json_values | st.integers(),
        "total": json_values | st.integers(),
    },
)
said = (
    messages.map(json.dumps)
    | json_values.map(json.dumps)
    | st.text(st.characters(codec="utf-8"), max_size=40)
    | st.binary(max_size=40)
    | st.sampled_from(
        [
            "[" * 10_000,
            "9" * 5000,
            "",
            "null",
            "NaN",
            '{"action": "subscribe", "keys": ["\\ud800", "\\u0000"]}',
        ]
    )
)


@bounded
@given(said=st.lists(said, min_size=1, max_size=6))
async def test_no_message_ends_the_socket(said: list[str | bytes]) -> None:
    key = await ask_upload(AsyncClient())
    communicator: Any = ApplicationCommunicator  # without types
    socket = communicator(
        application,
        {
            "type": "websocket",
            "path": "/ws/async-uploads/",
            "query_string": b"",
            "headers": [(b"origin", b"http://localhost"), (b"host", b"localhost")],
            "subprotocols": [],
        },
    )
    await socket.send_input({"type": "websocket.connect"})
    assert (await socket.receive_output(20))["type"] == "websocket.accept"

    for one in said:
        kind = "bytes" if isinstance(one, bytes) else "text"
        filled = one if isinstance(one, bytes) else one.replace("KEY", key)
        await socket.send_input({"type": "websocket.receive", kind: filled})
    answers = []
    while not await socket.receive_nothing(0.02, 0.002):
        answers.append(json.loads((await socket.receive_output(20))["text"]))

    assert {answer["type"] for answer in answers} <= {"error"}  # the upload is somebody else's
    await socket.send_input({"type": "websocket.receive", "text": "still there?"})
    while json.loads((await socket.receive_output(20))["text"]) != INVALID:
        continue
    await socket.send_input({"type": "websocket.disconnect", "code": 1000})
    await socket.wait(20)


####################################
# Formsets and serializers
####################################

values = st.one_of(
    json_values.map(json.dumps),
    st.fixed_dictionaries(
        {"key": st.just("KEY") | text}, optional={"name": json_values, "width": json_values}
    ).map(json.dumps),
    text,
)


def assert_nothing_lies_outside() -> None:
    media = Path(project.MEDIA_ROOT)
    assert [path.name for path in media.parent.iterdir()] == [media.name]
    assert {path.name for path in media.iterdir()} <= {"async-temp-files", "documents"}


@pytest.mark.usefixtures("alone")
@bounded
@given(
    submitted=st.lists(values, min_size=1, max_size=3),
    total=st.sampled_from(["3", "0", "-1", "x", ""]),
)
@example(submitted=['{"key": "KEY"}', '{"key": "KEY"}'], total="3")
def test_formset_of_any_values_is_valid_or_says_what_is_wrong(submitted: list[str], total: str) -> None:
    key = arrived(b"x", "a.txt")
    form_set: Any = modelformset_factory(Document, fields=["title", "file"], extra=3)
    data = {"form-TOTAL_FORMS": total, "form-INITIAL_FORMS": "0"}
    data |= {f"form-{n}-file": value.replace("KEY", key) for n, value in enumerate(submitted)}

    formset = form_set(data, queryset=Document.objects.none())
    str(formset)  # the page that shows it again
    if formset.is_valid():
        formset.save()

    assert_nothing_lies_outside()
    assert AsyncTempFile.objects.get(key=key).state in ("uploaded", "promoted")
    assert Document.objects.filter(file=f"documents/{key}").count() == 0
    assert connection.get_autocommit()
    Document.objects.all().delete()


@pytest.mark.usefixtures("alone")
@bounded
@given(
    value=json_values | st.fixed_dictionaries({"key": st.just("KEY") | text}, optional={"name": json_values})
)
def test_serializer_of_any_value_is_valid_or_says_what_is_wrong(value: Any) -> None:
    key = arrived(b"x", "a.txt")
    if isinstance(value, dict) and value.get("key") == "KEY":
        value = {**value, "key": key}

    serializer = DocumentSerializer(data={"file": value})
    if serializer.is_valid():
        serializer.save()
    json.dumps(serializer.errors).encode()

    assert AsyncTempFile.objects.get(key=key).state in ("uploaded", "promoted")
    assert_nothing_lies_outside()
