"""Workers that are killed at random and started again: servers, savers, a sweeper. Django is loaded before the fork."""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

import uvicorn
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.exceptions import ValidationError
from django.db import connections, transaction

from async_uploads.models import AsyncTempFile
from async_uploads.promotion import claims, copying, promoting
from async_uploads.sweeping import asweep, due, sweep, taking
from async_uploads.temp_files import NOT_TAKEN, State
from tests.asgi import application
from tests.crashes.child import FORKING
from tests.testapp.models import Portrait

LEASE = 2.0
"""Seconds. Short, so that sweeps take over while those whose work it is may be alive still."""


def in_a_hurry() -> None:
    for module in (claims, copying, promoting, due, sweep, taking):
        vars(module)["LEASE"] = LEASE
    due.STALLED_AFTER = LEASE
    promoting.RETRY_DELAY = 0.1
    settings.ASYNC_UPLOADS = {
        "IDLE_TIMEOUT": LEASE,
        "PROMOTION_MAX_ATTEMPTS": 1000,
        "MAX_PENDING_PER_ADDRESS": None,
    }
    connections.close_all()


def serve(number: int, port: int, diary: Path, seed: int) -> None:
    in_a_hurry()
    uvicorn.run(application, host="127.0.0.1", port=port, log_level="critical", lifespan="off")


def sweep_again_and_again(number: int, port: int, diary: Path, seed: int) -> None:
    in_a_hurry()
    while True:
        async_to_sync(asweep)(age=timedelta(seconds=30))
        connections.close_all()
        time.sleep(0.2)


def save_again_and_again(number: int, port: int, diary: Path, seed: int) -> None:
    """Takes uploads into records of its own, replaces their files and deletes some, and writes a diary of it."""
    in_a_hurry()
    rng = random.Random(seed)
    title = f"saver {number}"
    with diary.open("a") as book:
        while True:
            free = AsyncTempFile.objects.filter(NOT_TAKEN, state=State.UPLOADED)
            keys = list(free.values_list("key", flat=True)[:20])
            mine = list(Portrait.objects.filter(title=title).values_list("pk", flat=True))
            deed = rng.choice(["create", "create", "create", "replace", "replace", "delete"])
            try:
                with transaction.atomic():
                    _do(
                        deed,
                        title,
                        rng,
                        keys,
                        mine,
                        lambda **entry: print(json.dumps(entry), file=book, flush=True),
                    )
            except ValidationError:
                continue  # another saver was faster
            print(json.dumps({"done": True}), file=book, flush=True)
            time.sleep(rng.random() * 0.02)


def _do(
    deed: str, title: str, rng: random.Random, keys: list[str], mine: list[int], tell: Callable[..., None]
) -> None:
    if deed == "create" and keys:
        portrait = Portrait(title=title, file=rng.choice(keys))
        portrait.save()
        tell(pk=portrait.pk, present=True)
    elif deed == "replace" and keys and mine:
        portrait = Portrait.objects.get(pk=rng.choice(mine))
        portrait.file = rng.choice(keys)
        tell(pk=portrait.pk, present=True)
        portrait.save()
    elif deed == "delete" and len(mine) > 5:
        pk = rng.choice(mine)
        tell(pk=pk, present=False)
        Portrait.objects.get(pk=pk).delete()


@dataclass
class Worker:
    """One that can be killed and started again as often as one likes."""

    work: Callable[[int, int, Path, int], None]
    number: int
    port: int
    diary: Path
    seed: int
    _process: Any = field(default=None)

    def start(self) -> None:
        self.seed += 1
        self._process = FORKING.Process(
            target=self.work, args=(self.number, self.port, self.diary, self.seed), daemon=True
        )
        self._process.start()

    def kill(self) -> None:
        os.kill(self._process.pid, 9)
        self._process.join(20)
        ended = self._process.exitcode
        self._process.close()
        self._process = None
        assert ended == -9, f"{self.work.__name__} had ended by itself, with {ended}."

    def stop(self) -> None:
        """Where a test has not come to its end."""
        if self._process is not None:
            self._process.kill()
            self._process.join(20)

    def acknowledged(self) -> tuple[set[int], set[int]]:
        """Records that must be there, and those of which nobody can tell: the deed was begun and not acknowledged."""
        present: dict[int, bool] = {}
        open_deed: tuple[int, bool] | None = None
        unsure: set[int] = set()
        lines = self.diary.read_text().splitlines() if self.diary.exists() else []
        for line in lines:
            entry = json.loads(line)
            if "done" in entry and open_deed is not None:
                present[open_deed[0]] = open_deed[1]
                unsure.discard(open_deed[0])
                open_deed = None
            elif "pk" in entry:
                if open_deed is not None:
                    unsure.add(open_deed[0])
                open_deed = (entry["pk"], entry["present"])
                unsure.add(entry["pk"])
        return {pk for pk, is_there in present.items() if is_there} - unsure, unsure
