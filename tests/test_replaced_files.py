"""``delete_replaced="on_commit"``: a file goes with the commit that let it go, and only where nobody else needs it."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.core.files.base import ContentFile
from django.core.files.storage import FileSystemStorage
from django.db import connection, transaction
from django.test.utils import CaptureQueriesContext

from async_uploads.models import AsyncFileField
from tests.arrivals import arrived, rolled_back, stored_names
from tests.testapp.models import Document, Portrait

pytestmark = pytest.mark.django_db(transaction=True)

OLD, NEW = "portraits/old.txt", "portraits/new.txt"


def uploaded(name: str) -> str:
    return arrived(name=name, model=Portrait)


@pytest.fixture
def deleted(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The names that the storage is told to delete, but for those of temporary files."""
    names = []
    field: Any = Portrait._meta.get_field("file")
    delete = field.storage.adelete

    async def noted(name: str) -> None:
        if not field.storage.is_temporary_path(name):
            names.append(name)
        await delete(name)

    monkeypatch.setattr(field.storage, "adelete", noted)
    return names


@pytest.fixture
def portrait() -> Portrait:
    return Portrait.objects.create(file=uploaded("old.txt"))


def test_the_replaced_file_goes(portrait: Portrait) -> None:
    portrait.file = uploaded("new.txt")
    portrait.save()

    assert stored_names() == {NEW}


def test_the_cleared_file_goes(portrait: Portrait) -> None:
    portrait.file = ""
    portrait.save()

    assert stored_names() == set()


def test_the_files_of_a_deleted_record_go(portrait: Portrait) -> None:
    portrait.delete()

    assert stored_names() == set()


async def test_async_saves_and_deletes_do_the_same() -> None:
    portrait = await Portrait.objects.acreate(file=await sync_to_async(uploaded)("old.txt"))
    portrait.file = await sync_to_async(uploaded)("new.txt")
    await portrait.asave()
    assert stored_names() == {NEW}

    await portrait.adelete()

    assert stored_names() == set()


def test_deleting_many_deletes_the_files_of_all() -> None:
    for number in range(3):
        Portrait.objects.create(file=uploaded(f"{number}.txt"))

    Portrait.objects.all().delete()

    assert stored_names() == set()


def test_an_object_in_memory_that_is_behind_deletes_what_the_database_names(portrait: Portrait) -> None:
    behind = Portrait.objects.get()
    portrait.file = uploaded("new.txt")
    portrait.save()

    behind.delete()

    assert stored_names() == set()


def test_a_save_that_changes_no_file_deletes_none(portrait: Portrait) -> None:
    portrait.title = "another title"
    portrait.save()
    Portrait.objects.get().save()
    portrait.file = uploaded("new.txt")
    portrait.save(update_fields=["title"])

    assert OLD in stored_names()


def test_rolled_back_nothing_goes(portrait: Portrait) -> None:
    with rolled_back():
        portrait.file = uploaded("new.txt")
        portrait.save()
    with rolled_back():
        Portrait.objects.get().delete()

    assert Portrait.objects.get().file.name == OLD
    assert OLD in stored_names()


def test_nothing_goes_before_the_commit(portrait: Portrait) -> None:
    with transaction.atomic():
        portrait.delete()
        before = stored_names()

    assert before == {OLD}
    assert stored_names() == set()


@pytest.mark.parametrize("field", ["file", "other", "kept"])
def test_a_file_that_another_row_names_stays(portrait: Portrait, field: str) -> None:
    Portrait.objects.create(**{field: OLD})

    portrait.delete()

    assert stored_names() == {OLD}


def test_a_file_that_another_model_names_stays(portrait: Portrait) -> None:
    Document.objects.create(file=OLD)

    portrait.delete()

    assert stored_names() == {OLD}


def test_two_savepoints_delete_a_file_once(portrait: Portrait, deleted: list[str]) -> None:
    other = Portrait.objects.create(other=OLD)

    with transaction.atomic():
        with transaction.atomic():
            portrait.delete()
        with transaction.atomic():
            other.delete()

    assert deleted == [OLD]


def test_a_file_that_is_under_several_fields_is_deleted_once(deleted: list[str]) -> None:
    Portrait.objects.create(file=uploaded("old.txt"))
    Portrait.objects.update(other=OLD)

    Portrait.objects.get().delete()

    assert deleted == [OLD]


