"""Fields in Django's admin as a project meets them: registered, and not a word about uploads."""

from __future__ import annotations

import html
import json
import re
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib import admin
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.db import connection
from django.db.models import Model
from django.db.models.signals import pre_save
from django.test import AsyncClient, Client
from django.urls import reverse

from async_uploads.models import AsyncTempFile
from tests.asking import ask_upload
from tests.conftest import image_bytes
from tests.office.models import Dossier, Exhibit, Photo

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/office/dossier/"
ADD = f"{LIST}add/"


def change(record: Model) -> str:
    return reverse(f"admin:{record._meta.label_lower.replace('.', '_')}_change", args=[record.pk])


@pytest.fixture
def boss() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


def staff_with(*codenames: str, name: str = "clerk") -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


def uploaded(client: Client, model: type[Model], field: str, name: str, content: bytes = b"bytes") -> str:
    """The form value of a file that the widget has uploaded for this person."""
    browser = AsyncClient()
    browser.cookies = client.cookies
    key = async_to_sync(ask_upload)(browser, content, name, model=model, field=field)
    return json.dumps({"key": key, "name": name})


def widgets_in(page: Any) -> dict[str, dict[str, str]]:
    """The attributes of each ``<async-file-input>`` by the name of its input."""
    found = re.findall(
        r"<async-file-input([^>]*)>\s*<input type=\"hidden\" name=\"([^\"]+)\" value=\"([^\"]*)\"",
        page.content.decode(),
    )
    return {
        name: {**dict(re.findall(r'([\w-]+)="([^"]*)"', attributes)), "value": html.unescape(value)}
        for attributes, name, value in found
    }


def dossier_form(**values: str) -> dict[str, str]:
    """What the browser sends for a new dossier without parts."""
    parts = {
        f"{prefix}-{name}": "0"
        for prefix in ("exhibits", "photos")
        for name in ("TOTAL_FORMS", "INITIAL_FORMS")
    }
    return {"title": "A case", "file": "", **parts, **values}


@pytest.fixture
def dossier() -> Dossier:
    dossier = Dossier.objects.create(title="A case", file=ContentFile(b"brief", name="brief.txt"))
    Exhibit.objects.create(dossier=dossier, label="A", file=ContentFile(b"exhibit", name="a.txt"))
    Photo.objects.create(dossier=dossier, caption="Cat", image=ContentFile(image_bytes(), name="cat.png"))
    return dossier


# Forms and inlines


def test_form_and_inlines_have_the_widget_and_its_files_once(boss: Client) -> None:
    page = boss.get(ADD)

    widgets = widgets_in(page)
    assert set(widgets) == {
        "file",
        "exhibits-0-file",
        "exhibits-__prefix__-file",
        "photos-0-image",
        "photos-__prefix__-image",
    }
    assert not any("instance-id" in widget for widget in widgets.values())
    text = page.content.decode()
    assert text.count("async_uploads/async-file-input.js") == 1
    assert text.count("async_uploads/async-file-input.css") == 1


def test_records_that_are_there_know_themselves_and_new_rows_do_not(boss: Client, dossier: Dossier) -> None:
    widgets = widgets_in(boss.get(change(dossier)))

    assert widgets["file"]["instance-id"] == str(dossier.pk)
    assert widgets["exhibits-0-file"]["instance-id"] == str(Exhibit.objects.get().pk)
    assert widgets["photos-0-image"]["instance-id"] == str(Photo.objects.get().pk)
    assert "instance-id" not in widgets["exhibits-1-file"]
    assert "instance-id" not in widgets["photos-__prefix__-image"]
    assert json.loads(widgets["file"]["value"])["name"] == "brief.txt"


def test_files_of_form_and_inlines_are_saved(boss: Client) -> None:
    sent = dossier_form(
        file=uploaded(boss, Dossier, "file", "brief.txt", b"brief"),
        **{
            "exhibits-TOTAL_FORMS": "2",
            "exhibits-0-label": "A",
            "exhibits-0-file": uploaded(boss, Exhibit, "file", "a.txt"),
            "exhibits-1-label": "B",
            "exhibits-1-file": uploaded(boss, Exhibit, "file", "b.txt"),
            "photos-TOTAL_FORMS": "1",
            "photos-0-image": uploaded(boss, Photo, "image", "cat.png", image_bytes(size=(9, 4))),
        },
    )

    saved = boss.post(ADD, sent)

    assert saved.status_code == 302, saved.content
    assert Dossier.objects.get().file.name == "dossiers/brief.txt"
    assert [exhibit.file.name for exhibit in Exhibit.objects.order_by("label")] == [
        "exhibits/a.txt",
        "exhibits/b.txt",
    ]
    photo = Photo.objects.get()
    assert (photo.image.name, photo.width, photo.height) == ("photos/cat.png", 9, 4)
    assert {row.state for row in AsyncTempFile.objects.all()} == {"promoted"}


