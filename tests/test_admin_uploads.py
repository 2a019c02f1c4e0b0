"""The list of uploads in Django's admin: what it tells, to whom, and at what cost."""

from __future__ import annotations

import re
import uuid
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from async_uploads.models import AsyncTempFile
from tests.office.models import Dossier
from tests.testapp.models import Document

pytestmark = pytest.mark.django_db

LIST = "/admin/async_uploads/asynctempfile/"


def page_of(row: AsyncTempFile) -> str:
    return reverse("admin:async_uploads_asynctempfile_change", args=[row.pk])


def an_upload(**columns: Any) -> AsyncTempFile:
    name = columns.setdefault("name", "report.pdf")
    key = f"async-temp-files/2026/11/22/{uuid.uuid4().hex}-{name}"
    return AsyncTempFile.objects.create(
        **{"key": key, "model": "testapp.document", "field_name": "file", **columns}
    )


def taken_by(record: Any, **columns: Any) -> AsyncTempFile:
    """The upload of a record's file, promoted unless told otherwise."""
    return an_upload(
        **{
            "model": record._meta.label_lower,
            "state": "promoted",
            "record_pk": str(record.pk),
            "record_db": "default",
            "final_name": record.file.name,
            **columns,
        }
    )


def staff_with(*codenames: str, name: str = "clerk") -> Client:
    user = User.objects.create_user(name, is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


@pytest.fixture
def boss() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


def rows_in(page: Any) -> list[dict[str, str]]:
    """The cells of the list, tags taken away, by the names of their columns."""
    body = page.content.decode().split("<tbody>")[1].split("</tbody>")[0]
    return [
        {
            column: " ".join(re.sub(r"<[^>]+>", " ", cell).split())
            for column, cell in re.findall(r'class="field-(\w+)[^"]*">(.*?)</t[dh]>', row, re.DOTALL)
        }
        for row in body.split("</tr>")[:-1]
    ]


def links_in(page: Any) -> dict[str, str]:
    """Addresses by the words of their links."""
    return _links(page.content.decode())


def links_in_list(page: Any) -> dict[str, str]:
    return _links(page.content.decode().split('id="result_list"')[1].split("</table>")[0])


def _links(text: str) -> dict[str, str]:
    found = re.findall(r'<a [^>]*?href="([^"]+)"[^>]*>([^<]+)</a>', text)
    return {words.strip(): address for address, words in found}


# What it tells


def test_row_tells_state_age_size_field_owner_and_error(boss: Client) -> None:
    ada = User.objects.create_user("ada")
    an_upload(
        name="holiday.jpg",
        state="failed",
        size=5 * 1024**2,
        owner=f"user:{ada.pk}",
        error_code="type_not_allowed",
        error="Files of this type are not allowed here.",
        created_at=timezone.now() - timedelta(days=3, hours=2),
    )

    (row,) = rows_in(boss.get(LIST))

    assert row == {
        "name": "holiday.jpg",
        "state_and_error": "failed Files of this type are not allowed here.",
        "age": "3 days",
        "size_shown": "5.0 MB",
        "for_field": "Document · file",
        "owner_link": "ada",
    }


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"state": "pending"}, "-"),
        ({"state": "pending", "total": 2048}, "2.0 KB"),
        ({"state": "uploading", "total": 4 * 1024**2, "received": 1024**2}, "1.0 MB of 4.0 MB"),
        ({"state": "uploading", "received": 1024}, "-"),
        ({"state": "uploaded", "size": 1, "total": 4096}, "1 byte"),
        ({"state": "promoted", "size": 0}, "0 bytes"),
    ],
)
def test_size_is_what_is_known_of_it(boss: Client, columns: dict[str, Any], told: str) -> None:
    an_upload(**columns)

    assert rows_in(boss.get(LIST))[0]["size_shown"].replace("\xa0", " ") == told


