"""Several files in one form set."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.forms import modelformset_factory

from tests.arrivals import arrived
from tests.testapp.models import Document

pytestmark = pytest.mark.django_db(transaction=True)


def submitted(key: str) -> str:
    return json.dumps({"key": key, "name": "report.txt"})


def test_forms_of_a_set_have_each_their_own_file() -> None:
    first, second = arrived(b"first", "first.txt"), arrived(b"second", "second.txt")
    form_set: Any = modelformset_factory(Document, fields=["title", "file"], extra=3)

    formset = form_set(
        {
            "form-TOTAL_FORMS": "3",
            "form-INITIAL_FORMS": "0",
            "form-0-file": submitted(first),
            "form-1-file": submitted(second),
            "form-2-title": "",
            "form-2-file": "",
        },
        queryset=Document.objects.none(),
    )

    assert formset.is_valid(), formset.errors
    formset.save()
    assert set(Document.objects.values_list("file", flat=True)) == {
        "documents/first.txt",
        "documents/second.txt",
    }


def test_one_upload_in_two_forms_of_a_set_is_told_in_the_second() -> None:
    key = arrived()
    form_set: Any = modelformset_factory(Document, fields=["title", "file"], extra=2)

    formset = form_set(
        {
            "form-TOTAL_FORMS": "2",
            "form-INITIAL_FORMS": "0",
            "form-0-file": submitted(key),
            "form-1-file": submitted(key),
        },
        queryset=Document.objects.none(),
    )

    assert not formset.is_valid()
    assert [list(errors) for errors in formset.errors] == [[], ["file"]]
    assert formset.forms[1].errors.as_data()["file"][0].code == "already_used"


def test_row_whose_file_was_replaced_elsewhere_keeps_the_present_file() -> None:
    document = Document.objects.create(file=ContentFile(b"new", name="new.txt"))
    form_set: Any = modelformset_factory(Document, fields=["title", "file"], extra=0)

    formset = form_set(
        {
            "form-TOTAL_FORMS": "1",
            "form-INITIAL_FORMS": "1",
            "form-0-id": str(document.pk),
            "form-0-title": "",
            "form-0-file": submitted("documents/old.txt"),
        },
        queryset=Document.objects.all(),
    )

    assert formset.is_valid(), formset.errors
    assert formset.save() == []
    assert Document.objects.get().file.name == "documents/new.txt"


def test_a_form_of_a_set_that_was_not_touched_keeps_its_file() -> None:
    first = Document.objects.create(file=ContentFile(b"first", name="first.txt"))
    second = Document.objects.create(file=ContentFile(b"second", name="second.txt"))
    form_set: Any = modelformset_factory(Document, fields=["title", "file"], extra=0)

    formset = form_set(
        {
            "form-TOTAL_FORMS": "2",
            "form-INITIAL_FORMS": "2",
            "form-0-id": str(first.pk),
            "form-0-title": "",
            "form-0-file": submitted("documents/first.txt"),
            "form-1-id": str(second.pk),
            "form-1-title": "",
            "form-1-file": submitted(arrived()),
        },
        queryset=Document.objects.order_by("pk"),
    )

    assert formset.is_valid(), formset.errors
    assert formset.save() == [second]
    names = Document.objects.order_by("pk").values_list("file", flat=True)
    assert list(names) == ["documents/first.txt", "documents/report.txt"]


def deleting_set(**data: str) -> Any:
    form_set: Any = modelformset_factory(Document, fields=["title", "file"], extra=0, can_delete=True)
    first, second = Document.objects.order_by("pk")
    counts = {"form-TOTAL_FORMS": "2", "form-INITIAL_FORMS": "2"}
    ids = {"form-0-id": str(first.pk), "form-1-id": str(second.pk)}
    return form_set({**counts, **ids, **data}, queryset=Document.objects.order_by("pk"))


@pytest.mark.parametrize(
    "value", [submitted("documents/first.txt"), "", "{", submitted("documents/second.txt")]
)
def test_row_that_is_deleted_goes_whatever_its_file_is(value: str) -> None:
    Document.objects.create(file=ContentFile(b"first", name="first.txt"))
    Document.objects.create(file=ContentFile(b"second", name="second.txt"))

    formset = deleting_set(
        **{"form-0-file": value, "form-0-DELETE": "on", "form-1-file": submitted("documents/second.txt")}
    )

    assert formset.is_valid(), formset.errors
    formset.save()
    assert Document.objects.get().file.name == "documents/second.txt"


def test_upload_of_a_row_that_is_deleted_can_be_saved_in_another_row() -> None:
    Document.objects.create(file=ContentFile(b"first", name="first.txt"))
    Document.objects.create(file=ContentFile(b"second", name="second.txt"))
    value = submitted(arrived())

    formset = deleting_set(**{"form-0-file": value, "form-0-DELETE": "on", "form-1-file": value})

    assert formset.is_valid(), formset.errors
    formset.save()
    assert Document.objects.get().file.name == "documents/report.txt"


def test_row_that_is_cleared_stays_without_its_file() -> None:
    Document.objects.create(title="first", file=ContentFile(b"first", name="first.txt"))
    Document.objects.create(title="second", file=ContentFile(b"second", name="second.txt"))

    formset = deleting_set(**{"form-0-title": "first", "form-0-file-clear": "on", "form-1-title": "second"})

    assert formset.is_valid(), formset.errors
    formset.save()
    assert list(Document.objects.order_by("pk").values_list("title", "file")) == [
        ("first", ""),
        ("second", "documents/second.txt"),
    ]
