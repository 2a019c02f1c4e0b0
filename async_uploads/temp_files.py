"""AsyncTempFile: the one record of an upload, from the first request to promotion, and its moves."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from asgiref.sync import sync_to_async
from django.apps import apps
from django.core.exceptions import FieldDoesNotExist
from django.db import DEFAULT_DB_ALIAS, connections, models, router
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from async_uploads.exceptions import UploadStateError
from async_uploads.signals import tell_move
from async_uploads.statements import insert_row, read_row, update_row

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

# The sequence number of an event is made of the row's version, which every change of state raises, and of the
# bytes received, which only grow within a state: so any process can number events without asking another.
SEQ_BITS_FOR_BYTES = 40

PROMOTION_FAILED = "promotion_failed"
FILE_CHANGED = "file_changed"
"""Error codes of a promotion: bytes that can be tried again, and bytes that nobody has checked."""

VALIDATION_UNAVAILABLE = "validation_unavailable"
"""Error code of bytes that have arrived, but could not be checked."""

_UNSTORABLE = re.compile("[\0\ud800-\udfff]")


class State(models.TextChoices):
    PENDING = "pending", _("pending")
    UPLOADING = "uploading", _("uploading")
    UPLOADED = "uploaded", _("uploaded")
    PROMOTING = "promoting", _("promoting")
    PROMOTED = "promoted", _("promoted")
    FAILED = "failed", _("failed")
    CANCELLED = "cancelled", _("cancelled")
    EXPIRED = "expired", _("expired")


OPEN_STATES = (State.PENDING, State.UPLOADING)
READABLE_STATES = (State.UPLOADED, State.PROMOTING)
FINISHED_STATES = (State.PROMOTED, State.FAILED, State.CANCELLED, State.EXPIRED)

_GIVEN_UP = {State.FAILED, State.CANCELLED, State.EXPIRED}
MOVES: dict[State, set[State]] = {
    State.PENDING: {State.UPLOADING, State.UPLOADED, *_GIVEN_UP},
    State.UPLOADING: {
        State.PENDING,
        State.UPLOADED,
        State.UPLOADING,
        *_GIVEN_UP,
    },  # to itself: taken by the sweep
    State.UPLOADED: {State.PROMOTING, *_GIVEN_UP},
    State.PROMOTING: {State.PROMOTED, State.PROMOTING, *_GIVEN_UP},  # to itself: a lease taken or renewed
    State.FAILED: {State.PROMOTING, State.EXPIRED},
    State.PROMOTED: set(),
    State.CANCELLED: set(),
    State.EXPIRED: set(),
}


FREE: dict[str, Any] = {"record_pk": ""}
NOT_TAKEN = models.Q(**FREE)
"""No record has the upload yet."""


class Owning(Protocol):
    @property
    def identities(self) -> list[str]: ...


class AsyncTempFileQuerySet(models.QuerySet["AsyncTempFile"]):
    def owned_by(self, owner: Owning) -> AsyncTempFileQuerySet:
        """The uploads that this ``Owner`` asked for; none for a visitor without user and session."""
        return self.filter(owner__in=owner.identities)


class AsyncTempFile(models.Model):
    """One upload. Sizes in bytes; ``owner`` is an ``Owner.identity``; ``record_pk`` names the record it belongs to."""

    key: models.CharField[str, str] = models.CharField(_("key"), max_length=500, unique=True)
    name: models.CharField[str, str] = models.CharField(_("file name"), max_length=255)
    model: models.CharField[str, str] = models.CharField(_("model"), max_length=201)
    field_name: models.CharField[str, str] = models.CharField(_("field"), max_length=100)
    owner: models.CharField[str, str] = models.CharField(_("owner"), max_length=191, blank=True)
    address: models.CharField[str, str] = models.CharField(
        _("hash of the address"), max_length=32, blank=True, editable=False
    )
    state: models.CharField[str, str] = models.CharField(
        _("state"), max_length=10, choices=State.choices, default=State.PENDING
    )
    version: models.PositiveIntegerField[int, int] = models.PositiveIntegerField(
        _("version"), default=0, editable=False
    )

    total: models.PositiveBigIntegerField[int | None, int | None] = models.PositiveBigIntegerField(
        _("announced size"), null=True, blank=True
    )
    received: models.PositiveBigIntegerField[int, int] = models.PositiveBigIntegerField(
        _("bytes received"), default=0
    )
    size: models.PositiveBigIntegerField[int | None, int | None] = models.PositiveBigIntegerField(
        _("size"), null=True, blank=True
    )
    content_type: models.CharField[str, str] = models.CharField(_("content type"), max_length=255, blank=True)
    width: models.PositiveIntegerField[int | None, int | None] = models.PositiveIntegerField(
        _("width"), null=True, blank=True
    )
    height: models.PositiveIntegerField[int | None, int | None] = models.PositiveIntegerField(
        _("height"), null=True, blank=True
    )
    etag: models.CharField[str, str] = models.CharField(_("ETag"), max_length=255, blank=True)

    record_db: models.CharField[str, str] = models.CharField(
        _("database of the record"), max_length=100, blank=True
    )
    record_pk: models.CharField[str, str] = models.CharField(_("record"), max_length=255, blank=True)
    final_name: models.CharField[str, str] = models.CharField(_("final name"), max_length=500, blank=True)
    attempts: models.PositiveIntegerField[int, int] = models.PositiveIntegerField(
        _("attempts at promotion"), default=0
    )
    lease_until: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(
        _("promotion reserved until"), null=True, blank=True
    )
    error_code: models.CharField[str, str] = models.CharField(_("error code"), max_length=50, blank=True)
    error: models.TextField[str, str] = models.TextField(_("error"), blank=True)

    created_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(
        _("created at"), default=timezone.now
    )
    updated_at: models.DateTimeField[datetime, datetime] = models.DateTimeField(
        _("updated at"), default=timezone.now
    )
    expires_at: models.DateTimeField[datetime | None, datetime | None] = models.DateTimeField(
        _("upload URL expires at"), null=True, blank=True
    )

    objects: ClassVar[models.Manager[AsyncTempFile]] = AsyncTempFileQuerySet.as_manager()

    _in_state_since: datetime | None = None
    """When this instance saw the row come to its state; None where it was read in it."""

    class Meta:
        verbose_name: ClassVar[StrOrPromise] = _("upload")
        verbose_name_plural: ClassVar[StrOrPromise] = _("uploads")
        ordering: ClassVar[list[str]] = ["-created_at"]
        indexes: ClassVar[list[models.Index]] = [
            models.Index(fields=["state", "updated_at"], name="async_temp_file_state"),
            models.Index(fields=["owner", "state"], name="async_temp_file_owner"),
            models.Index(fields=["address", "state"], name="async_temp_file_address"),
            models.Index(fields=["created_at"], name="async_temp_file_created"),
        ]

    def __str__(self) -> str:
        return f"{self.name} ({self.get_state_display()})"

    def save(self, *args: Any, **kwargs: Any) -> None:
        begun = self._state.adding
        super().save(*args, **kwargs)
        if begun:
            self.tell_begun()

    def insert(self, using: str) -> None:
        """As ``save``, for a row that may not stay: where it does, ``tell_begun`` is to be called."""
        insert_row(self, using)

    def tell_begun(self) -> None:
        tell_move(self, "", self.created_at, attempted=False, using=self._state.db or DEFAULT_DB_ALIAS)

    @property
    def field(self) -> Any:
        """The model field that this upload is for; LookupError where the project no longer has it."""
        return apps.get_model(self.model)._meta.get_field(self.field_name)

    @property
    def has_field(self) -> bool:
        """False where the project has renamed or removed the model or field since."""
        try:
            return self.field is not None
        except (LookupError, FieldDoesNotExist):
            return False

    @property
    def seq(self) -> int:
        return (self.version << SEQ_BITS_FOR_BYTES) | min(self.received, (1 << SEQ_BITS_FOR_BYTES) - 1)

    @property
    def is_over(self) -> bool:
        """Has its upload URL expired?"""
        return self.expires_at is not None and self.expires_at <= timezone.now()

    @property
    def failed_in_promotion(self) -> bool:
        """Failed, but its checked bytes are kept and it can be retried. What a check refused stays refused."""
        return self.state == State.FAILED and self.error_code == PROMOTION_FAILED

    @property
    def awaits_validation(self) -> bool:
        """Its bytes came through Django, whole, and a validator could not tell whether to accept them."""
        return self.state == State.PENDING and self.error_code == VALIDATION_UNAVAILABLE

    @property
    def is_readable(self) -> bool:
        """May its temporary file be downloaded? Only bytes that have passed the checks may."""
        return self.state in READABLE_STATES or self.failed_in_promotion

    def belongs_to(self, field: models.Field[Any, Any]) -> bool:
        return self.model == field.model._meta.label_lower and self.field_name == field.name

    def is_of_record(self, record_pk: str, record_db: str | None) -> bool:
        """Has the record with this primary key taken it? ``record_db``: its database, None where that is not known."""
        return self.record_pk == record_pk and record_db in (None, self.record_db)

    @property
    def public_error(self) -> str:
        """What a visitor is told. What a storage says of itself, its paths and names, is for the log and the admin."""
        if self.error_code == PROMOTION_FAILED:
            return gettext("The file could not be moved to its final place.")
        if self.error_code == FILE_CHANGED:
            return gettext("The file is not the one that was checked.")
        return self.error

    def as_status(self, *, url: str | None = None, at: datetime | None = None) -> dict[str, Any]:
        """The status message, as the HTTP view and the WebSocket send it."""
        failed = {"code": self.error_code, "message": self.public_error} if self.error_code else None
        return {
            "type": "status",
            "key": self.key,
            "state": str(self.state),
            "received": self.received,
            "total": self.size if self.size is not None else self.total,
            "name": self.name,
            "url": url,
            "error": failed,
            "seq": self.seq,
            "at": iso(at or self.updated_at),
        }

    @classmethod
    def with_key(cls, key: str) -> AsyncTempFile | None:
        """The row of exactly this key: compared in Python too, for a database may not look at upper and lower case."""
        found = read_row(cls, router.db_for_read(cls), {"key": key})
        return found if found is not None and found.key == key else None

    @classmethod
    async def awith_key(cls, key: str) -> AsyncTempFile | None:
        """Async form of ``with_key``."""
        return await sync_to_async(cls.with_key)(key)

    def move(
        self,
        to: State,
        *,
        where: models.Q | None = None,
        later: list[Callable[[], None]] | None = None,
        **changes: Any,
    ) -> None:
        """Go to the state ``to``: one conditional UPDATE from the state that this instance is in.

        ``where`` adds conditions and ``changes`` further columns; ``later`` as in ``tell_move``. Raises
        UploadStateError where the row has been moved by somebody else, or does not meet ``where``; the instance is then
        as the row is. The version is compared too: a row that has left the state and come back is not the one that this
        instance knows.
        """
        expected, version, attempts = State(self.state), self.version, self.attempts
        changed = self._changed(to, changes)
        using = router.db_for_write(AsyncTempFile)
        # The key, too: of a database for each tenant, this may be another one than the row was read from.
        known: dict[str, Any] = {"pk": self.pk, "key": self.key, "state": expected, "version": version}
        if where is None or (where is NOT_TAKEN and _has_empty_strings(using)):
            moved = update_row(AsyncTempFile, using, changed, known | ({} if where is None else FREE))
        else:
            moved = bool(AsyncTempFile.objects.using(using).filter(where, **known).update(**changed))
        if not moved:
            self.reload()
            raise UploadStateError(
                f"{expected} (version {version})", f"{self.state} (version {self.version})"
            )
        since = self._take(changed)
        if to != expected or changes.keys() & {"attempts", "error_code"}:
            attempted = self.attempts > attempts
            tell_move(self, expected, since, attempted=attempted, using=using, later=later)

    def _changed(self, to: State, changes: dict[str, Any]) -> dict[str, Any]:
        """The columns of the row after a move. Raises UploadStateError where there is no such move."""
        if to not in MOVES[State(self.state)]:
            raise UploadStateError(f"a state that leads to {to}", self.state)
        return {**changes, "state": to, "version": self.version + 1, "updated_at": timezone.now()}

    def _take(self, changed: dict[str, Any]) -> datetime:
        """Be as the row is after a move; returns since when it was in the former state."""
        since = self._in_state_since or self.updated_at
        self._in_state_since = since if self.state == changed["state"] else changed["updated_at"]
        for name, value in changed.items():
            setattr(self, name, value)
        return since

    async def amove(self, to: State, *, where: models.Q | None = None, **changes: Any) -> None:
        """Async form of ``move``, in one hop to the thread of the database connection."""
        await sync_to_async(self.move)(to, where=where, **changes)

    @classmethod
    def move_all(
        cls, rows: list[AsyncTempFile], to: State, *, where: models.Q, **changes: Any
    ) -> list[AsyncTempFile]:
        """``move`` each of ``rows``, those that are in one state and version by one UPDATE; returns those that moved.

        The others have been moved by somebody else or do not meet ``where``; they are left as they are. Blocking.
        """
        alike: dict[tuple[str, int], list[AsyncTempFile]] = {}
        for row in rows:
            alike.setdefault((row.state, row.version), []).append(row)
        return [row for some in alike.values() for row in cls._move_alike(some, to, where, changes)]

    @classmethod
    def _move_alike(
        cls, rows: list[AsyncTempFile], to: State, where: models.Q, changes: dict[str, Any]
    ) -> list[AsyncTempFile]:
        expected, version = State(rows[0].state), rows[0].version
        changed = rows[0]._changed(to, changes)
        these = cls.objects.filter(pk__in=[row.pk for row in rows])
        if these.filter(where, state=expected, version=version).update(**changed) < len(rows):
            # To the microsecond, no one else has moved one of them to the same state at the same time.
            moved = set(these.filter(**changed).values_list("pk", flat=True))
            rows = [row for row in rows if row.pk in moved]
        for row in rows:
            tell_move(row, expected, row._take(changed), attempted=False, using=these.db)
        return rows

    def reload(self) -> None:
        """Read the row again; a row that has gone counts as expired."""
        try:
            self.refresh_from_db()
        except AsyncTempFile.DoesNotExist:
            self.state = State.EXPIRED


def _has_empty_strings(alias: str) -> bool:
    """On Oracle an empty string is NULL, and equals nothing."""
    return not connections[alias].features.interprets_empty_strings_as_nulls


def is_storable(text: str) -> bool:
    """May ``text`` be looked up? Databases refuse NUL and lone surrogates with errors of their own."""
    return _UNSTORABLE.search(text) is None


def iso(moment: datetime) -> str:
    """``2026-11-22T12:00:00.123Z``"""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def expiry(seconds: float) -> datetime:
    return timezone.now() + timedelta(seconds=seconds)
