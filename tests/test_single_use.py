"""Promise 3: one upload belongs to one record, whoever comes at the same time."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.db import connection, models, transaction
from django.db.models.signals import pre_save
from django.forms import modelform_factory

from async_uploads.exceptions import UploadAlreadyUsed
from async_uploads.fields.checking import check_before_save
from async_uploads.models import AsyncFileInputData, AsyncTempFile, promote_temp_files
from async_uploads.promotion import claim
from tests.arrivals import arrived, state_of, stored_names
from tests.testapp.models import Document, Portrait, Report

pytestmark = pytest.mark.django_db(transaction=True)

PATIENCE = 20


def together(*actions: Callable[[], Any]) -> list[Any]:
    """What each action, in a thread of its own, returned or raised."""

    def run(action: Callable[[], Any]) -> Any:
        try:
            return action()
        finally:
            connection.close()

    with ThreadPoolExecutor(len(actions)) as threads:
        futures = [threads.submit(run, action) for action in actions]
    return [future.exception() or future.result() for future in futures]


@contextmanager
def both_checked_before_either_writes(model: type[models.Model]) -> Iterator[None]:
    """Hold each save between the check of its key and the INSERT, until the other one is there, too."""
    barrier = threading.Barrier(2)

    def wait(**kwargs: Any) -> None:
        barrier.wait(PATIENCE)

    pre_save.connect(wait, sender=model)
    try:
        yield
    finally:
        pre_save.disconnect(wait, sender=model)


def test_a_second_record_cannot_have_the_upload_of_the_first() -> None:
    key = arrived()
    Document.objects.create(file=key)

    with pytest.raises(UploadAlreadyUsed, match="has been used already"):
        Document.objects.create(file=key)

    assert Document.objects.count() == 1
    assert stored_names() == {"documents/report.txt"}


def test_a_second_record_cannot_have_it_before_the_first_is_committed_either() -> None:
    key = arrived()

    with transaction.atomic():
        Document.objects.create(file=key)
        with pytest.raises(UploadAlreadyUsed), transaction.atomic():
            Document.objects.create(file=key)

    assert Document.objects.get().file.name == "documents/report.txt"


def test_a_second_record_cannot_have_an_upload_whose_promotion_failed() -> None:
    key = arrived()
    AsyncTempFile.objects.update(state="failed", record_pk="99", error="The disk was full.")

    with pytest.raises(UploadAlreadyUsed):
        Document.objects.create(file=key)


def test_another_record_cannot_be_changed_to_it() -> None:
    key = arrived(b"first", "first.txt")
    Document.objects.create(file=key)
    other = Document.objects.create(file=arrived(b"other", "other.txt"))

    other.file = key
    with pytest.raises(UploadAlreadyUsed):
        other.save()

    other.refresh_from_db()
    assert other.file.name == "documents/other.txt"


def test_a_copy_of_a_record_cannot_take_its_upload_along() -> None:
    with transaction.atomic():
        document = Document.objects.create(file=arrived())
        document.pk = None
        document._state.adding = True
        with pytest.raises(UploadAlreadyUsed), transaction.atomic():
            document.save()


def test_a_person_is_told_in_the_form() -> None:
    key = arrived()
    Document.objects.create(file=key)

    form = modelform_factory(Document, fields=["file"])({"file": AsyncFileInputData(key=key).as_json()})

    assert not form.is_valid()
    assert form.errors.as_data()["file"][0].code == "already_used"


@pytest.mark.parametrize("model", [Document, Report])
def test_of_two_saves_at_once_one_has_the_upload_and_the_other_leaves_no_record(model: Any) -> None:
    key = arrived()

    with both_checked_before_either_writes(model):
        results = together(lambda: model.objects.create(file=key), lambda: model.objects.create(file=key))

    errors = [one for one in results if isinstance(one, Exception)]
    assert [type(error) for error in errors] == [UploadAlreadyUsed]
    assert isinstance(errors[0], ValidationError)
    assert Document.objects.get().file.name == "documents/report.txt"
    assert stored_names() == {"documents/report.txt"}


def test_of_two_transactions_at_once_one_has_the_upload() -> None:
    key = arrived()
    barrier = threading.Barrier(2)

    def save() -> Document:
        barrier.wait(PATIENCE)
        with transaction.atomic():
            return Document.objects.create(file=key)

    results = together(save, save)

    assert sorted(type(one).__name__ for one in results) == ["Document", "UploadAlreadyUsed"]
    assert Document.objects.get().file.name == "documents/report.txt"
    assert AsyncTempFile.objects.get().record_pk == str(Document.objects.get().pk)


def test_the_same_record_saved_twice_at_once_is_promoted_once() -> None:
    document = Document.objects.create()
    key = arrived()

    def save() -> Document:
        found = Document.objects.get(pk=document.pk)
        found.file = key
        found.save()
        return found

    with both_checked_before_either_writes(Document):
        results = together(save, save)

    assert [type(one).__name__ for one in results] == ["Document", "Document"]
    assert Document.objects.get().file.name == "documents/report.txt"
    assert stored_names() == {"documents/report.txt"}
    assert state_of(key) == "promoted"


def test_of_two_records_written_in_bulk_one_has_the_upload() -> None:
    key, other = arrived(), arrived(b"other", "other.txt")
    documents = Document.objects.bulk_create([Document(file=key), Document(file=key), Document(file=other)])

    with pytest.raises(UploadAlreadyUsed):
        asyncio.run(promote_temp_files(documents))

    names = Document.objects.order_by("pk").values_list("file", flat=True)
    assert list(names) == ["documents/report.txt", key, "documents/other.txt"]


def test_records_written_in_bulk_cannot_have_a_used_upload() -> None:
    key = arrived()
    Document.objects.create(file=key)

    with pytest.raises(UploadAlreadyUsed):
        Document.objects.bulk_create([Document(file=key)])

    assert Document.objects.count() == 1


def let_go(model: Any) -> tuple[Any, str, str]:
    """A record, the key of the file that it had first, and the name of that file, which is free again."""
    key = arrived(b"first", "cv.txt", model=model)
    record = model.objects.create(file=key)
    name = str(record.file.name)
    record.file.delete()
    return model.objects.get(pk=record.pk), key, name


def refused_by_save(record: Any, key: str) -> str:
    record.file = AsyncFileInputData(key=key)
    with pytest.raises(ValidationError) as caught:
        record.save()
    return str(caught.value.code)


def left_alone_by_form(record: Any, key: str) -> bool:
    before = record.file.name
    form = modelform_factory(type(record), fields=["title", "file"])(
        {"title": "edited", "file": AsyncFileInputData(key=key).as_json()}, instance=record
    )
    form.save()
    stored = type(record).objects.get(pk=record.pk)
    return bool(stored.title == "edited" and stored.file.name == before)


@pytest.mark.parametrize("model", [Document, Portrait])
def test_a_file_that_was_let_go_does_not_come_back_by_its_key(model: Any) -> None:
    """Its name may be that of somebody else's file by now."""
    mine, key, name = let_go(model)
    somebody_elses = model.objects.create(file=arrived(b"secret", "cv.txt", model=model))
    assert somebody_elses.file.name == name

    assert refused_by_save(mine, key) == "already_used"
    assert left_alone_by_form(model.objects.get(pk=mine.pk), key)
    assert not model.objects.get(pk=mine.pk).file


