"""The multipart parser under bodies that no browser sends, in chunks that no network promises."""

from __future__ import annotations

import asyncio
import tracemalloc
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import suppress

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from async_uploads.exceptions import InvalidParameters
from async_uploads.streaming import file_in_multipart
from tests.hostile.profile import bounded

MIB = 1024 * 1024
TYPE = "multipart/form-data; boundary=b"
HEAD = b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\n'
END = b"\r\n--b--\r\n"
FIELD = b'--b\r\nContent-Disposition: form-data; name="note"\r\n\r\nwords\r\n'


async def in_chunks(chunks: Iterable[bytes]) -> AsyncIterator[bytes]:
    for chunk in chunks:
        yield chunk


def taken(chunks: Iterable[bytes], content_type: str = TYPE) -> bytes | None:
    """What the parser takes for the file; None where it refuses the body."""

    async def run() -> bytes:
        return b"".join([part async for part in file_in_multipart(in_chunks(chunks), content_type, "file")])

    try:
        return asyncio.run(run())
    except InvalidParameters:
        return None


def cut(body: bytes, places: Iterable[int]) -> list[bytes]:
    ends = sorted({place % len(body) for place in places} - {0})
    return [body[start:end] for start, end in zip([0, *ends], [*ends, len(body)], strict=True)]


# Much of what could be taken for a boundary, so that cuts fall into it.
contents = st.lists(
    st.sampled_from([b"\r", b"\n", b"-", b"--", b"b", b"\r\n", b"\r\n--", b"\r\n-b", b"\0"])
    | st.binary(max_size=8),
    max_size=12,
).map(b"".join)
places = st.lists(st.integers(min_value=0, max_value=10_000), max_size=12)


def test_a_body_cut_anywhere_is_the_same_body() -> None:
    """In the last line break among others, which browsers send and networks cut like everything else."""
    content = b"some\r\n--words\r\n--\r\n"
    body = FIELD + HEAD + content + END

    for place in range(1, len(body)):
        assert taken([body[:place], body[place:]]) == content, body[:place]
    assert taken([body[place : place + 1] for place in range(len(body))]) == content


@bounded
@given(content=contents, places=places, epilogue=st.binary(max_size=10))
@example(content=b"x", places=list(range(200)), epilogue=b"\r\n")
def test_what_was_sent_is_taken_however_it_is_cut(content: bytes, places: list[int], epilogue: bytes) -> None:
    body = HEAD + content + b"\r\n--b--" + epilogue
    sent = None if b"\r\n--b" in b"\r\n" + content else content

    whole = taken([body])

    assert sent is None or whole == sent
    assert taken(cut(body, places)) == whole


@bounded
@given(
    pieces=st.lists(
        st.sampled_from(
            [
                HEAD,
                FIELD,
                END,
                b"\r\n--b\r\n",
                b"--b",
                b"--b--",
                b"\r\n",
                b"\n",
                b": ",
                b"Content-Length: 3\r\n",
            ]
        )
        | st.binary(max_size=12),
        max_size=8,
    ),
    places=places,
)
def test_interleaved_and_broken_bodies_are_taken_or_refused(pieces: list[bytes], places: list[int]) -> None:
    """Nothing else comes out of it, and what comes is in the body as one piece."""
    body = b"".join(pieces) or b"x"

    found = taken(cut(body, places))

    assert found is None or found in body


@bounded
@given(
    content_type=st.text(max_size=60) | st.text(max_size=20).map("multipart/form-data; boundary={}".format)
)
@example(content_type="multipart/form-data; boundary=\ud800")
@example(content_type="multipart/form-data; boundary=é")
@example(content_type='multipart/form-data; boundary="')
@example(content_type="multipart/form-data; boundary=" + "x" * 5000)
@example(content_type="multipart/form-data; boundary=\n")
def test_any_content_type_is_taken_or_refused(content_type: str) -> None:
    taken([HEAD + b"x" + END], content_type)


