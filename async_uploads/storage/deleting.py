"""Deleting many files: what fails is told for each, and a storage that is away is not asked again and again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence

from async_uploads.exceptions import StorageUnavailable

AT_ONCE = 8
"""Of a storage that is asked over a network: it takes its time to answer."""

Failed = dict[str, Exception]
"""Why the files are still there, by name."""


def delete_each(delete: Callable[[str], object], names: Sequence[str]) -> Failed:
    """One after the other, in one thread: on a disk, to change the thread costs more than to delete."""
    failed: Failed = {}
    for number, name in enumerate(names):
        try:
            delete(name)
        except StorageUnavailable as error:
            return failed | dict.fromkeys(names[number:], error)
        except Exception as error:  # noqa: BLE001  # whatever a storage raises
            failed[name] = error
    return failed


async def adelete_each(adelete: Callable[[str], Awaitable[object]], names: Sequence[str]) -> Failed:
    """A few at a time."""
    free = asyncio.Semaphore(AT_ONCE)
    failed: Failed = {}
    away: StorageUnavailable | None = None

    async def one(name: str) -> None:
        nonlocal away
        async with free:
            if away is not None:
                failed[name] = away
                return
            try:
                await adelete(name)
            except StorageUnavailable as error:
                away = failed[name] = error
            except Exception as error:  # noqa: BLE001  # whatever a storage raises
                failed[name] = error

    await asyncio.gather(*map(one, names))
    return failed