def test_the_back_button_does_not_bring_a_deleted_file_back() -> None:
    first, second = arrived(name="first.txt", model=Portrait), arrived(name="second.txt", model=Portrait)
    portrait = Portrait.objects.create(file=first)
    portrait.file = second
    portrait.save()

    assert refused_by_save(Portrait.objects.get(), first) == "already_used"
    assert left_alone_by_form(Portrait.objects.get(), first)
    assert Portrait.objects.get().file.name == "portraits/second.txt"
    assert stored_names() == {"portraits/second.txt"}


def test_a_page_that_was_opened_before_the_promotion_can_be_saved_after_it() -> None:
    key = arrived()
    document = Document.objects.create(file=key)

    form = modelform_factory(Document, fields=["title", "file"])(
        {"title": "edited", "file": AsyncFileInputData(key=key).as_json()}, instance=Document.objects.get()
    )
    form.save()

    document.refresh_from_db()
    assert (document.title, document.file.name) == ("edited", "documents/report.txt")


def test_a_check_changes_no_value() -> None:
    key = arrived()
    document = Document.objects.create(file=key)
    document.file = key

    temp_file = check_before_save(Document._meta.get_field("file"), document, "default")

    assert temp_file is not None
    assert document.file.name == key


def test_there_and_back_again_within_one_transaction() -> None:
    first, second = arrived(name="first.txt", model=Portrait), arrived(name="second.txt", model=Portrait)

    with transaction.atomic():
        portrait = Portrait.objects.create(file=first)
        portrait.file = second
        portrait.save()
        portrait.file = first
        portrait.save()

    assert Portrait.objects.get().file.name == "portraits/first.txt"
    assert stored_names() == {"portraits/first.txt"}
    assert (state_of(first), state_of(second)) == ("promoted", "cancelled")


def test_what_a_check_refused_is_not_saved_again_by_its_record() -> None:
    key = arrived()
    document = Document.objects.create()
    AsyncTempFile.objects.update(
        state="failed", record_pk=str(document.pk), record_db="default", error_code="file_too_large"
    )

    assert refused_by_save(document, key) == "upload_failed"
    assert not Document.objects.get().file


def test_what_failed_in_promotion_is_saved_again_by_its_record() -> None:
    key = arrived()
    document = Document.objects.create()
    AsyncTempFile.objects.update(
        state="failed",
        record_pk=str(document.pk),
        record_db="default",
        error_code="promotion_failed",
        final_name="documents/report.txt",
    )

    document.file = AsyncFileInputData(key=key)
    document.save()

    assert Document.objects.get().file.name == "documents/report.txt"


def test_a_record_of_another_database_with_the_same_number_cannot_have_it() -> None:
    key = arrived()
    document = Document.objects.create()
    row = AsyncTempFile.objects.get(key=key)
    AsyncTempFile.objects.update(state="promoting", record_pk=str(document.pk), record_db="second")

    assert refused_by_save(document, key) == "already_used"
    with pytest.raises(UploadAlreadyUsed):
        claim(row, Document._meta.get_field("file"), document, "default")
    row.reload()
    with pytest.raises(UploadAlreadyUsed):
        claim(row, Document._meta.get_field("file"), document, "default")
