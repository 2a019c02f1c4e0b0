"""Try promotions again that have failed for good, or that wait for their next attempt."""

from __future__ import annotations

from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from async_uploads.conf import upload_settings
from async_uploads.promotion import retry_promotion
from async_uploads.temp_files import PROMOTION_FAILED, AsyncTempFile, State


class Command(BaseCommand):
    help = "Tries promotions again that failed for good, here and now or where PROMOTION_DISPATCHER says."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("keys", nargs="*", metavar="KEY", help="the uploads, as the admin lists them")
        parser.add_argument("--all", action="store_true", help="all whose promotion failed for good")
        parser.add_argument("--dry-run", action="store_true", help="tell which, and do nothing")

    def handle(self, *args: Any, keys: list[str], all: bool, dry_run: bool, **options: Any) -> None:  # noqa: A002  # the option's name
        if bool(keys) == all:
            raise CommandError("Give the keys of uploads, or --all.")
        rows = _failed() if all else [_named(key) for key in keys]
        failed_again = 0
        for row in rows:
            version = row.version
            if not dry_run:
                retry_promotion(row)
                row.reload()
            self.stdout.write(f"{row.key}: {_told(row, is_queued=not dry_run and row.version == version)}")
            failed_again += row.failed_in_promotion and row.version != version
        if failed_again:
            raise CommandError(f"{failed_again} failed again.")


def _told(row: AsyncTempFile, *, is_queued: bool) -> str:
    if is_queued:
        return f"handed to {upload_settings.PROMOTION_DISPATCHER}"
    return f"{row.get_state_display()}: {row.error}" if row.error else str(row.get_state_display())


def _failed() -> list[AsyncTempFile]:
    rows = AsyncTempFile.objects.filter(state=State.FAILED, error_code=PROMOTION_FAILED)
    return list(rows.exclude(record_pk="").order_by("pk"))


def _named(key: str) -> AsyncTempFile:
    row = AsyncTempFile.with_key(key)
    if row is None:
        raise CommandError(f"There is no upload {key}.")
    if not row.has_field:
        raise CommandError(f"{key} is for {row.model}.{row.field_name}, which the project no longer has.")
    if not row.record_pk or not (row.failed_in_promotion or row.state == State.PROMOTING):
        raise CommandError(f"{key} waits for no promotion: it is {row.get_state_display()}.")
    return row
