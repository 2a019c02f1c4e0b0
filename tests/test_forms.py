"""The form field: what it takes, what it keeps, what it says."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django import forms as django_forms
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile
from django.core.handlers.exception import response_for_exception
from django.db import connection, models
from django.forms import ModelForm, modelform_factory
from django.test import RequestFactory
from django.test.utils import isolate_apps
from hypothesis import given, settings
from hypothesis import strategies as st

from async_uploads import forms
from async_uploads.exceptions import UploadAlreadyUsed
from async_uploads.models import AsyncFileInputData
from async_uploads.registry import default_async_field_registry
from tests.arrivals import arrived, row_of, state_of
from tests.conftest import field_id_of, image_bytes
from tests.testapp.models import Document, DocumentProxy, Letter, NullablePicture, Picture, Report

pytestmark = pytest.mark.django_db(transaction=True)

DocumentForm: Any = modelform_factory(Document, fields=["title", "file"])
LetterForm: Any = modelform_factory(Letter, fields=["attachment"])


def submitted(key: str, **more: Any) -> str:
    """What the widget's hidden input sends."""
    return json.dumps({"key": key, "name": "report.txt", **more})


def code_of(form: ModelForm, field: str = "file") -> str:
    (error,) = form.errors.as_data()[field]
    return str(error.code)


@pytest.mark.parametrize("model", [Document, Report, DocumentProxy])
def test_a_model_form_has_the_field_and_the_widget_by_default(model: Any) -> None:
    field = modelform_factory(model, fields=["file"]).base_fields["file"]

    assert isinstance(field, forms.AsyncFileField)
    assert isinstance(field.widget, forms.AsyncFileInput)
    assert field.async_field_id == field_id_of(Document)
    assert (field.max_size, field.max_length, field.required) == (1024 * 1024, 500, False)


def test_a_model_form_has_the_image_field_by_default() -> None:
    field = modelform_factory(Picture, fields=["image"]).base_fields["image"]

    assert isinstance(field, forms.AsyncImageField)
    assert field.required
    assert field.file_restrictions == ["image/*"]


def test_an_upload_is_saved() -> None:
    form = DocumentForm({"title": "x", "file": submitted(arrived())})

    assert form.is_valid(), form.errors
    assert form.cleaned_data["file"] == AsyncFileInputData(
        key=form.cleaned_data["file"].key, name="report.txt"
    )
    assert form.save().file.name == "documents/report.txt"


def test_what_the_browser_says_of_the_picture_is_not_believed() -> None:
    key = arrived(image_bytes(size=(20, 10)), "p.png", model=Picture, field="image")
    form = modelform_factory(Picture, fields=["image"])({"image": submitted(key, width=1, height=9999)})

    picture = form.save()

    assert (picture.width, picture.height) == (20, 10)


@pytest.mark.parametrize("value", ["", "null", "  ", None])
def test_a_required_file_has_to_be_there(value: str | None) -> None:
    form = LetterForm({} if value is None else {"attachment": value})

    assert code_of(form, "attachment") == "required"


def test_a_required_file_that_is_there_need_not_be_sent_again() -> None:
    letter = Letter.objects.create(attachment=ContentFile(b"x", name="letter.txt"))

    form = LetterForm({}, instance=letter)

    assert form.is_valid(), form.errors
    assert form.save().attachment.name == "attached/letter.txt"


def test_a_required_file_that_is_there_cannot_be_cleared() -> None:
    letter = Letter.objects.create(attachment=ContentFile(b"x", name="letter.txt"))

    assert code_of(LetterForm({"attachment": ""}, instance=letter), "attachment") == "required"


def test_an_optional_file_can_be_cleared() -> None:
    document = Document.objects.create(file=ContentFile(b"x", name="notes.txt"))

    form = DocumentForm({"title": "", "file": ""}, instance=document)

    assert form.has_changed()
    form.save()
    assert not Document.objects.get().file


def test_clearing_an_optional_image_clears_its_dimensions() -> None:
    picture = NullablePicture.objects.create(image=ContentFile(image_bytes(), name="p.png"))

    modelform_factory(NullablePicture, fields=["image"])({"image": ""}, instance=picture).save()

    assert NullablePicture.objects.values_list("width", "height").get() == (None, None)


