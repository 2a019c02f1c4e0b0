"""Who is asking: the user, or for an anonymous visitor the session."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, replace
from ipaddress import ip_address, ip_network
from typing import Any

from asgiref.sync import sync_to_async
from django.contrib.auth import get_user
from django.http import HttpRequest
from django.utils.crypto import get_random_string, salted_hmac
from django.utils.module_loading import import_string

from async_uploads.conf import upload_settings

SESSION_KEY = "_async_uploads_owner"

USER_PREFIX = "user:"
SESSION_PREFIX = "session:"


@dataclass(frozen=True, kw_only=True)
class Owner:
    """``user`` and ``session`` name the same visitor; an upload begun before login stays theirs after it.

    Sources: a user's primary key, and a random value kept in the session (not the session's key, which
    changes at login and would let a reader of the database take over sessions).
    """

    user: str = ""
    session: str = ""
    address: str = ""
    """A keyed hash of the network address of an anonymous visitor who begins an upload; empty where not known."""

    @classmethod
    def of_user(cls, user: Any) -> Owner:
        """The owner that a user is; nobody for an anonymous one."""
        return cls(user=_user_identity(user))

    @property
    def identity(self) -> str:
        """What a new upload is bound to; empty where there are no sessions: then the key alone is the proof."""
        return self.user or self.session

    def owns(self, identity: str) -> bool:
        return identity in ("", self.user, self.session)

    @property
    def identities(self) -> list[str]:
        return [identity for identity in (self.user, self.session) if identity]


_current_request: ContextVar[HttpRequest | None] = ContextVar("async_uploads_request", default=None)


@contextmanager
def serving(request: HttpRequest) -> Iterator[None]:
    """Used by UploadOwnerMiddleware, so that forms and saves can tell who is asking."""
    outer = _current_request.get()
    _current_request.set(request)
    try:
        yield
    finally:
        _current_request.set(outer)


def current_owner(*, create: bool = False) -> Owner | None:
    """The owner behind the request that is being served, None outside one. Sync: may load user and session.

    With ``create``, a visitor without a session gets one.
    """
    request = _current_request.get()
    return None if request is None else owner_in_thread(request, create)


def owner_of_request(request: HttpRequest) -> Owner:
    session = getattr(request, "session", None)
    return Owner(
        user=_user_identity(getattr(request, "user", None)),
        session=_session_identity(session.get(SESSION_KEY) if session is not None else None),
    )


def hashed_address(address: str | None) -> str:
    """Equal for all addresses that one person may have, of IPv6 a whole /64. Empty where it is no address."""
    try:
        found = ip_address(address or "")
    except ValueError:
        return ""
    mapped = getattr(found, "ipv4_mapped", None) or found
    network = ip_network((mapped, 64 if mapped.version == 6 else 32), strict=False)
    return salted_hmac("async_uploads.address", str(network), algorithm="sha256").hexdigest()[:32]


def _address_of(request: HttpRequest) -> str | None:
    """What the server says, or the project's function: a header such as X-Forwarded-For anybody can send."""
    path = upload_settings.CLIENT_ADDRESS
    address: str | None = import_string(path)(request) if path else request.META.get("REMOTE_ADDR")
    return address


async def aowner_of_request(request: HttpRequest, *, create: bool = False) -> Owner:
    """As ``owner_of_request``; with ``create``, a visitor without a session gets one."""
    return await sync_to_async(owner_in_thread)(request, create)


async def aowner_of_scope(scope: Mapping[str, Any]) -> Owner:
    """The owner behind a WebSocket's scope, as AuthMiddlewareStack fills it."""
    return await sync_to_async(_owner_of_scope)(scope)


async def anew_owner_of_scope(scope: Mapping[str, Any]) -> Owner | None:
    """The same, as the session is now; None where the scope has no session that can be asked again."""
    session = scope.get("session")
    if session is None:
        return None
    return await sync_to_async(_anew_owner)(session.__class__, session.session_key)


def _anew_owner(store: type[Any], session_key: str | None) -> Owner:
    session = store(session_key)
    request = HttpRequest()
    request.session = session
    return _owner_of_scope({"session": session, "user": get_user(request)})


def owner_in_thread(request: HttpRequest, create: bool) -> Owner:
    """Blocking form of ``aowner_of_request``."""
    owner = owner_of_request(request)
    session = getattr(request, "session", None)
    if not create or owner.user:
        return owner
    if not owner.session and session is not None:
        session[SESSION_KEY] = get_random_string(32)
        owner = owner_of_request(request)
    return replace(owner, address=hashed_address(_address_of(request)))


def _owner_of_scope(scope: Mapping[str, Any]) -> Owner:
    session = scope.get("session")
    return Owner(
        user=_user_identity(scope.get("user")),
        session=_session_identity(session.get(SESSION_KEY) if session is not None else None),
    )


def _user_identity(user: Any) -> str:
    return f"{USER_PREFIX}{user.pk}" if user is not None and user.is_authenticated else ""


def _session_identity(token: str | None) -> str:
    return f"{SESSION_PREFIX}{token}" if token else ""
