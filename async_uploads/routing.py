"""The WebSocket route of the package: one, ``ws/async-uploads/``."""

from typing import Any

from django.urls import path

from async_uploads.consumers import UploadStatusConsumer

consumer: Any = (
    UploadStatusConsumer.as_asgi()
)  # channels routes to ASGI applications, which path() does not expect

# Typed for URLRouter, which takes what path() makes but does not say so.
websocket_urlpatterns: list[Any] = [path("ws/async-uploads/", consumer)]
