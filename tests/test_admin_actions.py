"""What may be done to uploads in Django's admin: retry their promotion, expire them now."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as project
from django.contrib.admin.models import LogEntry
from django.contrib.auth.models import Permission, User
from django.db import connection, transaction
from django.test import AsyncClient, Client

from async_uploads.exceptions import UploadKeyError
from async_uploads.models import AsyncTempFile
from async_uploads.temp_files import expiry
from tests.asking import ask_upload
from tests.testapp.models import Document
from tests.watching import files_under_media

pytestmark = pytest.mark.django_db(transaction=True)

LIST = "/admin/async_uploads/asynctempfile/"


@pytest.fixture
def boss() -> Client:
    client = Client()
    client.force_login(User.objects.create_superuser("boss"))
    return client


def staff_with(*codenames: str) -> Client:
    user = User.objects.create_user("clerk", is_staff=True)
    user.user_permissions.set(Permission.objects.filter(codename__in=codenames))
    client = Client()
    client.force_login(user)
    return client


def act(client: Client, action: str, *rows: AsyncTempFile, everything: bool = False) -> list[tuple[str, str]]:
    """Choose the rows in the list and the action; returns what the next page says, as ``(level, words)``."""
    chosen = {
        "action": action,
        "_selected_action": [row.pk for row in rows],
        "select_across": int(everything),
    }
    page = client.post(LIST, chosen, follow=True)
    assert page.status_code == 200
    return [(message.level_tag, str(message)) for message in page.context["messages"]]


@pytest.fixture
def uploaded() -> Any:
    """Makes an upload that has arrived, by its name and content."""

    def make(name: str = "a.txt", content: bytes = b"some bytes") -> AsyncTempFile:
        key = async_to_sync(ask_upload)(AsyncClient(), content, name)
        return AsyncTempFile.objects.get(key=key)

    return make


@pytest.fixture
def stuck(uploaded: Any, caplog: pytest.LogCaptureFixture) -> Any:
    """Makes an upload whose promotion has failed for good: something is in the way, which is then taken away."""

    def make(name: str = "a.txt") -> AsyncTempFile:
        row: AsyncTempFile = uploaded(name)
        in_the_way = Path(project.MEDIA_ROOT) / "documents"
        in_the_way.parent.mkdir(exist_ok=True)
        in_the_way.write_text("not a folder")
        with caplog.at_level(logging.CRITICAL, "async_uploads"):
            Document.objects.create(title=name, file=row.key)
        in_the_way.unlink()
        row.refresh_from_db()
        assert row.error_code == "promotion_failed"
        AsyncTempFile.objects.filter(pk=row.pk).update(state="failed", attempts=5, lease_until=None)
        row.refresh_from_db()
        return row

    return make


# Retry


def test_failed_promotion_is_retried(boss: Client, stuck: Any) -> None:
    row = stuck()

    told = act(boss, "retry_promotion", row)

    assert told == [("success", "Promoted: 1.")]
    row.refresh_from_db()
    assert row.state == "promoted"
    with Document.objects.get().file.open() as file:
        assert file.read() == b"some bytes"
    assert [path.name for path in files_under_media()] == ["a.txt"]


def test_promotion_that_fails_again_is_told(boss: Client, stuck: Any) -> None:
    row = stuck()
    (Path(project.MEDIA_ROOT) / "documents").write_text("still in the way")

    told = act(boss, "retry_promotion", row)

    assert told == [("error", "Failed again, each upload tells why: 1.")]
    row.refresh_from_db()
    assert (row.state, row.attempts) == ("failed", 6)
    assert (Path(project.MEDIA_ROOT) / row.key).exists()


def test_promotion_of_a_dead_process_is_finished(boss: Client, stuck: Any) -> None:
    row = stuck()
    AsyncTempFile.objects.filter(pk=row.pk).update(state="promoting")

    assert act(boss, "retry_promotion", row) == [("success", "Promoted: 1.")]


def test_promotion_that_somebody_is_at_is_left_to_them(boss: Client, stuck: Any) -> None:
    row = stuck()
    AsyncTempFile.objects.filter(pk=row.pk).update(state="promoting", lease_until=expiry(60))

    told = act(boss, "retry_promotion", row)

    assert told == [
        ("warning", "Being promoted already, or waiting for the next attempt: 1."),
    ]


def test_promotion_whose_record_is_gone_is_given_up_with_its_bytes(boss: Client, stuck: Any) -> None:
    row = stuck()
    Document.objects.all().delete()

    told = act(boss, "retry_promotion", row)

    assert told == [("warning", "Given up, because the record has another file now or is gone: 1.")]
    assert files_under_media() == []


def test_what_no_record_has_taken_or_what_is_refused_is_not_promoted(boss: Client, uploaded: Any) -> None:
    ready, refused = uploaded("a.txt"), uploaded("b.txt")
    AsyncTempFile.objects.filter(pk=refused.pk).update(
        state="failed", error_code="file_changed", record_pk="1"
    )

    told = act(boss, "retry_promotion", ready, refused)

    assert told == [("info", "Left as they are, because their state does not call for this: 2.")]
    ready.refresh_from_db()
    assert ready.state == "uploaded"


asked_of_the_queue: list[str] = []


def enqueue(key: str) -> None:
    asked_of_the_queue.append(key)


def broken_queue(key: str) -> None:
    raise ConnectionError("The broker is away.")


def test_project_with_a_queue_promotes_there(boss: Client, stuck: Any, settings: Any) -> None:
    row = stuck()
    settings.ASYNC_UPLOADS = {"PROMOTION_DISPATCHER": f"{__name__}.enqueue"}
    asked_of_the_queue.clear()

    told = act(boss, "retry_promotion", row)

    assert told == [("success", "Handed to the task queue: 1.")]
    assert asked_of_the_queue == [row.key]


def test_one_that_breaks_does_not_stop_the_rest(
    boss: Client, stuck: Any, settings: Any, caplog: pytest.LogCaptureFixture
) -> None:
    rows = [stuck("a.txt"), stuck("b.txt")]
    settings.ASYNC_UPLOADS = {"PROMOTION_DISPATCHER": f"{__name__}.broken_queue"}

    told = act(boss, "retry_promotion", *rows)

    assert told == [("error", "Not dealt with, the log tells why: 2.")]
    assert sum(row.key in caplog.text for row in rows) == 2
    assert "The broker is away." in caplog.text


def test_upload_of_a_field_that_is_gone_is_told_apart(boss: Client, stuck: Any) -> None:
    good, lost = stuck("a.txt"), stuck("b.txt")
    AsyncTempFile.objects.filter(pk=lost.pk).update(field_name="former")

    assert act(boss, "retry_promotion", good, lost) == [
        ("success", "Promoted: 1."),
        ("error", "For fields that the project no longer has: 1."),
    ]


def test_retry_is_never_inside_a_transaction(
    boss: Client, stuck: Any, monkeypatch: pytest.MonkeyPatch, settings: Any
) -> None:
    """With ATOMIC_REQUESTS a failure later in the request would take the final name back, and the source is deleted."""
    row = stuck()
    settings.ASYNC_UPLOADS = {"PROMOTION_DISPATCHER": f"{__name__}.note_transaction"}
    in_transaction.clear()
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)

    act(boss, "retry_promotion", row)

    assert in_transaction == [False]


in_transaction: list[bool] = []


def note_transaction(key: str) -> None:
    in_transaction.append(transaction.get_connection().in_atomic_block)


# Expire


def test_upload_that_nobody_came_back_for_is_expired_with_its_bytes(boss: Client, uploaded: Any) -> None:
    rows = [uploaded("a.txt"), uploaded("b.txt")]

    told = act(boss, "expire_now", *rows)

    assert told == [("success", "Expired, and their files deleted: 2.")]
    assert {row.state for row in AsyncTempFile.objects.all()} == {"expired"}
    assert files_under_media() == []


def test_expired_upload_can_not_be_saved_any_more(boss: Client, uploaded: Any) -> None:
    row = uploaded()
    act(boss, "expire_now", row)

    with pytest.raises(UploadKeyError) as refusal:
        Document.objects.create(file=row.key)

    assert refusal.value.code == "expired"


def test_file_of_a_record_is_never_deleted(boss: Client, stuck: Any, uploaded: Any) -> None:
    """Neither one that is not promoted yet, nor one whose process died before it took the upload."""
    unpromoted, untaken, promoted = stuck("a.txt"), uploaded("b.txt"), uploaded("c.txt")
    Document.objects.bulk_create([Document(file=untaken.key)])
    Document.objects.create(file=promoted.key)
    before = files_under_media()

    told = act(boss, "expire_now", unpromoted, untaken, promoted)

    assert told == [
        ("warning", "Left alone, because a record has the file: 1."),
        ("info", "Left as they are, because their state does not call for this: 2."),
    ]
    assert files_under_media() == before


def test_upload_that_a_record_has_taken_is_left_alone(boss: Client, uploaded: Any) -> None:
    row = uploaded()
    AsyncTempFile.objects.filter(pk=row.pk).update(record_pk="5")

    assert act(boss, "expire_now", row) == [("warning", "Left alone, because a record has the file: 1.")]


def test_what_is_over_stays_as_it_is(boss: Client, uploaded: Any) -> None:
    row = uploaded()
    act(boss, "expire_now", row)

    told = act(boss, "expire_now", row)

    assert told == [("info", "Left as they are, because their state does not call for this: 1.")]


def test_all_of_a_filter_can_be_expired_at_once(boss: Client, uploaded: Any) -> None:
    rows = [uploaded(f"{number}.txt") for number in range(3)]

    told = act(boss, "expire_now", rows[0], everything=True)

    assert told == [("success", "Expired, and their files deleted: 3.")]


# Who


@pytest.mark.parametrize(
    ("permissions", "offered"),
    [
        (["view_asynctempfile"], []),
        (["view_asynctempfile", "change_asynctempfile"], ["retry_promotion"]),
        (["view_asynctempfile", "delete_asynctempfile"], ["expire_now"]),
    ],
)
def test_actions_are_offered_to_those_who_may(
    uploaded: Any, permissions: list[str], offered: list[str]
) -> None:
    uploaded()

    assert _actions_offered(staff_with(*permissions)) == offered


def _actions_offered(client: Client) -> list[str]:
    page = client.get(LIST).content.decode()
    return [name for name in re.findall(r'<option value="(\w+)"', page) if name]


def test_action_that_is_not_offered_can_not_be_sent_either(uploaded: Any) -> None:
    row = uploaded()

    act(staff_with("view_asynctempfile", "change_asynctempfile"), "expire_now", row)

    row.refresh_from_db()
    assert row.state == "uploaded"


def test_history_of_an_upload_tells_who_did_what(boss: Client, uploaded: Any) -> None:
    row = uploaded()

    act(boss, "expire_now", row)
    act(boss, "expire_now", row)  # which did nothing

    entry = LogEntry.objects.get()
    assert (entry.user.username, entry.object_id) == ("boss", str(row.pk))
    assert entry.change_message == "expire_now: expired"
    assert boss.get(f"{LIST}{row.pk}/history/").status_code == 200
