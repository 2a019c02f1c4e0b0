"""Resume interrupted promotions, expire abandoned uploads with their bytes, prune old rows."""

from __future__ import annotations

from argparse import ArgumentParser
from datetime import timedelta
from typing import Any

from asgiref.sync import async_to_sync
from django.core.management.base import BaseCommand, CommandError

from async_uploads.conf import upload_settings
from async_uploads.sweeping import asweep


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

    def handle(self, *args: Any, age: float, dry_run: bool, quiet: bool, **options: Any) -> None:
        if age < 0:
            raise CommandError("--age must not be negative.")
        lines = (lambda line: None) if quiet else self.stdout.write
        report = async_to_sync(asweep)(age=timedelta(hours=age), dry_run=dry_run, tell=lines)
        for error in report.errors:
            self.stderr.write(self.style.ERROR(error))
        if not quiet:
            self.stdout.write(f"Would be: {report}." if dry_run else f"Done: {report}.")
        if report.errors:
            raise CommandError(f"{len(report.errors)} uploads could not be swept.")
