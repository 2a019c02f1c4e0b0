"""Where promotion runs, and who is told of it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as project_settings
from django.core.management import CommandError, call_command
from django.db import transaction
from django.dispatch import Signal
from pytest_django import Settings

from async_uploads.models import AsyncTempFile
from async_uploads.promotion import promote_inline, promoting
from async_uploads.signals import file_promoted, promotion_failed, upload_completed
from async_uploads.sweeping import asweep
from async_uploads.temp_files import expiry
from tests.arrivals import arrived, rolled_back, row_of, state_of, stored_names
from tests.conftest import image_bytes
from tests.testapp.models import Album, Document

pytestmark = pytest.mark.django_db(transaction=True)

queue: list[str] = []


def enqueue(key: str) -> None:
    """A dispatcher as a project would write it for its task queue."""
    queue.append(key)


def enqueue_to_a_broker_that_is_down(key: str) -> None:
    raise ConnectionError("no broker")


@pytest.fixture
def queued(settings: Settings) -> list[str]:
    settings.ASYNC_UPLOADS = {"PROMOTION_DISPATCHER": f"{__name__}.enqueue"}
    queue.clear()
    return queue


@contextmanager
def heard(signal: Signal) -> Iterator[list[dict[str, Any]]]:
    """What a receiver of ``signal`` is sent meanwhile."""
    calls: list[dict[str, Any]] = []

    def receiver(**kwargs: Any) -> None:
        calls.append(kwargs)

    signal.connect(receiver)
    try:
        yield calls
    finally:
        signal.disconnect(receiver)


def test_a_queue_gets_the_key_after_the_commit_and_promotes_later(queued: list[str]) -> None:
    key = arrived()
    with transaction.atomic():
        document = Document.objects.create(file=key)
        assert queued == []
    assert queued == [key]
    assert stored_names() == {key}
    assert document.file.name == key

    promote_inline(key)

    assert Document.objects.get().file.name == "documents/report.txt"
    assert stored_names() == {"documents/report.txt"}


def test_a_queue_that_delivers_twice_does_no_harm(queued: list[str]) -> None:
    key = arrived()
    Document.objects.create(file=key)

    with heard(file_promoted) as promoted:
        promote_inline(key)
        promote_inline(key)

    assert len(promoted) == 1
    assert Document.objects.get().file.name == "documents/report.txt"
    assert row_of(key).attempts == 1
    assert stored_names() == {"documents/report.txt"}


def test_a_queue_gets_nothing_of_a_save_that_was_rolled_back(queued: list[str]) -> None:
    with rolled_back():
        Document.objects.create(file=arrived())

    assert queued == []


def test_an_object_saved_again_before_the_queue_came_to_it_stays_with_its_upload(queued: list[str]) -> None:
    document = Document.objects.create(file=arrived())

    document.title = "again"
    document.save()
    promote_inline(str(document.file.name))

    stored = Document.objects.get()
    assert (stored.title, stored.file.name) == ("again", "documents/report.txt")


def test_a_broker_that_is_down_does_not_fail_the_save_and_the_sweep_promotes(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ASYNC_UPLOADS = {"PROMOTION_DISPATCHER": f"{__name__}.enqueue_to_a_broker_that_is_down"}
    key = arrived()

    Document.objects.create(file=key)

    assert state_of(key) == "promoting"
    monkeypatch.setattr("async_uploads.sweeping.due.LEASE", -1)
    assert async_to_sync(asweep)().promoted == 1
    assert Document.objects.get().file.name == "documents/report.txt"


def test_a_completed_upload_is_told() -> None:
    with heard(upload_completed) as completed:
        key = arrived(b"12345")

    assert [(one["sender"], one["temp_file"].key, one["temp_file"].size) for one in completed] == [
        (Document, key, 5)
    ]


def test_a_promoted_file_is_told() -> None:
    key = arrived()

    with heard(file_promoted) as promoted:
        document = Document.objects.create(file=key)

    (told,) = promoted
    assert told["sender"] is Document
    assert told["temp_file"].key == key
    assert (told["record_pk"], told["field_name"]) == (str(document.pk), "file")
    assert told["name"] == "documents/report.txt"


def test_a_failed_promotion_is_told() -> None:
    key = arrived()
    Path(project_settings.MEDIA_ROOT, "documents").write_bytes(b"in the way")

    with heard(promotion_failed) as failed, heard(file_promoted) as promoted:
        Document.objects.create(file=key)

    (told,) = failed
    assert (told["sender"], told["temp_file"].key, told["will_retry"]) == (Document, key, True)
    assert isinstance(told["error"], OSError)
    assert promoted == []


def test_the_last_failure_says_that_there_will_be_no_other_attempt(settings: Settings) -> None:
    settings.ASYNC_UPLOADS = {"PROMOTION_MAX_ATTEMPTS": 1}
    key = arrived()
    Path(project_settings.MEDIA_ROOT, "documents").write_bytes(b"in the way")

    with heard(promotion_failed) as failed:
        Document.objects.create(file=key)

    assert [one["will_retry"] for one in failed] == [False]
    assert state_of(key) == "failed"


def test_a_receiver_that_fails_does_not_undo_the_promotion() -> None:
    def receiver(**kwargs: Any) -> None:
        raise RuntimeError("a bug of the project's")

    file_promoted.connect(receiver)
    try:
        document = Document.objects.create(file=arrived())
    finally:
        file_promoted.disconnect(receiver)

    assert document.file.name == "documents/report.txt"


def test_async_receivers_are_called_too() -> None:
    names: list[str] = []

    async def receiver(**kwargs: Any) -> None:
        names.append(kwargs["name"])

    file_promoted.connect(receiver)
    try:
        Document.objects.create(file=arrived())
    finally:
        file_promoted.disconnect(receiver)

    assert names == ["documents/report.txt"]


down: set[str] = set()


async def enqueue_unless_down(key: str) -> None:
    if key in down:
        raise ConnectionError("no broker")
    queue.append(key)


def test_a_key_that_could_not_be_handed_over_keeps_no_other_from_it(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ASYNC_UPLOADS = {"PROMOTION_DISPATCHER": f"{__name__}.enqueue_unless_down"}
    queue.clear()
    unlucky, lucky = arrived(name="a.txt"), arrived(name="b.txt", model=Album, field="booklet")
    down.add(unlucky)

    with transaction.atomic():
        Document.objects.create(file=unlucky)
        Album.objects.create(booklet=lucky)

    assert queue == [lucky]
    (told,) = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert told.startswith(f"{unlucky} could not be handed to {__name__}.enqueue_unless_down")
    assert "the sweep will promote it" in told


def test_two_fields_of_one_record_are_handed_over_each_by_itself(
    settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    settings.ASYNC_UPLOADS = {"PROMOTION_DISPATCHER": f"{__name__}.enqueue_unless_down"}
    queue.clear()
    cover = arrived(image_bytes(), "a.png", model=Album, field="cover")
    booklet = arrived(name="b.txt", model=Album, field="booklet")
    down.add(cover)

    Album.objects.create(cover=cover, booklet=booklet)

    assert queue == [booklet]


def test_attempts_are_further_and_further_apart_and_never_all_at_once() -> None:
    delays = [[promoting._back_off(attempt) for _time in range(50)] for attempt in range(1, 12)]

    for attempt, some in enumerate(delays):
        longest = min(30 * 2**attempt, 3600)
        assert longest / 2 <= min(some) < max(some) <= longest


def retry(*arguments: str) -> str:
    printed = StringIO()
    call_command("retry_async_promotions", *arguments, stdout=printed)
    return printed.getvalue()


def failed_for_good(name: str = "report.txt") -> str:
    key = arrived(name=name)
    Document.objects.bulk_create([Document(file=key)])
    AsyncTempFile.objects.filter(key=key).update(
        state="failed",
        error_code="promotion_failed",
        error="The disk was away.",
        attempts=5,
        record_pk=str(Document.objects.get(file=key).pk),
        record_db="default",
        final_name=f"documents/{name}",
    )
    return key


@pytest.mark.parametrize("by", ["key", "all"])
def test_a_promotion_that_failed_for_good_is_retried_by_the_command(by: str) -> None:
    key = failed_for_good()

    assert "The disk was away." in retry(key if by == "key" else "--all", "--dry-run")
    assert state_of(key) == "failed"
    said = retry(key if by == "key" else "--all")

    assert f"{key}: promoted" in said
    assert Document.objects.get().file.name == "documents/report.txt"


def test_the_command_goes_the_way_of_the_dispatcher(queued: list[str]) -> None:
    key = failed_for_good()

    retry("--all")

    assert queued == [key]


@pytest.mark.parametrize("arguments", [[], ["--all", "key"], ["unknown"]])
def test_the_command_says_what_it_can_not_do(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        retry(*arguments)


def test_the_command_retries_nothing_that_has_not_failed() -> None:
    with pytest.raises(CommandError, match="1 could not be promoted"):
        retry(arrived())


def test_the_command_goes_on_where_one_upload_can_not_be_promoted(capsys: pytest.CaptureFixture[str]) -> None:
    lost, good = failed_for_good("lost.txt"), failed_for_good("good.txt")
    AsyncTempFile.objects.filter(key=lost).update(field_name="removed")

    with pytest.raises(CommandError, match="1 could not be promoted"):
        call_command("retry_async_promotions", "--all")

    told = capsys.readouterr().out
    assert f"{lost}: for a field that the project no longer has" in told
    assert f"{good}: promoted" in told


def test_the_command_says_that_an_upload_is_not_due(settings: Settings) -> None:
    key = failed_for_good()
    AsyncTempFile.objects.update(state="promoting", lease_until=expiry(60))

    assert "waiting for the next attempt" in retry(key)


def test_an_unknown_key_and_one_whose_record_is_gone_do_no_harm(queued: list[str]) -> None:
    key = arrived()
    Document.objects.create(file=key)
    Document.objects.all().delete()

    promote_inline("async-temp-files/unknown.txt")
    promote_inline(key)

    assert state_of(key) == "cancelled"
    assert stored_names() == set()