def test_a_savepoint_that_is_rolled_back_lets_nothing_go(portrait: Portrait) -> None:
    other = Portrait.objects.create(file=uploaded("other.txt"))
    FileSystemStorage().save("portraits/unnamed.txt", ContentFile(b"in no row"))
    with transaction.atomic():
        other.delete()
        with rolled_back():
            Portrait.objects.create(other="portraits/unnamed.txt").delete()
            Portrait.objects.get(pk=portrait.pk).delete()

    assert stored_names() == {OLD, "portraits/unnamed.txt"}


def test_a_name_goes_again_in_a_transaction_that_outlives_its_commits(
    django_capture_on_commit_callbacks: Any,
) -> None:
    with transaction.atomic():
        for _round in range(2):
            FileSystemStorage().save(OLD, ContentFile(b"some bytes"))
            with django_capture_on_commit_callbacks(execute=True):
                Portrait.objects.create(other=OLD).delete()
            assert stored_names() == set()


def test_a_file_goes_whose_name_is_promoted_to_in_the_same_commit(portrait: Portrait) -> None:
    other = Portrait.objects.create(file=uploaded("other.txt"))
    with transaction.atomic():
        portrait.file = ""
        portrait.save()
        other.file = uploaded("old.txt")
        other.save()

    assert stored_names() == {other.file.name}
    assert other.file.name != OLD


def test_a_file_goes_while_its_name_waits_in_a_queue(portrait: Portrait, settings: Any) -> None:
    settings.ASYNC_UPLOADS = {"PROMOTION_DISPATCHER": "tests.test_replaced_files.later"}
    key = uploaded("old.txt")
    portrait.file = key
    portrait.save()

    assert stored_names() == {key}


def later(key: str) -> None:
    """A queue that nobody works off."""


def test_many_records_cost_two_queries_each_and_each_field_one() -> None:
    """One reads the names, the other one notes them, lest a process that dies after the commit leaves the files."""

    def queries(records: int) -> int:
        for number in range(records):
            Portrait.objects.create(file=f"portraits/{number}.txt")
        with CaptureQueriesContext(connection) as captured:
            Portrait.objects.all().delete()
        return len(captured)

    assert queries(30) - queries(10) == 40


def test_the_last_one_to_go_takes_it_along(portrait: Portrait) -> None:
    Portrait.objects.create(other=OLD)

    Portrait.objects.all().delete()

    assert stored_names() == set()


def test_a_replaced_file_is_kept_unless_asked_otherwise() -> None:
    document = Document.objects.create(file=arrived(name="old.txt"))
    document.file = arrived(name="new.txt")
    document.save()
    document.delete()

    assert stored_names() == {"documents/old.txt", "documents/new.txt"}


def test_a_file_that_was_saved_by_django_itself_is_replaced_too(portrait: Portrait) -> None:
    portrait.file.save("new.txt", ContentFile(b"new"))

    assert stored_names() == {NEW}


@pytest.mark.parametrize("fate", ["replaced in", "cleared from", "of a deleted record's"])
def test_a_storage_that_fails_does_not_fail_the_save(
    portrait: Portrait, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, fate: str
) -> None:
    field: Any = Portrait._meta.get_field("file")

    async def fail(name: str) -> None:
        raise OSError("the disk is read-only")

    portrait.file = uploaded("new.txt") if fate == "replaced in" else ""
    with monkeypatch.context() as fault:
        fault.setattr(field.storage, "adelete", fail)
        portrait.delete() if fate == "of a deleted record's" else portrait.save()

    assert not Portrait.objects.filter(file=OLD).exists()
    told = f"{OLD}, {fate} testapp.Portrait.file, could not be deleted, and the sweep will: the disk is read-only"
    assert told in [record.getMessage() for record in caplog.records]


def test_a_value_that_is_not_known_is_told_by_the_system_check() -> None:
    field: Any = Portrait._meta.get_field("file").clone()
    field.set_attributes_from_name("file")
    field.model = Portrait
    field.delete_replaced = "sometimes"

    assert "async_uploads.E003" in [message.id for message in field.check()]
    assert AsyncFileField().delete_replaced == "keep"
