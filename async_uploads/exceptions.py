"""What can go wrong, each with the code and HTTP status that a client sees."""

from __future__ import annotations

from math import ceil
from typing import ClassVar

from django.core.exceptions import BadRequest, ValidationError
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _


class UploadError(Exception):
    """Base of the errors that have an answer for the client: ``{"code", "detail"}`` with ``status``."""

    code: str = "error"
    status: ClassVar[int] = 400
    default_detail: ClassVar[str | Promise] = _("The upload failed.")

    def __init__(self, detail: str | None = None) -> None:
        self.detail: str = str(detail if detail is not None else self.default_detail)
        super().__init__(self.detail)

    @property
    def headers(self) -> dict[str, str]:
        """What the answer's head tells beside its status."""
        return {}

    def as_json(self) -> dict[str, object]:
        return {"code": self.code, "detail": self.detail}


class InvalidParameters(UploadError):
    """Parameters that are missing or malformed: ``{"filename": ["This field is required."]}``."""

    code = "invalid"

    def __init__(self, errors: dict[str, list[str]]) -> None:
        self.errors = errors
        super().__init__("; ".join(f"{name}: {' '.join(messages)}" for name, messages in errors.items()))

    def as_json(self) -> dict[str, object]:
        return dict(self.errors)


class PermissionDenied(UploadError):
    """The person or the token may not do this."""

    code = "permission_denied"
    status = 403
    default_detail: ClassVar[str | Promise] = _("You do not have permission to do this.")


class UploadNotFound(UploadError):
    """There is no such upload, or it is somebody else's."""

    code = "not_found"
    status = 404
    default_detail: ClassVar[str | Promise] = _("There is no such upload.")


class TransferTimedOut(UploadError):
    """The body stopped arriving."""

    code = "timed_out"
    status = 408
    default_detail: ClassVar[str | Promise] = _("The upload stopped and was given up. Please try again.")


class UploadInUse(UploadError):
    """The upload has been used, or is being used, already."""

    code = "already_used"
    status = 409
    default_detail: ClassVar[str | Promise] = _("This upload has been used already.")


class UploadIncomplete(UploadError):
    """Completion was asked for, but the bytes are not there."""

    code = "incomplete"
    status = 409
    default_detail: ClassVar[str | Promise] = _("The file has not arrived yet.")


class UploadExpired(UploadError):
    """The upload URL or the upload itself is over."""

    code = "expired"
    status = 410
    default_detail: ClassVar[str | Promise] = _("This upload has expired. Please choose the file again.")


class FileTooLarge(UploadError):
    """More bytes than the field allows."""

    code = "file_too_large"
    status = 413
    default_detail: ClassVar[str | Promise] = _("The file is too large.")


class TypeNotAllowed(UploadError):
    """The bytes are of a type that the field does not take."""

    code = "type_not_allowed"
    status = 415
    default_detail: ClassVar[str | Promise] = _("Files of this type are not allowed here.")


class UploadRefused(UploadError):
    """A validator of the project's refused the file, with its own message and, where it has one, its own ``code``."""

    code: str = "refused"
    status = 422
    default_detail: ClassVar[str | Promise] = _("This file is not accepted here.")

    def __init__(self, detail: str | None = None, *, code: str | None = None) -> None:
        super().__init__(detail or None)
        if code is not None:
            self.code = code


class TooManyUploads(UploadError):
    """The owner has too many unfinished uploads."""

    code = "too_many_uploads"
    status = 429
    default_detail: ClassVar[str | Promise] = _(
        "You have too many unfinished uploads. Please finish or cancel some."
    )


class Throttled(TooManyUploads):
    """The project's own throttle says no. ``retry_after`` in seconds, for the header of that name; None: not told."""

    default_detail: ClassVar[str | Promise] = _("You have asked too often. Please wait a little.")

    def __init__(self, detail: str | None = None, *, retry_after: float | None = None) -> None:
        super().__init__(detail)
        self.retry_after = retry_after

    @property
    def headers(self) -> dict[str, str]:
        return {} if self.retry_after is None else {"Retry-After": str(max(ceil(self.retry_after), 0))}


class StorageUnavailable(UploadError):
    """The storage does not answer, or does not let us in. ``reason`` says why, for the log; it holds no secrets."""

    code = "storage_unavailable"
    status = 503
    default_detail: ClassVar[str | Promise] = _(
        "The file storage cannot be reached at the moment. Please try again later."
    )

    def __init__(self, reason: str) -> None:
        super().__init__()
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class DatabaseUnavailable(UploadError):
    """The database does not answer, or can't at the moment."""

    code = "database_unavailable"
    status = 503
    default_detail: ClassVar[str | Promise] = _("The server is busy. Please try again in a moment.")
    retry_after: ClassVar[int] = 5  # seconds

    @property
    def headers(self) -> dict[str, str]:
        return {"Retry-After": str(self.retry_after)}


class ValidationUnavailable(UploadError):
    """A validator of the project's failed or took too long: nobody knows whether the file may be accepted."""

    code = "validation_unavailable"
    status = 503
    default_detail: ClassVar[str | Promise] = _(
        "The file could not be checked at the moment. Please try again later."
    )


class StorageFull(UploadError):
    """The storage has no room."""

    code = "storage_full"
    status = 507
    default_detail: ClassVar[str | Promise] = _("The server has no room for this file at the moment.")


class UploadDisconnected(Exception):
    """The client went away in the middle of a body; there is nobody to answer."""


class UploadStateError(UploadError):
    """A move of the state machine found another state than it expected."""

    code = "already_used"
    status = 409

    def __init__(self, expected: str, actual: str) -> None:
        self.expected = expected
        self.actual = actual
        super().__init__(f"expected {expected}, was {actual}")


class UploadKeyError(ValidationError, BadRequest):
    """A field was given a key that may not be saved there: a form error for a person.

    Where a view leaves the error of a save uncaught, Django answers 400.
    """


class UploadAlreadyUsed(UploadKeyError):
    """The key belongs to another record."""

    def __init__(self) -> None:
        super().__init__(
            _("This upload has been used already. Please choose the file again."), code="already_used"
        )


REFUSALS: tuple[type[UploadError], ...] = (FileTooLarge, TypeNotAllowed, UploadRefused)
"""What a check says of the bytes: the upload has failed for good, and its bytes are deleted."""
