"""Put Block From URL: block by block, many at once, visible when all of them are there.

What a copy that fails has put is nothing that anybody sees; Azure throws it away after a week.
https://learn.microsoft.com/rest/api/storageservices/put-block-from-url
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from azure.core import MatchConditions
from azure.storage.blob import BlobBlock

from async_uploads.storage.azure.blocks import MOST_BLOCKS, block_id, in_parallel
from async_uploads.storage.azure.copying import Copy
from async_uploads.storage.azure.errors import Refused, answer


@dataclass(frozen=True, kw_only=True)
class BlockCopy(Copy):
    """Blocks of ``block_size`` bytes, or more where they would be too many, ``concurrency`` of them at once."""

    block_size: int
    concurrency: int

    async def run(self) -> None:
        if await self._is_there():
            return
        blocks = self._blocks()
        waiting = iter(enumerate(blocks))
        telling = asyncio.Lock()
        copied = 0

        async def copy_some() -> None:
            nonlocal copied
            for index, (offset, length) in waiting:
                await self._copy_block(index, offset, length)
                async with telling:
                    copied += length
                    if self.on_progress is not None:
                        await self.on_progress(copied, self.source.size)

        await in_parallel(copy_some, min(self.concurrency, max(len(blocks), 1)))
        await self._commit(len(blocks))

    def _blocks(self) -> list[tuple[int, int]]:
        """Offset and length of each."""
        total = self.source.size
        size = max(self.block_size, -(-total // MOST_BLOCKS))
        return [(offset, min(size, total - offset)) for offset in range(0, total, size)]

    async def _copy_block(self, index: int, offset: int, length: int) -> None:
        try:
            await answer(
                self.target.stage_block_from_url(
                    block_id(self.marker, index),
                    self.source_url,
                    source_offset=offset,
                    source_length=length,
                    # The SDK has no argument for it. https://learn.microsoft.com/rest/api/storageservices/put-block-from-url
                    headers={"x-ms-source-if-match": self.source.etag},
                    **self.scope,
                ),
                of=self.place,
                name=self.from_key,
            )
        except Refused as refused:
            if refused.http_status == HTTPStatus.PRECONDITION_FAILED:
                raise self.changed() from None
            raise

    async def _commit(self, count: int) -> None:
        try:
            await self.ask(
                self.target.commit_block_list(
                    [BlobBlock(block_id(self.marker, index)) for index in range(count)],
                    content_settings=self.content,
                    metadata=self.metadata,
                    match_condition=MatchConditions.IfMissing,
                    tags=self.parameters.get("tags"),
                    standard_blob_tier=self.tier,
                    **self.scope,
                )
            )
        except Refused:
            # Somebody else's commit to this name has thrown our blocks away, or the answer to our own got lost.
            if not await self._is_there():
                raise

    async def _is_there(self) -> bool:
        """Is the target our copy already? Raises FileExistsError where it is something else."""
        try:
            found = await self.found()
        except FileNotFoundError:
            return False
        if self.is_ours(found) and found.size == self.source.size and found.copy.status in (None, "success"):
            return True
        raise FileExistsError(self.to_key)

    @property
    def scope(self) -> dict[str, Any]:
        scope = self.parameters.get("encryption_scope")
        return {"encryption_scope": scope} if scope else {}
