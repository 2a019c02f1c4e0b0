"""A sweep beside other sweeps, beside live traffic, and as a worker that runs for long."""

from __future__ import annotations

import asyncio
import fcntl
import os
import re
import signal
import struct
import subprocess
import sys
import termios
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import OperationalError, connection, transaction
from django.test.utils import CaptureQueriesContext
from django.utils import timezone
from pytest_django import Settings

from async_uploads.exceptions import StorageUnavailable
from async_uploads.models import AsyncTempFile
from async_uploads.promotion import promote_inline
from async_uploads.signals import Move, upload_moved
from async_uploads.storage.arrival import aaccept
from async_uploads.sweeping import asweep, awatch
from async_uploads.sweeping.due import Due
from async_uploads.sweeping.taking import give_back, take
from async_uploads.temp_files import NOT_TAKEN, State
from async_uploads.uploads import aexpire, aexpire_all, receiving
from tests.arrivals import arrived, begun, state_of, stored_names
from tests.conftest import ticket_for
from tests.processes import ROOT
from tests.testapp.models import Document, Letter, Portrait
from tests.watching import eventually, parts_of
from tests.wire import wired

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.on_postgresql]

DAYS_AGO = timedelta(days=3)
PATIENCE = 30.0


def aged(key: str, by: timedelta = DAYS_AGO, **changes: Any) -> str:
    then = timezone.now() - by
    AsyncTempFile.objects.filter(key=key).update(**{"created_at": then, "updated_at": then, **changes})
    return key


def abandoned() -> Any:
    now = timezone.now()
    return Due.at(now, now - timedelta(hours=48)).abandoned


def rows(count: int, **columns: Any) -> None:
    """Rows of uploads that never had any bytes."""
    then = timezone.now() - DAYS_AGO
    given = {"model": "testapp.document", "field_name": "file", "created_at": then, "updated_at": then}
    AsyncTempFile.objects.bulk_create(
        AsyncTempFile(key=f"async-temp-files/{uuid4()}-a.txt", name="a.txt", **{**given, **columns})
        for _number in range(count)
    )