def test_a_form_that_does_not_mention_the_file_leaves_it_alone() -> None:
    document = Document.objects.create(file=ContentFile(b"x", name="notes.txt"))

    form = DocumentForm({"title": "new title"}, instance=document)

    assert form.changed_data == ["title"]
    form.save()
    stored = Document.objects.get()
    assert (stored.title, stored.file.name) == ("new title", "documents/notes.txt")


def test_the_same_value_sent_back_is_no_change() -> None:
    document = Document.objects.create(file=ContentFile(b"x", name="notes.txt"))

    form = DocumentForm(
        {"title": "", "file": submitted("documents/notes.txt", url="/anything/")}, instance=document
    )

    assert not form.has_changed()
    assert form.save().file.name == "documents/notes.txt"


@pytest.mark.parametrize("data", [{"file": ""}, {"file": "null"}, {}, {"file-clear": "on"}])
def test_nothing_sent_for_nothing_is_no_change(data: dict[str, str]) -> None:
    form = DocumentForm({"title": "", **data})

    assert not form.has_changed()
    assert form.is_valid()
    assert form.cleaned_data["file"] is None
    assert not form.save().file


def test_another_file_is_a_change() -> None:
    document = Document.objects.create(file=ContentFile(b"x", name="notes.txt"))

    form = DocumentForm({"title": "", "file": submitted(arrived())}, instance=document)

    assert form.changed_data == ["file"]
    assert form.save().file.name == "documents/report.txt"


@pytest.mark.parametrize(
    "sent", ["", submitted("documents/notes.txt"), submitted("async-temp-files/x"), "[]"]
)
def test_a_disabled_field_keeps_what_is_there_whatever_is_sent(sent: str) -> None:
    document = Document.objects.create(file=ContentFile(b"x", name="notes.txt"))
    form = DocumentForm({"title": "", "file": sent}, instance=document)
    form.fields["file"].disabled = True

    assert form.is_valid(), form.errors
    assert not form.has_changed()
    assert form.save().file.name == "documents/notes.txt"


def test_a_disabled_field_without_a_file_stays_without() -> None:
    form = DocumentForm({"title": "", "file": submitted(arrived())})
    form.fields["file"].disabled = True

    assert not form.save().file


def test_a_key_longer_than_the_column_is_refused() -> None:
    assert code_of(DocumentForm({"file": submitted("async-temp-files/" + "x" * 500)})) == "max_length"


def test_an_empty_file_is_refused_unless_the_field_allows_it() -> None:
    key = arrived(b"", "empty.txt")

    assert code_of(DocumentForm({"file": submitted(key)})) == "empty"

    form = DocumentForm({"file": submitted(key)})
    form.fields["file"].allow_empty_file = True
    assert form.save().file.name == "documents/empty.txt"


MALFORMED = [
    "no json",
    "{",
    "[]",
    "0",
    "1.5",
    "true",
    '"async-temp-files/x"',
    "{}",
    '{"key": null}',
    '{"key": ""}',
    '{"key": 5}',
    '{"key": ["async-temp-files/x"]}',
    '{"key": {"key": "x"}}',
    '{"key": "x", "name": 5}',
    '{"key": "x", "name": ["y"]}',
    '{"key": "x", "unknown": 1}',
    '{"key": "x\\u0000y"}',
    '{"key": "async-temp-files/\\ud800"}',
    '{"key": "x", "width": "7"}',
    '{"key": "x", "width": -1}',
    '{"key": "x", "width": 1.5}',
    '{"key": "x", "width": 1e999}',
    '{"key": "x", "height": true}',
    '{"key": "x", "height": 99999999999}',
    '{"name": "only a name"}',
    "[" * 10_000 + "]" * 10_000,
    '{"key": ' + "9" * 6000 + "}",
    json.dumps({"key": "x" * 30_000}),
    "NaN",
    "-Infinity",
    '{"key": "x", "width": NaN}',
    '{"key": "x", "height": Infinity}',
    '{"key": "x", "key": 5}',
    '\ufeff{"key": "x"}',
    "{'key': 'x'}",
    '{"key": "x"}{"key": "y"}',
    "\0",
    json.dumps(json.dumps({"key": "x"})),
]


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: text[:40])
def test_a_malformed_value_is_a_form_error(text: str) -> None:
    form = DocumentForm({"title": "", "file": text})

    assert code_of(form) == "invalid"
    str(form).encode()


