"""The widget as Django renders it: what the script in the browser begins with."""

from __future__ import annotations

import json
import re
from html import unescape
from html.parser import HTMLParser
from typing import Any

import pytest
from crispy_forms.helper import FormHelper
from crispy_forms.layout import Field, Layout
from django.contrib import admin
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.forms import modelform_factory, modelformset_factory
from django.forms.renderers import DjangoTemplates
from django.http import HttpRequest
from django.template import Context, Template
from django.test import Client, RequestFactory
from django.utils import translation
from django.utils.safestring import mark_safe
from django.utils.translation import gettext_lazy
from pytest_django import Settings

from async_uploads import forms
from tests.arrivals import arrived
from tests.conftest import field_id_of, image_bytes
from tests.pages.forms import Attachments
from tests.pages.models import Story
from tests.testapp.models import Album, Document, Elsewhere, Letter, NullablePicture, Picture

pytestmark = pytest.mark.django_db(transaction=True)

DocumentForm: Any = modelform_factory(Document, fields=["title", "file"])


class Widget(HTMLParser):
    """The attributes of the custom element, the hidden input and the file input."""

    def __init__(self, html: Any) -> None:
        super().__init__()
        self.element: dict[str, str | None] = {}
        self.hidden: dict[str, str | None] = {}
        self.input: dict[str, str | None] = {}
        self.feed(str(html))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = dict(attrs)
        if tag == "async-file-input":
            self.element = attributes
        elif tag == "input" and attributes.get("type") == "hidden":
            self.hidden = attributes
        elif tag == "input" and attributes.get("type") == "file":
            self.input = attributes

    @property
    def value(self) -> Any:
        return json.loads(self.hidden["value"] or "null")


def widget_of(form: Any, field: str = "file") -> Widget:
    return Widget(form[field])


def submitted(key: str, name: str = "report.txt", **more: Any) -> str:
    return json.dumps({"key": key, "name": name, **more})


def test_the_element_knows_where_to_upload_and_what_is_allowed() -> None:
    widget = widget_of(DocumentForm())

    assert widget.element["field-id"] == field_id_of(Document)
    assert widget.element["generate-url"] == "/async-uploads/generate-upload-url/"
    assert widget.element["status-url"] == "/async-uploads/upload-status/"
    assert widget.element["socket-url"] == "/ws/async-uploads/"
    assert widget.element["max-size"] == str(1024 * 1024)
    assert widget.element["csrf-header"] == "X-CSRFTOKEN"
    assert "clearable" in widget.element
    assert not {"kind", "allow-empty", "instance-id"} & set(widget.element)


def test_the_label_points_at_the_file_input_and_the_key_has_the_fields_name() -> None:
    form = DocumentForm()
    widget = widget_of(form)

    assert 'for="id_file"' in form["file"].label_tag()
    assert widget.input["id"] == "id_file"
    assert widget.input["name"] == "file-plain"
    assert widget.hidden["name"] == "file"
    assert widget.hidden["value"] == ""


@pytest.mark.parametrize(
    ("label", "named"),
    [
        (None, "File"),
        ("", None),
        (gettext_lazy("File"), "File"),
        ('5" <or> 8" & more', "5&quot; &lt;or&gt; 8&quot; &amp; more"),
        (mark_safe('5" disk'), "5&quot; disk"),
        (mark_safe('Floppy <i class="size">5"</i> &amp; more'), "Floppy 5&quot; &amp; more"),
    ],
)
def test_the_element_knows_its_label_for_pages_that_do_not_show_it(label: Any, named: str | None) -> None:
    form = DocumentForm()
    form.fields["file"].label = label

    assert widget_of(form).element.get("label") == (named and unescape(named))
    assert (f' label="{named}"' in str(form["file"])) == (named is not None)


def test_a_required_field_says_so_until_it_has_a_file() -> None:
    letter_form: Any = modelform_factory(Letter, fields=["attachment"])
    letter = Letter.objects.create(attachment=ContentFile(b"x", name="letter.txt"))

    assert "required" in widget_of(letter_form(), "attachment").input
    assert "clearable" not in widget_of(letter_form(), "attachment").element
    assert "required" not in widget_of(letter_form(instance=letter), "attachment").input


def test_an_image_field_offers_images_and_a_preview() -> None:
    picture: Any = modelform_factory(NullablePicture, fields=["image"])
    restricted: Any = modelform_factory(Album, fields=["cover", "booklet"])

    assert widget_of(picture(), "image").input["accept"] == "image/*"
    assert widget_of(picture(), "image").element["kind"] == "image"
    assert widget_of(restricted(), "booklet").input["accept"] == ".pdf,.txt"
    assert "accept" not in widget_of(DocumentForm()).input


def test_an_edit_form_shows_the_file_with_its_link_and_names_the_record() -> None:
    document = Document.objects.create(file=ContentFile(b"x", name="notes.txt"))

    widget = widget_of(DocumentForm(instance=document))

    assert widget.value == {"key": "documents/notes.txt", "name": "notes.txt", "url": document.file.url}
    assert widget.element["instance-id"] == str(document.pk)


