"""The same form without a script: the file comes with the form, and is staged and promoted like any other."""

from __future__ import annotations

import json
import re
from datetime import timedelta
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from django.contrib.auth.models import AnonymousUser, User
from django.contrib.sessions.backends.db import SessionStore
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile, TemporaryUploadedFile
from django.core.management import call_command
from django.forms import Form, modelform_factory
from django.http import HttpRequest
from django.test import AsyncClient, Client
from django.utils import timezone
from django.utils.datastructures import MultiValueDict
from PIL import Image
from pytest_django import Settings

from async_uploads import forms
from async_uploads.models import AsyncTempFile
from async_uploads.owners import Owner, serving
from async_uploads.registry import default_async_field_registry
from tests.arrivals import arrived, begun, row_of, state_of, stored_names
from tests.asking import as_json, url_of
from tests.conftest import field_id_of, image_bytes
from tests.pages.forms import Attachments
from tests.pages.models import Attachment, Story
from tests.testapp.models import Album, Document, Letter, Picture

pytestmark = pytest.mark.django_db(transaction=True)

DocumentForm: Any = modelform_factory(Document, fields=["title", "file"])
LetterForm: Any = modelform_factory(Letter, fields=["attachment"])
PictureForm: Any = modelform_factory(Picture, fields=["title", "image"])
AlbumForm: Any = modelform_factory(Album, fields=["cover", "booklet"])


def picked(content: bytes = b"some bytes", name: str = "report.txt") -> SimpleUploadedFile:
    return SimpleUploadedFile(name, content)


def posted(data: dict[str, Any], form_class: Any = DocumentForm, **more: Any) -> Any:
    """A form as it arrives from a page without a script: files apart from the rest."""
    files = {name: value for name, value in data.items() if isinstance(value, SimpleUploadedFile)}
    rest = {name: value for name, value in data.items() if name not in files}
    return form_class(rest, files, **more)


def code_of(form: Any, field: str = "file") -> str:
    (error,) = form.errors.as_data()[field]
    return str(error.code)


def hidden_value_in(html: object, name: str = "file") -> Any:
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', str(html))
    assert found is not None
    return json.loads(unescape(found.group(1)) or "null")


def plain_input_in(html: object, name: str = "file") -> str:
    found = re.search(rf'<input type="file" name="{name}-plain"[^>]*>', str(html))
    assert found is not None
    return found.group()


def visitor() -> HttpRequest:
    """Somebody's request, to be served: anonymous, with a session that is empty."""
    request = HttpRequest()
    request.user = AnonymousUser()
    request.session = SessionStore()
    return request


def test_page_has_a_plain_file_input_in_a_multipart_form() -> None:
    form = DocumentForm(prefix="first")

    assert form.is_multipart()
    assert 'id="id_first-file"' in plain_input_in(form["file"], "first-file")


def test_file_that_comes_with_the_form_is_promoted_like_any_other() -> None:
    form = posted({"title": "x", "file": "", "file-plain": picked(b"All the bytes.")})

    document = form.save()

    assert document.file.name == "documents/report.txt"
    with document.file.open() as stored:
        assert stored.read() == b"All the bytes."
    assert AsyncTempFile.objects.get().state == "promoted"
    assert stored_names() == {"documents/report.txt"}


def test_file_under_the_fields_own_name_is_taken_too() -> None:
    client = Client()
    client.force_login(User.objects.create_superuser("admin", password="x"))

    client.post("/admin/testapp/document/add/", {"title": "t", "file": picked()})

    assert Document.objects.get().file.name == "documents/report.txt"


def test_file_is_staged_once_however_often_the_form_is_asked() -> None:
    form = posted({"title": "x", "file-plain": picked()})

    assert form.is_valid()
    form.full_clean()

    assert form.is_valid()
    assert AsyncTempFile.objects.count() == 1


def test_file_is_kept_while_another_field_is_put_right() -> None:
    first = posted({"title": "x" * 101, "file": "", "file-plain": picked()})
    assert not first.is_valid()
    shown = hidden_value_in(first["file"])

    second = posted({"title": "short", "file": json.dumps(shown), "file-plain": ""})

    assert shown["name"] == "report.txt"
    assert state_of(shown["key"]) == "uploaded"
    assert second.save().file.name == "documents/report.txt"


