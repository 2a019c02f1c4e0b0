"""What docs/forms.md says, done: its snippets in the project of the README, and its claims."""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Callable
from html import unescape
from pathlib import Path
from typing import Any

import httpx
import pytest
from django import forms as django_forms
from django.conf import global_settings
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.forms import modelform_factory
from django.template import Context, Template

from async_uploads import forms
from async_uploads.forms import AsyncFileInput
from async_uploads.models import AsyncTempFile
from tests.arrivals import rolled_back, stored_names
from tests.forms_project import (
    TEXT,
    all_blocks,
    documented_project,
    run_script,
    section,
    served,
    with_own_rows,
)
from tests.pages.forms import Attachments
from tests.pages.models import Story
from tests.test_readme import SNIPPET, Project, field_of, log_in, upload_as_the_page_says
from tests.testapp.models import Document

TEMPLATES = Path(__file__).parents[1] / "async_uploads/templates"
PDF = b"%PDF-1.7\n..."
DocumentForm: Any = modelform_factory(Document, fields=["title", "file"])
Build = Callable[..., Project]
ADDING = {
    "sync": ["The form"],
    "async": ["The form", "Async views"],
    "too late": ["The form", "A save that was too late"],
}
EDITING = ["The form", "Async views", "Many files"]


@pytest.fixture(scope="module")
def base(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("docs") / "base"


@pytest.fixture
def build(base: Path, tmp_path: Path) -> Build:
    return lambda *sections: documented_project(base, tmp_path / "project", *sections)


def hidden_value(page: str, name: str) -> str:
    found = re.search(rf'<input type="hidden" name="{name}" value="([^"]*)"', page)
    assert found is not None, page
    return unescape(found[1])


def post(client: httpx.Client, path: str, data: dict[str, str], **files: tuple[str, bytes]) -> httpx.Response:
    """As a browser without a script: multipart, with the token of the page."""
    token = field_of(client.get(path).text, "csrfmiddlewaretoken")
    sent = {name.replace("__", "-"): file for name, file in files.items()}
    return client.post(path, data={**data, "csrfmiddlewaretoken": token}, files=sent, follow_redirects=True)


##############
# The snippets
##############


def test_every_snippet_says_where_it_belongs() -> None:
    assert len(SNIPPET.findall(TEXT)) == len(all_blocks())


@pytest.mark.parametrize("sections", ADDING.values(), ids=ADDING)
def test_documented_form_takes_files_with_a_script_and_without(build: Build, sections: list[str]) -> None:
    project = build(*sections)
    path = "/books/add/"

    with served(project) as address, httpx.Client(base_url=address, timeout=30) as ada:
        log_in(ada)
        key = upload_as_the_page_says(ada, ada.get(path).text)
        by_script = post(ada, path, {"title": "Notes", "text": json.dumps({"key": key})})
        without = post(ada, path, {"title": "Notes"}, text__plain=("notes.pdf", PDF + b"plain"))
        refused = post(ada, path, {"title": "x" * 201}, text__plain=("kept.pdf", PDF + b"kept"))
        corrected = post(ada, path, {"title": "x", "text": hidden_value(refused.text, "text")})
        empty = post(ada, path, {"title": "x"})

    assert by_script.content == PDF
    assert without.content == PDF + b"plain"
    assert "Currently:" in refused.text
    assert "kept.pdf" in refused.text
    assert corrected.content == PDF + b"kept"
    assert "This field is required." in empty.text


def test_forms_check_no_permission_and_the_upload_urls_do(build: Build) -> None:
    with served(build("The form")) as address, httpx.Client(base_url=address, timeout=30) as anybody:
        page = anybody.get("/books/add/").text
        saved = post(anybody, "/books/add/", {"title": "x"}, text__plain=("notes.pdf", PDF))
        element = dict(re.findall(r'(field-id|generate-url)="([^"]*)"', page))
        ticket = anybody.post(
            element["generate-url"],
            json={"fieldId": element["field-id"], "filename": "notes.pdf"},
            headers={"X-CSRFToken": field_of(page, "csrfmiddlewaretoken")},
        )

    assert ticket.status_code == 403
    assert saved.status_code == 403  # the redirect to the file, which is guarded by its own permission
    assert "/async-uploads/download-file/" in str(saved.url)


TOO_LATE = """
import asyncio, inspect, json
from django.test import RequestFactory
from async_uploads.testing import make_upload
from library import views
from library.models import Book

made = make_upload(Book.text, b"%PDF-1.7 ...", "notes.pdf")

class SomebodyIsQuicker(views.BookForm):
    def is_valid(self):
        valid = super().is_valid()
        Book.objects.get_or_create(title="quicker", defaults={"text": made.key})
        return valid

views.BookForm = SomebodyIsQuicker
request = RequestFactory().post("/", {"title": "later", "text": str(made)})
answer = views.add_book(request)
if inspect.iscoroutine(answer):
    answer = asyncio.run(answer)
print(answer.status_code, "used already" in answer.content.decode(), [book.title for book in Book.objects.all()])
"""


@pytest.mark.parametrize("sections", [ADDING["async"], ADDING["too late"]], ids=["async", "sync"])
def test_save_that_was_too_late_shows_the_form_again(build: Build, sections: list[str]) -> None:
    assert run_script(build(*sections), TOO_LATE).strip() == "200 True ['quicker']"


WITHOUT_A_MODEL = """
from async_uploads.models import AsyncFileInputData
from async_uploads.testing import make_upload
from library.forms import ReportForm
from library.models import Book

form = ReportForm({"file": make_upload(Book.text, b"%PDF-1.7 ...", "report.pdf")})
assert form.is_valid(), form.errors
assert isinstance(form.cleaned_data["file"], AsyncFileInputData)
book = Book.objects.create(title="…", text=form.cleaned_data["file"])
assert book.text.name == "books/report.pdf"

class Optional(ReportForm):
    file = Book._meta.get_field("cover").formfield()

for data, initial, cleaned in [
    ({"file": ""}, None, None), ({"file": ""}, book.text, False), ({}, book.text, book.text), ({}, None, None)
]:
    form = Optional(data, initial={"file": initial})
    assert form.is_valid(), form.errors
    assert form.cleaned_data["file"] == cleaned, (data, initial, form.cleaned_data)
    if cleaned is not False:
        Book.objects.create(title="x", text=book.text, cover=None if cleaned else form.cleaned_data["file"])
book.cover = None
book.save()
assert Book.objects.get(pk=book.pk).cover.name == ""
print(form["file"].label, ReportForm()["file"].label)
"""


def test_form_without_a_model_cleans_to_what_is_told(build: Build) -> None:
    assert run_script(build("Without a model"), WITHOUT_A_MODEL).strip().endswith("Your report")


@pytest.mark.parametrize("own_rows", [False, True])
def test_documented_formset_takes_the_files_of_the_extra_rows(build: Build, own_rows: bool) -> None:
    project = build(*EDITING)
    if own_rows:
        with_own_rows(project)
    project.run("manage.py", "check")

    with served(project) as address, httpx.Client(base_url=address, timeout=30) as ada:
        log_in(ada)
        post(ada, "/books/add/", {"title": "Notes"}, text__plain=("notes.pdf", PDF))
        page = ada.get("/books/1/").text
        book = {"title": "Notes", "text": hidden_value(page, "text")}
        rows = {
            name: hidden_value(page, name)
            for name in re.findall(r'type="hidden" name="(attachments-[^"_]+_FORMS)"', page)
        }
        saved = post(
            ada,
            "/books/1/",
            {**book, **rows},
            **{"attachments-0-file-plain": ("one.txt", b"1"), "attachments-1-file-plain": ("two.txt", b"2")},
        )
        too_many = post(ada, "/books/1/", {**book, **rows, "attachments-TOTAL_FORMS": "51"})

    assert page.count('type="file" name="attachments-') == 3  # two rows and the empty form
    assert ("<async-file-formset>" in page) == own_rows
    assert saved.status_code == 200
    assert re.findall(r">((?:one|two)\.txt)<", saved.text) == ["one.txt", "two.txt"]
    assert hidden_value(saved.text, "attachments-INITIAL_FORMS") == "2"
    assert saved.text.count('name="attachments-0-DELETE"') == 1
    assert 'name="attachments-2-DELETE"' not in saved.text
    assert "at most 50 forms" in too_many.text


####################
# Tables and claims
####################


def test_mixins_add_what_the_table_tells() -> None:
    told: dict[str, set[str]] = {}
    for name, classes, adds in re.findall(r"^\| `(\w+Mixin)` \| (.*?) \| (.*?) \|$", TEXT, re.MULTILINE):
        base = told["AsyncFormSetMixin"] if adds.startswith("the same") else set()
        told[name] = base | set(re.findall(r"`(\w+)`", adds))
        assert all(hasattr(django_forms, one) for one in re.findall(r"`(\w+)`", classes)), classes

    for name, adds in told.items():
        mixin = getattr(forms, name)
        asynchronous = {
            method
            for method, value in inspect.getmembers(mixin)
            if inspect.iscoroutinefunction(value) and not method.startswith("_")
        }
        assert asynchronous == adds, name
    assert told.keys() == {name for name in forms.__all__ if name.endswith("Mixin")}


def test_names_of_what_is_posted_are_those_of_the_table() -> None:
    table = re.findall(r"^\| (?:the .*?) \| (.*) \|$", section("Without JavaScript"), re.MULTILINE)
    names = [re.findall(r"`([\w-]+)`", cell) for cell in table]
    widget = AsyncFileInput()

    assert names == [["file"], [widget.plain_name("file"), "file"], [widget.clear_checkbox_name("file")]]


@pytest.mark.django_db(transaction=True)
def test_file_that_is_staged_in_a_transaction_that_is_rolled_back_is_forgotten() -> None:
    with rolled_back():
        form = DocumentForm({"title": ""}, {"file-plain": SimpleUploadedFile("a.txt", b"x")})
        assert form.is_valid()

    assert not AsyncTempFile.objects.exists()
    assert len(stored_names()) == 1


@pytest.mark.django_db(transaction=True)
def test_view_that_does_not_hand_on_the_files_leaves_the_field_alone() -> None:
    document = Document.objects.create(file=ContentFile(b"x", name="notes.txt"))
    shown = hidden_value(str(DocumentForm(instance=document)), "file")

    form = DocumentForm({"title": "new", "file": shown}, instance=document)

    assert form.is_valid(), form.errors
    assert form.changed_data == ["title"]


def test_words_of_the_element_are_those_that_are_told() -> None:
    template = (TEMPLATES / "async_uploads/async_file_formset.html").read_text()

    assert set(re.findall(r"`(data-[a-z-]+)`", section("Many files"))) == set(
        re.findall(r'(data-[a-z-]+)="', template)
    )


@pytest.mark.django_db
def test_limits_of_django_are_as_told_and_a_row_has_about_three_fields() -> None:
    told = dict(re.findall(r"`(DATA_UPLOAD_\w+)` \((\d+)\)", section("Many files")))
    row = str(Attachments(prefix="attachments", instance=Story()).empty_form)

    assert told == {name: str(getattr(global_settings, name)) for name in told}
    assert len(told) == 2
    assert len(set(re.findall(r'name="(attachments-__prefix__-[\w-]+)"', row)) - {"-plain"}) in (3, 4)


CRISPY = re.findall(r"`(\{[{%][^`]*[%}]\})`", section("crispy-forms and others"))


@pytest.mark.django_db
@pytest.mark.parametrize("source", CRISPY)
def test_tags_of_other_packages_render_the_element(source: str) -> None:
    html = Template(f"{{% load crispy_forms_tags widget_tweaks %}}{source}").render(
        Context({"form": DocumentForm()})
    )

    assert "<async-file-input" in html
    assert 'name="file-plain"' in html


@pytest.mark.django_db
@pytest.mark.parametrize("style", re.findall(r"`(as_\w+)`", section("crispy-forms and others")))
def test_styles_of_django_render_the_element(style: str) -> None:
    assert "<async-file-input" in getattr(DocumentForm(), style)()


def test_tags_are_all_found() -> None:
    assert len(CRISPY) == 4


def test_links_lead_somewhere() -> None:
    headings = {title.lower().replace(" ", "-") for title in re.findall(r"^## (.+)$", TEXT, re.MULTILINE)}

    assert set(re.findall(r"\]\(#([\w-]+)\)", TEXT)) == headings
