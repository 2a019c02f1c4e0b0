"""An object in memory that is older than its record: its save leaves alone the files that nobody assigned to it."""

from __future__ import annotations

import copy
import pickle
import uuid
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import connection, models
from django.test.utils import isolate_apps
from pytest_django import DjangoAssertNumQueries, Settings

from async_uploads.models import AsyncFileField
from async_uploads.promotion import promote_inline
from async_uploads.registry import AsyncFieldRegistry
from tests.arrivals import arrived, rolled_back, stored_names
from tests.conftest import image_bytes
from tests.testapp.models import Document, Picture, Portrait

pytestmark = pytest.mark.django_db(transaction=True)

OLD, NEW = "portraits/old.txt", "portraits/new.txt"


def uploaded(name: str) -> str:
    return arrived(name=name, model=Portrait)


def leave_in_the_queue(key: str) -> None:
    """A PROMOTION_DISPATCHER whose worker is slow."""


@pytest.fixture
def portrait() -> Portrait:
    return Portrait.objects.create(file=uploaded("old.txt"))


@pytest.fixture
def stale(portrait: Portrait) -> Portrait:
    """Read before somebody else replaced the file."""
    stale = Portrait.objects.get()
    portrait.file = uploaded("new.txt")
    portrait.save()
    return stale


def test_a_save_of_another_column_keeps_the_newer_file(stale: Portrait) -> None:
    stale.title = "seen"
    stale.save()

    stored = Portrait.objects.get()
    assert (stored.title, stored.file.name) == ("seen", NEW)
    assert stale.file.name == NEW
    assert stored_names() == {NEW}


def test_a_file_that_was_given_meanwhile_is_not_taken_away() -> None:
    portrait = Portrait.objects.create()
    stale = Portrait.objects.get()
    portrait.file = uploaded("new.txt")
    portrait.save()

    stale.save()

    assert Portrait.objects.get().file.name == NEW
    assert stored_names() == {NEW}


def test_a_file_that_was_cleared_meanwhile_does_not_come_back(portrait: Portrait) -> None:
    stale = Portrait.objects.get()
    portrait.file = ""
    portrait.save()

    stale.save()

    assert not Portrait.objects.get().file
    assert not stale.file


def test_what_was_assigned_is_saved_and_the_newer_file_goes(stale: Portrait) -> None:
    stale.file = uploaded("third.txt")
    stale.save()

    assert Portrait.objects.get().file.name == "portraits/third.txt"
    assert stored_names() == {"portraits/third.txt"}


def test_a_name_that_was_changed_in_place_is_saved(portrait: Portrait) -> None:
    """As Django's documentation does it: ``car.photo.name = …``, and the file is moved beside it."""
    renamed = Portrait.objects.get()
    default_storage.save("portraits/moved.txt", ContentFile(b"x"))

    renamed.file.name = "portraits/moved.txt"
    renamed.save()

    assert Portrait.objects.get().file.name == "portraits/moved.txt"


def test_update_fields_that_name_another_column_leave_object_and_file_as_they_are(stale: Portrait) -> None:
    stale.title = "seen"
    stale.save(update_fields=["title"])

    assert Portrait.objects.get().file.name == NEW
    assert stale.file.name == OLD


def test_update_fields_that_name_the_file_are_no_assignment(stale: Portrait) -> None:
    stale.save(update_fields=["file"])

    assert Portrait.objects.get().file.name == NEW


def test_a_save_that_was_rolled_back_can_be_done_again(portrait: Portrait) -> None:
    again = Portrait.objects.get()
    key = uploaded("new.txt")
    with rolled_back():
        again.file = key
        again.save()

    again.save()

    assert Portrait.objects.get().file.name == NEW
    assert stored_names() == {NEW}


def test_so_can_that_of_an_object_which_was_made_for_the_record(portrait: Portrait) -> None:
    made = Portrait(pk=portrait.pk, file=uploaded("new.txt"))
    with rolled_back():
        made.save()

    made.save()

    assert Portrait.objects.get().file.name == NEW


def test_what_was_saved_is_no_assignment_for_the_next_save(portrait: Portrait) -> None:
    portrait.file = uploaded("new.txt")
    portrait.save()
    elsewhere = Portrait.objects.get()
    elsewhere.file = uploaded("third.txt")
    elsewhere.save()

    portrait.save()

    assert stored_names() == {"portraits/third.txt"}


def test_nor_is_what_was_read_back(stale: Portrait) -> None:
    stale.file = uploaded("third.txt")
    stale.refresh_from_db()
    newer = Portrait.objects.get()
    newer.file = uploaded("fourth.txt")
    newer.save()

    stale.save()

    assert Portrait.objects.get().file.name == "portraits/fourth.txt"


