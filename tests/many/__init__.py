"""Several server processes behind nginx, with Redis between them and PostgreSQL below."""

from __future__ import annotations

from typing import Any


def settings_of(redis: str) -> dict[str, Any]:
    """CHANNEL_LAYERS as docs/deployment.md has them."""
    hosts = [{"address": redis, "socket_timeout": 15}]
    backend = "channels_redis.core.RedisChannelLayer"
    return {"default": {"BACKEND": backend, "CONFIG": {"hosts": hosts}}}
