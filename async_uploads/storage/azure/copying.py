"""Copies inside the account: made by Azure, never through us, never over another blob."""

from __future__ import annotations

from collections.abc import Awaitable
from dataclasses import dataclass, field
from hashlib import sha256
from http import HTTPStatus
from typing import Any, TypeVar

from azure.storage.blob import BlobProperties, ContentSettings, StandardBlobTier
from azure.storage.blob.aio import BlobClient
from django.core.exceptions import ImproperlyConfigured

from async_uploads.inspection import is_inline_type, may_be_inline
from async_uploads.storage.azure.errors import Place, Refused, answer
from async_uploads.storage.base import FileChanged, OnProgress

T = TypeVar("T")

MARKER = "async_uploads_source"
"""Metadata of a copy that says what it is a copy of. Azure wants the names of C#'s identifiers."""

PARAMETERS = {"metadata", "tags", "standard_blob_tier", "encryption_scope"}


@dataclass(frozen=True, kw_only=True)
class Copy:
    """One copy. ``content`` and ``parameters`` are for the target; ``source_url`` may have a SAS."""

    place: Place
    source: BlobProperties = field(repr=False)
    source_url: str = field(repr=False)
    target: BlobClient
    from_key: str
    to_key: str
    content: ContentSettings
    parameters: dict[str, Any]
    on_progress: OnProgress | None

    def __post_init__(self) -> None:
        unknown = self.parameters.keys() - PARAMETERS
        if unknown:
            raise ImproperlyConfigured(
                f"Unknown copy parameters {sorted(unknown)}. These are known: {sorted(PARAMETERS)}."
            )

    async def run(self) -> None:
        """Raises FileNotFoundError, FileExistsError, FileChanged, StorageUnavailable."""
        raise NotImplementedError

    async def found_instead(self, refused: Refused) -> BlobProperties:
        """Our own copy, begun by somebody who crashed, or by ourselves where the answer was lost."""
        if not refused.unmet:
            raise refused
        try:
            found = await self.found()
        except FileNotFoundError:
            if refused.http_status == HTTPStatus.PRECONDITION_FAILED:
                raise self.changed() from None
            raise refused from None
        if not self.is_ours(found):
            raise FileExistsError(self.to_key) from None
        if found.copy.status in (None, "success") and found.size != self.source.size:
            raise FileExistsError(self.to_key) from None
        return found

    def changed(self) -> FileChanged:
        return FileChanged(f"{self.from_key} is not the file that was checked.")

    def is_ours(self, found: BlobProperties) -> bool:
        return found.metadata.get(MARKER) == self.marker

    async def found(self) -> BlobProperties:
        """What is at the target; raises FileNotFoundError."""
        return await self.ask(self.target.get_blob_properties())

    async def ask(self, request: Awaitable[T]) -> T:
        return await answer(request, of=self.place, name=self.to_key)

    @property
    def marker(self) -> str:
        return sha256(f"{self.from_key}\n{self.source.etag}".encode()).hexdigest()

    @property
    def metadata(self) -> dict[str, str]:
        """The source's and the project's; whoever uploaded the source cannot say what the copy is a copy of."""
        return {**self.source.metadata, **(self.parameters.get("metadata") or {}), MARKER: self.marker}

    @property
    def tier(self) -> StandardBlobTier | None:
        tier = self.parameters.get("standard_blob_tier")
        return None if tier is None else StandardBlobTier(tier)


def promoted_settings(stored: ContentSettings, wanted: dict[str, Any], name: str) -> ContentSettings:
    """The stored type and encoding, and what the project wants for the file ``name``.

    How it is shown and cached is not up to whoever uploaded it.
    """
    settings = {
        "content_type": stored.content_type,
        "content_encoding": stored.content_encoding,
        "content_language": stored.content_language,
        "content_md5": stored.content_md5,
        **wanted,
    }
    # A CDN may serve it as it is, without the headers of a signed URL.
    inline = may_be_inline(name) and is_inline_type(settings["content_type"])
    if not inline:
        settings.setdefault("content_disposition", "attachment")
    return ContentSettings(**settings)
