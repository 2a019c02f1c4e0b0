"""Blobs that are made of blocks: many at once, visible only when the list of them is committed."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

MOST_BLOCKS = 50_000
"""Of one blob. https://learn.microsoft.com/rest/api/storageservices/put-block"""


async def in_parallel(work: Callable[[], Awaitable[None]], workers: int) -> None:
    """Run ``work`` so many times at once. The first failure ends the others, and is raised."""
    tasks = [asyncio.ensure_future(work()) for _ in range(workers)]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def block_id(owner: str, index: int) -> str:
    """Of one length, as Azure wants those of a blob; never that of another writer's block to the same blob."""
    return f"{owner[:26]}-{index:05d}"
