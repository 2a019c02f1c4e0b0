"""What a browser does with tickets and URLs: sends, asks for leave, reads. Blocking work runs in threads."""

from __future__ import annotations

import re
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from http.client import HTTPException
from secrets import token_hex
from urllib.parse import quote, urlsplit

from asgiref.sync import sync_to_async

from async_uploads.storage.base import GenerateUploadUrlResponse
from async_uploads.storage_trial.findings import without_secrets

TIMEOUT = 30.0
"""Seconds without a byte after which an answer is not waited for any longer."""
MOST_READ = 64 * 1024
# https://fetch.spec.whatwg.org/#cors-safelisted-request-header; of Content-Type only three values are, and a file
# is seldom one of them.
_SAFE_HEADERS = {"accept", "accept-language", "content-language"}
# https://w3c.github.io/webappsec-secure-contexts/#is-origin-trustworthy
_OWN_MACHINE = re.compile(r"(?i)^(?:127\.[\d.]+|\[::1\]|(?:.*\.)?localhost)(?::\d+)?$")
_SAFE_METHODS = {"GET", "HEAD", "POST"}


class NotReached(Exception):
    """No answer came. ``sent`` tells whether the bytes may have arrived all the same."""

    def __init__(self, reason: str, *, sent: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.sent = sent


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Message
    content: bytes
    at: float = field(default_factory=time.time)
    """When it came, in seconds since the epoch by our own clock."""

    @property
    def is_success(self) -> bool:
        return 200 <= self.status < 300

    @property
    def error(self) -> str:
        """Status, code and message, as S3 and Azure write them into XML."""
        text = self.content.decode(errors="replace")
        code = self.headers.get("x-ms-error-code") or _element("Code", text)
        message = without_secrets(_element("Message", text).split("\n")[0])[:300]
        return ": ".join(each for each in (f"HTTP {self.status} {code}".strip(), message) if each)


async def asend(
    ticket: GenerateUploadUrlResponse,
    content: bytes,
    *,
    filename: str,
    content_type: str,
    origin: str | None = None,
) -> Answer:
    """Send ``content`` by the ticket, as the widget does; ``origin`` is that of its page. Raises NotReached."""
    headers, body = dict(ticket["headers"]), content
    if ticket["method"].upper() == "POST":
        headers["Content-Type"], body = _multipart(ticket, content, filename, content_type)
    elif "content-type" not in {name.lower() for name in headers}:
        headers["Content-Type"] = content_type
    if origin is not None:
        headers["Origin"] = origin
    return await _afetch(ticket["url"], ticket["method"], headers, body)


async def aask_leave(ticket: GenerateUploadUrlResponse, origin: str) -> Answer:
    """The preflight that a browser sends first, as the widget listens to the progress of what it sends."""
    headers = {"Origin": origin, "Access-Control-Request-Method": ticket["method"].upper()}
    if names := _unsafe_headers(ticket):
        headers["Access-Control-Request-Headers"] = ",".join(names)
    return await _afetch(ticket["url"], "OPTIONS", headers)


async def aget(url: str) -> Answer:
    return await _afetch(url, "GET", {})


def for_another_key(ticket: GenerateUploadUrlResponse, key: str, other: str) -> GenerateUploadUrlResponse:
    """The ticket as somebody would change it who wants to write elsewhere."""
    return {
        **ticket,
        "url": ticket["url"].replace(quote(key), quote(other)),
        "fields": {name: value.replace(key, other) for name, value in ticket["fields"].items()},
    }


def objection_to(preflight: Answer, ticket: GenerateUploadUrlResponse, origin: str) -> str:
    """Why a browser would not send after this answer; empty where it would."""
    if not preflight.is_success:
        return f"the preflight is answered with {preflight.error}"
    if not allows_origin(preflight, origin):
        return f"the preflight's answer allows {_allowed_origin(preflight)}"
    method = ticket["method"].upper()
    if method not in _SAFE_METHODS and not _lists(preflight, "Access-Control-Allow-Methods", method):
        return f"the preflight's answer does not allow the method {method}"
    refused = [
        name
        for name in _unsafe_headers(ticket)
        if not _lists(preflight, "Access-Control-Allow-Headers", name)
    ]
    return f"the preflight's answer does not allow the headers {', '.join(refused)}" if refused else ""


def allows_origin(answer: Answer, origin: str) -> bool:
    return answer.headers.get("Access-Control-Allow-Origin") in (origin, "*")


def is_mixed_content(url: str, origin: str) -> bool:
    """Would a browser block it, as a page that came by https may not send by http? (Its own machine it trusts.)"""
    target = urlsplit(url)
    return origin.startswith("https:") and target.scheme == "http" and not _OWN_MACHINE.search(target.netloc)


def _allowed_origin(answer: Answer) -> str:
    allowed = answer.headers.get("Access-Control-Allow-Origin")
    return f"only {allowed}" if allowed else "no origin"


def _unsafe_headers(ticket: GenerateUploadUrlResponse) -> list[str]:
    return sorted(name.lower() for name in ticket["headers"] if name.lower() not in _SAFE_HEADERS)


def _lists(answer: Answer, header: str, value: str) -> bool:
    listed = {each.strip().lower() for each in answer.headers.get(header, "").split(",")}
    return value.lower() in listed or "*" in listed


def _multipart(
    ticket: GenerateUploadUrlResponse, content: bytes, filename: str, content_type: str
) -> tuple[str, bytes]:
    """The form and its type; the file comes last, as S3 ignores what follows it."""
    boundary = f"async-uploads-{token_hex(16)}"
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in ticket["fields"].items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{ticket.get("fileFieldName", "file")}"; '
        f'filename="{filename}"\r\nContent-Type: {content_type}\r\n\r\n'
    )
    body = "".join(parts).encode() + content + f"\r\n--{boundary}--\r\n".encode()
    return f"multipart/form-data; boundary={boundary}", body


def _element(name: str, xml: str) -> str:
    found = re.search(rf"<{name}>([^<]*)</{name}>", xml)
    return found[1].strip() if found else ""


async def _afetch(url: str, method: str, headers: Mapping[str, str], body: bytes | None = None) -> Answer:
    return await sync_to_async(_fetch, thread_sensitive=False)(url, method, headers, body)


def _fetch(url: str, method: str, headers: Mapping[str, str], body: bytes | None) -> Answer:
    request = urllib.request.Request(url, body, dict(headers), method=method)  # noqa: S310  # the storage's own URL
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:  # noqa: S310  # nosec B310  # as above
            return Answer(response.status, response.headers, response.read(MOST_READ))
    except urllib.error.HTTPError as error:
        with error:
            return Answer(error.code, error.headers, error.read(MOST_READ))
    except urllib.error.URLError as error:
        raise NotReached(_why(error.reason), sent=False) from error
    except (OSError, HTTPException) as error:
        raise NotReached(_why(error), sent=True) from error


def _why(error: object) -> str:
    if isinstance(error, TimeoutError):
        return f"no answer within {TIMEOUT:g} seconds"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return without_secrets(str(error) or type(error).__name__)
