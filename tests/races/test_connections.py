"""What an upload and a promotion hold of the database while bytes move: nothing."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.db import connection, connections

from async_uploads.temp_files import AsyncTempFile, State
from async_uploads.testing import amake_upload
from tests.clouds import s3_cloud
from tests.conftest import ticket_for, visiting
from tests.processes import server_process
from tests.races.crowd import exist
from tests.servers.postgresql import PostgreSQL
from tests.servers.proxy import Asked, Proxy
from tests.servers.seaweedfs import S3Server
from tests.testapp.models import Album
from tests.watching import eventually

pytestmark = pytest.mark.postgresql_only

PIECE = b"0123456789abcdef" * 64  # 1 KiB

# What there is of others: connections in use, and locks that more than one's own transaction has.
OTHERS = """
    SELECT pid, state, xact_start IS NOT NULL, query FROM pg_stat_activity
    WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()
"""
LOCKED_BY_OTHERS = "SELECT count(*) FROM pg_locks WHERE pid <> pg_backend_pid() AND locktype <> 'virtualxid'"


def asked(sql: str) -> list[Any]:
    with connection.cursor() as cursor:
        cursor.execute(sql)
        found: list[Any] = cursor.fetchall()
        return found


async def test_a_slow_upload_holds_no_connection(postgresql: PostgreSQL) -> None:
    gate = asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield PIECE
        await gate.wait()
        yield PIECE

    async with server_process() as server, visiting(server.address) as visitor:
        before = {row[0] for row in await sync_to_async(asked)(OTHERS)}
        ticket = await ticket_for(visitor, "report.bin")
        sending = asyncio.create_task(visitor.put(ticket["uploadUrl"]["url"], content=body()))
        rows = AsyncTempFile.objects.filter(state=State.UPLOADING, received=len(PIECE))
        await eventually(lambda: exist(rows))

        async def is_alone() -> Any:
            return {row[0] for row in await sync_to_async(asked)(OTHERS)} <= before

        await eventually(is_alone)  # the progress is written, and what it was written by is closed
        assert await sync_to_async(asked)(LOCKED_BY_OTHERS) == [(0,)]
        assert not sending.done()
        gate.set()
        assert (await sending).status_code == 201


async def test_a_slow_promotion_holds_no_transaction_and_no_lock(
    postgresql: PostgreSQL, seaweedfs: S3Server, seaweedfs_proxy: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Saved on a thread of its own, as a sync view does."""

    def is_copy(request: Asked) -> bool:
        return "x-amz-copy-source" in request.headers

    cloud = s3_cloud(seaweedfs)
    cloud.use(cloud.through(seaweedfs_proxy, retrying=True), monkeypatch)
    seen: list[tuple[list[Any], list[Any]]] = []

    def look() -> None:
        """While S3 is asked for the copy: long enough that a short use of the database is over."""
        try:
            for _ in range(200):
                seen.append((asked(OTHERS), asked(LOCKED_BY_OTHERS)))
                if not seen[-1][0]:
                    return
                pause.wait(0.05)
        finally:
            connections.close_all()

    pause = threading.Event()
    made = await amake_upload(Album.booklet, b"%PDF-1.7 a booklet", "booklet.pdf")
    await sync_to_async(connections.close_all)()
    connections.close_all()
    seaweedfs_proxy.first(look, when=is_copy)

    def save() -> str:
        try:
            album = Album(booklet=made.key)
            album.save()
            return str(album.booklet.name)
        finally:
            connections.close_all()

    name = await asyncio.to_thread(save)

    assert name == "booklets/booklet.pdf"
    assert seen
    assert all(not in_transaction for rows, _ in seen for _pid, _state, in_transaction, _query in rows), seen
    assert all(locked == [(0,)] for _, locked in seen), seen
    assert seen[-1][0] == []
