"""What operators see of uploads: log records, spans and metrics, as docs/operations.md has them."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import logging.config
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.db import transaction
from django.test import AsyncClient
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from opentelemetry.trace import StatusCode
from prometheus_client import REGISTRY, generate_latest

from async_uploads.models import AsyncTempFile
from async_uploads.owners import Owner
from async_uploads.promotion import promote_inline
from async_uploads.signals import Move, loggable_key, upload_moved
from async_uploads.temp_files import State
from async_uploads.uploads import areceive
from tests.arrivals import abegun, arrived, begun, rolled_back
from tests.asking import ask_ticket, ask_upload, send
from tests.cloud import PDF, booklet_ticket, complete, direct_uploads
from tests.testapp.models import Document
from tests.watching import eventually

pytestmark = pytest.mark.django_db(transaction=True)

ROOT = Path(__file__).parents[1]
DOCS = (ROOT / "docs/operations.md").read_text()
LOGGER = "async_uploads.uploads"


class Kept(logging.Handler):
    """Keeps the records that it is given."""

    def __init__(self) -> None:
        super().__init__()
        self.records: list[Any] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.records.append(record)


@pytest.fixture
def records(caplog: pytest.LogCaptureFixture) -> Iterator[list[Any]]:
    """The records of the uploads' logger, as they come."""
    logger, kept = logging.getLogger(LOGGER), Kept()
    logger.addHandler(kept)
    try:
        with caplog.at_level(logging.INFO, LOGGER):
            yield kept.records
    finally:
        logger.removeHandler(kept)


def moves(records: list[Any]) -> list[tuple[str, str]]:
    return [(each.from_state, each.to_state) for each in records if each.name == LOGGER]


def documented(heading: str) -> str:
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL) if heading in block]
    return str(code)


# Logs


def test_each_change_of_state_is_one_record(records: list[Any]) -> None:
    key = arrived(b"some bytes", "secret name.txt", owner=Owner(user="user:7"))
    document = Document.objects.create(file=key)

    assert moves(records) == [
        ("", "pending"),
        ("pending", "uploading"),
        ("uploading", "uploaded"),
        ("uploaded", "promoting"),
        ("promoting", "promoted"),
    ]
    last = records[-1]
    assert (last.getMessage(), last.levelname) == ("Upload promoted", "INFO")
    assert (last.field, last.owner, last.size) == ("testapp.Document.file", "user:7", 10)
    assert (last.attempts, last.error_code) == (1, "")
    assert 0 <= last.duration <= last.age < 60
    assert key.startswith(last.key)
    assert AsyncTempFile.objects.get(key__startswith=last.key).key == key
    for record in records:
        assert "secret" not in str(vars(record))
        assert "some bytes" not in str(vars(record))
    assert document.pk


def test_a_rolled_back_save_is_not_told(records: list[Any]) -> None:
    key = arrived()
    with rolled_back():
        Document.objects.create(file=key)
    assert moves(records)[-1] == ("uploading", "uploaded")
    told = len(records)
    with rolled_back():
        begun()
        AsyncTempFile.objects.get(key=key).move(State.CANCELLED)
    assert len(records) == told

    with transaction.atomic():
        Document.objects.create(file=key)
        assert moves(records)[-1] == ("uploading", "uploaded")
    assert moves(records)[-2:] == [("uploaded", "promoting"), ("promoting", "promoted")]


@pytest.mark.django_db(transaction=False)
def test_in_a_test_that_never_commits_a_move_is_told_at_once(records: list[Any]) -> None:
    arrived()
    assert moves(records)[-1] == ("uploading", "uploaded")


async def test_a_session_cannot_be_told_from_the_log(async_client: AsyncClient, records: list[Any]) -> None:
    await ask_upload(async_client)

    row = await AsyncTempFile.objects.aget()
    token = row.owner.removeprefix("session:")
    assert token != row.owner
    assert {record.owner.split(":")[0] for record in records if record.name == LOGGER} == {"session"}
    assert len({record.owner for record in records if record.name == LOGGER}) == 1
    assert not [record for record in records if record.name == LOGGER and token in str(vars(record))]


