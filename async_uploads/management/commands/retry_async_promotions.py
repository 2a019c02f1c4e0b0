"""Try promotions again that have failed for good."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from async_uploads.promotion import Outcome, outcomes_of, retry_promotion
from async_uploads.temp_files import PROMOTION_FAILED, AsyncTempFile, State

TOLD = {
    Outcome.PROMOTED: "promoted",
    Outcome.QUEUED: "handed to the task queue",
    Outcome.GIVEN_UP: "given up: the record has another file now, or is gone",
    Outcome.FAILED_AGAIN: "failed again",
    Outcome.NOT_YET: "being promoted already, or waiting for the next attempt",
    Outcome.NOTHING_TO_DO: "left as it is: it waits for no promotion",
    Outcome.NO_FIELD: "for a field that the project no longer has",
    Outcome.ERROR: "not dealt with: the log tells why",
}
WRONG = (Outcome.FAILED_AGAIN, Outcome.NO_FIELD, Outcome.ERROR, Outcome.NOTHING_TO_DO)


class Command(BaseCommand):
    help = "Tries promotions again that failed for good, here and now or where PROMOTION_DISPATCHER says."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("keys", nargs="*", metavar="KEY", help="the uploads, as the admin lists them")
        parser.add_argument("--all", action="store_true", help="all whose promotion failed for good")
        parser.add_argument("--dry-run", action="store_true", help="tell which, and do nothing")

    def handle(self, *args: Any, keys: list[str], dry_run: bool, **options: Any) -> None:
        if bool(keys) == options["all"]:
            raise CommandError("Give the keys of uploads, or --all.")
        rows = [_named(key) for key in keys] if keys else _failed()
        if dry_run:
            for row in rows:
                self._tell(row, str(row.get_state_display()))
            return
        wrong = 0
        for row, outcome in outcomes_of(retry_promotion, rows):
            self._tell(row, TOLD[outcome])
            wrong += outcome in WRONG
        if wrong:
            raise CommandError(f"{wrong} could not be promoted.")

    def _tell(self, row: AsyncTempFile, what: str) -> None:
        self.stdout.write(f"{row.key}: {what}" + (f" ({row.error})" if row.error else ""))


def _failed() -> list[AsyncTempFile]:
    rows = AsyncTempFile.objects.filter(state=State.FAILED, error_code=PROMOTION_FAILED)
    return list(rows.exclude(record_pk="").order_by("pk"))


def _named(key: str) -> AsyncTempFile:
    row = AsyncTempFile.with_key(key)
    if row is None:
        raise CommandError(f"There is no upload {key}.")
    return row
