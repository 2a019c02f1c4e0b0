"""The rules of a field for files that come past the uploads: ``full_clean``, and forms that know no uploads."""

from __future__ import annotations

from typing import Any

import pytest
from django import forms
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile, File
from django.core.files.uploadedfile import SimpleUploadedFile, UploadedFile
from django.db import models
from django.utils.datastructures import MultiValueDict
from rest_framework import serializers

from async_uploads.models import AsyncFileInputData
from tests.conftest import image_bytes
from tests.testapp.models import Document, Picture

MIB = 1024 * 1024
HTML = b"<html><script>alert(1)</script></html>"


def codes_of(record: models.Model) -> dict[str, list[str | None]]:
    try:
        record.full_clean()
    except ValidationError as error:
        return {name: [one.code for one in errors] for name, errors in error.error_dict.items()}
    return {}


def picture_of(content: bytes, name: str) -> Picture:
    return Picture(title="x", image=ContentFile(content, name=name))


def test_file_that_the_field_takes_is_valid() -> None:
    assert codes_of(Document(title="x", file=ContentFile(b"x", name="a.txt"))) == {}
    assert codes_of(Document(title="x", file=ContentFile("text", name="a.txt"))) == {}
    assert codes_of(picture_of(image_bytes(), "p.png")) == {}


def test_file_that_is_too_large_is_not_valid() -> None:
    large = ContentFile(b"x" * (MIB + 1), name="a.txt")

    assert codes_of(Document(title="x", file=large)) == {"file": ["file_too_large"]}


@pytest.mark.parametrize(
    ("content", "name"), [(image_bytes(), "p.txt"), (HTML, "p.png"), (HTML, "p.html"), (b"x", "p")]
)
def test_file_of_another_type_is_not_valid(content: bytes, name: str) -> None:
    assert codes_of(picture_of(content, name)) == {"image": ["type_not_allowed"]}


def test_file_that_was_looked_at_is_read_from_its_beginning() -> None:
    content = image_bytes()
    picture = picture_of(content, "p.png")

    picture.full_clean()

    assert picture.image.read() == content


@pytest.mark.parametrize("value", ["pictures/gone.html", AsyncFileInputData(key="async-temp-files/x.html")])
def test_name_and_key_are_valid_without_a_look_at_the_storage(value: Any) -> None:
    assert codes_of(Picture(title="x", image=value)) == {}


def test_migrations_do_not_have_the_rules() -> None:
    for field in (Document._meta.get_field("file"), Picture._meta.get_field("image")):
        assert "validators" not in field.deconstruct()[3]


def test_rules_are_those_of_the_copy_of_a_field() -> None:
    field: Any = Picture._meta.get_field("image")
    assert field.validators  # Django keeps them
    copy = field.clone()
    copy.file_restrictions = ("text/plain",)

    copy.run_validators(SimpleUploadedFile("a.txt", b"text"))


def test_rules_are_asked_once_by_a_model_form_with_a_file_field_of_django() -> None:
    class PlainForm(forms.ModelForm):
        file = forms.FileField()

        class Meta:
            model = Document
            fields = ["file"]

    large: UploadedFile[Any] = SimpleUploadedFile("a.txt", b"x" * (MIB + 1))
    form = PlainForm({}, MultiValueDict({"file": [large]}))

    assert [error.code for error in form.errors.as_data()["file"]] == ["file_too_large"]


def test_serializer_without_our_mapping_holds_a_file_against_the_rules() -> None:
    class Plain(serializers.ModelSerializer[Picture]):
        class Meta:
            model = Picture
            fields = ["image"]

    class PlainDocument(serializers.ModelSerializer[Document]):
        class Meta:
            model = Document
            fields = ["file"]

    html: File[Any] = SimpleUploadedFile("evil.html", HTML)
    large = SimpleUploadedFile("a.txt", b"x" * (MIB + 1))

    assert not Plain(data={"image": html}).is_valid()
    refused = PlainDocument(data={"file": large})
    assert not refused.is_valid()
    assert refused.errors["file"][0].code == "file_too_large"