@contextmanager
def sweeper(*arguments: str) -> Iterator[subprocess.Popen[str]]:
    """The command as a process, on the test's database and files; it is killed at the end if it still runs."""
    # Whoever starts the tests in the background has SIGINT ignored, and children would inherit that.
    ignored_or_not = signal.signal(signal.SIGINT, signal.default_int_handler)
    process = subprocess.Popen(
        [sys.executable, "-m", "django", "cleanup_async_temp_files", *arguments],
        cwd=ROOT,
        env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", "PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    signal.signal(signal.SIGINT, ignored_or_not)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def heard(moves: list[Move]) -> Iterator[None]:
    def hear(move: Move, **kwargs: Any) -> None:
        moves.append(move)

    upload_moved.connect(hear)
    try:
        yield
    finally:
        upload_moved.disconnect(hear)


def content_of(name: str) -> bytes:
    return Path(settings.MEDIA_ROOT, name).read_bytes()


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "It did not come about."
        time.sleep(0.05)


####################################
# Beside other sweeps
####################################


@pytest.mark.postgresql_only
def test_two_sweeps_share_the_work_and_treat_every_upload_once() -> None:
    rows(1000)

    with sweeper() as one, sweeper() as other:
        said = [process.communicate(timeout=120) for process in (one, other)]

    assert [process.returncode for process in (one, other)] == [0, 0], said
    treated = Counter(re.findall(r"expired: (\S+)", said[0][0] + said[1][0]))
    assert len(treated) == 1000
    assert set(treated.values()) == {1}
    assert set(AsyncTempFile.objects.values_list("state", flat=True)) == {"expired"}


@pytest.mark.postgresql_only
def test_a_sweep_does_not_wait_for_rows_that_another_one_is_about_to_take() -> None:
    keys = [aged(begun().key) for _ in range(3)]

    with transaction.atomic():
        AsyncTempFile.objects.select_for_update().get(key=keys[0])
        with sweeper() as process:  # on a connection of its own
            said, _errors = process.communicate(timeout=PATIENCE)

    assert set(re.findall(r"expired: (\S+)", said)) == set(keys[1:])


def test_rows_that_another_sweep_holds_are_left_to_it_until_its_lease_ends() -> None:
    key = aged(arrived())

    held = take(abandoned(), after=0)
    asyncio.run(asweep())
    assert state_of(key) == "uploaded"

    give_back(held, held[0].lease_until)
    asyncio.run(asweep())
    assert state_of(key) == "expired"


def test_a_sweep_that_died_keeps_nobody_from_its_rows_for_longer_than_its_lease() -> None:
    key = aged(arrived())
    take(abandoned(), after=0)

    AsyncTempFile.objects.update(lease_until=timezone.now() - timedelta(seconds=1))
    asyncio.run(asweep())

    assert state_of(key) == "expired"


####################################
# Beside live traffic
####################################


def test_a_save_wins_over_a_sweep_that_was_about_to_expire_its_upload() -> None:
    key = aged(arrived(b"precious"))
    (held,) = take(abandoned(), after=0)

    document = Document.objects.create(file=key)
    with pytest.raises(Exception, match="used"):
        asyncio.run(aexpire(held))

    assert content_of(str(document.file.name)) == b"precious"
    assert stored_names() == {document.file.name}


def test_a_sweep_that_holds_a_row_does_not_keep_a_queue_from_promoting_it(settings: Settings) -> None:
    settings.ASYNC_UPLOADS = {"PROMOTION_DISPATCHER": "tests.test_promotion_dispatch.enqueue"}
    key = aged(arrived())
    take(abandoned(), after=0)

    Document.objects.create(file=key)
    promote_inline(key)

    assert state_of(key) == "promoted"


async def test_a_transfer_that_was_only_stalled_gives_way_and_harms_no_other(
    server: str, visitor: httpx.AsyncClient
) -> None:
    """A process that was paused for minutes goes on, when its upload has been taken from it and begun anew."""
    ticket = await ticket_for(visitor, "report.txt")
    url = ticket["uploadUrl"]["url"]

    async with wired(server) as stalled, wired(server) as other:
        await stalled.begin("PUT", url, {"Content-Length": 20})
        await stalled.send(b"stalled...")
        await eventually(lambda: any(part.stat().st_size for part in parts_of(ticket["key"])))
        await sync_to_async(aged)(ticket["key"], by=timedelta(minutes=5))
        assert (await asweep()).restarted == 1
        assert parts_of(ticket["key"]) == []
        await other.begin("PUT", url, {"Content-Length": 10})
        await other.send(b"other")
        await eventually(lambda: any(part.stat().st_size for part in parts_of(ticket["key"])))

        await stalled.send(b"..........")
        refused = await stalled.answer()
        await other.send(b"other")
        accepted = await other.answer()

    assert (refused.status, accepted.status) in {(409, 201), (410, 201)}
    assert content_of(ticket["key"]) == b"otherother"
    assert await sync_to_async(stored_names)() == {ticket["key"]}


async def test_a_stalled_transfer_that_ends_before_the_new_one_takes_only_its_own_file_away(
    server: str, visitor: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its last bytes are on the disk, and its name taken, when it learns that the row is no longer its own."""
    accept, at_accept, go_on = aaccept, asyncio.Event(), asyncio.Event()

    async def paused(temp_file: AsyncTempFile, **more: Any) -> None:
        if not at_accept.is_set():
            at_accept.set()
            await go_on.wait()
        await accept(temp_file, **more)

    monkeypatch.setattr(receiving, "aaccept", paused)
    ticket = await ticket_for(visitor, "report.txt")
    url = ticket["uploadUrl"]["url"]

    stalled = asyncio.create_task(visitor.put(url, content=b"stalled"))
    await at_accept.wait()
    await sync_to_async(aged)(ticket["key"], by=timedelta(minutes=5))
    await asweep()
    other = await visitor.put(url, content=b"other")
    go_on.set()

    assert (await stalled).status_code == 409
    assert other.status_code == 201
    assert content_of(ticket["key"]) == b"other"


####################################
# What records name
####################################


def by_another_field_of_another_model(key: str) -> None:
    Portrait.objects.bulk_create([Portrait(title="x")])
    Portrait.objects.update(kept=key)


def by_another_storage_of_the_same_folder(key: str) -> None:
    Letter.objects.bulk_create([Letter()])
    Letter.objects.update(attachment=key)


def by_raw_sql(key: str) -> None:
    with connection.cursor() as cursor:
        cursor.execute("INSERT INTO testapp_document (title, file) VALUES ('raw', %s)", [key])


@pytest.mark.parametrize("state", ["uploaded", "promoted", "failed", "cancelled", "expired"])
@pytest.mark.parametrize("names", [by_another_field_of_another_model, by_another_storage_of_the_same_folder])
def test_bytes_that_any_record_names_are_kept(names: Callable[[str], None], state: str) -> None:
    key = aged(arrived(b"precious"), state=state)
    names(key)

    report = asyncio.run(asweep())

    assert stored_names() == {key}
    assert (report.kept, report.expired, report.pruned) == (1, 0, 0)
    assert "1 old uploads kept because a record names them" in str(report)


def test_a_record_written_by_raw_sql_gets_its_file() -> None:
    key = aged(arrived(b"precious"))
    by_raw_sql(key)

    asyncio.run(asweep())

    assert Document.objects.get().file.name == "documents/report.txt"
    assert content_of("documents/report.txt") == b"precious"
    assert stored_names() == {"documents/report.txt"}


def queries_of_a_sweep(count: int, state: State) -> int:
    AsyncTempFile.objects.all().delete()
    rows(count, state=state)
    with CaptureQueriesContext(connection) as captured:
        report = async_to_sync(asweep)()
    assert (report.pruned, report.expired).count(count) == 1
    return len(captured)


@pytest.mark.parametrize("state", [State.EXPIRED, State.UPLOADED])
def test_a_batch_of_old_rows_costs_as_many_queries_as_one_row(state: State) -> None:
    assert queries_of_a_sweep(150, state) == queries_of_a_sweep(1, state)


def test_of_a_batch_what_was_moved_meanwhile_is_left_to_whoever_did() -> None:
    saved, other = aged(arrived(b"precious")), aged(arrived(b"x", "x.txt"))
    held = take(abandoned(), after=0)
    moves: list[Move] = []
    document = Document.objects.create(file=saved)

    with heard(moves):
        expired = asyncio.run(aexpire_all(held))

    assert [row.key for row in expired] == [other]
    assert [(move.from_state, move.to_state) for move in moves] == [("uploaded", "expired")]
    assert (state_of(saved), state_of(other)) == ("promoted", "expired")
    assert content_of(str(document.file.name)) == b"precious"


def test_a_storage_that_is_away_is_told_once_and_the_rest_is_swept(monkeypatch: pytest.MonkeyPatch) -> None:
    away = [aged(arrived(b"x", f"{number}.txt", model=Letter, field="attachment")) for number in range(20)]
    here = aged(arrived())

    async def adelete(name: str) -> None:
        raise StorageUnavailable("The bucket does not answer.")

    monkeypatch.setattr(Letter._meta.get_field("attachment").storage, "adelete", adelete)
    AsyncTempFile.objects.filter(key__in=away).update(state=State.CANCELLED)

    report = asyncio.run(asweep())

    assert len(report.errors) == 1
    assert "The bucket does not answer." in report.errors[0]
    assert state_of(here) == "expired"
    assert AsyncTempFile.objects.filter(key__in=away, lease_until=None).count() == 20


####################################
# As a worker
####################################


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_worker_sweeps_again_and_again_and_ends_cleanly(number: signal.Signals) -> None:
    with sweeper("--watch", "0.2") as worker:
        for _round in range(2):
            key = aged(arrived())
            wait_until(lambda key=key: state_of(key) == "expired")  # type: ignore[misc]  # bound at once

        worker.send_signal(number)
        said, errors = worker.communicate(timeout=PATIENCE)

    assert worker.returncode == 0
    assert errors == ""
    assert "1 abandoned uploads expired" in said


def test_a_worker_goes_on_after_the_database_was_away() -> None:
    """A table that is not there stands for a database that is not."""
    table, away = AsyncTempFile._meta.db_table, "somewhere_else"

    def rename(old: str, new: str) -> None:
        with connection.cursor() as cursor:
            cursor.execute(f"ALTER TABLE {old} RENAME TO {new}")

    with sweeper("--watch", "0.1", "--quiet") as worker:
        wait_until(_has_swept)
        rename(table, away)
        try:
            time.sleep(1.5)  # rounds that fail; how many does not matter
        finally:
            rename(away, table)
        wait_until(_has_swept)
        worker.send_signal(signal.SIGTERM)
        said, errors = worker.communicate(timeout=PATIENCE)

    assert worker.returncode == 0, errors
    assert said == ""
    assert errors.count("The database does not answer") == 1
    assert errors.count("The database answers again.") == 1


def _has_swept() -> bool:
    key = aged(begun().key)
    try:
        wait_until(lambda: state_of(key) == "expired")
    finally:
        AsyncTempFile.objects.all().delete()
    return True


async def test_an_outage_is_told_when_it_begins_and_when_it_ends(caplog: pytest.LogCaptureFixture) -> None:
    stopping, rounds = asyncio.Event(), iter([True, True, False])

    async def sweep() -> None:
        fails = next(rounds, None)
        if fails is None:
            stopping.set()
        if fails:
            raise OperationalError("no connection")

    await awatch(sweep, every=0.01, stopping=stopping)

    assert [record.levelname for record in caplog.records] == ["ERROR", "WARNING"]


def test_a_sweep_that_is_told_to_stop_leaves_the_rest_for_another_time() -> None:
    rows(20)
    seen: list[str] = []

    asyncio.run(asweep(tell=seen.append, is_stopping=lambda: len(seen) >= 3))

    assert AsyncTempFile.objects.filter(state="expired").count() == len(seen) < 20
    assert not AsyncTempFile.objects.filter(NOT_TAKEN, state="pending").exclude(lease_until=None).exists()


@pytest.mark.parametrize("arguments", [["--watch", "0"], ["--watch", "5", "--dry-run"]])
def test_a_worker_is_not_asked_for_what_makes_no_sense(arguments: list[str]) -> None:
    with pytest.raises(CommandError):
        call_command("cleanup_async_temp_files", *arguments)


def test_a_bar_is_drawn_on_a_terminal_and_nowhere_else() -> None:
    rows(3)
    master, slave = os.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-m", "django", "cleanup_async_temp_files"]
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings"}

    on_terminal = subprocess.run(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=slave, check=True
    )
    os.close(slave)
    drawn = b""
    with suppress(OSError):  # EIO: nobody has the terminal open any more
        while read := os.read(master, 65536):
            drawn += read
    os.close(master)
    rows(3)
    in_pipe = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, check=True)

    assert b"3/3" in drawn
    assert on_terminal.stdout.decode().count("expired: ") == 3
    assert in_pipe.stderr == b""