def test_owner_is_a_user_a_former_one_a_visitor_or_nobody(boss: Client) -> None:
    ada = User.objects.create_user("ada")
    for number, owner in enumerate((f"user:{ada.pk}", "user:999", "user:x", "session:0123456789abcdef", "")):
        an_upload(name=str(number), owner=owner)

    page = boss.get(LIST)

    told = {row["name"]: row["owner_link"] for row in rows_in(page)}
    assert told == {
        "0": "ada",
        "1": "deleted user 999",
        "2": "deleted user x",
        "3": "visitor 012345",
        "4": "-",
    }
    assert "0123456789abcdef" not in page.content.decode()
    assert links_in(page)["ada"] == reverse("admin:auth_user_change", args=[ada.pk])


def test_upload_of_a_field_that_is_gone_is_shown_all_the_same(boss: Client) -> None:
    row = an_upload(model="former.thing", field_name="scan", record_pk="1", state="promoted")

    assert rows_in(boss.get(LIST))[0]["for_field"] == "former.thing.scan"
    assert boss.get(page_of(row)).status_code == 200


def test_names_are_shown_as_text(boss: Client) -> None:
    an_upload(name="<b>bold</b>.txt", error_code="x", error="<i>no</i>", model="<u>.x", owner="<s>")

    page = boss.get(LIST).content.decode()

    assert "&lt;b&gt;bold" in page
    for tag in ("<b>", "<i>", "<u>", "<s>"):
        assert tag not in page


def test_page_of_an_upload_tells_everything_and_lets_nothing_be_changed(boss: Client) -> None:
    row = an_upload(state="uploaded", size=10, width=640, height=480, content_type="image/png", etag="abc")

    page = boss.get(page_of(row))
    boss.post(page_of(row), {"name": "other", "state": "promoted", "_save": "Save"})

    text = page.content.decode()
    assert all(told in text for told in (row.key, "640 × 480", "image/png", "abc"))  # noqa: RUF001
    assert 'name="_save"' not in text
    assert not re.search(r'<(input|select|textarea)[^>]* name="(name|state|key|owner)"', text)
    row.refresh_from_db()
    assert (row.name, row.state) == ("report.pdf", "uploaded")


def test_nothing_can_be_added_or_deleted(boss: Client) -> None:
    row = an_upload()

    assert boss.get(f"{LIST}add/").status_code == 403
    assert boss.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 403
    boss.post(LIST, {"action": "delete_selected", "_selected_action": [row.pk], "post": "yes"})
    assert AsyncTempFile.objects.filter(pk=row.pk).exists()


@pytest.mark.parametrize("language", ["de", "ar"])
def test_list_speaks_the_language_of_its_reader(boss: Client, settings: Any, language: str) -> None:
    settings.LANGUAGE_CODE = language
    an_upload(state="failed", owner="session:abcdef", error_code="x")
    an_upload(state="uploading", total=10, received=5)

    english = ("File name or key", "Less than an hour", "Retry the promotion", "Expire selected", "visitor ")
    page = boss.get(LIST).content.decode()

    assert [words for words in english if words in page] == []


# Links


def test_links_lead_to_record_and_file(boss: Client) -> None:
    record = Document.objects.create(file=ContentFile(b"bytes", name="a.txt"))
    row = taken_by(record)

    links = links_in_list(boss.get(LIST))
    to_file = boss.get(links["Open the file"])

    assert links["Document · file"] == f"/admin/testapp/document/{record.pk}/change/"
    assert to_file.status_code == 302
    assert to_file["Location"] == record.file.url
    assert boss.get(to_file["Location"]).status_code == 302  # to the bytes, for whoever may read them
    assert links_in(boss.get(page_of(row)))["Open the file"] == links["Open the file"]


def test_file_that_is_not_promoted_yet_can_be_opened(boss: Client) -> None:
    record = Dossier.objects.create(title="open")
    row = taken_by(record, state="failed", error_code="promotion_failed", final_name="dossiers/later.txt")
    Dossier.objects.filter(pk=record.pk).update(file=row.key)

    answer = boss.get(links_in(boss.get(LIST))["Open the file"])

    assert str(record.pk) in answer["Location"]


@pytest.mark.parametrize("state", ["pending", "uploading", "uploaded", "cancelled", "expired", "failed"])
def test_file_that_no_record_has_is_not_offered(boss: Client, state: str) -> None:
    an_upload(state=state)

    assert "Open the file" not in links_in(boss.get(LIST))