def test_saving_what_nobody_changed_changes_nothing(boss: Client, dossier: Dossier) -> None:
    page = boss.get(change(dossier))
    exhibit, photo = Exhibit.objects.get(), Photo.objects.get()
    widgets = widgets_in(page)
    sent = dossier_form(
        file=widgets["file"]["value"],
        **{
            "exhibits-TOTAL_FORMS": "1",
            "exhibits-INITIAL_FORMS": "1",
            "exhibits-0-id": str(exhibit.pk),
            "exhibits-0-dossier": str(dossier.pk),
            "exhibits-0-label": "A",
            "exhibits-0-file": widgets["exhibits-0-file"]["value"],
            "photos-TOTAL_FORMS": "1",
            "photos-INITIAL_FORMS": "1",
            "photos-0-id": str(photo.pk),
            "photos-0-dossier": str(dossier.pk),
            "photos-0-caption": "Cat",
            "photos-0-image": widgets["photos-0-image"]["value"],
        },
    )

    saved = boss.post(change(dossier), sent, follow=True)

    assert saved.redirect_chain
    assert Dossier.objects.get().file.name == dossier.file.name
    assert Exhibit.objects.get().file.name == exhibit.file.name
    history = boss.get(f"{LIST}{dossier.pk}/history/").content.decode()
    assert "No fields changed." in history


def test_error_elsewhere_in_the_form_keeps_the_uploads(boss: Client) -> None:
    sent = dossier_form(
        title="",
        file=uploaded(boss, Dossier, "file", "brief.txt"),
        **{
            "exhibits-TOTAL_FORMS": "1",
            "exhibits-0-file": uploaded(boss, Exhibit, "file", "a.txt"),
        },
    )

    shown = boss.post(ADD, sent)

    assert shown.status_code == 200
    widgets = widgets_in(shown)
    assert json.loads(widgets["file"]["value"])["key"] == json.loads(sent["file"])["key"]
    assert json.loads(widgets["exhibits-0-file"]["value"])["name"] == "a.txt"


@pytest.mark.parametrize("value", ['{"key": "async-temp-files/x", "name": "x"}', "nonsense", "[]", "{}"])
def test_value_that_no_upload_has_is_an_error_of_the_form(boss: Client, value: str) -> None:
    shown = boss.post(ADD, dossier_form(file=value))

    assert shown.status_code == 200
    assert shown.context["adminform"].form.errors["file"]


def test_one_upload_in_two_rows_is_an_error_of_the_second(boss: Client) -> None:
    value = uploaded(boss, Exhibit, "file", "a.txt")

    shown = boss.post(
        ADD,
        dossier_form(**{"exhibits-TOTAL_FORMS": "2", "exhibits-0-file": value, "exhibits-1-file": value}),
    )

    assert shown.status_code == 200
    (exhibits, _photos) = shown.context["inline_admin_formsets"]
    assert [list(errors) for errors in exhibits.formset.errors] == [[], ["file"]]
    assert not Dossier.objects.exists()


def test_upload_that_another_record_takes_meanwhile_is_an_error_of_the_form(boss: Client) -> None:
    value = uploaded(boss, Dossier, "file", "brief.txt")
    key = json.loads(value)["key"]

    def somebody_is_faster(instance: Dossier, **kwargs: Any) -> None:
        pre_save.disconnect(somebody_is_faster, sender=Dossier)
        AsyncTempFile.objects.filter(key=key).update(record_pk="somebody's")
        with connection.cursor() as cursor:  # not undone with what the page saves
            cursor.execute("COMMIT")
            cursor.execute("BEGIN")

    pre_save.connect(somebody_is_faster, sender=Dossier, weak=False)
    shown = boss.post(ADD, dossier_form(file=value))

    assert shown.status_code == 200
    assert shown.context["adminform"].form.errors.as_data()["file"][0].code == "already_used"
    assert not Dossier.objects.exists()


def test_row_whose_file_was_replaced_elsewhere_blocks_nobody(boss: Client, dossier: Dossier) -> None:
    exhibit = Exhibit.objects.get()
    sent = dossier_form(
        title="A better title",
        file=widgets_in(boss.get(change(dossier)))["file"]["value"],
        **{
            "exhibits-TOTAL_FORMS": "1",
            "exhibits-INITIAL_FORMS": "1",
            "exhibits-0-id": str(exhibit.pk),
            "exhibits-0-dossier": str(dossier.pk),
            "exhibits-0-label": "A",
            "exhibits-0-file": json.dumps({"key": exhibit.file.name, "name": "a.txt"}),
        },
    )
    exhibit.file.save("better.txt", ContentFile(b"better"))

    saved = boss.post(change(dossier), sent)

    assert saved.status_code == 302
    assert Dossier.objects.get().title == "A better title"
    assert Exhibit.objects.get().file.name == "exhibits/better.txt"


