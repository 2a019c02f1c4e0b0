"""Resume interrupted promotions, expire abandoned uploads with their bytes, prune old rows."""

from __future__ import annotations

import asyncio
import signal
import sys
from argparse import ArgumentParser
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandError
from django.db import connections
from tqdm import tqdm

from async_uploads.conf import upload_settings
from async_uploads.sweeping import SweepReport, asweep, awatch, before, count_due


class Command(BaseCommand):
    help = "Resumes interrupted promotions, expires abandoned uploads and deletes their files, prunes finished rows."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "--age",
            type=float,
            default=upload_settings.TEMP_FILE_MAX_AGE,
            metavar="HOURS",
            help="hours after which an upload counts as abandoned and a finished row as old (default: %(default)s)",
        )
        parser.add_argument("--dry-run", action="store_true", help="tell what would be done, and do nothing")
        parser.add_argument("--quiet", action="store_true", help="print nothing but errors")
        parser.add_argument(
            "--watch",
            type=float,
            metavar="SECONDS",
            help="run until SIGTERM or Ctrl-C, and sweep every so many seconds",
        )

    def handle(
        self, *args: Any, age: float, dry_run: bool, quiet: bool, watch: float | None, **options: Any
    ) -> None:
        if age < 0:
            raise CommandError("--age must not be negative.")
        if watch is not None and watch <= 0:
            raise CommandError("--watch takes a number of seconds above 0.")
        if watch is not None and dry_run:
            raise CommandError("--dry-run tells what one sweep would do: leave out --watch.")
        if watch is not None:
            connections.close_all()  # those of the start: the work is done in a thread
            asyncio.run(self._watch(timedelta(hours=age), watch, quiet=quiet))
            return
        report = self._sweep_once(timedelta(hours=age), dry_run=dry_run, quiet=quiet)
        self._tell_errors(report.errors)
        if not quiet:
            self.stdout.write(f"Would be: {report}." if dry_run else f"Done: {report}.")
        if report.errors:
            raise CommandError(f"{len(report.errors)} uploads could not be swept.")

    def _sweep_once(self, age: timedelta, *, dry_run: bool, quiet: bool) -> SweepReport:
        sweep = partial(async_to_sync(asweep), age=age, dry_run=dry_run)
        if quiet:
            return sweep()
        with self._progress(count_due(before(age))) as (tell, advance):
            return sweep(tell=tell, advance=advance)

    @contextmanager
    def _progress(self, total: int) -> Iterator[tuple[Callable[[str], object], Callable[[], object]]]:
        """How to tell a line, and a row done: with a bar on a terminal, which lines go past."""
        if not (self.stderr.isatty() and sys.stderr.isatty()):
            yield self.stdout.write, lambda: None
            return
        with tqdm(total=total, unit=" uploads", file=sys.stderr) as bar:

            def tell(line: str) -> None:
                with bar.external_write_mode():
                    self.stdout.write(line)

            yield tell, bar.update

    async def _watch(self, age: timedelta, every: float, *, quiet: bool) -> None:
        stopping = asyncio.Event()
        told: set[str] = set()

        async def sweep() -> None:
            nonlocal told
            report = await asweep(age=age, is_stopping=stopping.is_set)
            self._tell_errors(
                error for error in report.errors if error not in told
            )  # not in every round again
            told = set(report.errors)
            if not quiet and report.has_done_something:
                self.stdout.write(f"Done in {report.seconds:.1f} s: {report}.")

        with _stopped_by_signals(stopping):
            await awatch(sweep, every=every, stopping=stopping)

    def _tell_errors(self, errors: Iterable[str]) -> None:
        for error in errors:
            self.stderr.write(self.style.ERROR(error))


@contextmanager
def _stopped_by_signals(stopping: asyncio.Event) -> Iterator[None]:
    """The first SIGTERM or SIGINT sets the event, the second one does what it always does."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)

    def stop(number: int, frame: object) -> None:
        for each, handler in before_us.items():
            signal.signal(each, handler)
        loop.call_soon_threadsafe(stopping.set)

    before_us = {each: signal.signal(each, stop) for each in signals}
    # A process in the background of a shell ignores Ctrl-C, which is somebody else's then.
    if before_us[signal.SIGINT] is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        for each, handler in before_us.items():
            signal.signal(each, handler)
