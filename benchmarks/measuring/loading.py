"""Load by libcurl, from a process of its own: ``in_own_process`` runs one of the other functions there.

libcurl, which is C, does the work; its own limit is measured by ``benchmarks.tickets`` against nginx.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field
from io import BytesIO
from itertools import cycle
from multiprocessing import get_context
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

import pycurl

ParamsT = ParamSpec("ParamsT")
ResultT = TypeVar("ResultT")


@dataclass(frozen=True)
class Request:
    """``body``: bytes, or the file that holds them."""

    url: str
    method: str = "GET"
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | Path = b""


@dataclass
class Answers:
    """Seconds that each request took, how many had which status (0: none), and what the client's process used."""

    seconds: float = 0.0
    client_cpu: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: dict[int, int] = field(default_factory=dict)
    bodies: list[str] = field(default_factory=list)
    """Of what was not answered with 2xx, the first few."""

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    def percentile(self, share: float) -> float:
        ordered = sorted(self.latencies)
        return ordered[min(int(len(ordered) * share), len(ordered) - 1)]

    def check(self) -> Answers:
        """Raises RuntimeError where not all was answered with success: what fails fast is not fast."""
        if failed := {status: count for status, count in self.statuses.items() if not 200 <= status < 300}:
            raise RuntimeError(f"not all was well: {failed} {self.bodies}")
        return self

    def count(self, latency: float, status: int, body: bytes) -> None:
        self.latencies.append(latency)
        self.statuses[status] = self.statuses.get(status, 0) + 1
        if not 200 <= status < 300 and len(self.bodies) < 3:
            self.bodies.append(body[:300].decode(errors="replace"))


def in_own_process(
    function: Callable[ParamsT, ResultT], *args: ParamsT.args, **kwargs: ParamsT.kwargs
) -> ResultT:
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def closed_loop(
    requests: list[Request], connections: int, seconds: float | None = None, rounds: int = 1
) -> Answers:
    """So many connections, each sending the next of ``requests`` as soon as it has its answer.

    For so many ``seconds``, beginning anew where they end; without, each request ``rounds`` times.
    """
    answers = Answers()
    began, cpu = time.perf_counter(), time.process_time()
    coming = cycle(requests) if seconds else iter(requests * rounds)
    multi = pycurl.CurlMulti()
    waiting = [_Handle() for _ in range(connections)]
    flying = 0
    while True:
        late = seconds is not None and time.perf_counter() - began > seconds
        while waiting and not late and (request := next(coming, None)) is not None:
            multi.add_handle(waiting.pop().prepare(request))
            flying += 1
        if not flying:
            break
        multi.perform()
        flying -= _collect(multi, waiting, answers)
        if flying:
            multi.select(0.05)
    answers.seconds, answers.client_cpu = time.perf_counter() - began, time.process_time() - cpu
    return answers


def _collect(multi: Any, waiting: list[_Handle], answers: Answers) -> int:
    _left, done, failed = multi.info_read(1000)
    for curl in [*done, *(curl for curl, _number, _message in failed)]:
        multi.remove_handle(curl)
        handle: _Handle = curl.handle
        status = curl.getinfo(pycurl.RESPONSE_CODE)
        answers.count(curl.getinfo(pycurl.TOTAL_TIME), status, handle.answer.getvalue())
        waiting.append(handle)
    return len(done) + len(failed)


def paced(request: Request, every: float, seconds: float, patience: float = 30.0) -> Answers:
    """One request each ``every`` seconds, over one connection; one that comes late does not delay the clock.

    Those that are not answered ``patience`` seconds after the last was due count as answered then, by nobody.
    """
    answers = Answers()
    began, cpu = time.perf_counter(), time.process_time()
    end = began + seconds + patience
    handle = _Handle()
    due = began
    while due < began + seconds:
        time.sleep(max(due - time.perf_counter(), 0))
        status = 0
        if (left := end - time.perf_counter()) > 0:
            curl = handle.prepare(request)
            curl.setopt(pycurl.TIMEOUT_MS, int(left * 1000) + 1)
            with suppress(pycurl.error):
                curl.perform()
                status = curl.getinfo(pycurl.RESPONSE_CODE)
        # Measured from when it was due: a server that makes us wait does not get fewer requests to answer for.
        answers.count(time.perf_counter() - due, status, handle.answer.getvalue())
        due += every
    answers.seconds, answers.client_cpu = time.perf_counter() - began, time.process_time() - cpu
    return answers


def one(request: Request) -> Answers:
    """Send it once."""
    return closed_loop([request], 1)


class _Handle:
    """A connection that is used again."""

    def __init__(self) -> None:
        self.answer = BytesIO()
        self._curl: Any = pycurl.Curl()
        self._curl.handle = self
        self._file: Any = None

    def prepare(self, request: Request) -> Any:
        curl = self._curl
        curl.reset()
        self.answer = BytesIO()
        if self._file is not None:
            self._file.close()
            self._file = None
        curl.setopt(pycurl.URL, request.url)
        curl.setopt(pycurl.WRITEFUNCTION, self.answer.write)
        headers = [f"{name}: {value}" for name, value in {"Expect": "", **request.headers}.items()]
        curl.setopt(pycurl.HTTPHEADER, headers)
        curl.setopt(pycurl.CUSTOMREQUEST, request.method)
        if isinstance(request.body, Path):
            self._file = request.body.open("rb")
            curl.setopt(pycurl.UPLOAD, 1)
            curl.setopt(pycurl.UPLOAD_BUFFERSIZE, 1024 * 1024)
            curl.setopt(pycurl.READDATA, self._file)
            curl.setopt(pycurl.INFILESIZE_LARGE, request.body.stat().st_size)
        elif request.body:
            curl.setopt(pycurl.POSTFIELDS, request.body)
        return curl