any_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["key", "name", "width", "height", "url", "error"]) | st.text(), inner
        )
    ),
)


@settings(deadline=None)
@given(any_json)
def test_no_value_of_any_shape_makes_it_raise_anything_but_a_form_error(value: Any) -> None:
    field = DocumentForm.base_fields["file"]
    widget = field.widget

    try:
        data = field.clean(widget.value_from_datadict({"file": json.dumps(value)}, {}, "file"), None)
    except ValidationError as error:
        str(error).encode()
    else:
        assert data is None or data is False or isinstance(data, AsyncFileInputData)


@given(st.text(st.characters()))
def test_no_text_makes_it_raise_anything_but_a_form_error(text: str) -> None:
    form = DocumentForm({"title": "", "file": text})

    assert form.is_valid() is (text.strip() in ("", "null"))
    str(form).encode()


@pytest.mark.parametrize("name", ["\ud800", "a\0b", "x" * 10_000, "<script>", "../../x", "", None])
def test_a_name_of_any_kind_is_only_shown(name: str | None) -> None:
    value = json.dumps({"key": arrived(name="real.txt"), "name": name})

    refused = DocumentForm({"title": "x" * 101, "file": value})
    str(refused).encode()

    assert "file" not in refused.errors
    assert DocumentForm({"title": "", "file": value}).save().file.name == "documents/real.txt"


def test_a_key_that_is_there_twice_is_the_last_one() -> None:
    value = f'{{"key": 5, "key": "{arrived()}"}}'

    assert DocumentForm({"title": "", "file": value}).is_valid()


def test_a_form_with_a_prefix_takes_replaces_and_clears() -> None:
    form = DocumentForm({"one-title": "x", "one-file": submitted(arrived())}, prefix="one")
    document = form.save()

    other = DocumentForm({"file": submitted(arrived())}, prefix="one", instance=document)
    assert other.is_valid()
    assert "file" not in other.changed_data

    cleared = DocumentForm({"one-title": "", "one-file-clear": "on"}, prefix="one", instance=document)
    assert not cleared.save().file


def test_an_error_of_the_browser_that_is_no_text_is_told_in_part() -> None:
    form = DocumentForm({"file": json.dumps({"key": "", "error": {"code": "x", "more": ["y" * 9000] * 2}})})

    assert form.errors["file"][0].startswith("The upload failed: {'code': 'x'")
    assert len(form.errors["file"][0]) < 200


def test_an_error_of_the_browser_is_told() -> None:
    form = DocumentForm({"file": json.dumps({"key": "", "error": "the network is down \ud800"})})

    assert form.errors["file"] == ["The upload failed: the network is down ?"]
    str(form).encode()


def test_a_form_opened_before_the_promotion_can_still_be_saved() -> None:
    key = arrived()
    document = Document.objects.create(file=key)
    assert document.file.name == "documents/report.txt"

    form = DocumentForm({"title": "edited", "file": submitted(key)}, instance=document)

    assert form.is_valid(), form.errors
    form.save()
    stored = Document.objects.get()
    assert (stored.title, stored.file.name) == ("edited", "documents/report.txt")
    assert state_of(key) == "promoted"


@pytest.mark.parametrize("key", ["documents/old.txt", "guarded/secret.txt", "../../etc/passwd"])
def test_a_file_that_was_replaced_elsewhere_stays_where_this_form_left_it_alone(key: str) -> None:
    document = Document.objects.create(file=ContentFile(b"new", name="new.txt"))

    form = DocumentForm({"title": "edited", "file": submitted(key)}, instance=document)

    assert form.is_valid(), form.errors
    assert form.changed_data == ["title"]
    form.save()
    stored = Document.objects.get()
    assert (stored.title, stored.file.name) == ("edited", "documents/new.txt")


