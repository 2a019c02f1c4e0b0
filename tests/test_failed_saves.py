"""Saves that fail after the record is written, outside a transaction: it is as before, and so are its files."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage

from tests.arrivals import arrived, stored_names
from tests.conftest import image_bytes
from tests.testapp.models import Document, Picture, Portrait, Report

pytestmark = pytest.mark.django_db(transaction=True)


class NoNameError(Exception):
    pass


def no_name(instance: Any, filename: str) -> str:
    """An ``upload_to`` that fails: the claim of an upload does, and the record is written already."""
    raise NoNameError


@pytest.fixture
def claims_fail(monkeypatch: pytest.MonkeyPatch) -> Any:
    def begin() -> None:
        for model, name in ((Document, "file"), (Picture, "image"), (Portrait, "file")):
            field: Any = model._meta.get_field(name)
            monkeypatch.setattr(field, "generate_filename", no_name)

    return begin


@pytest.mark.parametrize("model", [Document, Report, Portrait])
def test_a_record_that_was_created_goes_again(claims_fail: Any, model: Any) -> None:
    key = arrived(model=Portrait if model is Portrait else Document)
    claims_fail()

    with pytest.raises(NoNameError):
        model.objects.create(file=key)

    assert not model.objects.exists()
    assert not Document.objects.exists()
    assert stored_names() == {key}


def test_the_other_files_of_a_record_that_goes_again_stay(claims_fail: Any) -> None:
    """They were there before it: that the record is taken back is no deletion."""
    precious = default_storage.save("portraits/precious.txt", ContentFile(b"x"))
    key = arrived(model=Portrait)
    claims_fail()

    with pytest.raises(NoNameError):
        Portrait.objects.create(file=key, other=precious)

    assert precious in stored_names()


def test_a_record_that_was_changed_has_its_file_again(claims_fail: Any) -> None:
    document = Document.objects.create(file="documents/old.txt")
    document.file = arrived()
    claims_fail()

    with pytest.raises(NoNameError):
        document.save()

    assert Document.objects.get().file.name == "documents/old.txt"


@pytest.mark.parametrize("model", [Document, Portrait])
def test_so_has_one_that_was_changed_without_being_read(claims_fail: Any, model: Any) -> None:
    record = model.objects.create(file="there/old.txt")
    made = model(pk=record.pk, file=arrived(model=model))
    claims_fail()

    with pytest.raises(NoNameError):
        made.save()

    assert model.objects.get().file.name == "there/old.txt"


def test_an_image_has_its_dimensions_again(claims_fail: Any) -> None:
    picture = Picture.objects.create(image="pictures/old.png", width=20, height=10)
    picture.image = arrived(image_bytes(), "new.png", model=Picture, field="image")
    claims_fail()

    with pytest.raises(NoNameError):
        picture.save()

    assert Picture.objects.values_list("image", "width", "height").get() == ("pictures/old.png", 20, 10)


def test_a_file_that_is_replaced_without_being_read_goes() -> None:
    portrait = Portrait.objects.create(file=arrived(name="old.txt", model=Portrait))

    Portrait(pk=portrait.pk, file=arrived(name="new.txt", model=Portrait)).save()

    assert stored_names() == {"portraits/new.txt"}
