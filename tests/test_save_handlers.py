"""``pre_save`` handlers of the project, which come after the package's own; and what a failed save leaves behind."""

from __future__ import annotations

import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from django.db import IntegrityError, models
from django.db.models.signals import pre_save

from async_uploads.models import AsyncFileInputData
from tests.arrivals import arrived, row_of, state_of, stored_names
from tests.conftest import image_bytes
from tests.testapp.models import Document, Picture, Portrait, Report

pytestmark = pytest.mark.django_db(transaction=True)

SECRET = AsyncFileInputData(key="guarded/secret.txt")


@contextmanager
def before_each_save(model: type[models.Model], do: Callable[[Any], Any]) -> Iterator[None]:
    def handler(instance: Any, **kwargs: Any) -> None:
        do(instance)

    pre_save.connect(handler, sender=model)
    try:
        yield
    finally:
        pre_save.disconnect(handler, sender=model)


def give(name: str, value: Any) -> Callable[[Any], None]:
    return lambda instance: setattr(instance, name, value)


@pytest.mark.parametrize("model", [Document, Report])
def test_an_upload_that_a_handler_assigns_is_taken(model: Any) -> None:
    key = arrived()
    with before_each_save(model, give("file", AsyncFileInputData(key=key))):
        record = model.objects.create(title="t")

    assert record.file.name == Document.objects.get().file.name == "documents/report.txt"
    assert (state_of(key), row_of(key).record_pk) == ("promoted", str(record.pk))


def test_of_two_uploads_the_handlers_is_taken_and_the_other_one_left() -> None:
    submitted, assigned = arrived(name="submitted.txt"), arrived(name="assigned.txt")
    document = Document.objects.create()

    document.file = submitted
    with before_each_save(Document, give("file", assigned)):
        document.save()

    assert Document.objects.get().file.name == "documents/assigned.txt"
    assert (state_of(submitted), row_of(submitted).record_pk) == ("uploaded", "")


def test_an_upload_that_a_handler_takes_away_is_not_taken() -> None:
    key = arrived()
    with before_each_save(Document, give("file", "")):
        Document.objects.create(file=key)

    assert not Document.objects.get().file
    assert state_of(key) == "uploaded"


@pytest.mark.parametrize("model", [Document, Report])
def test_what_a_browser_names_is_not_taken_from_a_handler_either(model: Any) -> None:
    with before_each_save(model, give("file", SECRET)), pytest.raises(ValidationError):
        model.objects.create(title="t")

    assert not Document.objects.exists()


def test_nor_where_the_same_name_was_found_good_as_the_servers_own() -> None:
    with before_each_save(Document, give("file", SECRET)), pytest.raises(ValidationError):
        Document.objects.create(file=SECRET.key)


def test_an_image_that_a_handler_makes_is_measured() -> None:
    """The columns of Picture come before the image; the handler is later than the measuring."""
    thumbnail = ContentFile(image_bytes(), name="thumbnail.png")
    with before_each_save(Picture, give("image", thumbnail)):
        picture = Picture.objects.create(title="t")

    stored = Picture.objects.get()
    assert (stored.width, stored.height) == (picture.width, picture.height) == (7, 5)


def test_an_image_that_a_handler_finds_in_the_storage_is_measured() -> None:
    name = default_storage.save("pictures/there.png", ContentFile(image_bytes(size=(4, 3))))
    picture = Picture.objects.create(image=ContentFile(image_bytes(), name="old.png"))

    with before_each_save(Picture, give("image", name)):
        picture.save()

    assert Picture.objects.values_list("image", "width", "height").get() == (name, 4, 3)


def test_a_file_that_a_handler_replaces_goes() -> None:
    portrait = Portrait.objects.create(file=arrived(name="old.txt", model=Portrait))

    with before_each_save(Portrait, give("file", arrived(name="new.txt", model=Portrait))):
        portrait.save()

    assert Portrait.objects.get().file.name == "portraits/new.txt"
    assert stored_names() == {"portraits/new.txt"}


def fail(instance: Any) -> None:
    raise RuntimeError


def test_after_a_save_that_failed_nothing_passes_unchecked() -> None:
    first = Document.objects.create(file=arrived())
    second = Document(pk=first.pk, file=arrived(name="second.txt"))
    with pytest.raises(IntegrityError):
        second.save(force_insert=True)

    second.pk, second.file = None, SECRET
    with pytest.raises(ValidationError):
        Document.objects.bulk_create([second])

    assert Document.objects.count() == 1


def test_what_was_found_good_for_one_record_is_checked_for_another() -> None:
    """The name of its own file, sent back by the browser, is not to become that of a second record."""
    document = Document.objects.create(file="documents/own.txt")
    document.file = AsyncFileInputData(key="documents/own.txt")
    with before_each_save(Document, fail), pytest.raises(RuntimeError):
        document.save()

    document.pk = None
    with pytest.raises(ValidationError):
        Document.objects.bulk_create([document])


def test_a_record_whose_save_failed_is_pickled_without_the_uploads_row() -> None:
    document = Document(file=arrived())
    with before_each_save(Document, fail), pytest.raises(RuntimeError):
        document.save()

    assert b"AsyncTempFile" not in pickle.dumps(document)
    pickle.loads(pickle.dumps(document)).save()

    assert Document.objects.get().file.name == "documents/report.txt"
