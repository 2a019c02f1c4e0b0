"""Copy Blob: one request, after which Azure is done, or copies in its own time.

https://learn.microsoft.com/rest/api/storageservices/copy-blob
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from dataclasses import dataclass

from azure.core import MatchConditions
from azure.storage.blob import BlobProperties, ContentSettings

from async_uploads.exceptions import StorageUnavailable
from async_uploads.storage.azure.copying import Copy
from async_uploads.storage.azure.errors import Refused, answer

logger: logging.Logger = logging.getLogger("async_uploads")

LONGEST_INTERVAL = 10.0
FAILED = ("failed", "aborted")
CONTENT_SETTINGS = (
    "content_type",
    "content_encoding",
    "content_language",
    "content_disposition",
    "cache_control",
    "content_md5",
)


@dataclass(frozen=True, kw_only=True)
class WholeCopy(Copy):
    """A pending copy is first asked after when ``poll_interval`` seconds have passed, and then less and less often."""

    poll_interval: float

    async def run(self) -> None:
        try:
            present = await self._start()
            # Azure tells whoever reads a copy where it comes from, SAS and all, until the copy is modified.
            if "?" in self.source_url or not _same_settings(present, self.content):
                await self.ask(self.target.set_http_headers(self.content))
        except asyncio.CancelledError:
            await asyncio.shield(self._abandon())
            raise

    async def _start(self, *, again: bool = True) -> ContentSettings:
        """The settings that the whole copy has got."""
        try:
            started = await answer(
                self.target.start_copy_from_url(
                    self.source_url,
                    metadata=self.metadata,
                    source_etag=self.source.etag,
                    source_match_condition=MatchConditions.IfNotModified,
                    match_condition=MatchConditions.IfMissing,
                    tags=self.parameters.get("tags"),
                    standard_blob_tier=self.tier,
                ),
                of=self.place,
                name=self.from_key,
            )
        except Refused as refused:
            found = await self.found_instead(refused)
            if again and found.copy.status in FAILED:
                await self._remove(found)
                return await self._start(again=False)
        else:
            if started["copy_status"] == "success":
                return self.source.content_settings
            found = await self.found()
        return await self._wait_for(found)

    async def _wait_for(self, found: BlobProperties) -> ContentSettings:
        interval = self.poll_interval
        while found.copy.status == "pending":
            await self._tell_progress(found.copy.progress)
            await asyncio.sleep(interval)
            interval = min(interval * 1.5, LONGEST_INTERVAL)
            found = await self.found()
        if found.copy.status in FAILED:
            await self._remove(found)
            raise StorageUnavailable(
                f"{self.place}: the copy to {self.to_key} was {found.copy.status}: {_description(found)}"
            )
        return found.content_settings

    async def _tell_progress(self, progress: str | None) -> None:
        """``progress`` as Azure tells it: ``1024/4096``."""
        copied, _, total = (progress or "").partition("/")
        if self.on_progress is not None and copied.isdigit() and total.isdigit():
            await self.on_progress(int(copied), int(total))

    async def _abandon(self) -> None:
        """Leave no half of a copy behind."""
        try:
            found = await self.found()
            if self.is_ours(found) and found.copy.status == "pending":
                with suppress(Refused):  # it has ended meanwhile
                    await self.ask(self.target.abort_copy(found.copy.id or ""))
                await self._remove(await self.found())
        except FileNotFoundError:
            return
        except StorageUnavailable as error:
            logger.warning("The copy to %s could not be aborted (%s).", self.to_key, error)

    async def _remove(self, found: BlobProperties) -> None:
        """Delete the target, unless it is whole, or has become something else."""
        if found.copy.status not in FAILED:
            return
        with suppress(FileNotFoundError, Refused):
            await self.ask(
                self.target.delete_blob(etag=found.etag, match_condition=MatchConditions.IfNotModified)
            )


def _same_settings(one: ContentSettings, other: ContentSettings) -> bool:
    return all((getattr(one, name) or None) == (getattr(other, name) or None) for name in CONTENT_SETTINGS)


def _description(found: BlobProperties) -> str:
    """What Azure says, without the address that it may name."""
    words = (found.copy.status_description or "no reason was given").split()
    return " ".join(word for word in words if "sig=" not in word)
