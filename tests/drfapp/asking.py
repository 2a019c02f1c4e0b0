"""Clients with tokens, such as mobile apps: no cookies, no CSRF token."""

from __future__ import annotations

from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth.models import User
from django.test import AsyncClient
from rest_framework.authtoken.models import Token

from tests.conftest import field_id_of
from tests.drfapp.models import Volume

UPLOADS = "/api/uploads/"
JSON = "application/json"


class TokenClient(AsyncClient):
    """Brings ``token`` with every request."""

    def __init__(self, token: str) -> None:
        super().__init__(enforce_csrf_checks=True)
        self.token = token

    async def request(self, **request: Any) -> Any:
        request["headers"] = [*request["headers"], (b"authorization", f"Token {self.token}".encode())]
        return await super().request(**request)


@sync_to_async
def client_of(name: str) -> TokenClient:
    """The client of the user ``name``, who is made if need be."""
    user, _new = User.objects.get_or_create(username=name)
    token, _new = Token.objects.get_or_create(user=user)
    return TokenClient(token.key)


async def ask_for_ticket(
    client: AsyncClient,
    filename: str = "report.txt",
    *,
    model: Any = Volume,
    field: str = "text",
    **more: Any,
) -> Any:
    return await client.post(
        f"{UPLOADS}generate-upload-url/",
        {"fieldId": field_id_of(model, field), "filename": filename, **more},
        content_type=JSON,
    )


async def upload_by_api(client: AsyncClient, content: bytes = b"some bytes", **more: Any) -> str:
    """A whole upload, the bytes sent as the ticket says, by somebody without cookies or token; returns its key."""
    answer = await ask_for_ticket(client, **more)
    assert answer.status_code == 200, answer.content
    ticket = answer.json()
    sent = await AsyncClient(enforce_csrf_checks=True).put(
        ticket["uploadUrl"]["url"], content, content_type="application/octet-stream"
    )
    assert sent.status_code == 201, sent.content
    return str(ticket["key"])
