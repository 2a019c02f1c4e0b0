"""Tokens that carry one permission each: a token signed for one purpose is worthless for any other."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from django.core import signing

from async_uploads.exceptions import PermissionDenied, UploadExpired


@dataclass(frozen=True, kw_only=True)
class UploadToken:
    """Permission to send the bytes of one key, once. ``max_size`` in bytes."""

    key: str
    field_id: str
    max_size: int | None
    expire: int

    purpose = "upload"


@dataclass(frozen=True, kw_only=True)
class DownloadToken:
    """Permission to read the bytes of one name, shown to the person as ``filename``."""

    key: str
    field_id: str
    filename: str
    inline: bool
    expire: int

    purpose = "download"


def sign(token: UploadToken | DownloadToken) -> str:
    return signing.dumps(asdict(token), salt=f"async_uploads.{token.purpose}", compress=True)


def unsign_upload(token: str) -> UploadToken:
    """The token's content; raises PermissionDenied where it was not signed for uploads, UploadExpired later."""
    return UploadToken(**_load(token, UploadToken.purpose))


def unsign_download(token: str) -> DownloadToken:
    """As ``unsign_upload``, for downloads."""
    return DownloadToken(**_load(token, DownloadToken.purpose))


def _load(token: str, purpose: str) -> dict[str, Any]:
    salt = f"async_uploads.{purpose}"
    try:
        content: dict[str, Any] = signing.loads(token, salt=salt)
        signing.loads(token, salt=salt, max_age=content["expire"])
    except signing.SignatureExpired as error:
        raise UploadExpired() from error
    except signing.BadSignature as error:
        raise PermissionDenied() from error
    return content
