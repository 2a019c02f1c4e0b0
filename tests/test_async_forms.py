"""Forms and formsets in async views: validated and saved by await, and what becomes of a save that was too late."""

from __future__ import annotations

import json
import threading
from contextlib import suppress
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django import forms as django_forms
from django.core.exceptions import SynchronousOnlyOperation
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.forms import modelform_factory, modelformset_factory
from django.template import Context, Template
from django.utils.datastructures import MultiValueDict

from async_uploads.exceptions import UploadKeyError
from async_uploads.forms import (
    AsyncFormMixin,
    AsyncFormSetMixin,
    AsyncModelFormMixin,
    AsyncModelFormSetMixin,
    upload_errors_told,
)
from tests.arrivals import aarrived, arrived, state_of
from tests.conftest import image_bytes
from tests.pages.forms import Attachments, StoryForm
from tests.pages.models import Attachment, Story, Tag
from tests.testapp.models import Document

pytestmark = pytest.mark.django_db(transaction=True)


class DocumentForm(AsyncModelFormMixin, django_forms.ModelForm):
    class Meta:
        model = Document
        fields = ["title", "file"]


class BaseDocuments(AsyncModelFormSetMixin, django_forms.BaseModelFormSet):
    pass


Documents: Any = modelformset_factory(Document, formset=BaseDocuments, fields=["title", "file"], extra=3)


def submitted(key: str) -> str:
    return json.dumps({"key": key, "name": "report.txt"})


def rows(*keys: str, prefix: str = "form", field: str = "file") -> dict[str, str]:
    """A formset as it is posted, with one key in each row."""
    data = {f"{prefix}-TOTAL_FORMS": str(len(keys)), f"{prefix}-INITIAL_FORMS": "0"}
    return data | {f"{prefix}-{number}-{field}": submitted(key) for number, key in enumerate(keys)}


def code_of(form: Any, field: str = "file") -> str:
    (error,) = form.errors.as_data()[field]
    return str(error.code)


async def test_form_is_validated_and_saved() -> None:
    form = DocumentForm({"title": "x", "file": submitted(await aarrived())})

    assert await form.ais_valid(), form.errors
    document = await form.asave()

    assert document.file.name == "documents/report.txt"
    assert document.title == "x"


async def test_unawaited_validation_is_refused_by_django() -> None:
    form = DocumentForm({"title": "x", "file": submitted(await aarrived())})

    with pytest.raises(SynchronousOnlyOperation):
        form.is_valid()


async def test_form_that_was_not_submitted_is_not_valid() -> None:
    assert not await DocumentForm().ais_valid()
    assert not await Documents().ais_valid()


async def test_file_that_comes_with_the_form_is_uploaded_meanwhile() -> None:
    file = SimpleUploadedFile("report.txt", b"x" * 100_000)
    form = DocumentForm({"title": "x"}, MultiValueDict({"file-plain": [file]}))

    assert await form.ais_valid(), form.errors

    assert await (await form.asave()).file.asize() == 100_000


async def test_validation_leaves_the_event_loop_free() -> None:
    on_the_loop: list[str] = []

    class Watched(DocumentForm):
        def clean(self) -> Any:
            on_the_loop.append(threading.current_thread().name)
            return super().clean()

        def _save_m2m(self) -> None:
            on_the_loop.append(threading.current_thread().name)
            super()._save_m2m()  # type: ignore[misc]  # Django's own, not in the stubs

    form = Watched({"title": "x", "file": submitted(await aarrived())})

    assert await form.ais_valid()
    await form.asave()

    assert len(on_the_loop) == 2
    assert threading.current_thread().name not in on_the_loop


async def test_form_without_a_model_is_validated() -> None:
    class Plain(AsyncFormMixin, django_forms.Form):
        file = Document._meta.get_field("file").formfield()

    key = await aarrived()
    form = Plain({"file": submitted(key)})

    assert await form.ais_valid()
    assert form.cleaned_data["file"].key == key


async def test_many_to_many_rows_are_saved_with_the_record() -> None:
    tag = await Tag.objects.acreate(name="new")
    key = await aarrived(model=Story, field="text")

    form = StoryForm({"title": "x", "text": submitted(key), "tags": [str(tag.pk)]})
    assert await form.ais_valid(), form.errors
    story = await form.asave()

    assert [one.name async for one in story.tags.all()] == ["new"]


async def test_record_can_be_completed_before_it_is_saved() -> None:
    tag = await Tag.objects.acreate(name="new")
    key = await aarrived(model=Story, field="text")
    form = StoryForm({"title": "x", "text": submitted(key), "tags": [str(tag.pk)]})
    assert await form.ais_valid()

    story = await form.asave(commit=False)
    story.title = "completed"
    await story.asave()
    await form.asave_m2m()

    assert (await Story.objects.aget()).title == "completed"
    assert await story.tags.acount() == 1


async def test_form_with_errors_is_not_saved() -> None:
    form = DocumentForm({"title": "x" * 101})

    with pytest.raises(ValueError, match="didn't validate"):
        await form.asave()


async def test_save_that_was_too_late_is_an_error_of_the_form() -> None:
    key = await aarrived()
    form = DocumentForm({"title": "later", "file": submitted(key)})
    assert await form.ais_valid()
    await Document.objects.acreate(title="quicker", file=key)

    with pytest.raises(UploadKeyError):
        await form.asave()

    assert not await form.ais_valid()
    assert code_of(form) == "already_used"
    assert (form.instance.pk, form.instance._state.adding) == (None, True)
    assert [one.title async for one in Document.objects.all()] == ["quicker"]