async def test_a_refusal_tells_its_code(async_client: AsyncClient, records: list[Any]) -> None:
    await send(async_client, await ask_ticket(async_client, "a.txt"), b"x" * (1024 * 1024 + 1))

    assert (records[-1].to_state, records[-1].error_code) == ("failed", "file_too_large")


def test_without_the_level_nothing_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, LOGGER):
        arrived()
    assert moves(caplog.records) == []


@pytest.mark.parametrize(
    "key",
    ["async-temp-files/2026/11/27/abcdefghijklmnopqrstuv-my name.txt", "mine/my name.txt", "my name.txt"],
)
def test_no_logged_key_has_the_name_in_it(key: str) -> None:
    assert "my name" not in loggable_key(key)


def test_a_receiver_that_fails_keeps_no_upload(caplog: pytest.LogCaptureFixture) -> None:
    def fail(**kwargs: Any) -> None:
        raise RuntimeError("receiver")

    upload_moved.connect(fail)
    try:
        document = Document.objects.create(file=arrived())
    finally:
        upload_moved.disconnect(fail)

    assert document.file.name == "documents/report.txt"


def test_the_documented_logging_writes_lines_of_json(monkeypatch: pytest.MonkeyPatch) -> None:
    names: dict[str, Any] = {}
    exec(documented("class JsonFormatter"), names)
    exec(documented("LOGGING ="), names)
    config = names["LOGGING"]
    assert config["formatters"]["json"]["()"] == "mysite.logs.JsonFormatter"
    config["formatters"]["json"]["()"] = names["JsonFormatter"]
    written = io.StringIO()
    config["handlers"]["json"]["stream"] = written
    logger = logging.getLogger("async_uploads")
    level, handlers = logger.level, logger.handlers[:]
    logging.config.dictConfig(config)
    try:
        key = arrived()
        logging.getLogger("async_uploads").error("Broken", exc_info=RuntimeError("why"))
    finally:
        logger.level, logger.handlers = level, handlers
        logger.setLevel(level)

    *told, broken = [json.loads(line) for line in written.getvalue().splitlines()]
    assert [each["to_state"] for each in told] == ["pending", "uploading", "uploaded"]
    assert key.startswith(told[0]["key"])
    assert told[-1]["field"] == "testapp.Document.file"
    assert "RuntimeError" in broken["traceback"]


def test_every_attribute_of_a_move_is_documented() -> None:
    logs = DOCS.split("## Logs")[1].split("## Traces")[0]
    assert [name for name in Move.__dataclass_fields__ if f"`{name}`" not in logs] == []


# Traces


@pytest.fixture(scope="module")
def exporter() -> InMemorySpanExporter:
    """OpenTelemetry takes one provider for each process."""
    exporter = InMemorySpanExporter()
    provider = TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    trace.set_tracer_provider(provider)
    return exporter


@pytest.fixture
def spans(exporter: InMemorySpanExporter) -> Iterator[InMemorySpanExporter]:
    exporter.clear()
    yield exporter
    assert not trace.get_current_span().get_span_context().is_valid  # nothing is left open


def named(spans: InMemorySpanExporter, name: str) -> ReadableSpan:
    (span,) = [span for span in spans.get_finished_spans() if span.name == name]
    return span


def attributes(span: ReadableSpan) -> dict[str, Any]:
    return dict(span.attributes or {})


def test_an_upload_and_its_promotion_are_spans(spans: InMemorySpanExporter) -> None:
    key = arrived(b"some bytes", "secret name.txt")
    Document.objects.create(file=key)

    for name, state in (("async_uploads.upload", "uploaded"), ("async_uploads.promote", "promoted")):
        span = named(spans, name)
        assert attributes(span) == {
            "async_uploads.key": loggable_key(key),
            "async_uploads.field": "testapp.Document.file",
            "async_uploads.size": 10,
            "async_uploads.state": state,
        }
        assert span.status.status_code is StatusCode.UNSET
    assert "secret" not in "".join(span.to_json() for span in spans.get_finished_spans())