def test_required_file_that_is_staged_is_not_asked_for_again() -> None:
    story_form: Any = modelform_factory(Story, fields=["title", "text"])

    form = posted({"title": "x" * 21, "text-plain": picked()}, story_form)

    assert "text" not in form.errors
    assert "required" not in plain_input_in(form["text"], "text")
    assert "data-required" in str(form["text"])
    assert "required" in plain_input_in(story_form()["text"], "text")


def test_another_file_takes_the_place_of_the_one_that_was_staged() -> None:
    earlier = json.dumps({"key": arrived(b"earlier", "earlier.txt"), "name": "earlier.txt"})

    form = posted({"title": "", "file": earlier, "file-plain": picked(b"later", "later.txt")})

    assert form.save().file.name == "documents/later.txt"


def test_staged_file_belongs_to_whoever_posted_it() -> None:
    user = User.objects.create(username="ada")
    request = visitor()
    request.user = user
    with serving(request):
        assert posted({"title": "", "file-plain": picked()}).is_valid()

    assert AsyncTempFile.objects.get().owner == Owner.of_user(user).identity


def test_visitor_without_an_account_gets_a_session_to_own_it() -> None:
    mine, somebody_elses = visitor(), visitor()
    with serving(mine):
        form = posted({"title": "x" * 101, "file-plain": picked()})
        value = json.dumps(hidden_value_in(form["file"]))

    with serving(somebody_elses):
        assert code_of(posted({"title": "", "file": value})) == "not_found"
    with serving(mine):
        assert posted({"title": "", "file": value}).is_valid()


class WatchedFile(TemporaryUploadedFile):
    """Remembers how much was asked of it at once."""

    asked: list[int]

    def read(self, size: int = -1) -> bytes:
        self.asked.append(size)
        assert self.file is not None
        return bytes(self.file.read(size))


def test_large_file_goes_on_in_chunks(settings: Settings) -> None:
    settings.ASYNC_UPLOADS = {"CHUNK_SIZE": 10_000}
    content = bytes(range(250)) * 400
    with WatchedFile("large.bin", "application/octet-stream", len(content), None) as file:
        file.asked = []
        file.write(content)

        form = DocumentForm({"title": ""}, MultiValueDict({"file-plain": [file]}))

        with form.save().file.open() as stored:
            assert stored.read() == content
        assert set(file.asked[1:]) == {10_000}


REFUSED = {
    "file_too_large": (DocumentForm, "file", picked(b"x" * 1024 * 1024 + b"x")),
    "empty": (DocumentForm, "file", picked(b"")),
    "invalid": (DocumentForm, "file", picked(name="....")),
    "type_not_allowed by name": (PictureForm, "image", picked(image_bytes(), "picture.html")),
    "type_not_allowed by bytes": (PictureForm, "image", picked(b"<html><script>", "picture.png")),
    "type_not_allowed by picture": (PictureForm, "image", picked(image_bytes()[:40], "picture.png")),
    "type_not_allowed by extension": (AlbumForm, "booklet", picked(b"MZ...", "booklet.exe")),
}


@pytest.mark.parametrize(("form_class", "field", "file"), REFUSED.values(), ids=REFUSED)
def test_rules_of_the_field_hold(
    form_class: Any, field: str, file: SimpleUploadedFile, request: pytest.FixtureRequest
) -> None:
    form = posted({f"{field}-plain": file}, form_class)

    assert code_of(form, field) == request.node.callspec.id.split()[0]
    assert hidden_value_in(form[field], field) is None
    assert stored_names() == set()
    assert set(AsyncTempFile.objects.values_list("state", flat=True)) <= {"failed"}


def test_image_of_too_many_pixels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 30)

    form = posted({"image-plain": picked(image_bytes(size=(7, 5)), "p.png")}, PictureForm)

    assert code_of(form, "image") == "type_not_allowed"
    assert stored_names() == set()


