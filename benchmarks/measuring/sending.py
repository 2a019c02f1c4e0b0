"""One large body, sent by libcurl: as it is, in a form, or in the pieces of tus. By a ``sending_process()``."""

from __future__ import annotations

import time
from base64 import b64encode
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO
from multiprocessing import get_context
from pathlib import Path
from typing import Any
from urllib.parse import urljoin

import pycurl

BUFFER = 1024 * 1024
BOUNDARY = "----WebKitFormBoundary7MA4YWxkTrZu0gW"
BEFORE = (
    f"--{BOUNDARY}\r\n"
    'Content-Disposition: form-data; name="file"; filename="report.pdf"\r\n'
    "Content-Type: application/octet-stream\r\n\r\n"
).encode()
AFTER = f"\r\n--{BOUNDARY}--\r\n".encode()


@dataclass(frozen=True)
class Content:
    """``size`` bytes of ``file``, which is read over and over where it is shorter."""

    file: Path
    size: int


@dataclass(frozen=True)
class Sent:
    """Seconds from the connection to the last byte of the answer, and of the sending process's CPU."""

    seconds: float
    client_cpu: float


Sender = Callable[..., Sent]
"""Calls one of the functions below in another process, with the arguments that follow."""


@contextmanager
def sending_process() -> Iterator[Sender]:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        yield lambda function, *args: pool.submit(function, *args).result()


def put(url: str, content: Content, headers: Mapping[str, str]) -> Sent:
    """The bytes themselves."""
    return _timed(lambda curl: _send(curl, url, "PUT", headers, _Body(content)))


def post_form(url: str, content: Content, headers: Mapping[str, str]) -> Sent:
    """The file of a form, in the field ``file`` (RFC 7578)."""
    given = {**headers, "Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    return _timed(lambda curl: _send(curl, url, "POST", given, _Body(content, before=BEFORE, after=AFTER)))


def tus(url: str, content: Content, headers: Mapping[str, str], piece: int) -> Sent:
    """Created, and then patched ``piece`` by ``piece`` over the same connection (tus 1.0.0)."""
    given = {"Tus-Resumable": "1.0.0", **headers}

    def send(curl: Any) -> None:
        named = ",".join(f"{key} {b64encode(value).decode()}" for key, value in METADATA.items())
        made = {"Upload-Length": str(content.size), "Upload-Metadata": named}
        where = urljoin(url, _send(curl, url, "POST", {**given, **made}, _Body(Content(content.file, 0))))
        for start in range(0, content.size, piece):
            part = _Body(Content(content.file, min(piece, content.size - start)), start=start)
            at = {"Upload-Offset": str(start), "Content-Type": "application/offset+octet-stream"}
            _send(curl, where, "PATCH", {**given, **at}, part)

    return _timed(send)


METADATA = {"fieldName": b"file", "filename": b"report.pdf", "formId": b"0" * 32}


def _timed(send: Any) -> Sent:
    curl = pycurl.Curl()
    began, cpu = time.perf_counter(), time.process_time()
    send(curl)
    return Sent(time.perf_counter() - began, time.process_time() - cpu)


def _send(curl: Any, url: str, method: str, headers: Mapping[str, str], body: _Body) -> str:
    """Returns where the answer points; raises RuntimeError for any but success."""
    answer, head = BytesIO(), BytesIO()
    curl.reset()
    curl.setopt(pycurl.URL, url)
    curl.setopt(pycurl.CUSTOMREQUEST, method)
    curl.setopt(pycurl.HTTPHEADER, [f"{name}: {value}" for name, value in {"Expect": "", **headers}.items()])
    curl.setopt(pycurl.UPLOAD, 1)
    curl.setopt(pycurl.UPLOAD_BUFFERSIZE, BUFFER)
    curl.setopt(pycurl.READFUNCTION, body.read)
    curl.setopt(pycurl.INFILESIZE_LARGE, body.size)
    curl.setopt(pycurl.WRITEFUNCTION, answer.write)
    curl.setopt(pycurl.HEADERFUNCTION, head.write)
    curl.perform()
    status = curl.getinfo(pycurl.RESPONSE_CODE)
    if not 200 <= status < 300:
        raise RuntimeError(f"{method} {url}: {status} {answer.getvalue()[:500].decode(errors='replace')}")
    for line in head.getvalue().decode("latin-1").splitlines():
        name, _colon, value = line.partition(":")
        if name.lower() == "location":
            return value.strip()
    return url


class _Body:
    """What libcurl reads, as much at a time as it asks for."""

    def __init__(self, content: Content, *, before: bytes = b"", after: bytes = b"", start: int = 0) -> None:
        self.size = len(before) + content.size + len(after)
        self._file = content.file.open("rb", buffering=0)
        self._file.seek(start)
        self._left = content.size
        self._before, self._after = before, after

    def read(self, size: int) -> bytes:
        if self._before:
            before, self._before = self._before[:size], self._before[size:]
            return before
        if self._left:
            piece = self._file.read(min(size, self._left))
            if not piece:
                self._file.seek(0)
                return self.read(size)
            self._left -= len(piece)
            return piece
        after, self._after = self._after[:size], self._after[size:]
        return after
