"""Counts of uploads by state and age, and what waits for the sweep."""

from __future__ import annotations

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand
from django.core.serializers.json import DjangoJSONEncoder
from django.template.defaultfilters import filesizeformat
from django.utils.timesince import timesince

from async_uploads.sweeping import AGES, Backlog, backlog

HEADINGS = {"hour": "< 1 hour", "day": "< 1 day", "week": "< 1 week", "earlier": "older"}
WAITING = {
    "interrupted": "interrupted, to be made ready again",
    "promotions": "promotions to be finished",
    "abandoned": "abandoned, to be expired",
    "finished": "finished rows to be pruned",
    "failed": "promotions that failed for good: retry_async_promotions, or the admin",
}


class Command(BaseCommand):
    help = "Prints how many uploads there are, by state and age, and what waits for the sweep."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--json", action="store_true", help="print JSON, for monitoring")

    def handle(self, *args: Any, **options: Any) -> None:
        found = backlog()
        if options["json"]:
            self.stdout.write(json.dumps(asdict(found), cls=DjangoJSONEncoder))
            return
        for line in _table(found):
            self.stdout.write(line)
        self.stdout.write("")
        for name, meaning in WAITING.items():
            count = getattr(found, name)
            line = f"{count:>10}  {meaning}"
            self.stdout.write(self.style.WARNING(line) if name == "failed" and count else line)


def _table(found: Backlog) -> list[str]:
    rows = [["state", "uploads", *(HEADINGS[name] for name in [*AGES, "earlier"]), "size", "oldest"]]
    for state, counted in found.states.items():
        numbers = [counted.count, *counted.by_age.values()]
        oldest = timesince(counted.oldest, found.at, depth=1) if counted.oldest else ""
        size = filesizeformat(counted.size)
        rows.append([state, *map(str, numbers), size.replace("\N{NO-BREAK SPACE}", " "), oldest])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(map(_aligned, range(len(row)), row, widths)).rstrip() for row in rows]


def _aligned(column: int, cell: str, width: int) -> str:
    return cell.rjust(width) if column else cell.ljust(width)