def test_plain_model_form_can_tell_it_too() -> None:
    key = arrived()
    form: Any = modelform_factory(Document, fields=["title", "file"])({"title": "", "file": submitted(key)})
    assert form.is_valid()
    Document.objects.create(file=key)

    with suppress(UploadKeyError), upload_errors_told(form):
        form.save()

    assert code_of(form) == "already_used"


def test_save_that_was_too_late_in_one_of_two_fields_is_told_of_the_form() -> None:
    text = arrived(model=Story, field="text")
    picture = arrived_picture()
    form = StoryForm({"title": "x", "text": submitted(text), "picture": submitted(picture)})
    assert form.is_valid(), form.errors
    Story.objects.create(title="quicker", text=text)

    with suppress(UploadKeyError):
        form.save()

    assert form.non_field_errors().as_data()[0].code == "already_used"
    assert state_of(picture) == "uploaded"


def arrived_picture() -> str:
    return arrived(image_bytes(), "p.png", model=Story, field="picture")


async def test_formset_is_validated_and_saved() -> None:
    keys = [await aarrived(b"x", f"{number}.txt") for number in range(3)]
    formset = Documents(rows(*keys), queryset=Document.objects.none())

    assert await formset.ais_valid(), formset.errors
    saved = await formset.asave()

    assert [one.file.name for one in saved] == ["documents/0.txt", "documents/1.txt", "documents/2.txt"]


async def test_one_upload_in_two_forms_is_an_error_of_the_second() -> None:
    key = await aarrived()
    formset = Documents(rows(key, key), queryset=Document.objects.none())

    assert not await formset.ais_valid()
    assert formset.errors[0] == {}
    assert code_of(formset.forms[1]) == "already_used"


async def test_one_upload_in_two_forms_without_a_model_is_an_error_too() -> None:
    class Plain(django_forms.Form):
        file = Document._meta.get_field("file").formfield()

    class BasePlains(AsyncFormSetMixin, django_forms.BaseFormSet):
        pass

    key = await aarrived()
    formset: Any = django_forms.formset_factory(Plain, formset=BasePlains)(rows(key, key))

    assert not await formset.ais_valid()
    assert code_of(formset.forms[1]) == "already_used"


async def test_row_that_is_to_be_deleted_may_name_the_same_upload() -> None:
    key = await aarrived()
    deleting: Any = modelformset_factory(
        Document, formset=BaseDocuments, fields=["title", "file"], extra=2, can_delete=True
    )

    formset = deleting({**rows(key, key), "form-0-DELETE": "on"}, queryset=Document.objects.none())

    assert await formset.ais_valid(), formset.errors
    assert len(await formset.asave()) == 1


async def test_all_rows_are_saved_or_none() -> None:
    first, taken = await aarrived(), await aarrived()
    formset = Documents(rows(first, taken), queryset=Document.objects.none())
    assert await formset.ais_valid()
    await Document.objects.acreate(title="quicker", file=taken)

    with pytest.raises(UploadKeyError):
        await formset.asave()

    assert [code_of(form) for form in formset.forms if form.errors] == ["already_used"]
    assert [form.instance.pk for form in formset.forms] == [None, None]
    assert not await formset.ais_valid()
    assert await Document.objects.acount() == 1
    assert await sync_to_async(state_of)(first) == "uploaded"


async def test_inline_formset_is_saved_with_its_parent() -> None:
    story = Story(title="x", text=await aarrived(model=Story, field="text"))
    keys = [await aarrived(b"x", f"{number}.txt", model=Attachment) for number in range(2)]
    formset: Any = Attachments(rows(*keys, prefix="attachments"), instance=story, prefix="attachments")

    assert await formset.ais_valid(), formset.errors
    await story.asave()
    await formset.asave()

    names = [one.file.name async for one in story.attachments.all()]
    assert names == ["attachments/0.txt", "attachments/1.txt"]


async def test_changed_and_deleted_rows_are_saved_too() -> None:
    story = await Story.objects.acreate(title="x", text=await aarrived(model=Story, field="text"))
    kept, gone = [
        await Attachment.objects.acreate(story=story, file=ContentFile(b"x", name=f"{name}.txt"))
        for name in ("kept", "gone")
    ]
    data = {
        "attachments-TOTAL_FORMS": "2",
        "attachments-INITIAL_FORMS": "2",
        "attachments-0-id": str(kept.pk),
        "attachments-0-file": submitted(await aarrived(b"new", "new.txt", model=Attachment)),
        "attachments-1-id": str(gone.pk),
        "attachments-1-file": submitted("attachments/gone.txt"),
        "attachments-1-DELETE": "on",
    }
    formset: Any = Attachments(data, instance=story, prefix="attachments")

    assert await formset.ais_valid(), formset.errors
    await formset.asave()

    assert [one.file.name async for one in story.attachments.all()] == ["attachments/new.txt"]


def test_template_can_neither_save_nor_leave_a_coroutine_behind() -> None:
    form = DocumentForm({"title": "x"})
    source = Template("{{ form.asave }}{{ form.save }}{{ form.ais_valid }}{{ form.asave_m2m }}")

    assert source.render(Context({"form": form})) == ""
    assert not Document.objects.exists()


async def test_forms_that_query_as_they_are_made_are_built_by_await() -> None:
    story = await Story.objects.acreate(title="x", text=await aarrived(model=Story, field="text"))
    await Attachment.objects.acreate(story=story, file=ContentFile(b"x", name="one.txt"))

    with pytest.raises(SynchronousOnlyOperation):
        StoryForm(instance=story)
    form = await StoryForm.abuild(instance=story)
    attachments: Any = await Attachments.abuild(instance=story)

    assert form.initial["title"] == "x"
    assert [one.instance.file.name for one in attachments.initial_forms] == ["attachments/one.txt"]
