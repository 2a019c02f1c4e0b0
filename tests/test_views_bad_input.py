"""Whatever is sent, the answer is never a 500: bodies, parameters, tokens and headers of every shape."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.test import AsyncClient
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.asking import ask_ticket, ask_upload, url_of
from tests.conftest import field_id_of, ticket_for, visiting
from tests.testapp.models import Document
from tests.wire import wired

pytestmark = pytest.mark.django_db(transaction=True)

some_examples = settings(
    max_examples=40,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

awkward_text = st.sampled_from(
    [
        "\0",
        "a\0b",
        "\ud800",
        "async-temp-files/\udfff.txt",
        "../../etc/passwd",
        "async-temp-files/../secret",
        "\u202etxt.exe",
        "a\r\nb",
        "9" * 5000,
        "-1",
        "1e400",
        "NaN",
        "x" * 10_000,
        "٣",
        "²",
        "%",
        "%ff%00",
    ]
)
text = st.one_of(awkward_text, st.text(max_size=30))
json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), text, st.just(10**4000)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(text, inner, max_size=3)),
    max_leaves=5,
)
names = st.sampled_from(
    ["fieldId", "field_id", "filename", "instanceId", "contentType", "size", "key", "asyncFieldId", "token"]
)
parameters = st.dictionaries(st.one_of(names, text), json_values, max_size=6)
texts_by_name = st.dictionaries(st.one_of(names, text), text, max_size=6)

POST_VIEWS = ["generate-upload-url", "complete-upload", "cancel-upload"]
GET_VIEWS = ["generate-upload-url", "upload-status", "download-file", "download-file-direct"]


def encoded(values: Any) -> bytes:
    """JSON with lone surrogates as ``\\ud800``, which is how they get past UTF-8."""
    return json.dumps(values).encode()


def assert_answered(response: Any) -> None:
    assert response.status_code < 500, response.content
    if response.status_code >= 400:
        assert isinstance(response.json(), dict)


@pytest.fixture
def lenient() -> AsyncClient:
    """A client that answers an exception with a 500, as a server does."""
    return AsyncClient(raise_request_exception=False)


@pytest.mark.parametrize("view", POST_VIEWS)
@some_examples
@example(values={"key": "\ud800"}, known=False)
@example(values={"key": "\0"}, known=False)
@example(values={"filename": "\ud800.txt", "contentType": "\ud800/x"}, known=True)
@example(values={"filename": "a.txt", "instanceId": "\ud800"}, known=True)
@example(values={"filename": "a.txt", "instanceId": 10**4000}, known=True)
@example(values={"filename": "a.txt", "size": 10**4000}, known=True)
@given(values=parameters, known=st.booleans())
async def test_json_of_any_content(
    lenient: AsyncClient, view: str, values: dict[str, Any], known: bool
) -> None:
    if known:  # so that the other parameters are looked at
        values = {"filename": "a.txt", **values, "fieldId": field_id_of()}

    assert_answered(await lenient.post(url_of(view), encoded(values), content_type="application/json"))


@pytest.mark.parametrize("view", POST_VIEWS)
@some_examples
@given(
    body=st.one_of(
        st.binary(max_size=50),
        json_values.map(encoded),
        st.sampled_from(
            [b"", b"{", b"[" * 100_000, b'{"key": ' * 20_000, b"9" * 100_000, b"\xff\xfe", b"null"]
        ),
    ),
    content_type=st.sampled_from(
        [
            "application/json",
            "application/json; charset=nonsense",
            "application/x-www-form-urlencoded",
            "application/x-www-form-urlencoded; charset=utf-8",
            "multipart/form-data",
            "multipart/form-data; boundary=X",
            "multipart/form-data; boundary=%ff",
            "",
            "text/plain",
        ]
    ),
)
async def test_bodies_of_any_bytes(lenient: AsyncClient, view: str, body: bytes, content_type: str) -> None:
    assert_answered(await lenient.generic("POST", url_of(view), body, content_type=content_type))


@pytest.mark.parametrize("view", GET_VIEWS)
@some_examples
@given(values=texts_by_name, known=st.booleans())
async def test_queries_of_any_text(
    lenient: AsyncClient, view: str, values: dict[str, str], known: bool
) -> None:
    if known:
        values = {**values, "fieldId": field_id_of()}
    query = {
        name.encode(errors="surrogatepass"): value.encode(errors="surrogatepass")
        for name, value in values.items()
    }

    assert_answered(await lenient.get(f"{url_of(view)}?{_query(query)}"))


def _query(values: dict[bytes, bytes]) -> str:
    """Percent-encoded bytes, UTF-8 or not."""
    return "&".join(f"{_percent(name)}={_percent(value)}" for name, value in values.items())


def _percent(content: bytes) -> str:
    return "".join(f"%{byte:02x}" for byte in content)


@pytest.mark.parametrize(
    "method", ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"]
)
@pytest.mark.parametrize("view", [*POST_VIEWS, "upload-status", "download-file", "upload-file-direct"])
async def test_any_method(lenient: AsyncClient, view: str, method: str) -> None:
    response = await lenient.generic(method, url_of(view), b'{"key": 1}', content_type="application/json")

    assert response.status_code < 500


@pytest.mark.parametrize("method", ["PUT", "POST"])
@some_examples
@given(token=text)
async def test_tokens_of_any_text(lenient: AsyncClient, method: str, token: str) -> None:
    query = _query({b"token": token.encode(errors="surrogatepass")})

    assert_answered(await lenient.generic(method, f"{url_of('upload-file-direct')}?{query}", b"x"))


@some_examples
@given(
    body=st.one_of(
        st.binary(max_size=80),
        st.binary(max_size=30).map(
            lambda header: b"--X\r\nContent-Disposition: form-data; " + header + b"\r\n\r\nx\r\n--X--\r\n"
        ),
        st.sampled_from(
            [
                b"--X--\r\n",
                b'--X\r\nContent-Disposition: form-data; name="file"\r\n\r\nx\r\n--X--\r\n',
                b'--X\r\nContent-Disposition: form-data; name="\xff"; filename="\xff"\r\n\r\nx\r\n--X--\r\n',
                b'--X\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\nx',
                b'--X\r\nContent-Disposition: form-data; name="file"; filename="a"\r\nContent-Type: ;;\r\n\r\nx',
                b"--X\r\nContent-Type: text/plain\r\n\r\nx\r\n--X--\r\n",
            ]
        ),
    ),
    content_type=st.sampled_from(
        [
            "multipart/form-data; boundary=X",
            "multipart/form-data",
            'multipart/form-data; boundary="',
            "a/b",
            "",
        ]
    ),
)
async def test_multipart_bodies_of_any_bytes(lenient: AsyncClient, body: bytes, content_type: str) -> None:
    ticket = await ask_ticket(lenient, "a.txt")

    assert_answered(await lenient.post(ticket["uploadUrl"]["url"], body, content_type=content_type))
    await lenient.post(url_of("cancel-upload"), {"key": ticket["key"]})  # there may be only so many at a time


@pytest.mark.parametrize("announced", ["9" * 18, "9" * 19, str(2**64 - 1), "9" * 20, "9" * 5000, "-1", "1_0"])
@pytest.mark.parametrize("method", ["PUT", "POST"])
async def test_content_lengths_of_any_shape(server: str, method: str, announced: str) -> None:
    async with visiting(server) as client:
        ticket = await ticket_for(client, "a.txt")
    headers = {"Content-Length": announced, "Content-Type": "multipart/form-data; boundary=X"}

    async with wired(server) as wire:
        await wire.begin(method, ticket["uploadUrl"]["url"], headers)
        answer = await wire.answer()

    assert answer.status in (400, 413)


CONDITIONS = [
    ("Range", "bytes=" + "9" * 5000 + "-"),
    ("Range", "bytes=9999999999999999999-9999999999999999999"),
    ("Range", "bytes=5-1"),
    ("Range", "lines=1-2"),
    ("If-Range", "Mon, 01 Jan 2024 00:00:00 +" + "9" * 20),
    ("If-Range", "Mon, 99 Foo 99999999 99:99:99 GMT"),
    ("If-Modified-Since", "Mon, 01 Jan 9999999999 00:00:00 GMT"),
    ("If-Modified-Since", "\xff"),
    ("If-None-Match", '"' * 1000),
    ("If-Match", "W/,,,*"),
]


@pytest.mark.parametrize(("name", "value"), CONDITIONS)
async def test_conditions_of_any_shape_on_a_download(lenient: AsyncClient, name: str, value: str) -> None:
    document = await Document.objects.acreate(file=await ask_upload(lenient, b"hello"))
    redirect = await lenient.get(document.file.url)
    headers = {"Range": "bytes=0-1", name: value} if name == "If-Range" else {name: value}

    response = await lenient.get(redirect["Location"], headers=headers)

    assert response.status_code < 500
