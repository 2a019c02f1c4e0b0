"""Of the project as a whole: its ASGI application, its middleware."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from typing import Any

from channels.routing import ProtocolTypeRouter
from django.conf import settings
from django.core import checks
from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.asgi import ASGIHandler
from django.utils.module_loading import import_string

SESSION_MIDDLEWARE = "django.contrib.sessions.middleware.SessionMiddleware"
OWNER_MIDDLEWARE = "async_uploads.middleware.UploadOwnerMiddleware"


def check_asgi(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    path = getattr(settings, "ASGI_APPLICATION", None)
    if not path:
        yield checks.Warning(
            "The project names no ASGI application: under WSGI each upload keeps a worker busy from its first byte "
            "to its last, and nobody is told of its progress.",
            hint="Set ASGI_APPLICATION, with get_asgi_application from async_uploads.asgi, and serve that.",
            id="async_uploads.W006",
        )
        return
    try:
        application = import_string(path)
    except (ImportError, ImproperlyConfigured):
        return  # told by whoever serves it, and by the check of what is not configured
    handler = _django_handler_in(application)
    if handler is not None and not getattr(handler, "streams_request_bodies", False):
        yield checks.Warning(
            "The project uses Django's own ASGI handler: whole uploads are spooled before a view sees them.",
            hint="In asgi.py, import get_asgi_application from async_uploads.asgi instead.",
            id="async_uploads.W003",
        )


def check_middleware(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    present = list(_middleware_classes())
    if not _has_any(present, SESSION_MIDDLEWARE):
        yield checks.Warning(
            "There is no session middleware: an anonymous visitor's upload is protected by its key alone.",
            hint=f"Add {SESSION_MIDDLEWARE!r} to MIDDLEWARE.",
            id="async_uploads.W004",
        )
    if not _has_any(present, OWNER_MIDDLEWARE):
        yield checks.Warning(
            "Forms do not know who is asking: a person could save an upload of somebody else's whose key they know.",
            hint=f"Add {OWNER_MIDDLEWARE!r} to MIDDLEWARE, behind the session and authentication middleware.",
            id="async_uploads.W005",
        )


def _middleware_classes() -> Iterator[type]:
    """Those in MIDDLEWARE that are classes; what can't be imported is told by Django when it starts to serve."""
    for path in settings.MIDDLEWARE:
        with suppress(ImportError):
            middleware = import_string(path)
            if isinstance(middleware, type):
                yield middleware


def _has_any(classes: list[type], path: str) -> bool:
    """Is the class at ``path`` among them, or one that a project has derived from it?"""
    return any(issubclass(each, import_string(path)) for each in classes)


def _django_handler_in(application: Any) -> ASGIHandler | None:
    """Django's handler behind the routers and middlewares that are usually wrapped around it."""
    for _depth in range(20):
        if isinstance(application, ProtocolTypeRouter):
            application = application.application_mapping.get("http")
            continue
        inner = [
            getattr(application, name)
            for name in ("application", "app", "inner")
            if hasattr(application, name)
        ]
        if not inner:
            break
        application = inner[0]
    return application if isinstance(application, ASGIHandler) else None
