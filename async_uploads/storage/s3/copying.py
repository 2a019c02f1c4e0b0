"""Copies within S3: the bytes stay there, and nothing is overwritten."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from typing import Any

from botocore.exceptions import ClientError

from async_uploads.exceptions import StorageUnavailable
from async_uploads.storage.base import FileChanged, OnProgress
from async_uploads.storage.s3.errors import MISSING_KEY, REFUSED_CONDITION, code_of, status_of
from async_uploads.storage.s3.multipart import (
    NO_SUCH_UPLOAD,
    SendPart,
    aabort_stale,
    multipart_upload,
    part_size,
)
from async_uploads.storage.s3.options import S3Options
from async_uploads.storage.s3.parameters import accepted, copy_parameters, reading_parameters, tags_of
from async_uploads.storage.s3.reading import etag_of, head

MARKER = "async-uploads-source"
"""Metadata that tells a copy from another object of the same name: the hash of its source's key and ETag."""

CONFLICT_DELAYS = (0.1, 0.3, 1.0, 2.0)
"""Seconds between the attempts of writers to one name, of whom S3 tells all but one to try again."""

_CONFLICT = 409


@dataclass(frozen=True, kw_only=True)
class Copying:
    """One copy of an object, of which ``stored`` is HeadObject's answer."""

    storage: S3Options
    client: Any
    copier: Any
    """A client that waits longer."""

    from_key: str
    to_key: str
    stored: dict[str, Any]

    async def run(self, on_progress: OnProgress | None) -> None:
        """Raises FileExistsError, FileChanged, StorageUnavailable and botocore's errors."""
        in_parts = self._size > self.storage.multipart_copy_threshold
        if (in_parts or not self.storage.conditions.are_kept) and await self._is_made():
            return
        for delay in CONFLICT_DELAYS:
            if await self._copy(on_progress):
                return
            # Where S3 made the copy and could not tell us so, it is there now.
            if await self._is_made():
                return
            await self._check_source()
            await asyncio.sleep(delay)
        raise StorageUnavailable(f"Others are writing to the same name all the time ({self.storage.place}).")

    async def _copy(self, on_progress: OnProgress | None) -> bool:
        """False where the target is taken, the source is another, or S3 tells one of many writers to try again."""
        try:
            if self._size > self.storage.multipart_copy_threshold:
                await self._copy_in_parts(on_progress)
                # Some servers look whether the name is taken and then take it, as if nobody came between.
                return await self._is_made()
            await self._copy_at_once()
        except ClientError as error:
            if _is_conflict(error):
                return False
            raise
        if self.storage.conditional_writes:
            await self.storage.conditions.try_once(self._copy_at_once)
        return True

    async def _copy_at_once(self) -> None:
        wanted = self._wanted()
        if "Tagging" in wanted:
            wanted["TaggingDirective"] = "REPLACE"
        request = {
            **accepted(self.copier, "CopyObject", wanted),
            **self._from_source(),
            **self._exclusively(),
            "MetadataDirective": "REPLACE",
        }
        await self.copier.copy_object(**request)

    async def _copy_in_parts(self, on_progress: OnProgress | None) -> None:
        await aabort_stale(self.copier, self._wanted())
        tags = await tags_of(self.client, {**self._wanted(), "Key": self._source}, self.stored)
        async with multipart_upload(self.copier, {**tags, **self._wanted()}) as upload:
            await upload.send(
                self._parts(_Progress(on_progress, self._size)),
                concurrency=self.storage.multipart_copy_concurrency,
            )
            await upload.complete(**self._exclusively())

    async def _parts(self, progress: _Progress) -> AsyncIterator[SendPart]:
        step = part_size(self._size, self.storage.multipart_copy_chunksize)
        for start in range(0, self._size, step):
            yield partial(self._copy_part, start, min(start + step, self._size), progress)

    async def _copy_part(
        self, start: int, end: int, progress: _Progress, part: dict[str, Any]
    ) -> dict[str, Any]:
        request = {
            **accepted(self.copier, "UploadPartCopy", self._wanted()),
            **self._from_source(),
            "CopySourceRange": f"bytes={start}-{end - 1}",
            **part,
        }
        copied: dict[str, Any] = (await self.copier.upload_part_copy(**request))["CopyPartResult"]
        await progress.add(end - start)
        return copied

    async def _is_made(self) -> bool:
        """Is this very copy there already? Raises FileExistsError where something else is."""
        try:
            found = await head(self.storage, self.client, self._target)
        except ClientError as error:
            if code_of(error) not in MISSING_KEY:
                raise
            return False
        if found.get("Metadata", {}).get(MARKER) == self._mark and found["ContentLength"] == self._size:
            return True
        raise FileExistsError(self.to_key)

    async def _check_source(self) -> None:
        """Raises FileChanged where it is no longer what was looked at."""
        if etag_of(await head(self.storage, self.client, self._source)) != etag_of(self.stored):
            raise FileChanged(f"{self.from_key} is not the file that was checked.")

    def _wanted(self) -> dict[str, Any]:
        return {
            **copy_parameters(self.storage, self.stored, self._target, {MARKER: self._mark}),
            "Bucket": self.storage.bucket_name,
            "Key": self._target,
        }

    def _from_source(self) -> dict[str, Any]:
        reading = reading_parameters(self.storage, self.client, "GetObject", self._source)
        return {
            **{f"CopySource{name}": key for name, key in reading.items() if name.startswith("SSECustomer")},
            "CopySource": {"Bucket": self.storage.bucket_name, "Key": self._source},
            "CopySourceIfMatch": self.stored["ETag"],
        }

    def _exclusively(self) -> dict[str, str]:
        return {"IfNoneMatch": "*"} if self.storage.conditional_writes else {}

    @property
    def _source(self) -> str:
        return self.storage.key_of(self.from_key)

    @property
    def _target(self) -> str:
        return self.storage.key_of(self.to_key)

    @property
    def _size(self) -> int:
        return int(self.stored["ContentLength"])

    @property
    def _mark(self) -> str:
        return sha256(f"{self._source}\n{etag_of(self.stored)}".encode()).hexdigest()


class _Progress:
    """Adds up what the parts copied."""

    def __init__(self, on_progress: OnProgress | None, total: int) -> None:
        self._on_progress = on_progress
        self._copied = 0
        self._total = total

    async def add(self, size: int) -> None:
        self._copied += size
        if self._on_progress is not None:
            await self._on_progress(self._copied, self._total)


def _is_conflict(error: ClientError) -> bool:
    return code_of(error) in {*REFUSED_CONDITION, NO_SUCH_UPLOAD} or status_of(error) == _CONFLICT
