"""The command cleanup_async_temp_files: finishes what a crash interrupted, clears away what nobody came back for."""

from __future__ import annotations

from datetime import timedelta
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings as project_settings
from django.core.management import CommandError, call_command
from django.utils import timezone
from pytest_django import Settings

from async_uploads.models import AsyncTempFile
from async_uploads.temp_files import State
from tests.arrivals import arrived, begun, row_of, state_of, stored_names
from tests.testapp.models import Document
from tests.watching import parts, parts_of

pytestmark = pytest.mark.django_db(transaction=True)

DAYS_AGO = timedelta(days=3)


def sweep(*arguments: str) -> str:
    """What the command prints."""
    printed = StringIO()
    call_command("cleanup_async_temp_files", *arguments, stdout=printed, stderr=printed)
    return printed.getvalue()


def sweep_that_fails(*arguments: str) -> str:
    printed = StringIO()
    with pytest.raises(CommandError) as caught:
        call_command("cleanup_async_temp_files", *arguments, stdout=printed, stderr=printed)
    assert caught.value.returncode == 1
    return printed.getvalue()


def aged(key: str, by: timedelta = DAYS_AGO, **changes: Any) -> str:
    """The upload as if it had been left alone for a while."""
    then = timezone.now() - by
    changes = {"created_at": then, "updated_at": then, **changes}
    AsyncTempFile.objects.filter(key=key).update(**changes)
    return key


def uploading(part: bytes = b"half") -> str:
    """An upload whose process was killed in the middle of it."""
    temp_file = begun()
    temp_file.move(State.UPLOADING)
    path = parts(temp_file.key).new()
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(part)
    return temp_file.key


def saved_by_a_process_that_died(monkeypatch: pytest.MonkeyPatch, name: str = "report.txt") -> str:
    """The key of a record whose promotion never ran."""
    with monkeypatch.context() as crash:
        crash.setattr("async_uploads.promotion.dispatching.dispatch", lambda claims: None)
        key = arrived(b"saved", name)
        Document.objects.create(file=key)
    return aged(key, lease_until=timezone.now() - timedelta(seconds=1))


def test_an_abandoned_upload_goes_with_its_bytes() -> None:
    abandoned = aged(arrived())
    fresh = arrived(b"fresh", "fresh.txt")

    said = sweep()

    assert (state_of(abandoned), state_of(fresh)) == ("expired", "uploaded")
    assert stored_names() == {fresh}
    assert f"expired: {abandoned}" in said
    assert "1 abandoned uploads expired" in said


def test_an_upload_that_never_began_goes_too() -> None:
    key = aged(begun().key)

    sweep()

    assert state_of(key) == "expired"


def test_an_upload_that_stopped_halfway_can_be_tried_again_and_its_part_goes() -> None:
    stopped = aged(uploading(), by=timedelta(minutes=5))
    going = uploading()

    said = sweep()

    row = row_of(stopped)
    assert (row.state, row.received, row.error_code) == ("pending", 0, "interrupted")
    assert state_of(going) == "uploading"
    assert parts_of(stopped) == []
    assert len(parts_of(going)) == len(stored_names()) == 1
    assert "1 interrupted uploads made ready again" in said


def test_an_old_upload_that_stopped_halfway_goes_altogether() -> None:
    key = aged(uploading())

    sweep()

    assert state_of(key) == "expired"
    assert stored_names() == set()


def test_an_interrupted_promotion_is_finished(monkeypatch: pytest.MonkeyPatch) -> None:
    key = saved_by_a_process_that_died(monkeypatch)

    said = sweep()

    assert Document.objects.get().file.name == "documents/report.txt"
    assert state_of(key) == "promoted"
    assert stored_names() == {"documents/report.txt"}
    assert "1 promotions finished" in said


