"""Put storages to the test after they were configured, and say in words what is wrong."""

from __future__ import annotations

import asyncio
from argparse import ArgumentParser, ArgumentTypeError
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError

from async_uploads.storage_trial import (
    Candidate,
    Finding,
    NoSuchStorage,
    Outcome,
    atry_storage,
    candidate_by_alias,
    candidates_in_use,
)

INTERRUPTED = 130
"""The exit code of what Ctrl-C ended, as shells have it."""


class Command(BaseCommand):
    help = (
        "Signs, uploads, asks, reads, copies, downloads and deletes small files as the package and a browser do, "
        "and says what is wrong and what to do about it. Leaves nothing behind."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument(
            "alias", nargs="?", help="the storage's name in STORAGES (default: all that take uploads)"
        )
        parser.add_argument(
            "--origin",
            action="append",
            default=[],
            type=_origin,
            dest="origins",
            metavar="https://example.com",
            help="where your site's pages come from, to be held against the storage's CORS rules; can be repeated",
        )
        parser.add_argument("--quiet", action="store_true", help="print nothing but errors")

    def handle(self, *args: Any, alias: str | None, origins: list[str], quiet: bool, **options: Any) -> None:
        try:
            candidates = [candidate_by_alias(alias)] if alias else candidates_in_use()
        except NoSuchStorage as error:
            raise CommandError(str(error)) from error
        if not candidates:
            raise CommandError("No async field and no alias in STORAGES has a storage that takes uploads.")
        try:
            wrong = sum(self._try(candidate, origins, quiet=quiet) for candidate in candidates)
        except KeyboardInterrupt as error:
            raise CommandError("Interrupted.", returncode=INTERRUPTED) from error
        if wrong:
            raise CommandError("One step went wrong." if wrong == 1 else f"{wrong} steps went wrong.")

    def _try(self, candidate: Candidate, origins: list[str], *, quiet: bool) -> int:
        """How many steps went wrong."""

        def tell(finding: Finding) -> None:
            if finding.outcome is Outcome.WRONG:
                self.stderr.write(
                    self.style.ERROR(f"{candidate.label}: {finding}" if quiet else _line(finding))
                )
            elif not quiet:
                self.stdout.write(_line(finding))

        if not quiet:
            self.stdout.write(f"{candidate.label} ({candidate.backend})")
        trial = atry_storage(candidate.storage, field_id=candidate.field_id, origins=origins, tell=tell)
        return sum(finding.outcome is Outcome.WRONG for finding in asyncio.run(trial))


def _line(finding: Finding) -> str:
    return f"  {finding.outcome:<8} {finding}"


def _origin(text: str) -> str:
    """Scheme, host and port, without the slash that people copy along."""
    parts = urlsplit(text.rstrip("/"))
    if (
        parts.scheme not in ("http", "https")
        or not parts.netloc
        or parts.path
        or parts.query
        or parts.fragment
    ):
        raise ArgumentTypeError(
            f"{text!r} is no origin: give a scheme and a host, such as https://example.com"
        )
    return f"{parts.scheme}://{parts.netloc}".lower()