def test_dimensions_are_measured() -> None:
    form = posted({"title": "", "image-plain": picked(image_bytes(size=(20, 10)), "p.png")}, PictureForm)

    picture = form.save()

    assert (picture.width, picture.height) == (20, 10)


def test_storage_that_does_not_take_the_file_leaves_nothing_behind(
    settings: Settings, tmp_path: Path
) -> None:
    in_the_way = tmp_path / "media"
    in_the_way.mkdir()
    (in_the_way / "async-temp-files").write_text("a file where the directory should be")
    settings.MEDIA_ROOT = in_the_way

    with pytest.raises(NotADirectoryError):
        posted({"title": "", "file-plain": picked()}).is_valid()

    assert AsyncTempFile.objects.get().state == "failed"


def test_many_pending_uploads_are_no_hindrance(settings: Settings) -> None:
    settings.ASYNC_UPLOADS = {"MAX_PENDING_PER_OWNER": 1}
    request = visitor()
    with serving(request):
        request.session["_async_uploads_owner"] = "token"
        begun(owner=Owner(session="session:token"))

        assert posted({"title": "", "file-plain": picked()}).is_valid()


def test_form_without_enctype_tells_what_is_wrong() -> None:
    form = posted({"title": "", "file": "", "file-plain": "report.txt"})

    assert code_of(form) == "not_multipart"
    assert 'enctype="multipart/form-data"' in form.errors["file"][0]


def test_box_clears_an_optional_file() -> None:
    document = Document.objects.create(file=ContentFile(b"x", name="notes.txt"))
    page = str(DocumentForm(instance=document)["file"])

    form = posted(
        {"title": "", "file": json.dumps(hidden_value_in(page)), "file-clear": "on"}, instance=document
    )

    assert '<input type="checkbox" name="file-clear">' in page
    assert form.changed_data == ["file"]
    assert not form.save().file


def test_box_and_a_new_file_contradict_each_other() -> None:
    document = Document.objects.create(file=ContentFile(b"x", name="notes.txt"))

    form = posted({"title": "", "file-clear": "on", "file-plain": picked()}, instance=document)

    assert code_of(form) == "contradiction"
    assert hidden_value_in(form["file"])["key"] == "documents/notes.txt"
    assert not AsyncTempFile.objects.exists()


def test_box_takes_away_a_file_that_was_staged_before() -> None:
    document = Document.objects.create(file=ContentFile(b"x", name="notes.txt"))
    first = posted({"title": "x" * 101, "file-plain": picked()}, instance=document)
    shown = hidden_value_in(first["file"])

    second = posted({"title": "", "file": json.dumps(shown), "file-clear": "on"}, instance=document)

    assert shown["name"] == "report.txt"
    assert not second.save().file
    assert state_of(shown["key"]) == "uploaded"  # until the sweep


def test_box_without_a_file_to_clear_is_no_change() -> None:
    form = posted({"title": "", "file-clear": "on"})

    assert form.is_valid(), form.errors
    assert not form.has_changed()


def test_box_and_a_new_file_for_an_empty_field_contradict_each_other_too() -> None:
    assert code_of(posted({"title": "", "file-clear": "on", "file-plain": picked()})) == "contradiction"


def test_required_file_has_no_box_and_stays_whatever_is_posted() -> None:
    letter = Letter.objects.create(attachment=ContentFile(b"x", name="letter.txt"))

    form = posted({"attachment-clear": "on"}, LetterForm, instance=letter)

    assert "-clear" not in str(LetterForm(instance=letter)["attachment"])
    assert form.save().attachment.name == "attached/letter.txt"


def test_box_is_there_where_the_form_makes_a_required_file_optional() -> None:
    class Lenient(LetterForm):  # type: ignore[misc]  # made by a factory
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **kwargs)
            self.fields["attachment"].required = False

    letter = Letter.objects.create(attachment=ContentFile(b"x", name="letter.txt"))

    assert 'name="attachment-clear"' in str(Lenient(instance=letter)["attachment"])
    assert Lenient({"attachment-clear": "on"}, instance=letter)["attachment"].data is False