def test_a_form_for_a_copy_that_is_not_saved_yet_shows_the_name_without_a_link() -> None:
    widget = widget_of(DocumentForm(instance=Document(file="documents/notes.txt")))

    assert widget.value == {"key": "documents/notes.txt", "name": "notes.txt", "url": None}


def test_an_error_in_another_field_keeps_the_upload_and_its_name() -> None:
    key = arrived()
    form = DocumentForm({"title": "x" * 101, "file": submitted(key, "Mein Bericht.txt")})

    assert not form.is_valid()
    assert widget_of(form).value == {"key": key, "name": "Mein Bericht.txt"}


def test_an_error_in_another_field_keeps_the_dimensions_that_the_browser_knows() -> None:
    key = arrived(image_bytes(), "p.png", model=Picture, field="image")
    picture_form: Any = modelform_factory(Picture, fields=["title", "image"])

    form = picture_form({"title": "x" * 101, "image": submitted(key, "p.png", width=7, height=5)})

    assert widget_of(form, "image").value == {"key": key, "name": "p.png", "width": 7, "height": 5}


def test_an_error_in_another_field_keeps_the_link_to_the_file_that_is_there() -> None:
    document = Document.objects.create(file=ContentFile(b"x", name="notes.txt"))

    form = DocumentForm({"title": "x" * 101, "file": submitted("documents/notes.txt")}, instance=document)

    assert widget_of(form).value["url"] == document.file.url


def test_an_error_in_another_field_keeps_a_file_cleared() -> None:
    document = Document.objects.create(file=ContentFile(b"x", name="notes.txt"))

    form = DocumentForm({"title": "x" * 101, "file": ""}, instance=document)

    assert widget_of(form).hidden["value"] == ""


def test_a_value_that_made_no_sense_is_not_shown_again() -> None:
    document = Document.objects.create(file=ContentFile(b"x", name="notes.txt"))

    form = DocumentForm({"file": "{}"}, instance=document)

    assert widget_of(form).value["key"] == "documents/notes.txt"
    assert widget_of(form).input["aria-invalid"] == "true"


def test_a_name_cannot_break_out_of_its_attribute() -> None:
    key = arrived()
    name = "\"><script>alert('x')</script>.txt"

    form = DocumentForm({"title": "x" * 101, "file": submitted(key, name)})

    assert "<script" not in str(form["file"])
    assert widget_of(form).value["name"] == name


def test_a_disabled_field_is_disabled_altogether() -> None:
    form = DocumentForm()
    form.fields["file"].disabled = True

    assert "disabled" in widget_of(form).input
    assert "disabled" in widget_of(form).hidden


def test_attributes_of_the_projects_own_go_to_the_file_input() -> None:
    restyled: Any = modelform_factory(
        Document, fields=["file"], widgets={"file": forms.AsyncFileInput({"class": "wide", "data-x": "1"})}
    )

    assert (widget_of(restyled()).input["class"], widget_of(restyled()).input["data-x"]) == ("wide", "1")


def test_the_script_and_the_style_come_with_the_form() -> None:
    media = str(DocumentForm().media)

    assert '<script src="/static/async_uploads/async-file-input.js" type="module"></script>' in media
    assert 'href="/static/async_uploads/async-file-input.css"' in media


def test_without_a_channel_layer_there_is_no_socket(settings: Settings) -> None:
    settings.CHANNEL_LAYERS = {}

    assert "socket-url" not in widget_of(DocumentForm()).element


def test_a_field_of_a_second_registry_uploads_to_its_own_prefix() -> None:
    widget = widget_of(modelform_factory(Elsewhere, fields=["file"])())

    assert widget.element["generate-url"] == "/elsewhere/generate-upload-url/"
    assert widget.element["status-url"] == "/elsewhere/upload-status/"


def test_the_words_are_in_the_language_of_the_request() -> None:
    with translation.override("de"):
        german = json.loads(widget_of(DocumentForm()).element["messages"] or "")
    assert german["cancel"] == "Abbrechen"


def test_after_an_error_the_widget_still_knows_what_the_record_has() -> None:
    document = Document.objects.create(file=ContentFile(b"x", name="notes.txt"))
    form = DocumentForm({"file": '{"key": "async-temp-files/2026/11/22/x-new.txt"}'}, instance=document)

    saved = json.loads(widget_of(form).element["saved"] or "")

    assert saved["key"] == document.file.name


def test_each_form_of_a_set_has_names_of_its_own() -> None:
    document = Document.objects.create(file=ContentFile(b"x", name="notes.txt"))
    form_set: Any = modelformset_factory(Document, fields=["file"], extra=1)

    formset = form_set(queryset=Document.objects.all())

    existing, extra, empty = (widget_of(form) for form in (*formset.forms, formset.empty_form))
    assert (existing.hidden["name"], existing.input["id"]) == ("form-0-file", "id_form-0-file")
    assert existing.element["instance-id"] == str(document.pk)
    assert extra.hidden["name"] == "form-1-file"
    assert "instance-id" not in extra.element
    assert empty.hidden["name"] == "form-__prefix__-file"