def test_upload_of_somebody_else_is_an_error_of_the_form(boss: Client) -> None:
    clerk = staff_with("add_dossier")

    shown = boss.post(ADD, dossier_form(file=uploaded(clerk, Dossier, "file", "brief.txt")))

    assert "There is no such upload." in shown.content.decode()
    assert not Dossier.objects.exists()


def test_cleared_file_is_cleared(boss: Client, dossier: Dossier) -> None:
    Exhibit.objects.all().delete()
    Photo.objects.all().delete()

    boss.post(change(dossier), dossier_form(file=""))

    assert not Dossier.objects.get().file


def test_popup_saves_and_tells_the_page_behind_it(boss: Client) -> None:
    sent = dossier_form(file=uploaded(boss, Dossier, "file", "brief.txt"), _popup="1")

    closing = boss.post(f"{ADD}?_popup=1", sent)

    assert closing.status_code == 200
    assert "data-popup-response" in closing.content.decode()
    assert Dossier.objects.get().file.name == "dossiers/brief.txt"


def test_save_as_new_asks_for_the_file_anew(
    boss: Client, dossier: Dossier, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record must not get another one's file."""
    monkeypatch.setattr(admin.site._registry[Dossier], "save_as", True)
    value = widgets_in(boss.get(change(dossier)))["file"]["value"]

    refused = boss.post(change(dossier), dossier_form(file=value, _saveasnew="Save as new"))
    saved = boss.post(change(dossier), dossier_form(_saveasnew="Save as new"))

    assert refused.status_code == 200
    assert refused.context["adminform"].form.errors["file"] == [
        "A copy does not take the file along. Please choose a file."
    ]
    assert widgets_in(refused)["file"]["value"] == ""
    assert saved.status_code == 302
    assert sorted(str(each.file) for each in Dossier.objects.all()) == ["", dossier.file.name]


def test_file_is_changed_in_the_list(boss: Client, dossier: Dossier, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin.site._registry[Dossier], "list_editable", ["file"])
    page = boss.get(LIST)
    assert widgets_in(page)["form-0-file"]["instance-id"] == str(dossier.pk)

    boss.post(
        LIST,
        {
            "form-TOTAL_FORMS": "1",
            "form-INITIAL_FORMS": "1",
            "form-0-id": str(dossier.pk),
            "form-0-file": uploaded(boss, Dossier, "file", "better.txt"),
            "_save": "Save",
        },
    )

    assert Dossier.objects.get().file.name == "dossiers/better.txt"


# Read-only


def test_list_links_the_file(boss: Client, dossier: Dossier) -> None:
    page = boss.get(LIST).content.decode()

    assert f'href="{html.escape(dossier.file.url)}"' in page
    assert boss.get(dossier.file.url).status_code == 302


def test_list_shows_a_record_without_a_file(boss: Client) -> None:
    Dossier.objects.create(title="Nothing yet")

    assert '<td class="field-file">-</td>' in boss.get(LIST).content.decode()


def test_read_only_field_links_the_file(boss: Client, dossier: Dossier) -> None:
    exhibit = Exhibit.objects.get()

    page = boss.get(change(exhibit))

    assert f'href="{html.escape(exhibit.file.url)}"' in page.content.decode()
    assert widgets_in(page) == {}
    boss.post(change(exhibit), {"dossier": str(dossier.pk), "label": "Z", "file": "nonsense"})
    exhibit.refresh_from_db()
    assert (exhibit.label, exhibit.file.name) == ("Z", "exhibits/a.txt")


def test_read_only_field_of_a_record_to_be_added_is_empty(boss: Client) -> None:
    assert boss.get("/admin/office/exhibit/add/").status_code == 200


def test_person_who_may_only_look_is_shown_links_that_open(dossier: Dossier) -> None:
    reader = staff_with("view_dossier", "view_exhibit", "view_photo")

    page = reader.get(change(dossier))

    assert widgets_in(page) == {}
    for file in (dossier.file, Exhibit.objects.get().file, Photo.objects.get().image):
        assert f'href="{html.escape(file.url)}"' in page.content.decode()
        assert reader.get(file.url).status_code == 302


def test_person_who_may_not_see_the_parts_is_not_shown_them(dossier: Dossier) -> None:
    page = staff_with("view_dossier").get(change(dossier)).content.decode()

    assert "a.txt" not in page
    assert "cat.png" not in page


def test_person_who_may_add_but_not_change_uploads_for_new_records_alone(dossier: Dossier) -> None:
    clerk = staff_with("add_dossier", "view_dossier")

    assert uploaded(clerk, Dossier, "file", "new.txt")
    assert set(widgets_in(clerk.get(ADD))) == {"file"}
    assert widgets_in(clerk.get(change(dossier))) == {}