def test_page_links_to_the_file_that_is_there() -> None:
    document = Document.objects.create(file=ContentFile(b"x", name="notes.txt"))

    page = unescape(str(DocumentForm(instance=document)["file"]))

    assert f'Currently: <a href="{document.file.url}"><bdi>notes.txt</bdi></a>' in page
    assert "Currently" not in str(DocumentForm()["file"])


def test_edited_record_keeps_its_file_where_nothing_is_picked() -> None:
    document = Document.objects.create(file=ContentFile(b"x", name="notes.txt"))
    shown = json.dumps(hidden_value_in(DocumentForm(instance=document)["file"]))

    form = posted({"title": "new", "file": shown, "file-plain": ""}, instance=document)

    assert form.changed_data == ["title"]
    assert form.save().file.name == "documents/notes.txt"


def test_disabled_field_takes_no_file() -> None:
    form = posted({"title": "", "file-plain": picked()})
    form.fields["file"].disabled = True

    assert not form.save().file
    assert "disabled" in plain_input_in(form["file"])
    assert not AsyncTempFile.objects.exists()


def test_form_without_a_model_takes_the_file_of_a_model_field() -> None:
    class Plain(Form):
        file = Document._meta.get_field("file").formfield()

    form = posted({"letter-file-plain": picked()}, Plain, prefix="letter")

    assert form.is_valid(), form.errors
    assert form.fields["file"].async_field_id == field_id_of(Document)
    document = Document.objects.create(file=form.cleaned_data["file"])
    assert document.file.name == "documents/report.txt"


def test_field_that_is_made_by_hand_takes_a_file() -> None:
    storage: Any = Album._meta.get_field("booklet").storage

    class Plain(Form):
        booklet = forms.AsyncFileField(
            async_field_registry=default_async_field_registry,
            async_field_id=field_id_of(Album, "booklet"),
            storage=storage,
        )

    form = posted({"booklet-plain": picked()}, Plain)

    assert form.is_valid(), form.errors
    assert storage.open(form.cleaned_data["booklet"].key).read() == b"some bytes"


def test_rows_of_a_formset_have_each_their_own_file(client: Client) -> None:
    story = Story.objects.create(title="x", text=ContentFile(b"x", name="x.txt"))
    counts = {"attachments-TOTAL_FORMS": "3", "attachments-INITIAL_FORMS": "0"}
    files = {f"attachments-{n}-file-plain": picked(b"text", f"{n}.txt") for n in (0, 2)}

    formset: Any = posted({**counts, **files}, Attachments, instance=story, prefix="attachments")

    assert formset.is_valid(), formset.errors
    formset.save()
    names = Attachment.objects.values_list("file", flat=True)
    assert list(names) == ["attachments/0.txt", "attachments/2.txt"]


async def test_staged_file_can_be_followed_and_cancelled_by_its_owner_alone() -> None:
    mine, other = AsyncClient(), AsyncClient()
    value = await staged_through_the_admin(mine)

    hidden_from_others = await other.get(url_of("upload-status", key=value["key"]))
    seen = await mine.get(url_of("upload-status", key=value["key"]))
    gone = await mine.post(url_of("cancel-upload"), **as_json(key=value["key"]))

    assert hidden_from_others.status_code == 404
    assert seen.json()["state"] == "uploaded"
    assert gone.status_code == 204


async def staged_through_the_admin(client: AsyncClient) -> Any:
    """A page with an error in another field, and the file kept."""
    user = await User.objects.acreate(username="admin", is_staff=True, is_superuser=True)
    await client.aforce_login(user)
    page = await client.post("/admin/testapp/document/add/", {"title": "x" * 101, "file-plain": picked()})
    return hidden_value_in(page.content.decode())


def test_staged_file_that_nobody_saves_is_swept() -> None:
    form = posted({"title": "x" * 101, "file-plain": picked()})
    key = hidden_value_in(form["file"])["key"]
    long_ago = timezone.now() - timedelta(hours=50)
    AsyncTempFile.objects.update(created_at=long_ago, updated_at=long_ago, expires_at=long_ago)

    call_command("cleanup_async_temp_files", quiet=True)

    assert row_of(key).state == "expired"
    assert stored_names() == set()
