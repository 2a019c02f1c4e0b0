"""What ``<async-file-input>`` is told: where to upload to, what is allowed, and its words."""

from __future__ import annotations

import json
from html import unescape
from typing import Any

from channels import DEFAULT_CHANNEL_LAYER
from django.conf import settings
from django.urls import get_script_prefix, reverse
from django.utils.html import strip_tags
from django.utils.safestring import SafeData
from django.utils.translation import gettext

from async_uploads.promotion import record_pk_of

SOCKET_PATH = "ws/async-uploads/"


def element_attributes(field: Any) -> dict[str, Any]:
    """The attributes of ``<async-file-input>`` for a ``forms.AsyncFileField``."""
    namespace = field.async_field_registry.name
    live = DEFAULT_CHANNEL_LAYER in getattr(settings, "CHANNEL_LAYERS", {})
    return {
        "field-id": field.async_field_id,
        "generate-url": reverse("async_uploads:generate-upload-url", current_app=namespace),
        "status-url": reverse("async_uploads:upload-status", current_app=namespace),
        "socket-url": f"{get_script_prefix()}{SOCKET_PATH}" if live else None,
        "temporary-prefix": f"{field.storage.temporary_key_prefix}/",
        "max-size": field.max_size,
        "kind": field.widget_kind,
        "allow-empty": field.allow_empty_file,
        "clearable": not field.required,
        "csrf-header": settings.CSRF_HEADER_NAME.removeprefix("HTTP_").replace("_", "-"),
        "csrf-cookie": _readable_csrf_cookie(),
        "messages": json.dumps(widget_messages()),
    }


def _readable_csrf_cookie() -> str | None:
    """The name of the cookie that has the present CSRF token, where scripts can read it."""
    hidden = settings.CSRF_COOKIE_HTTPONLY or settings.CSRF_USE_SESSIONS
    return None if hidden else settings.CSRF_COOKIE_NAME


def record_pk_for(field: Any, record: Any) -> str:
    """The primary key by which ``field`` knows its record; empty for one of another model, or that is not saved."""
    return record_pk_of(field, record) if isinstance(record, field.model) else ""


def spoken(label: Any) -> str | None:
    """A label as an attribute has it: without the markup that one marked as safe may have. None for an empty one."""
    text = str(label)
    if isinstance(text, SafeData):
        text = "".join(unescape(strip_tags(text)))  # no longer marked as safe, so that it is escaped again
    return text or None


def widget_messages() -> dict[str, str]:
    """The widget's words in the language of the request, by the keys that the JavaScript knows.

    Names in braces are filled in there.
    """
    return {
        "browse": gettext("Choose a file"),
        "drop": gettext("or drop it here"),
        "dropHere": gettext("Drop the file here"),
        "paste": gettext("You can paste an image, too"),
        "hint": gettext("Up to {limit}"),
        "waiting": gettext("Waiting to upload…"),
        "uploading": gettext("Uploading {name}"),
        "progress": gettext("{percent} % ({received} of {total})"),
        "checking": gettext("Checking the file…"),
        "uploaded": gettext("Uploaded"),
        "saved": gettext("Saved"),
        "failed": gettext("The upload failed."),
        "cancelled": gettext("The upload was cancelled."),
        "cancel": gettext("Cancel"),
        "retry": gettext("Retry"),
        "replace": gettext("Replace"),
        "remove": gettext("Remove"),
        "removed": gettext("The file was removed."),
        "tooLarge": gettext("This file has {size}. The largest allowed is {limit}."),
        "tooLargeForServer": gettext("This file is too large for the server."),
        "loggedOut": gettext(
            "You are logged out, or this page is out of date. Log in again, then retry or reload the page."
        ),
        "empty": gettext("This file is empty."),
        "wrongType": gettext("This type of file is not allowed here. Allowed: {types}."),
        "network": gettext("The connection was lost before the file arrived."),
        "storageUnavailable": gettext(
            "The file storage cannot be reached at the moment. Please try again later."
        ),
        "expired": gettext("This upload is no longer available. Please choose the file again."),
        "submitting": gettext("The form is sent as soon as the upload is done…"),
        "submitBlocked": gettext("The form was not sent, because this file is not uploaded."),
        "leave": gettext("A file is still being uploaded. If you leave now, it is lost."),
        "preview": gettext("Preview of {name}"),
        "newWindow": gettext("opens in a new window"),
    }
