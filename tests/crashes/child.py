"""What a process does until it is killed. It is forked from one that has Django loaded, and is itself no test."""

from __future__ import annotations

import multiprocessing
import os
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import django

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "tests.settings")
django.setup()

from asgiref.sync import async_to_sync, sync_to_async  # noqa: E402  # models load only after the setup above
from django.db import connections, transaction  # noqa: E402

from async_uploads.models import AsyncTempFile  # noqa: E402
from async_uploads.promotion import copying, dispatching  # noqa: E402
from async_uploads.sweeping import asweep  # noqa: E402
from async_uploads.uploads import acancel, acomplete  # noqa: E402
from tests.arrivals import arrived  # noqa: E402
from tests.crashes.places import Place  # noqa: E402
from tests.crashes.steps import Step, install  # noqa: E402
from tests.testapp.models import Portrait  # noqa: E402

FORKING = multiprocessing.get_context("forkserver")
FORKING.set_forkserver_preload([__name__])
KILLED = -9


def upload(place: Place, key: str) -> None:
    arrived(place.content, "report.txt", model=place.model, field=place.field.name)


def complete(place: Place, key: str) -> None:
    async_to_sync(acomplete)(AsyncTempFile.objects.get(key=key))


def save(place: Place, key: str) -> None:
    place.model.objects.create(**{place.field.name: key})


def save_in_transaction(place: Place, key: str) -> None:
    with transaction.atomic():
        save(place, key)


def give_up(place: Place, key: str) -> None:
    """The record loses its file while it is copied."""
    copy = copying._acopy

    async def let_go(temp_file: AsyncTempFile) -> None:
        await copy(temp_file)
        await sync_to_async(place.model.objects.update)(**{place.field.name: ""})

    copying._acopy = let_go
    vars(dispatching)["promote_on_the_spot"] = lambda claimed: False
    save(place, key)


def replace(place: Place, key: str) -> None:
    with transaction.atomic():
        portrait = Portrait.objects.get()
        portrait.file = key
        portrait.save()


def cancel(place: Place, key: str) -> None:
    async_to_sync(acancel)(AsyncTempFile.objects.get(key=key))


def sweep(place: Place, key: str) -> None:
    async_to_sync(asweep)(age=timedelta())


DEEDS: dict[str, Callable[[Place, str], None]] = {
    "upload": upload,
    "complete": complete,
    "save": save,
    "save-in-transaction": save_in_transaction,
    "give-up": give_up,
    "replace": replace,
    "cancel": cancel,
    "sweep": sweep,
}


def run(step: Step, place: Place, key: str) -> None:
    connections.close_all()
    with place.in_use():
        install(step)
        DEEDS[step.deed](place, key)


def killed(step: Step, place: Place, key: str = "") -> bool:
    """Fork a process that does the deed and is killed at the step; False where it never came there."""
    process: Any = FORKING.Process(target=run, args=(step, place, key))
    process.start()
    process.join(60)
    ended: int | None = process.exitcode
    process.kill()
    process.close()
    return ended == KILLED
