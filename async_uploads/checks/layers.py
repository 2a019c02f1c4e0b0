"""Of the channel layer, over which browsers are told the status of uploads."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from channels import DEFAULT_CHANNEL_LAYER
from channels.layers import InMemoryChannelLayer
from django.conf import settings
from django.core import checks
from django.utils.module_loading import import_string

# What servers take their number of processes from: gunicorn, uvicorn and Heroku; uvicorn; granian.
NUMBERS_OF_WORKERS = ("WEB_CONCURRENCY", "UVICORN_WORKERS", "GRANIAN_WORKERS")
HINT = "Use channels_redis, or another layer that all processes share, in CHANNEL_LAYERS."


def check_channel_layer(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    if DEFAULT_CHANNEL_LAYER not in getattr(settings, "CHANNEL_LAYERS", {}):
        yield checks.Warning(
            "There is no channel layer: browsers learn the status of uploads by asking, not live.",
            hint="Set CHANNEL_LAYERS, with channels_redis where there is more than one process.",
            id="async_uploads.W002",
        )


def check_layer_in_memory(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    name = _asks_for_workers()
    if name and _is_in_memory():
        yield checks.Warning(
            f"The channel layer is in memory, and {name}={os.environ[name]} makes several processes: a browser "
            "whose socket is with another process than its upload is not told the upload's status.",
            hint=HINT,
            id="async_uploads.W007",
        )


def check_layer_of_deployment(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    """A server's command line and its neighbours can't be seen from here, so this is said before a deployment only."""
    if _is_in_memory() and not _asks_for_workers():
        yield checks.Warning(
            "The channel layer is in memory: a second process of the server, a task queue and the sweep reach no "
            "browser with the status of an upload.",
            hint=HINT,
            id="async_uploads.W008",
        )


def _asks_for_workers() -> str:
    """The name of the environment variable that asks for more than one; empty where none does."""
    for name in NUMBERS_OF_WORKERS:
        number = os.environ.get(name, "").strip()
        if number.isdecimal() and int(number[:9]) > 1:
            return name
    return ""


def _is_in_memory() -> bool:
    layer = getattr(settings, "CHANNEL_LAYERS", {}).get(DEFAULT_CHANNEL_LAYER, {})
    try:
        backend = import_string(layer.get("BACKEND", ""))
    except ImportError:
        return False  # told by whoever needs it
    return isinstance(backend, type) and issubclass(backend, InMemoryChannelLayer)