def test_nor_is_the_value_that_a_form_gives_back(stale: Portrait) -> None:
    stale.file = stale.file
    stale.save()

    assert Portrait.objects.get().file.name == NEW


@pytest.mark.parametrize(
    "duplicated", [copy.copy, copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))]
)
def test_a_duplicate_in_memory_knows_what_it_was_given(stale: Portrait, duplicated: Any) -> None:
    untouched, given = duplicated(stale), duplicated(stale)
    given.file = uploaded("third.txt")

    untouched.save()
    assert Portrait.objects.get().file.name == NEW
    given.save()
    assert Portrait.objects.get().file.name == "portraits/third.txt"


def test_a_record_that_is_written_over_another_takes_its_file_along(portrait: Portrait) -> None:
    other = Portrait.objects.create(title="other", file=uploaded("new.txt"))

    draft = Portrait.objects.get(pk=portrait.pk)
    draft.pk = other.pk
    draft.save()

    assert Portrait.objects.get(pk=other.pk).file.name == OLD


def test_a_copy_of_a_record_has_the_file_that_the_object_shows(portrait: Portrait) -> None:
    duplicate = Portrait.objects.get()
    duplicate.pk = None
    duplicate.save()

    assert {each.file.name for each in Portrait.objects.all()} == {OLD}
    assert Portrait.objects.count() == 2


def test_dimensions_are_those_of_the_newer_image(monkeypatch: pytest.MonkeyPatch) -> None:
    field: Any = Picture._meta.get_field("image")
    monkeypatch.setattr(field, "delete_replaced", "on_commit")
    picture = Picture.objects.create(image=ContentFile(image_bytes(size=(20, 10)), name="old.png"))
    stale = Picture.objects.get()
    picture.image = ContentFile(image_bytes(size=(4, 3)), name="new.png")
    picture.save()

    stale.title = "seen"
    stale.save()

    stored = Picture.objects.get()
    assert (stored.title, stored.image.name, stored.width, stored.height) == (
        "seen",
        "pictures/new.png",
        4,
        3,
    )
    assert (stale.width, stale.height) == (4, 3)


def test_a_kept_file_is_written_back_as_django_does() -> None:
    """``delete_replaced="keep"``: the old file is still there, and asking would cost each save a query."""
    document = Document.objects.create(file=arrived(name="old.txt"))
    stale = Document.objects.get()
    document.file = arrived(name="new.txt")
    document.save()

    stale.save()

    assert Document.objects.get().file.name == "documents/old.txt"


def test_an_object_that_waits_for_a_promotion_shows_what_the_record_has_by_now(settings: Settings) -> None:
    settings.ASYNC_UPLOADS = {"PROMOTION_DISPATCHER": f"{__name__}.leave_in_the_queue"}
    key = arrived(name="old.txt")
    waiting = Document.objects.create(file=key)
    promote_inline(key)
    newer = Document.objects.get()
    newer.file.save("new.txt", ContentFile(b"new"))

    waiting.title = "seen"
    waiting.save()

    assert waiting.file.name == Document.objects.get().file.name == "documents/new.txt"


def test_the_race_between_two_saves_is_left_to_the_database(portrait: Portrait) -> None:
    """The file is replaced between the reading of the column and the UPDATE."""
    stale = Portrait.objects.get()
    writes: list[str] = []

    def replace_before(execute: Any, sql: str, params: Any, many: bool, context: Any) -> Any:
        if sql.startswith("UPDATE") and "testapp_portrait" in sql and not writes:
            writes.append(sql)
            Portrait.objects.update(file=NEW)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(replace_before):
        stale.save()

    assert writes
    assert Portrait.objects.get().file.name == NEW


@isolate_apps("tests.testapp")
def test_a_record_that_brings_its_primary_key_is_created_in_one_query(
    own_registry: AsyncFieldRegistry, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    class Parcel(models.Model):
        id = models.UUIDField(primary_key=True, default=uuid.uuid4)
        file = AsyncFileField(async_field_registry=own_registry, delete_replaced="on_commit", blank=True)

        class Meta:
            app_label = "testapp"

    with connection.schema_editor() as editor:
        editor.create_model(Parcel)
    try:
        with django_assert_num_queries(1):
            Parcel._default_manager.create(file="there.txt")
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(Parcel)


def test_a_save_costs_one_more_query_where_files_are_deleted_only(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_num_queries(1):
        portrait = Portrait.objects.create(file="portraits/there.txt")
    with django_assert_num_queries(1):
        document = Document.objects.create(file="documents/there.txt")

    with django_assert_num_queries(1):
        document.save()
    with django_assert_num_queries(2):
        portrait.save()
    with django_assert_num_queries(1):
        portrait.save(update_fields=["title"])
