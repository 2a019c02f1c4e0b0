"""What goes wrong beside an upload does not undo what has been promised."""

from __future__ import annotations

import logging
from datetime import timedelta
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.contrib.sessions.models import Session
from django.core.files.base import ContentFile
from django.test import AsyncClient
from django.utils import timezone

from async_uploads.exceptions import TypeNotAllowed, UploadAlreadyUsed
from async_uploads.models import AsyncTempFile
from async_uploads.signals import upload_completed
from async_uploads.storage import arrival
from async_uploads.sweeping import asweep
from tests.arrivals import arrived, row_of, state_of
from tests.asking import ask_upload, url_of
from tests.conftest import field_id_of, image_bytes, ticket_for, upload
from tests.testapp.models import Document, Guarded, Picture

pytestmark = pytest.mark.django_db(transaction=True)


async def test_a_receiver_that_fails_costs_no_bytes(visitor: httpx.AsyncClient) -> None:
    def fails(**kwargs: Any) -> None:
        raise ValueError("not my day")

    upload_completed.connect(fails)
    try:
        key = await upload(visitor, b"some bytes")
    finally:
        upload_completed.disconnect(fails)

    document = await Document.objects.acreate(file=key)
    assert await document.file.aread() == b"some bytes"


async def test_accepted_bytes_stay_whatever_fails_after_that(
    visitor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def killed(*args: Any, **kwargs: Any) -> None:
        raise RuntimeError("between the row and its news")

    monkeypatch.setattr(arrival, "asend_logged", killed)
    ticket = await ticket_for(visitor, "report.txt")
    answer = await visitor.put(ticket["uploadUrl"]["url"], content=b"some bytes")
    monkeypatch.undo()

    assert answer.status_code == 500
    assert (await AsyncTempFile.objects.aget()).state == "uploaded"
    document = await Document.objects.acreate(file=ticket["key"])
    assert await document.file.aread() == b"some bytes"


class LooksAtTheForm(logging.Handler):
    """As Django's AdminEmailHandler does."""

    def emit(self, record: logging.LogRecord) -> None:
        assert not record.__dict__["request"].POST


async def test_a_log_handler_that_looks_at_the_form_finds_none(visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "report.txt")
    handler = LooksAtTheForm()
    logging.getLogger("django.request").addHandler(handler)
    try:
        answer = await visitor.post(ticket["uploadUrl"]["url"], files={"file": ("x.txt", b"x" * 2_000_000)})
    finally:
        logging.getLogger("django.request").removeHandler(handler)

    assert answer.status_code == 413


def test_a_visitor_is_not_shown_the_servers_paths() -> None:
    temp_file = row_of(arrived())
    temp_file.error_code, temp_file.error = "promotion_failed", "[Errno 2] /srv/secret/media"

    assert "/srv" not in str(temp_file.as_status())


def test_an_image_that_pillow_would_read_whole_is_refused_beyond_a_limit(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(arrival, "MOST_READ", 1000)

    with pytest.raises(TypeNotAllowed):
        arrived(image_bytes("WEBP", (900, 900)) + bytes(2000), "photo.webp", model=Picture, field="image")


def test_a_record_that_lost_the_race_has_its_own_file_still(monkeypatch: pytest.MonkeyPatch) -> None:
    loser = Document.objects.create(file=ContentFile(b"mine", name="mine.txt"))
    mine = loser.file.name
    key = arrived()
    loser.file = key

    def somebody_else_was_faster(*args: Any, **kwargs: Any) -> Any:
        raise UploadAlreadyUsed()

    monkeypatch.setattr("async_uploads.fields.saving.claim", somebody_else_was_faster)
    with pytest.raises(UploadAlreadyUsed):
        loser.save()

    assert Document.objects.get().file.name == mine


def test_an_upload_to_that_fails_leaves_no_record_without_its_file(monkeypatch: pytest.MonkeyPatch) -> None:
    key = arrived()

    def fails(*args: Any) -> str:
        raise LookupError("no such customer")

    monkeypatch.setattr(Document._meta.get_field("file"), "upload_to", fails)
    with pytest.raises(LookupError):
        Document.objects.create(file=key)

    assert not Document.objects.exists()
    assert state_of(key) == "uploaded"


async def test_rows_of_a_model_that_was_renamed_are_swept_and_unknown(async_client: AsyncClient) -> None:
    key = await ask_upload(async_client)
    long_ago = timezone.now() - timedelta(days=9)
    renamed = {"model": "testapp.gone", "state": "promoted", "updated_at": long_ago}
    await AsyncTempFile.objects.aupdate(**renamed)

    answer = await async_client.get(url_of("upload-status"), {"key": key})
    report = await asweep()

    assert answer.status_code == 404
    assert report.errors == []
    assert not await AsyncTempFile.objects.aexists()


async def test_whoever_is_refused_gets_no_session(async_client: AsyncClient) -> None:
    field_id = await sync_to_async(field_id_of)(Guarded, "file")

    answer = await async_client.post(
        url_of("generate-upload-url"), {"fieldId": field_id, "filename": "x.txt"}
    )

    assert answer.status_code == 403
    assert not await Session.objects.aexists()
