"""The last byte has come, and somebody else has checked it before the transfer itself could."""

from __future__ import annotations

from typing import Any

import pytest
from django.db import OperationalError
from django.test import AsyncClient

from async_uploads.promotion import promote_temp_files
from async_uploads.storage.arrival import aaccept
from async_uploads.temp_files import AsyncTempFile, State
from async_uploads.uploads import receiving
from tests.asking import ask_ticket, send
from tests.testapp.models import Document

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.on_postgresql]


async def test_an_upload_that_is_promoted_as_it_arrives_is_answered_as_arrived(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By ``promote_temp_files``, as soon as its bytes are to be seen."""

    async def after_promotion(temp_file: AsyncTempFile, **more: Any) -> None:
        await promote_temp_files([document])
        await aaccept(temp_file, **more)

    monkeypatch.setattr(receiving, "aaccept", after_promotion)
    ticket = await ask_ticket(async_client, "report.txt")
    document = await Document.objects.acreate(title="a record")
    await Document.objects.aupdate(file=ticket["key"])
    await document.arefresh_from_db()

    answer = await send(async_client, ticket, b"the bytes")

    assert (answer.status_code, answer.json()["state"]) == (201, "promoted")
    await document.arefresh_from_db()
    assert document.file.name == "documents/report.txt"
    assert await document.file.aread() == b"the bytes"


async def test_an_answer_that_is_lost_with_the_connection_is_not_a_conflict(
    async_client: AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    lost: list[Any] = []

    async def done_but_not_told(temp_file: AsyncTempFile, **more: Any) -> None:
        if not lost:
            lost.append(await AsyncTempFile.objects.aget())
            await aaccept(lost[0], **more)
            raise OperationalError(2013, "Lost connection")  # as MySQL says it
        await aaccept(temp_file, **more)

    monkeypatch.setattr(receiving, "aaccept", done_but_not_told)
    ticket = await ask_ticket(async_client, "report.txt")

    answer = await send(async_client, ticket, b"the bytes")

    assert (answer.status_code, answer.json()["state"]) == (201, "uploaded")
    assert (await AsyncTempFile.objects.aget()).state == State.UPLOADED