def test_a_form_that_left_the_old_file_alone_shows_the_present_one_after_an_error() -> None:
    document = Document.objects.create(file=ContentFile(b"new", name="new.txt"))

    form = DocumentForm({"title": "x" * 101, "file": submitted("documents/old.txt")}, instance=document)

    assert list(form.errors) == ["title"]
    assert "documents/new.txt" in str(form)
    assert "documents/old.txt" not in str(form)


@pytest.mark.parametrize("present", ["documents/new.txt", ""])
def test_an_upload_that_the_record_had_before_is_left_alone_too(present: str) -> None:
    key = arrived()
    document = Document.objects.create(file=key)
    Document.objects.filter(pk=document.pk).update(file=present)

    form = DocumentForm({"title": "edited", "file": submitted(key)}, instance=Document.objects.get())

    assert form.is_valid(), form.errors
    form.save()
    assert Document.objects.get().file.name == present


def test_a_file_that_was_removed_elsewhere_does_not_come_back() -> None:
    document = Document.objects.create()

    form = DocumentForm({"title": "edited", "file": submitted("documents/old.txt")}, instance=document)

    assert form.is_valid(), form.errors
    form.save()
    assert Document.objects.get().file.name == ""


def test_a_required_file_that_was_removed_elsewhere_is_asked_for() -> None:
    letter = Letter.objects.create(attachment="attached/old.txt")
    Letter.objects.update(attachment="")

    form = LetterForm(
        {"attachment": submitted("attached/old.txt")}, instance=Letter.objects.get(pk=letter.pk)
    )

    assert code_of(form, "attachment") == "required"


@isolate_apps("tests.testapp")
def test_a_record_of_two_parents_is_known_by_the_parent_that_has_the_file() -> None:
    class Numbered(models.Model):
        number = models.AutoField(primary_key=True)

        class Meta:
            app_label = "testapp"

    class Both(Numbered, Document):
        class Meta:
            app_label = "testapp"

    with connection.schema_editor() as editor:
        editor.create_model(Numbered)
        editor.create_model(Both)
    try:
        Document.objects.create()
        key = arrived()
        both = Both.objects.create(file=key)
        form = modelform_factory(Both, fields=["title", "file"])(
            {"title": "x", "file": submitted(key)}, instance=both
        )

        assert both.pk != both.id
        assert form.is_valid(), form.errors
        assert f'instance-id="{both.id}"' in str(form)
    finally:
        with connection.schema_editor() as editor:
            editor.delete_model(Both)
            editor.delete_model(Numbered)


def test_a_form_for_another_model_does_not_take_its_record_for_that_of_the_file() -> None:
    letter = Letter.objects.create(attachment="attached/letter.txt")

    class WithDocument(django_forms.ModelForm):
        file = Document._meta.get_field("file").formfield()

        class Meta:
            model = Letter
            fields = ["attachment"]

    assert str(WithDocument(instance=letter)).count("instance-id=") == 1


def test_a_save_that_was_too_late_is_no_error_of_the_server() -> None:
    answer = response_for_exception(RequestFactory().post("/"), UploadAlreadyUsed())

    assert answer.status_code == 400


def test_a_name_of_a_stored_file_sets_nothing_in_a_new_record() -> None:
    form = DocumentForm({"title": "copy", "file": submitted("documents/old.txt")})

    assert form.errors["file"] == ["A copy does not take the file along. Please choose a file."]
    assert "documents/old.txt" not in str(form)


def test_a_name_of_a_stored_file_is_no_upload_for_a_plain_form() -> None:
    storage: Any = Document._meta.get_field("file").storage

    class Plain(django_forms.Form):
        file = forms.AsyncFileField(
            async_field_registry=default_async_field_registry,
            async_field_id=field_id_of(Document),
            storage=storage,
        )

    form: Any = Plain({"file": submitted("documents/old.txt")})

    assert code_of(form) == "not_found"


def test_a_field_can_be_used_in_a_plain_form() -> None:
    storage: Any = Document._meta.get_field("file").storage

    class Plain(django_forms.Form):
        file = forms.AsyncFileField(
            async_field_registry=default_async_field_registry,
            async_field_id=field_id_of(Document),
            storage=storage,
        )

    key = arrived()
    form = Plain({"file": submitted(key)})

    assert form.is_valid(), form.errors
    assert form.cleaned_data["file"].key == key
    assert row_of(key).state == "uploaded"
