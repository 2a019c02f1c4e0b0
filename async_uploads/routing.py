"""The WebSocket route of the package: one, ``ws/async-uploads/``."""

from django.urls import path

from async_uploads.consumers import UploadStatusConsumer

websocket_urlpatterns = [path("ws/async-uploads/", UploadStatusConsumer.as_asgi())]  # type: ignore[arg-type]  # channels routes ASGI applications
