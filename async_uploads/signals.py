"""Signals of the package; receivers may be sync or async.

``upload_completed``
    sender: the model class; arguments: ``temp_file`` (AsyncTempFile, state ``uploaded``).
``file_promoted``
    sender: the model class; arguments: ``temp_file``, ``record_pk``, ``field_name``, ``name`` (the final name).
``promotion_failed``
    sender: the model class; arguments: ``temp_file``, ``error`` (the exception), ``will_retry`` (bool).
``upload_moved``
    sender: AsyncTempFile; arguments: ``move`` (Move). Sent for each upload that is begun, and each change of its state,
    after the commit, in the thread that made the change.
"""

from __future__ import annotations

import hashlib
import logging
import posixpath
import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.apps import apps
from django.db import connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.dispatch import Signal
from django.utils import timezone

logger: logging.Logger = logging.getLogger("async_uploads")

upload_completed: Signal = Signal()
file_promoted: Signal = Signal()
promotion_failed: Signal = Signal()
upload_moved: Signal = Signal()

_TOKEN = re.compile(r"[\w-]{22}(?=-)", re.ASCII)
"""What a key's last part begins with, before the file's name."""


@dataclass(frozen=True, kw_only=True)
class Move:
    """A change of an upload's state, as logs and metrics tell it: nothing of the file's name and content.

    ``key`` without the file's name, which no longer opens anything; ``field`` as ``app.Model.field``; ``owner`` as
    ``user:7``, for anonymous visitors a hash. ``from_state`` is empty where the upload is begun. ``size`` in bytes,
    None while it is not known; ``duration`` in the former state and ``age`` in seconds. ``attempted``: this begins an
    attempt at the promotion, the one that ``attempts`` counts.
    """

    key: str
    field: str
    owner: str
    from_state: str
    to_state: str
    size: int | None
    duration: float
    age: float
    attempts: int
    attempted: bool
    error_code: str


def tell_move(
    upload: Any,
    from_state: str,
    since: datetime,
    *,
    attempted: bool,
    using: str,
    later: list[Callable[[], None]] | None = None,
) -> None:
    """Send ``upload_moved`` for an AsyncTempFile once it is true: what is rolled back has not happened.

    ``since``: when it came to ``from_state``. ``later`` is given what sends it, to be called after the commit; where it
    is None, this sees to that itself. Receivers that fail are logged.
    """
    now = timezone.now()
    move = Move(
        key=loggable_key(upload.key),
        field=field_label(upload),
        owner=_loggable_owner(upload.owner),
        from_state=str(from_state),
        to_state=str(upload.state),
        size=upload.size if upload.size is not None else upload.total,
        duration=max((now - since).total_seconds(), 0.0),
        age=max((now - upload.created_at).total_seconds(), 0.0),
        attempts=upload.attempts,
        attempted=attempted,
        error_code=upload.error_code,
    )

    def send() -> None:
        upload_moved.send_robust(sender=type(upload), move=move)

    if later is not None:
        later.append(send)
    elif _may_be_rolled_back(connections[using]):
        transaction.on_commit(send, using=using, robust=True)
    else:
        send()


def _may_be_rolled_back(connection: BaseDatabaseWrapper) -> bool:
    """As Django's ``durable`` sees it: the transaction that a TestCase puts around each test is nobody's own."""
    return any(not getattr(block, "_from_testcase", False) for block in connection.atomic_blocks)


def field_label(upload: Any) -> str:
    """``app.Model.field``; the model in small letters where the project no longer has it."""
    try:
        label = apps.get_model(upload.model)._meta.label
    except (LookupError, ValueError):
        label = upload.model
    return f"{label}.{upload.field_name}"


def loggable_key(key: str) -> str:
    """The beginning of a key, by which the row can be found, without the name that a person gave the file.

    Where there are no sessions, the whole key is the only proof of whose upload it is: this one proves nothing.
    """
    folder, last = posixpath.split(key)
    token = _TOKEN.match(last)
    told = token.group() if token else hashlib.sha256(last.encode(errors="replace")).hexdigest()[:22]
    return posixpath.join(folder, told)


def _loggable_owner(owner: str) -> str:
    """Of a session, a hash: its token would let whoever reads the log take its uploads."""
    kind, _colon, identity = owner.partition(":")
    if kind != "session":
        return owner
    return f"session:{hashlib.sha256(identity.encode()).hexdigest()[:16]}"


async def asend_logged(signal: Signal, sender: type, **arguments: Any) -> None:
    """Send; a receiver that fails is logged, for what it is told of has happened already."""
    _log_failed(await signal.asend_robust(sender=sender, **arguments))


def send_logged(signal: Signal, sender: type, **arguments: Any) -> None:
    """Sync form of ``asend_logged``."""
    _log_failed(signal.send_robust(sender=sender, **arguments))


def _log_failed(responses: list[tuple[Any, Any]]) -> None:
    for receiver, response in responses:
        if isinstance(response, Exception):
            logger.error("%r failed.", receiver, exc_info=response)