@pytest.mark.parametrize("fate", ["replaced", "cleared", "deleted"])
def test_file_that_the_record_has_no_more_is_not_mixed_up_with_its_present_one(
    boss: Client, fate: str
) -> None:
    record = Document.objects.create(file=ContentFile(b"old", name="old.txt"))
    row = taken_by(record)
    match fate:
        case "replaced":
            Document.objects.filter(pk=record.pk).update(file="documents/new.txt")
        case "cleared":
            Document.objects.filter(pk=record.pk).update(file="")
        case "deleted":
            record.delete()

    answer = boss.get(f"{LIST}{row.pk}/file/", follow=True)

    assert answer.redirect_chain[0][0] == page_of(row)
    assert "The record no longer has this file." in answer.content.decode()


@pytest.mark.parametrize("column", [{"record_db": "closed"}, {"record_pk": "a-uuid-of-old"}])
def test_file_of_a_database_or_key_of_old_is_not_found(boss: Client, column: dict[str, str]) -> None:
    row = taken_by(Document.objects.create(file=ContentFile(b"old", name="old.txt")), **column)

    answer = boss.get(f"{LIST}{row.pk}/file/", follow=True)

    assert "The record no longer has this file." in answer.content.decode()


def test_links_are_only_to_what_the_person_may_see() -> None:
    record = Document.objects.create(file=ContentFile(b"bytes", name="a.txt"))
    ada = User.objects.create_user("ada")
    taken_by(record, owner=f"user:{ada.pk}")
    clerk = staff_with("view_asynctempfile")
    archivist = staff_with("view_asynctempfile", "view_document", "view_user", name="archivist")

    assert not {"ada", "Document · file"} & links_in_list(clerk.get(LIST)).keys()
    assert {"ada", "Document · file"} <= links_in_list(archivist.get(LIST)).keys()
    assert rows_in(clerk.get(LIST))[0]["owner_link"] == "ada"


def test_who_may_see_uploads_may_not_therefore_read_the_files() -> None:
    record = Dossier.objects.create(title="secret", file=ContentFile(b"bytes", name="a.txt"))
    taken_by(record)
    clerk = staff_with("view_asynctempfile")

    to_file = clerk.get(links_in(clerk.get(LIST))["Open the file"])

    assert clerk.get(to_file["Location"]).status_code == 403


def test_address_of_a_file_is_for_those_who_may_see_uploads() -> None:
    row = taken_by(Document.objects.create(file=ContentFile(b"bytes", name="a.txt")))

    assert staff_with("view_document").get(f"{LIST}{row.pk}/file/").status_code == 403
    assert "/admin/login/" in Client().get(f"{LIST}{row.pk}/file/")["Location"]


@pytest.mark.parametrize("pk", ["999", "x", "9" * 40])
def test_address_of_a_file_of_no_upload_leads_back(boss: Client, pk: str) -> None:
    answer = boss.get(f"{LIST}{pk}/file/", follow=True)

    assert answer.status_code == 200
    assert answer.redirect_chain


# Finding


def test_uploads_are_found_by_name_and_key(boss: Client) -> None:
    wanted = an_upload(name="holiday.jpg")
    an_upload(name="letter.pdf")

    for query in ("holi", "HOLIDAY", wanted.key, wanted.key[30:45]):
        assert [row["name"] for row in rows_in(boss.get(LIST, {"q": query}))] == ["holiday.jpg"]
    assert boss.get(LIST, {"q": "a\0b"}).status_code == 200


def test_filter_by_state(boss: Client) -> None:
    for state in ("failed", "promoted"):
        an_upload(state=state)

    page = boss.get(LIST, {"state__exact": "failed"})

    assert [row["state_and_error"] for row in rows_in(page)] == ["failed"]


@pytest.mark.parametrize(
    ("age", "found"),
    [
        ("hour", ["minute"]),
        ("day", ["minute", "hours"]),
        ("week", ["minute", "hours", "days"]),
        ("older", ["weeks"]),
        ("nonsense", ["minute", "hours", "days", "weeks"]),
    ],
)
def test_filter_by_age(boss: Client, age: str, found: list[str]) -> None:
    ages = {
        "minute": timedelta(minutes=1),
        "hours": timedelta(hours=5),
        "days": timedelta(days=3),
        "weeks": timedelta(weeks=2),
    }
    for name, each in ages.items():
        an_upload(name=name, created_at=timezone.now() - each)

    assert [row["name"] for row in rows_in(boss.get(LIST, {"age": age}))] == found


