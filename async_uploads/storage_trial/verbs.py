"""The steps of a trial that the server takes: what completion, promotion and the sweep do."""

from __future__ import annotations

import asyncio

from async_uploads.storage.base import FileChanged, StoredFile
from async_uploads.storage_trial.advice import advice_on_overwriting
from async_uploads.storage_trial.bench import CONTENT, OTHER_CONTENT, Bench
from async_uploads.storage_trial.findings import Wrong

RACERS = 4
BEHIND_A_PROXY = "A proxy or cache in front of the storage may change what it says: go past it."


async def aask_for_nothing(bench: Bench) -> None:
    try:
        await bench.storage.astat(bench.new_key())
    except FileNotFoundError:
        return
    raise Wrong("it is said to be there", BEHIND_A_PROXY)


async def areceive(bench: Bench) -> None:
    await bench.aput(bench.source, CONTENT)


async def astat(bench: Bench) -> None:
    stored = await _astat_source(bench)
    if stored.size != len(CONTENT):
        raise Wrong(f"{len(CONTENT)} bytes were sent, and {stored.size} are said to be there", BEHIND_A_PROXY)
    if not stored.etag:
        raise Wrong("there is no ETag, so that swapped bytes cannot be told", BEHIND_A_PROXY)


async def aread(bench: Bench) -> None:
    stored = await _astat_source(bench)
    part = await bench.storage.aread_range(bench.source, 6, 19, if_match=stored.etag)
    if part != CONTENT[6:19]:
        raise Wrong(f"13 bytes were asked for, and {len(part)} others came", BEHIND_A_PROXY)
    rival = await _arival_of(bench)
    try:
        await bench.storage.aread_range(bench.source, 6, 19, if_match=rival.etag)
    except FileChanged:
        return
    raise Wrong("bytes with another ETag than the one asked for are read all the same", BEHIND_A_PROXY)


async def acopy(bench: Bench) -> None:
    stored = await _astat_source(bench)
    await bench.acopy(bench.source, bench.target, if_match=stored.etag)
    if await bench.storage.aread_range(bench.target, 0, len(CONTENT) + 1) != CONTENT:
        raise Wrong("the copy has other bytes than its source")


async def acopy_onto_a_taken_name(bench: Bench) -> None:
    rival = bench.new_key()
    await bench.aput(rival, OTHER_CONTENT)
    try:
        await bench.acopy(rival, bench.target)
    except FileExistsError:
        return
    raise Wrong("the second copy overwrote the first", advice_on_overwriting(bench.storage))


async def acopy_at_once(bench: Bench) -> None:
    """Whether the server itself refuses, not only a look before the copy: that has to be made by more than one."""
    rivals, target = [bench.new_key() for _ in range(RACERS)], bench.new_name()
    for number, rival in enumerate(rivals):
        await bench.aput(rival, b"%d" % number)
    outcomes = await asyncio.gather(*(bench.acopy(rival, target) for rival in rivals), return_exceptions=True)
    for outcome in outcomes:
        if outcome is not None and not isinstance(outcome, FileExistsError):
            raise outcome
    if outcomes.count(None) != 1:
        raise Wrong(
            f"{outcomes.count(None)} of {RACERS} copies were told that they had the name",
            advice_on_overwriting(bench.storage),
        )


async def acopy_swapped_bytes(bench: Bench) -> None:
    rival, target = await _arival_of(bench), bench.new_name()
    try:
        await bench.acopy(bench.source, target, if_match=rival.etag)
    except FileChanged:
        return
    raise Wrong(
        "bytes with another ETag than the checked one were copied",
        "The server ignores x-amz-copy-source-if-match: it cannot keep unchecked bytes out, use another one."
        if bench.storage.provider == "s3"
        else BEHIND_A_PROXY,
    )


async def _astat_source(bench: Bench) -> StoredFile:
    return await bench.storage.astat(bench.source)


async def _arival_of(bench: Bench) -> StoredFile:
    """What is stored of other bytes, under a key of their own."""
    rival = bench.new_key()
    await bench.aput(rival, OTHER_CONTENT)
    return await bench.storage.astat(rival)
