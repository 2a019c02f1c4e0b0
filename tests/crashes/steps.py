"""The steps at which a process is killed: one line each, in the order in which they come."""

from __future__ import annotations

import inspect
import os
import shutil
import signal
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Literal, NoReturn

from tests.crashes.places import CLOUDS, DISKS, Kind

UPLOADS, STORAGE, PROMOTING = (
    "async_uploads.uploads",
    "async_uploads.storage",
    "async_uploads.promotion.promoting",
)
LINKING = "async_uploads.promotion.linking"
COPYING: tuple[Kind, ...] = ("other-disk", "no-links", *CLOUDS)
"""Where a promotion takes a while: elsewhere it is done on the spot."""


@dataclass(frozen=True)
class Step:
    """Before or after the ``nth`` call of a function, named by its path, in a process that does ``deed``."""

    deed: str
    name: str
    when: Literal["before", "after"]
    path: str
    nth: int = 1
    only: tuple[Kind, ...] = (*DISKS, *CLOUDS)


STEPS = (
    Step("upload", "before-the-row", "before", f"{UPLOADS}.beginning.insert_within_limits", only=DISKS),
    Step("upload", "after-the-row", "after", f"{UPLOADS}.beginning.insert_within_limits", only=DISKS),
    Step("upload", "in-the-body", "after", f"{STORAGE}.filesystem.IncomingLocalFile.write_all", only=DISKS),
    Step("upload", "before-the-rename", "before", f"{STORAGE}.filesystem.take_name", only=DISKS),
    Step("upload", "name-held", "before", "os.rename", only=("no-links",)),
    Step("upload", "after-the-rename", "after", f"{STORAGE}.filesystem.take_name", only=DISKS),
    Step("upload", "checked", "after", f"{STORAGE}.arrival._check_type", only=DISKS),
    Step("upload", "accepted", "after", f"{UPLOADS}.receiving.aaccept", only=DISKS),
    Step("complete", "checked", "after", f"{STORAGE}.arrival.acheck_arrival", only=CLOUDS),
    Step("complete", "accepted", "after", f"{UPLOADS}.ending.aaccept", only=CLOUDS),
    Step("save", "claimed", "after", "async_uploads.fields.saving.claim"),
    Step("save-in-transaction", "claimed", "after", "async_uploads.fields.saving.claim"),
    Step("save", "committed", "before", "async_uploads.promotion.dispatching.dispatch"),
    Step("save", "before-the-link", "before", f"{LINKING}.link", only=("disk",)),
    Step("save", "after-the-link", "after", f"{LINKING}.link", only=("disk",)),
    Step("save", "swapped-after-the-link", "after", f"{LINKING}.swap_and_mark", only=("disk",)),
    Step("save", "source-of-the-link-went", "after", f"{LINKING}.tidy", only=("disk",)),
    Step("save", "before-the-copy", "before", "async_uploads.promotion.copying._acopy", only=COPYING),
    Step("save", "in-the-copy", "before", "shutil.copymode", only=("other-disk", "no-links")),
    Step(
        "save",
        "copy-without-a-name",
        "before",
        f"{STORAGE}.byte_copies.take_name",
        only=("other-disk", "no-links"),
    ),
    Step("save", "name-held", "before", "os.rename", only=("no-links",)),
    Step("save", "in-the-copy", "after", f"{STORAGE}.s3.copying.Copying._copy_part", only=("s3-parts",)),
    Step(
        "save",
        "in-the-copy",
        "after",
        f"{STORAGE}.azure.block_copies.BlockCopy._copy_block",
        only=("azure-blocks",),
    ),
    Step("save", "after-the-copy", "after", "async_uploads.promotion.copying._acopy", only=COPYING),
    Step("save", "in-the-swap", "after", "async_uploads.promotion.swapping.swap"),
    Step("save", "after-the-swap", "after", f"{PROMOTING}.swap_and_mark", only=COPYING),
    Step("save", "before-the-source-goes", "before", f"{PROMOTING}._afinish", only=COPYING),
    Step("save", "after-the-source-went", "after", f"{PROMOTING}.atidy", only=COPYING),
    Step("save", "told", "after", f"{PROMOTING}.apublish", nth=2, only=COPYING),
    Step("give-up", "before-the-copy-goes", "before", f"{PROMOTING}._agive_up"),
    Step("give-up", "after-the-row", "before", f"{PROMOTING}.atidy"),
    Step("give-up", "after-the-source-went", "after", f"{PROMOTING}.atidy"),
    Step("replace", "claimed", "after", "async_uploads.fields.saving.claim", only=("disk",)),
    Step("replace", "after-the-swap", "after", f"{LINKING}.swap_and_mark", only=("disk",)),
    Step(
        "replace",
        "before-the-old-goes",
        "before",
        "async_uploads.fields.replacing.unreferenced",
        only=("disk",),
    ),
    Step("cancel", "before-the-bytes-go", "before", f"{UPLOADS}.ending.atidy"),
    Step("cancel", "after-the-bytes-went", "after", f"{UPLOADS}.ending.atidy"),
    Step("sweep", "expired", "after", "async_uploads.sweeping.sweep.aexpire_all"),
    Step("sweep", "taken", "after", "async_uploads.sweeping.sweep.take"),
    Step("sweep", "bytes-gone", "before", "async_uploads.sweeping.sweep.give_back"),
)


def install(step: Step) -> None:
    """Put a wrapper around the function of ``step``, as a debugger puts a breakpoint."""
    owner, name = _owner_of(step.path)
    function = getattr(owner, name)
    calls = 0

    def passes(when: str) -> None:
        nonlocal calls
        if when == step.when:
            calls += 1
            if calls == step.nth:
                die()

    async def awrapped(*args: Any, **options: Any) -> Any:
        passes("before")
        answer = await function(*args, **options)
        passes("after")
        return answer

    def wrapped(*args: Any, **options: Any) -> Any:
        passes("before")
        answer = function(*args, **options)
        passes("after")
        return answer

    setattr(owner, name, awrapped if inspect.iscoroutinefunction(function) else wrapped)


def die() -> NoReturn:
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def _owner_of(path: str) -> tuple[Any, str]:
    """The module or class that holds what ``path`` names."""
    parts = path.split(".")
    if parts[0] in ("os", "shutil"):
        return {"os": os, "shutil": shutil}[parts[0]], parts[1]
    for length in range(len(parts) - 1, 0, -1):
        try:
            owner: Any = import_module(".".join(parts[:length]))
        except ModuleNotFoundError:
            continue
        for each in parts[length:-1]:
            owner = getattr(owner, each)
        return owner, parts[-1]
    raise LookupError(path)