@pytest.mark.parametrize("length", range(len(HEAD + b"some bytes" + END[:-2])))
def test_a_truncated_body_is_no_file(length: int) -> None:
    assert taken([(HEAD + b"some bytes" + END)[:length]]) is None


@pytest.mark.parametrize(
    "body",
    [
        HEAD.replace(b"--b", b"--c") + b"x" + END,
        b"--b \r\n" + HEAD[5:] + b"x" + END,
        b"preamble without a line break" + HEAD + b"x" + END,
        HEAD + b"x\r\n--bb--\r\n",
        HEAD + b"x\n--b--\n",
        HEAD[:-4] + b"\n\nx" + END,
        HEAD + b"one\r\n" + HEAD + b"two" + END,
        HEAD[:-2] + b"Content-Length: 1\r\n\r\nlonger" + END,
        HEAD[:-2] + b"Content-Length: -1\r\n\r\nx" + END,
        HEAD[:-2] + b"Content-Length: 99\r\n\r\nx" + END,
        FIELD * 65 + HEAD + b"x" + END,
    ],
    ids=[
        "another boundary",
        "a space after it",
        "glued to a preamble",
        "a longer boundary",
        "bare line feeds",
        "headers that end in line feeds",
        "two files",
        "a length too small",
        "a length below zero",
        "a length too great",
        "more parts than anyone needs",
    ],
)
def test_a_body_that_could_be_read_in_two_ways_is_refused(body: bytes) -> None:
    assert taken([body]) is None


def test_a_multipart_body_in_the_file_is_the_files_content() -> None:
    inner = HEAD.replace(b"--b", b"--inner") + b"x\r\n--inner--\r\n"

    assert taken([HEAD + inner + END]) == inner


def test_a_nested_multipart_is_no_file() -> None:
    """RFC 7578, 4.3: several files are several parts, not a multipart/mixed inside."""
    mixed = b'--b\r\nContent-Disposition: form-data; name="file"\r\nContent-Type: multipart/mixed; boundary=m\r\n\r\n'

    assert taken([mixed + b'--m\r\nContent-Disposition: file; filename="x"\r\n\r\nx\r\n--m--' + END]) is None


def test_a_header_injected_into_the_name_changes_nothing() -> None:
    body = (
        b'--b\r\nContent-Disposition: form-data; name="note"; x="\r\nname="file"; filename="x"\r\n\r\nx' + END
    )

    assert taken([body]) is None


def _forever(piece: bytes, size: int = 32 * MIB) -> Iterator[bytes]:
    for _ in range(size // len(piece)):
        yield piece


@pytest.mark.parametrize(
    ("start", "piece"),
    [
        (b"--b\r\nX: ", b"x" * 65536),
        (b"--b\r\n", b"X: y\r\n" * 10_000),
        (b"--b\r\n\r\n", b"x" * 65536),
        (b"", b"\r" * 65536),
        (b"", b"x" * 65536),
        (b"", FIELD * 1000),
        (HEAD, b"x" * 65536),
        (HEAD, b"\r\n--" * 16_384),
        (HEAD, b"\r" * 65536),
        (HEAD + b"x" + END, b"\r\n" * 32_768),
    ],
    ids=[
        "a header line",
        "headers",
        "a part without headers",
        "a preamble of returns",
        "a preamble",
        "fields",
        "a file without line breaks",
        "a file of beginnings of boundaries",
        "a file of returns",
        "an epilogue",
    ],
)
def test_an_endless_body_takes_no_memory(start: bytes, piece: bytes) -> None:
    async def run() -> None:
        async for _ in file_in_multipart(in_chunks([start, *_forever(piece)]), TYPE, "file"):
            pass

    tracemalloc.start()
    try:
        with suppress(InvalidParameters):  # a whole file is as good
            asyncio.run(run())
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert peak < MIB
