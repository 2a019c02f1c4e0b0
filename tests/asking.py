"""What a browser asks, by the names of the views, through Django's test clients."""

from __future__ import annotations

import json
from typing import Any

from django.test import AsyncClient
from django.urls import reverse
from django.utils.http import urlencode

from tests.conftest import field_id_of
from tests.testapp.models import Document


def url_of(view: str, *, registry: str = "default", **query: Any) -> str:
    url = reverse(f"{registry}:{view}")
    return f"{url}?{urlencode(query)}" if query else url


def as_json(**values: Any) -> dict[str, Any]:
    """Keyword arguments of a test client's ``post`` for a JSON body."""
    return {"data": json.dumps(values), "content_type": "application/json"}


async def ask_ticket(
    client: AsyncClient,
    filename: str = "report.pdf",
    *,
    model: Any = Document,
    field: str = "file",
    **more: Any,
) -> dict[str, Any]:
    """An upload ticket; fails the test where there is none."""
    response = await client.post(
        url_of("generate-upload-url"),
        **as_json(fieldId=field_id_of(model, field), filename=filename, **more),
    )
    assert response.status_code == 200, response.content
    ticket: dict[str, Any] = response.json()
    return ticket


async def send(client: AsyncClient, ticket: dict[str, Any], content: bytes) -> Any:
    """The bytes, as the ticket says."""
    return await client.put(ticket["uploadUrl"]["url"], data=content, content_type="application/octet-stream")


async def ask_upload(
    client: AsyncClient, content: bytes = b"some bytes", filename: str = "report.txt", **more: Any
) -> str:
    """A whole upload; returns its key."""
    ticket = await ask_ticket(client, filename, **more)
    response = await send(client, ticket, content)
    assert response.status_code == 201, response.content
    return str(ticket["key"])