def test_filter_by_field_knows_the_fields_of_the_project(boss: Client) -> None:
    an_upload(name="in the album", model="testapp.album", field_name="cover")
    an_upload(name="elsewhere", model="testapp.album", field_name="booklet")

    page = boss.get(LIST, {"field": "testapp.album.cover"})

    assert [row["name"] for row in rows_in(page)] == ["in the album"]
    assert {"Album · cover", "Album · booklet", "Dossier · file"} <= links_in(page).keys()
    assert len(rows_in(boss.get(LIST, {"field": "nonsense"}))) == 2


def test_dates_lead_through_the_years(boss: Client) -> None:
    for year in (2024, 2026):
        an_upload(name=str(year), created_at=timezone.now().replace(year=year))

    assert {"2024", "2026"} <= links_in(boss.get(LIST)).keys()
    assert [row["name"] for row in rows_in(boss.get(LIST, {"created_at__year": 2024}))] == ["2024"]


# What it costs


def fill(count: int) -> None:
    users = User.objects.bulk_create(User(username=f"user{number}", password="!") for number in range(count))
    record = Document.objects.create(file=ContentFile(b"bytes", name="a.txt"))
    models = ["testapp.document", "office.dossier", "testapp.album", "former.thing"]
    AsyncTempFile.objects.bulk_create(
        AsyncTempFile(
            key=f"async-temp-files/2026/11/22/{number:022}-a.txt",
            name=f"{number}.txt",
            model=models[number % 4],
            field_name="file",
            owner=f"user:{users[number % count].pk}" if number % 5 else "session:abcdef",
            state="promoted" if number % 4 == 0 else "uploaded",
            record_pk=str(record.pk) if number % 4 == 0 else "",
            created_at=timezone.now() - timedelta(minutes=number),
        )
        for number in range(count)
    )


def queries_of(client: Client, address: str, **query: str | int) -> list[str]:
    with CaptureQueriesContext(connection) as captured:
        page = client.get(address, query)
    assert page.status_code == 200
    return [each["sql"] for each in captured.captured_queries]


@pytest.mark.parametrize(
    "query", [{}, {"state__exact": "promoted"}, {"q": "txt"}, {"age": "day"}, {"p": 2}, {"o": -6}]
)
def test_thousand_uploads_cost_as_many_queries_as_a_few(boss: Client, query: dict[str, str | int]) -> None:
    fill(1000)
    many = queries_of(boss, LIST, **query)
    AsyncTempFile.objects.filter(created_at__lt=timezone.now() - timedelta(minutes=60)).delete()

    few = queries_of(boss, LIST, **query)

    assert len(many) == len(few) == 7, "\n".join(many)
    assert sum('FROM "auth_user"' in sql for sql in many) == 2  # who is asking, and all owners at once
    assert sum("COUNT(" in sql for sql in many) == 1


def test_staff_with_permissions_costs_no_query_for_each_row() -> None:
    fill(1000)
    clerk = staff_with(
        "view_asynctempfile", "change_asynctempfile", "view_user", "view_document", name="clerk"
    )

    assert len(queries_of(clerk, LIST)) <= 11


def test_newest_uploads_are_found_by_an_index(boss: Client) -> None:
    fill(10)
    (rows,) = [sql for sql in queries_of(boss, LIST) if '"error"' in sql and "ORDER BY" in sql]

    with connection.cursor() as cursor:
        if connection.vendor == "postgresql":
            cursor.execute("SET LOCAL enable_seqscan = off")  # which is the quickest for ten rows
        cursor.execute(f"{'EXPLAIN QUERY PLAN' if connection.vendor == 'sqlite' else 'EXPLAIN'} {rows}")
        plan = " ".join(str(step[-1]) for step in cursor.fetchall())

    assert "async_temp_file_created" in plan
    assert "TEMP B-TREE" not in plan
