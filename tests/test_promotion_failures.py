"""What a promotion that fails, is interrupted or comes too late leaves behind."""

from __future__ import annotations

import asyncio
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.exceptions import ValidationError
from django.utils import timezone

from async_uploads.models import AsyncTempFile
from async_uploads.promotion import apromote_key, promote_inline
from async_uploads.storage.base import AsyncUploadStorage
from async_uploads.sweeping import asweep
from async_uploads.temp_files import State, expiry
from tests.arrivals import arrived, row_of, state_of, stored_names
from tests.testapp.models import Document

pytestmark = pytest.mark.django_db(transaction=True)

FINAL = "documents/report.txt"


@pytest.fixture
def storage() -> AsyncUploadStorage:
    field: Any = Document._meta.get_field("file")
    found: AsyncUploadStorage = field.storage
    return found


@pytest.fixture
def blocked() -> Path:
    """Where the directory of final files should be lies a file, so that nothing can be copied there."""
    obstacle = Path(settings.MEDIA_ROOT, "documents")
    obstacle.parent.mkdir(parents=True, exist_ok=True)
    obstacle.write_bytes(b"in the way")
    return obstacle


def let_the_lease_run_out() -> None:
    AsyncTempFile.objects.update(lease_until=timezone.now() - timedelta(seconds=1))


def crashed_after_the_claim(monkeypatch: pytest.MonkeyPatch) -> Document:
    """A record whose process died between the commit and the promotion."""
    with monkeypatch.context() as crash:
        crash.setattr("async_uploads.promotion.dispatching.dispatch", lambda claims: None)
        return Document.objects.create(file=arrived())


def test_a_copy_that_fails_does_not_fail_the_save(blocked: Path) -> None:
    key = arrived()

    document = Document.objects.create(file=key)

    assert document.file.name == key
    row = row_of(key)
    assert (row.state, row.attempts, row.error_code) == ("promoting", 1, "promotion_failed")
    assert row.error
    assert row.lease_until is not None
    assert row.lease_until > timezone.now(), "it is tried again later, not at once"


async def test_a_record_whose_promotion_failed_serves_its_file_all_the_same(
    visitor: httpx.AsyncClient, blocked: Path
) -> None:
    key = await sync_to_async(arrived)(b"still here")
    document = await Document.objects.acreate(file=key)

    answer = await visitor.get(document.file.url, follow_redirects=True)

    assert answer.content == b"still here"


def test_a_sweep_tries_again_what_failed(blocked: Path) -> None:
    key = arrived()
    Document.objects.create(file=key)
    blocked.unlink()

    asyncio.run(asweep())
    assert state_of(key) == "promoting", "not yet"
    let_the_lease_run_out()
    report = asyncio.run(asweep())

    assert (report.promoted, report.errors) == (1, [])
    assert Document.objects.get().file.name == FINAL
    row = row_of(key)
    assert (row.state, row.attempts, row.error_code, row.error) == ("promoted", 2, "", "")
    assert stored_names() == {FINAL}


def test_after_the_last_attempt_it_waits_for_a_person_who_can_still_promote_it(blocked: Path) -> None:
    key = arrived()
    Document.objects.create(file=key)
    for _attempt in range(4):
        let_the_lease_run_out()
        assert asyncio.run(asweep()).errors
    row = row_of(key)
    assert (row.state, row.attempts, row.lease_until) == ("failed", 5, None)

    let_the_lease_run_out()
    assert asyncio.run(asweep(age=timedelta())).promoted == 0
    assert key in stored_names(), "its bytes are kept"

    blocked.unlink()
    promote_inline(key)
    assert Document.objects.get().file.name == FINAL
    assert state_of(key) == "promoted"


def test_a_record_deleted_before_its_promotion_takes_the_files_along(monkeypatch: pytest.MonkeyPatch) -> None:
    document = crashed_after_the_claim(monkeypatch)
    key = str(document.file.name)
    document.delete()

    let_the_lease_run_out()
    assert not asyncio.run(apromote_key(key))

    assert stored_names() == set()
    assert state_of(key) == "cancelled"


def test_a_record_edited_before_its_promotion_keeps_the_file_of_the_edit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    document = crashed_after_the_claim(monkeypatch)
    old = str(document.file.name)
    document.file = arrived(b"edited", "edited.txt")
    document.save()

    let_the_lease_run_out()
    assert not asyncio.run(apromote_key(old))

    assert Document.objects.get().file.name == "documents/edited.txt"
    assert stored_names() == {"documents/edited.txt"}
    assert state_of(old) == "cancelled"


def test_an_edit_after_a_failed_promotion_is_no_failure_of_the_sweep(blocked: Path) -> None:
    key = arrived()
    document = Document.objects.create(file=key)
    blocked.unlink()
    Document.objects.filter(pk=document.pk).update(file="")

    let_the_lease_run_out()
    report = asyncio.run(asweep())

    assert report.errors == []
    row = row_of(key)
    assert (row.state, row.error_code, row.error) == ("cancelled", "", "")


