"""What Azure answers, in the words of the storage contract.

Azure writes signatures and strings-to-sign into its messages, and the SDK URLs with a SAS. So nothing of an error's own
text is taken over, only its code; and the error itself is let go before ours is raised, so that it is not its context.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any, TypeVar

from aiohttp import ClientError
from azure.core.exceptions import AzureError, ClientAuthenticationError, HttpResponseError

from async_uploads.exceptions import StorageUnavailable

T = TypeVar("T")

MISSING = {"BlobNotFound", "CannotVerifyCopySource"}
MEANINGS = {
    "AuthenticationFailed": "the account key, SAS or token is not accepted",
    "AuthorizationFailure": "the credential, or the account's firewall, does not let this server in",
    "AuthorizationPermissionMismatch": "the identity has no role, or the SAS no permission, for this",
    "ContainerBeingDeleted": "the container is being deleted",
    "ContainerNotFound": "there is no such container",
    "InvalidAuthenticationInfo": "the token or the key is not accepted",
    "KeyBasedAuthenticationNotPermitted": "the account does not allow access by key",
    "ServerBusy": "the account is busy",
}
TOLERATED_SKEW = 300
"""Seconds. Azure refuses requests that are fifteen minutes off; a minute or two has other reasons."""


@dataclass(frozen=True)
class Place:
    """Where a blob lies, for people to read."""

    container: str
    host: str

    def __str__(self) -> str:
        return f"Azure container {self.container} at {self.host}"


class Refused(StorageUnavailable):
    """An answer that is an error: one that the caller expects, or an outage."""

    def __init__(self, reason: str, http_status: int, error_code: str) -> None:
        super().__init__(reason)
        self.http_status = http_status
        self.error_code = error_code

    @property
    def unmet(self) -> bool:
        """A condition of the request was not met: there is another blob than it was made for, or none."""
        return self.http_status in (HTTPStatus.CONFLICT, HTTPStatus.PRECONDITION_FAILED)


async def answer(request: Awaitable[T], *, of: Place, name: str) -> T:
    """What Azure answers to a request about the blob ``name``.

    Raises FileNotFoundError, Refused where Azure answers otherwise, StorageUnavailable where it does not.
    """
    try:
        return await request
    except (AzureError, ClientError, ConnectionError, TimeoutError) as error:
        failure = _translated(error, of, name)
    raise failure


def _translated(error: Exception, place: Place, name: str) -> Exception:
    if isinstance(error, HttpResponseError) and error.response is not None:
        headers = getattr(error.response, "headers", {})
        code = _code_of(error, headers)
        if error.status_code == HTTPStatus.NOT_FOUND and code in MISSING:
            return FileNotFoundError(name)
        if code or not isinstance(error, ClientAuthenticationError):
            status = error.status_code or 0
            return Refused(_reason(place, status, code, headers), status, code)
    if isinstance(error, ClientAuthenticationError):
        return StorageUnavailable(f"{place}: the credential gives no access ({type(error).__name__}).")
    return StorageUnavailable(f"{place} cannot be reached ({_cause(error)}).")


def _reason(place: Place, status: int, code: str, headers: Any) -> str:
    parts = [MEANINGS.get(code, ""), _skew(headers.get("Date")) if status in (401, 403) else ""]
    meaning = "".join(f", {part}" for part in parts if part)
    request_id = headers.get("x-ms-request-id")
    asked = f" (request {request_id})" if request_id else ""
    return f"{place} answered {status} {code}".rstrip() + f"{meaning}{asked}."


def _code_of(error: HttpResponseError, headers: Any) -> str:
    """Azure's name for the error; what is not a plain word is not one."""
    code = getattr(error, "error_code", None) or headers.get("x-ms-error-code") or ""
    code = str(getattr(code, "value", code))
    return code if re.fullmatch(r"\w{1,100}", code) else ""


def _cause(error: BaseException) -> str:
    inner = getattr(error, "inner_exception", None) or error
    said = getattr(inner, "strerror", None)
    return f"{type(inner).__name__}: {said}" if isinstance(said, str) and said else type(inner).__name__


def _skew(date: str | None) -> str:
    try:
        server_time = parsedate_to_datetime(date or "")
    except ValueError:
        return ""
    seconds = round((datetime.now(UTC) - server_time).total_seconds())
    if abs(seconds) < TOLERATED_SKEW:
        return ""
    return f"this server's clock is {abs(seconds)} seconds {'fast' if seconds > 0 else 'slow'}"