async def test_a_refused_upload_is_a_span_with_its_code(
    async_client: AsyncClient, spans: InMemorySpanExporter
) -> None:
    await send(async_client, await ask_ticket(async_client, "a.txt"), b"x" * (1024 * 1024 + 1))

    span = named(spans, "async_uploads.upload")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "file_too_large")
    assert attributes(span)["error.type"] == "file_too_large"
    assert attributes(span)["async_uploads.state"] == "failed"
    assert not span.events  # of the exception, whose text may have names in it


async def test_a_direct_upload_is_a_span(async_client: AsyncClient, spans: InMemorySpanExporter) -> None:
    with direct_uploads() as cloud:
        key = await booklet_ticket(async_client)
        cloud.receive(key, PDF)
        await complete(async_client, key)

    assert attributes(named(spans, "async_uploads.complete"))["async_uploads.size"] == len(PDF)


def test_a_failed_promotion_is_a_span_with_its_code(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    fail_copies(monkeypatch)
    Document.objects.create(file=arrived())

    span = named(spans, "async_uploads.promote")
    assert (span.status.status_code, span.status.description) == (StatusCode.ERROR, "promotion_failed")


async def test_what_runs_inside_is_a_child_and_nothing_leaks_to_the_next(
    spans: InMemorySpanExporter, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As botocore's own spans are: of two uploads at once, each has its own."""
    field = Document._meta.get_field("file")
    tracer = trace.get_tracer("storage")

    async def look(file: Any) -> None:
        with tracer.start_as_current_span("inside") as span:
            span.set_attribute("key", loggable_key(file.key))
            await asyncio.sleep(0)

    monkeypatch.setattr(field, "upload_validators", (look,))
    uploads = [await abegun("a.txt") for _each in range(5)]
    await asyncio.gather(*(areceive(upload, chunks(), max_size=None) for upload in uploads))

    by_id = {span.context.span_id: span for span in spans.get_finished_spans() if span.context}
    inside = [span for span in by_id.values() if span.name == "inside"]
    assert len(inside) == 5
    for span in inside:
        assert span.parent is not None
        parent = by_id[span.parent.span_id]
        assert attributes(parent)["async_uploads.key"] == attributes(span)["key"]
        assert parent.parent is None
    assert len({span.context.trace_id for span in inside if span.context}) == 5


async def chunks() -> AsyncIterator[bytes]:
    yield b"some bytes"


def fail_copies(monkeypatch: pytest.MonkeyPatch) -> None:
    async def full(*args: Any, **kwargs: Any) -> None:
        raise OSError("no space")

    monkeypatch.setattr(Document._meta.get_field("file").storage, "acopy_file", full, raising=False)


# Metrics


class Samples:
    """How far the default registry's numbers have gone up since."""

    def __init__(self) -> None:
        self._before = self._now()

    @staticmethod
    def _now() -> dict[str, float]:
        lines = generate_latest().decode().splitlines()
        pairs = [line.rsplit(" ", 1) for line in lines if line.startswith("async_uploads_")]
        return {name: float(value) for name, value in pairs if "_created" not in name}

    def __getitem__(self, name: str) -> float:
        return self._now().get(name, 0) - self._before.get(name, 0)

    def labels(self) -> set[str]:
        return set(re.findall(r'(\w+)="', "".join(self._now())))


FIELD = 'field="testapp.Document.file"'


def test_an_upload_and_its_promotion_are_counted() -> None:
    samples = Samples()
    Document.objects.create(file=arrived(b"some bytes"))

    for state in ("pending", "uploading", "uploaded", "promoting", "promoted"):
        assert samples[f'async_uploads_uploads_total{{{FIELD},state="{state}"}}'] == 1, state
    assert samples[f"async_uploads_received_bytes_total{{{FIELD}}}"] == 10
    assert samples[f"async_uploads_promotion_attempts_total{{{FIELD}}}"] == 1
    assert samples[f"async_uploads_promotion_failures_total{{{FIELD}}}"] == 0
    for step in ("upload", "promotion"):
        assert samples[f'async_uploads_duration_seconds_count{{{FIELD},step="{step}"}}'] == 1
    assert samples.labels() == {"field", "state", "step", "le"}


def test_failed_attempts_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    samples = Samples()
    with pytest.MonkeyPatch.context() as broken:
        fail_copies(broken)
        key = arrived()
        Document.objects.create(file=key)
        AsyncTempFile.objects.update(lease_until=None)
        promote_inline(key)
    AsyncTempFile.objects.update(lease_until=None)
    promote_inline(key)

    assert samples[f"async_uploads_promotion_attempts_total{{{FIELD}}}"] == 3
    assert samples[f"async_uploads_promotion_failures_total{{{FIELD}}}"] == 2
    assert samples[f'async_uploads_uploads_total{{{FIELD},state="promoted"}}'] == 1


async def test_uploads_in_flight_are_told_and_forgotten() -> None:
    name = "async_uploads_in_flight"
    more = asyncio.Event()

    async def slow() -> AsyncIterator[bytes]:
        yield b"some"
        await more.wait()
        yield b"bytes"

    uploads = [await abegun("a.txt") for _each in range(3)]
    transfers = [asyncio.create_task(_received(upload, slow())) for upload in uploads]
    await eventually(lambda: REGISTRY.get_sample_value(name) == 3)
    transfers[0].cancel()
    await asyncio.gather(transfers[0], return_exceptions=True)
    assert REGISTRY.get_sample_value(name) == 2
    more.set()
    await asyncio.gather(*transfers, return_exceptions=True)

    assert REGISTRY.get_sample_value(name) == 0


async def _received(upload: AsyncTempFile, body: AsyncIterator[bytes]) -> None:
    await areceive(upload, body, max_size=None)


def test_every_metric_is_documented() -> None:
    names = {
        metric.name + ("_total" if metric.type == "counter" else "")
        for metric in REGISTRY.collect()
        if metric.name.startswith("async_uploads_")
    }
    table = DOCS.split("## Metrics")[1].split("## The backlog")[0]
    assert set(re.findall(r"^\| `(async_uploads_\w+)`", table, re.MULTILINE)) == names


WITHOUT = """
import sys
from importlib.abc import MetaPathFinder

class Absent(MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in ("prometheus_client", "opentelemetry"):
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Absent())
import django
django.setup()
from async_uploads import metrics, tracing
from async_uploads.models import AsyncTempFile
from async_uploads.signals import upload_moved
assert metrics.metrics is None and tracing.trace is None
from async_uploads.uploads import areceive
assert areceive.__wrapped__ if hasattr(areceive, "__wrapped__") else True
from async_uploads.metrics import count_move
upload = AsyncTempFile(key="a/b.txt", model="testapp.document", field_name="file")
from async_uploads.signals import tell_move
tell_move(upload, "", upload.created_at, attempted=False, using="default")
print("went on", hasattr(areceive, "__wrapped__"))
"""


def test_without_the_packages_nothing_is_missing() -> None:
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}
    finished = subprocess.run(
        [sys.executable, "-c", WITHOUT],
        cwd=ROOT,
        env=environment,
        text=True,
        capture_output=True,
        check=False,
    )
    assert finished.stdout.strip() == "went on False", finished.stderr


MANY = """
import os, sys, django
django.setup()
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.multiprocess import MultiProcessCollector
from async_uploads.metrics import metrics
if sys.argv[1] == "count":
    metrics.in_flight.inc()
    metrics.received.labels("app.Model.file").inc(5)
    os._exit(0)
registry = CollectorRegistry()
MultiProcessCollector(registry)
print(generate_latest(registry).decode())
"""


def test_several_processes_are_added_up(tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "DJANGO_SETTINGS_MODULE": "tests.settings",
        "PROMETHEUS_MULTIPROC_DIR": str(tmp_path),
    }

    def run(what: str) -> str:
        command = [sys.executable, "-c", MANY, what]
        return subprocess.run(
            command, cwd=ROOT, env=environment, text=True, capture_output=True, check=True
        ).stdout

    run("count")
    run("count")
    assert 'async_uploads_received_bytes_total{field="app.Model.file"} 10.0' in run("show")