def request_of_an_admin() -> HttpRequest:
    request = RequestFactory().get("/")
    request.user = User(is_superuser=True, is_staff=True, is_active=True)
    return request


def test_the_admin_uses_the_widget() -> None:
    form = admin.site._registry[Document].get_form(request_of_an_admin())

    assert isinstance(form.base_fields["file"].widget, forms.AsyncFileInput)


def test_the_pages_of_the_admin_show_the_widget_and_save() -> None:
    user = User.objects.create_superuser("admin", password="x")
    client = Client()
    client.force_login(user)
    document = Document.objects.create(file=ContentFile(b"x", name="notes.txt"))

    add = client.get("/admin/testapp/document/add/")
    change = client.get(f"/admin/testapp/document/{document.pk}/change/")
    saved = client.post("/admin/testapp/document/add/", {"title": "t", "file": submitted(arrived())})

    assert add.status_code == change.status_code == 200
    assert "async-file-input.js" in add.content.decode()
    assert Widget(change.content.decode()).element["instance-id"] == str(document.pk)
    assert saved.status_code == 302
    assert Document.objects.latest("pk").file.name == "documents/report.txt"


RENDERERS = [
    "django.forms.renderers.DjangoTemplates",
    "django.forms.renderers.TemplatesSetting",
]


@pytest.mark.parametrize("renderer", RENDERERS)
@pytest.mark.parametrize("style", ["as_p", "as_div", "as_table", "as_ul"])
def test_django_renders_the_form_in_each_of_its_styles(renderer: str, style: str, settings: Settings) -> None:
    settings.FORM_RENDERER = renderer
    settings.INSTALLED_APPS = [*settings.INSTALLED_APPS, "django.forms"]
    settings.TEMPLATES = [{**settings.TEMPLATES[0], "APP_DIRS": True}]
    document = Document.objects.create(file=ContentFile(b"x", name="notes.txt"))

    widget = Widget(getattr(DocumentForm(instance=document), style)())

    assert widget.element["field-id"] == field_id_of(Document)
    assert widget.value["key"] == "documents/notes.txt"
    assert (widget.input["name"], widget.input["id"]) == ("file-plain", "id_file")


def test_renderer_of_the_projects_own_renders_the_form() -> None:
    class OwnRenderer(DjangoTemplates):
        field_template_name = "django/forms/field.html"

    assert Widget(DocumentForm(renderer=OwnRenderer()).as_div()).hidden["name"] == "file"


def test_crispy_forms_render_the_widget_with_their_classes() -> None:
    html = Template("{% load crispy_forms_tags %}{{ form|crispy }}").render(Context({"form": DocumentForm()}))
    widget = Widget(html)

    assert (widget.input["name"], widget.hidden["name"]) == ("file-plain", "file")
    assert "form-control" in str(widget.input["class"])
    assert widget.element["field-id"] == field_id_of(Document)


def test_crispy_forms_show_an_error_beside_an_element_that_is_invalid() -> None:
    form = DocumentForm({"file": "{}"})

    html = str(Template("{% load crispy_forms_tags %}{{ form|crispy }}").render(Context({"form": form})))

    assert Widget(html).element["class"] == "is-invalid"
    assert re.search(r"</async-file-input>\s*<(span|p|div) [^>]*class=\"invalid-feedback\"", html)


def test_crispy_forms_layout_makes_a_whole_multipart_form() -> None:
    helper = FormHelper()
    helper.layout = Layout("title", Field("file", css_class="large", data_kind="report"))
    source = "{% load crispy_forms_tags %}{% crispy form helper %}"

    html = str(Template(source).render(Context({"form": DocumentForm(), "helper": helper})))

    assert 'enctype="multipart/form-data"' in html
    assert "large" in str(Widget(html).input["class"])
    assert Widget(html).input["data-kind"] == "report"
    assert 'type="module"' in html


def test_widget_tweaks_give_the_file_input_classes_and_attributes() -> None:
    source = (
        "{% load widget_tweaks %}"
        '{% render_field form.file class+="wide" data-kind="report" %}|{{ form.file|add_class:"narrow" }}'
    )

    rendered, filtered = str(Template(source).render(Context({"form": DocumentForm()}))).split("|")

    assert (Widget(rendered).input["class"], Widget(rendered).input["data-kind"]) == ("wide", "report")
    assert Widget(filtered).input["class"] == "narrow"
    assert Widget(filtered).element["field-id"] == field_id_of(Document)


def test_formset_of_many_files_renders_its_rows_and_a_template_for_more() -> None:
    formset: Any = Attachments(prefix="attachments", instance=Story())

    html = str(formset)

    assert html.startswith("<async-file-formset")
    assert 'name="attachments-TOTAL_FORMS"' in html
    assert html.count("<async-file-input") == 3
    assert 'name="attachments-__prefix__-file-plain"' in html.split("<template>")[1]
    assert "async_uploads/many-files.js" in str(formset.media)
    assert "async_uploads/async-file-input.js" in str(formset.media)