def test_a_record_edited_during_the_copy_keeps_the_file_of_the_edit(
    monkeypatch: pytest.MonkeyPatch, storage: AsyncUploadStorage
) -> None:
    copy = storage.acopy_file

    async def copy_while_somebody_edits(*args: Any, **kwargs: Any) -> None:
        await copy(*args, **kwargs)
        await Document.objects.aupdate(file="documents/of-the-edit.txt")

    monkeypatch.setattr(storage, "acopy_file", copy_while_somebody_edits)

    Document.objects.create(file=arrived())

    assert Document.objects.get().file.name == "documents/of-the-edit.txt"
    assert stored_names() == set()


def test_an_upload_given_up_for_an_edit_cannot_be_saved_again(monkeypatch: pytest.MonkeyPatch) -> None:
    stale = crashed_after_the_claim(monkeypatch)
    current = Document.objects.get()
    current.file = arrived(b"edited", "edited.txt")
    current.save()
    let_the_lease_run_out()
    asyncio.run(apromote_key(str(stale.file.name)))

    key = str(stale.file.name)
    stale.save()  # nobody assigned a file
    assert stale.file.name == "documents/edited.txt"

    stale.file = key
    with pytest.raises(ValidationError, match="has expired"):
        stale.save()

    assert Document.objects.get().file.name == "documents/edited.txt"


def test_a_lease_that_somebody_else_holds_is_respected(monkeypatch: pytest.MonkeyPatch) -> None:
    document = crashed_after_the_claim(monkeypatch)
    key = str(document.file.name)
    AsyncTempFile.objects.update(lease_until=expiry(30))
    before = row_of(key)

    assert not asyncio.run(apromote_key(key))
    asyncio.run(asweep())
    document.save()

    after = row_of(key)
    assert (after.state, after.version, after.attempts) == ("promoting", before.version, before.attempts)
    assert stored_names() == {key}


def test_a_promoter_that_lost_its_lease_leaves_the_row_to_the_one_that_has_it(
    monkeypatch: pytest.MonkeyPatch, storage: AsyncUploadStorage
) -> None:
    copy = storage.acopy_file

    async def copy_slowly(*args: Any, **kwargs: Any) -> None:
        await copy(*args, **kwargs)
        other = await AsyncTempFile.objects.aget(key=key)
        await other.amove(State.PROMOTING, attempts=2, lease_until=expiry(30))

    key = arrived()
    with monkeypatch.context() as slow_disk:
        slow_disk.setattr(storage, "acopy_file", copy_slowly)
        Document.objects.create(file=key)

    row = row_of(key)
    assert (row.state, row.error_code, row.attempts) == ("promoting", "", 2)
    let_the_lease_run_out()
    assert asyncio.run(apromote_key(key))
    assert Document.objects.get().file.name == FINAL
    assert stored_names() == {FINAL}


@pytest.mark.parametrize("steps", ["copy", "copy and swap"])
def test_a_promotion_that_was_killed_is_resumed_without_a_second_copy(
    monkeypatch: pytest.MonkeyPatch, storage: AsyncUploadStorage, steps: str
) -> None:
    document = crashed_after_the_claim(monkeypatch)
    key = str(document.file.name)
    storage.copy_file(key, row_of(key).final_name)
    if "swap" in steps:
        Document.objects.update(file=row_of(key).final_name)

    let_the_lease_run_out()
    report = asyncio.run(asweep())

    assert (report.promoted, report.errors) == (1, [])
    assert stored_names() == {FINAL}
    assert Document.objects.get().file.name == FINAL
    assert state_of(key) == "promoted"


def test_promoting_again_what_is_promoted_is_harmless() -> None:
    key = arrived()
    Document.objects.create(file=key)

    assert asyncio.run(apromote_key(key))

    assert Document.objects.get().file.name == FINAL
    assert stored_names() == {FINAL}


@pytest.mark.parametrize("key", ["async-temp-files/unknown", "documents/report.txt", ""])
def test_promoting_what_is_no_upload_does_nothing(key: str) -> None:
    assert not asyncio.run(apromote_key(key))


def test_an_upload_that_no_record_has_taken_is_not_promoted() -> None:
    key = arrived()

    assert not asyncio.run(apromote_key(key))

    assert state_of(key) == "uploaded"


def test_bytes_exchanged_after_the_check_are_not_promoted(monkeypatch: pytest.MonkeyPatch) -> None:
    document = crashed_after_the_claim(monkeypatch)
    key = str(document.file.name)
    Path(settings.MEDIA_ROOT, key).write_bytes(b"<script>not what was checked</script>")

    let_the_lease_run_out()
    asyncio.run(apromote_key(key))

    row = row_of(key)
    assert (row.state, row.error_code) == ("failed", "file_changed")
    assert Document.objects.get().file.name == key
    assert FINAL not in stored_names()


def test_bytes_that_have_vanished_are_told_as_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    document = crashed_after_the_claim(monkeypatch)
    shutil.rmtree(settings.MEDIA_ROOT)

    let_the_lease_run_out()
    report = asyncio.run(asweep())

    assert len(report.errors) == 1
    assert row_of(str(document.file.name)).error_code == "promotion_failed"
