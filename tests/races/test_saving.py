"""Saves of one upload, promotions of one record, and sweeps beside them."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import nullcontext
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.conf import settings
from django.db import transaction
from django.utils import timezone

from async_uploads.models import AsyncTempFile
from async_uploads.promotion import promote_inline
from async_uploads.signals import file_promoted
from async_uploads.sweeping import asweep
from async_uploads.temp_files import FINISHED_STATES
from tests.arrivals import arrived, row_of, stored_names
from tests.races.crowd import CROWD, crowded, kinds
from tests.servers.postgresql import PostgreSQL
from tests.testapp.models import Document, Portrait

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.postgresql_only]


@pytest.fixture(autouse=True)
def no_deadlocks(postgresql: PostgreSQL) -> Iterator[None]:
    before = postgresql.log.stat().st_size
    yield
    assert "deadlock detected" not in postgresql.log.read_bytes()[before:].decode(errors="replace")


def content_of(name: object) -> bytes:
    return Path(settings.MEDIA_ROOT, str(name)).read_bytes()


def assert_all_is_settled() -> None:
    """No row is under way, and every file is one that a record names."""
    assert set(AsyncTempFile.objects.values_list("state", flat=True)) <= set(FINISHED_STATES)
    names = set(Document.objects.exclude(file="").values_list("file", flat=True))
    names |= set(Portrait.objects.exclude(file="").values_list("file", flat=True))
    assert stored_names() == names


@pytest.mark.parametrize("in_transaction", [True, False], ids=["in a transaction", "without one"])
def test_one_upload_saved_by_a_hundred_records_belongs_to_one(in_transaction: bool) -> None:
    key = arrived(b"wanted")

    def save(number: int) -> None:
        with transaction.atomic() if in_transaction else nullcontext():
            Document.objects.create(title=str(number), file=key)

    answers = crowded(save)

    assert kinds(answers) == {"done": 1, "UploadAlreadyUsed": CROWD - 1}
    assert {answer.code for answer in answers if answer is not None} == {"already_used"}
    assert content_of(Document.objects.get().file.name) == b"wanted"
    assert_all_is_settled()


def test_one_record_saved_a_hundred_times_with_its_key_has_its_file() -> None:
    key = arrived(b"wanted")
    document = Document.objects.create()

    def save(number: int) -> None:
        mine = Document.objects.get(pk=document.pk)
        mine.file = key
        mine.save(update_fields=["file"])

    answers = crowded(save)

    assert kinds(answers) == {"done": CROWD}
    assert content_of(Document.objects.get().file.name) == b"wanted"
    assert_all_is_settled()


def test_a_hundred_records_that_want_one_name_get_a_hundred() -> None:
    keys = [arrived(f"content {number}".encode(), "report.txt") for number in range(CROWD)]

    answers = crowded(lambda number: Document.objects.create(title=str(number), file=keys[number]))

    assert [answer for answer in answers if isinstance(answer, Exception)] == []
    for document in Document.objects.all():
        assert content_of(document.file.name) == f"content {document.title}".encode()
    assert len(set(Document.objects.values_list("file", flat=True))) == CROWD
    assert_all_is_settled()


def test_one_upload_promoted_by_a_hundred_workers_is_promoted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []

    def hear(name: str, **kwargs: Any) -> None:
        heard.append(name)

    with monkeypatch.context() as undelivered:
        undelivered.setattr("async_uploads.promotion.dispatching.dispatch", lambda claims: None)
        key = arrived(b"wanted")
        Document.objects.create(file=key)
    AsyncTempFile.objects.update(lease_until=None)
    file_promoted.connect(hear)
    try:
        answers = crowded(lambda number: promote_inline(key))
    finally:
        file_promoted.disconnect(hear)

    assert kinds(answers) == {"done": CROWD}
    assert heard == ["documents/report.txt"]
    assert row_of(key).attempts == 2  # the save's, and the winner's
    assert_all_is_settled()


def saved_but_not_promoted(monkeypatch: pytest.MonkeyPatch, model: Any = Document) -> tuple[Any, str]:
    with monkeypatch.context() as undelivered:
        undelivered.setattr("async_uploads.promotion.dispatching.dispatch", lambda claims: None)
        key = arrived(b"wanted", model=model)
        record = model.objects.create(file=key)
    AsyncTempFile.objects.update(lease_until=None)
    return record, key


def test_a_record_that_is_edited_while_it_is_promoted_keeps_both(monkeypatch: pytest.MonkeyPatch) -> None:
    document, key = saved_but_not_promoted(monkeypatch)

    def act(number: int) -> None:
        if number % 2:
            promote_inline(key)
        else:
            mine = Document.objects.get(pk=document.pk)
            mine.title = f"edited {number}"
            mine.save()

    answers = crowded(act)

    assert kinds(answers) == {"done": CROWD}
    document.refresh_from_db()
    assert document.title.startswith("edited")
    assert content_of(document.file.name) == b"wanted"
    assert_all_is_settled()


def test_a_record_that_is_deleted_while_it_is_promoted_leaves_no_file(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Twenty records, each promoted and deleted by two at a time."""
    made = [saved_but_not_promoted(monkeypatch, Portrait) for _record in range(20)]

    def act(number: int) -> None:
        record, key = made[number % len(made)]
        if number % 40 < 20:
            promote_inline(key)
        else:
            Portrait.objects.filter(pk=record.pk).delete()

    answers = crowded(act, 80)
    settle()

    assert kinds(answers) == {"done": 80}
    assert not Portrait.objects.exists()
    assert_all_is_settled()


def test_a_record_that_gets_another_file_while_it_is_promoted_has_that_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    made = [saved_but_not_promoted(monkeypatch, Portrait) for _record in range(20)]
    others = [arrived(b"the other", "other.txt", model=Portrait) for _record in range(20)]

    def act(number: int) -> None:
        record, key = made[number % 20]
        if number % 40 < 20:
            promote_inline(key)
        else:
            mine = Portrait.objects.get(pk=record.pk)
            mine.file = others[number % 20]
            mine.save()

    answers = crowded(act, 40)
    settle()

    assert kinds(answers) == {"done": 40}
    for portrait in Portrait.objects.all():
        assert content_of(portrait.file.name) == b"the other"
    assert_all_is_settled()


def test_sweeps_and_promotions_at_once_treat_each_upload_once(monkeypatch: pytest.MonkeyPatch) -> None:
    made = [saved_but_not_promoted(monkeypatch) for _record in range(30)]
    long_ago()

    def act(number: int) -> None:
        if number % 10 == 0:
            assert asyncio.run(asweep()).errors == []
        else:
            promote_inline(made[number % 30][1])

    answers = crowded(act, 60)
    settle()

    assert kinds(answers) == {"done": 60}
    assert Document.objects.filter(file__startswith="documents/").count() == 30
    assert all(content_of(document.file.name) == b"wanted" for document in Document.objects.all())
    assert_all_is_settled()


def long_ago() -> None:
    then = timezone.now() - timedelta(minutes=10)
    AsyncTempFile.objects.update(updated_at=then)
    AsyncTempFile.objects.exclude(lease_until=None).update(lease_until=then)


def settle() -> None:
    """What a sweep would put in order a minute later."""
    long_ago()
    assert asyncio.run(asweep()).errors == []
