"""Whole files that the ASGI server sends by itself, where it can: the extension ``http.response.pathsend`` of ASGI."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django.http import HttpResponse, StreamingHttpResponse

PATHSEND = "http.response.pathsend"


def offers_pathsend(request: Any) -> bool:
    """Does the server behind this request take a path in place of the bytes?"""
    extensions: Mapping[str, object] = getattr(request, "scope", {}).get("extensions") or {}
    return PATHSEND in extensions


class FileOnDiskResponse(StreamingHttpResponse):
    """A file by its chunks, for every handler, and by its ``path`` for ours: as long as it is the file that is sent.

    ``path`` is None once a middleware has put other content in its place, such as compressed content.
    """

    path: str | None = None

    def __init__(self, chunks: Any, path: str) -> None:
        super().__init__(chunks)
        self.path = path

    def _set_streaming_content(self, value: Any) -> None:
        self.path = None
        super()._set_streaming_content(value)  # type: ignore[misc]  # django-stubs does not tell of it

    def without_content(self) -> HttpResponse:
        """Its status, headers and cookies."""
        head = HttpResponse(status=self.status_code, headers=self.headers)
        head.cookies = self.cookies
        return head


class PathInPlaceOfBody:
    """An ASGI ``send`` that has the server send the file itself after the head of a response."""

    def __init__(self, send: Any, path: str) -> None:
        self._send = send
        self._path = path

    async def __call__(self, message: Mapping[str, Any]) -> None:
        if message["type"] == "http.response.start":
            await self._send(message)
            await self._send({"type": PATHSEND, "path": self._path})
