"""How long a transfer may keep us waiting."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from async_uploads.uploads.patience import Patience


def now() -> float:
    return asyncio.get_running_loop().time()


async def wait_for_ever(patience: Patience, *calls: Callable[[Patience], None]) -> None:
    async with patience:
        for call in calls:
            call(patience)
        await asyncio.Event().wait()


async def test_it_ends_what_takes_too_long() -> None:
    with pytest.raises(TimeoutError):
        await wait_for_ever(Patience(now() + 0.01))


async def test_it_is_put_off_by_what_arrives() -> None:
    async with Patience(now() + 0.05) as patience:
        for _chunk in range(10):
            await asyncio.sleep(0.01)
            patience.until(now() + 60)


async def test_once_put_off_it_ends_all_the_same() -> None:
    with pytest.raises(TimeoutError):
        await wait_for_ever(Patience(now() + 0.01), lambda patience: patience.until(now() + 0.03))


async def test_it_can_be_called_nearer() -> None:
    with pytest.raises(TimeoutError):
        await wait_for_ever(Patience(now() + 3600), lambda patience: patience.until(now() + 0.01))


async def test_without_end_the_disk_may_take_its_time() -> None:
    async with Patience(now() + 0.01) as patience:
        patience.without_end()
        await asyncio.sleep(0.05)


async def test_what_is_lost_ends_even_without_end() -> None:
    with pytest.raises(TimeoutError):
        await wait_for_ever(Patience(now() + 3600), Patience.without_end, Patience.lose)


async def test_what_is_lost_after_the_end_disturbs_nobody() -> None:
    async with Patience(now() + 3600) as patience:
        pass
    patience.lose()
    await asyncio.sleep(0)