def test_a_promotion_that_a_queue_may_still_deliver_is_left_to_it(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.ASYNC_UPLOADS = {"PROMOTION_DISPATCHER": "tests.test_promotion_dispatch.enqueue"}
    key = arrived()
    Document.objects.create(file=key)

    sweep()
    assert state_of(key) == "promoting"

    aged(key, by=timedelta(minutes=5))
    sweep()
    assert state_of(key) == "promoted"


def test_a_record_written_by_a_process_that_died_before_it_took_the_upload_gets_its_file() -> None:
    key = aged(arrived())
    document = Document.objects.create()
    Document.objects.update(file=key)

    said = sweep()

    document.refresh_from_db()
    assert document.file.name == "documents/report.txt"
    assert (row_of(key).state, row_of(key).record_pk) == ("promoted", str(document.pk))
    assert f"promotion resumed: {key}" in said


@pytest.mark.parametrize("state", ["promoted", "failed", "cancelled", "expired"])
def test_old_rows_that_are_finished_are_pruned_with_what_is_left_of_them(state: str) -> None:
    old, recent = arrived(b"old", "old.txt"), arrived(b"recent", "recent.txt")
    aged(old, state=state, record_pk="99" if state == "promoted" else "")
    AsyncTempFile.objects.filter(key=recent).update(state=state)

    said = sweep()

    assert AsyncTempFile.objects.get().key == recent
    assert stored_names() == {recent}
    assert "1 finished rows pruned" in said


def test_a_row_whose_promotion_failed_for_good_keeps_its_bytes() -> None:
    key = aged(arrived(), state="failed", record_pk="1", error_code="promotion_failed")

    sweep()

    assert state_of(key) == "failed"
    assert stored_names() == {key}


@pytest.mark.parametrize("state", ["promoted", "failed", "cancelled", "expired"])
def test_a_file_that_a_record_still_refers_to_is_never_deleted(state: str) -> None:
    key = aged(arrived(), state=state)
    Document.objects.create()
    Document.objects.update(file=key)

    sweep()

    assert stored_names() == {key}
    assert state_of(key) == state


def test_files_of_records_are_not_the_sweeps_business() -> None:
    document = Document.objects.create(file=arrived())
    aged(AsyncTempFile.objects.get().key)

    sweep("--age", "0")

    assert not AsyncTempFile.objects.exists()
    assert stored_names() == {document.file.name}


def test_the_age_tells_what_counts_as_abandoned() -> None:
    key = aged(arrived(), by=timedelta(hours=3))

    sweep("--age", "4")
    assert state_of(key) == "uploaded"

    sweep("--age", "2.5")
    assert state_of(key) == "expired"


def test_without_an_age_the_setting_tells(settings: Settings) -> None:
    key = aged(arrived(), by=timedelta(hours=3))
    settings.ASYNC_UPLOADS = {"TEMP_FILE_MAX_AGE": 2}

    sweep()

    assert state_of(key) == "expired"


def test_a_negative_age_is_refused() -> None:
    key = arrived()

    sweep_that_fails("--age", "-1")

    assert state_of(key) == "uploaded"


def test_a_dry_run_tells_everything_and_touches_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [
        aged(arrived(b"a", "abandoned.txt")),
        aged(uploading(), by=timedelta(minutes=5)),
        saved_by_a_process_that_died(monkeypatch),
        aged(arrived(b"f", "finished.txt"), state="cancelled"),
        aged(arrived(b"b", "adopted.txt")),
    ]
    Document.objects.bulk_create([Document(file=keys[-1])])
    rows, files = list(AsyncTempFile.objects.order_by("pk").values()), stored_names()

    said = sweep("--dry-run")

    assert list(AsyncTempFile.objects.order_by("pk").values()) == rows
    assert stored_names() == files
    for key in keys:
        assert key in said
    assert (
        "Would be: 1 interrupted uploads made ready again, 2 promotions finished, 1 abandoned uploads expired, "
        "1 finished rows pruned." in said
    )


def test_a_quiet_sweep_prints_nothing() -> None:
    key = aged(arrived())

    assert sweep("--quiet") == ""
    assert state_of(key) == "expired"


def test_a_quiet_sweep_prints_errors_all_the_same() -> None:
    key = aged(arrived(), model="gone.model")

    assert key in sweep_that_fails("--quiet")


def test_one_file_that_fails_does_not_stop_the_rest_and_the_exit_code_tells() -> None:
    first, bad, last = (aged(arrived(b"x", f"{name}.txt")) for name in ("first", "bad", "last"))
    Path(project_settings.MEDIA_ROOT, bad).unlink()
    Path(project_settings.MEDIA_ROOT, bad).mkdir()  # what should be a file can't be deleted as one
    Path(project_settings.MEDIA_ROOT, bad, "inside").write_bytes(b"")

    said = sweep_that_fails()

    assert (state_of(first), state_of(last)) == ("expired", "expired")
    assert stored_names() == {f"{bad}/inside"}
    assert f"{bad}: OSError" in said
    assert "2 abandoned uploads expired" in said
    assert "1 failed" in said


def test_an_upload_for_a_field_that_the_project_no_longer_has_is_told() -> None:
    gone_field = aged(arrived(b"x", "a.txt"), field_name="removed")
    gone_model = aged(arrived(b"x", "b.txt"), model="testapp.removed")
    rest = aged(arrived(b"x", "c.txt"))

    said = sweep_that_fails()

    assert f"{gone_field}: the project has no field testapp.document.removed" in said
    assert f"{gone_model}: the project has no field testapp.removed.file" in said
    assert state_of(rest) == "expired"


def test_more_uploads_than_one_batch_are_all_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("async_uploads.sweeping.taking.BATCH", 2)
    keys = [aged(begun().key) for _ in range(5)]

    sweep()

    assert {state_of(key) for key in keys} == {"expired"}


def test_sweeping_twice_does_nothing_the_second_time() -> None:
    aged(arrived())
    sweep()

    assert (
        "Done: 0 interrupted uploads made ready again, 0 promotions finished, 0 abandoned uploads expired"
        in sweep()
    )
