"""Flame graphs: where our server spends its time as it answers for upload URLs, and as it takes large bodies.

Drawn by py-spy, which stops the server a hundred times a second and looks: for the one at the threads that run Python,
for the other at all that do something. SVG files beside the results. ``python -m benchmarks.flames [FOLDER]``
"""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path

from benchmarks.large import MIB, SIZE, to_ticket, written
from benchmarks.measuring.loading import closed_loop, in_own_process
from benchmarks.measuring.rounds import RESULTS
from benchmarks.measuring.sending import Content, put, sending_process
from benchmarks.measuring.sites import Site, site, uvicorn
from benchmarks.tickets import CONNECTIONS, VISITORS, requests_for

SECONDS = 10
RATE = 100


def main(results: Path) -> None:
    with tempfile.TemporaryDirectory(prefix="async-uploads-bench-") as name, ExitStack() as stack:
        folder = Path(name)
        one = stack.enter_context(site("ours", uvicorn, folder, visitors=VISITORS))
        sender = stack.enter_context(sending_process())
        asked = requests_for(one, "ours")
        content = Content(written(folder / "sent", 64 * MIB), SIZE)
        tickets = partial(in_own_process, closed_loop, asked, CONNECTIONS, SECONDS + 2)
        large = partial(_send, partial(to_ticket, asked[0], put, sender, one, content), one)
        draw(one, tickets, results / "flames-tickets.svg", "--gil")
        draw(one, large, results / "flames-large.svg")


def draw(one: Site, load: Callable[[], object], path: Path, *more: str) -> None:
    options = [*more, "--rate", str(RATE), "--duration", str(SECONDS), "--format", "flamegraph"]
    spying = [str(Path(sys.executable).with_name("py-spy")), "record", "--pid", str(one.server.busiest)]
    command = [*spying, *options, "--output", str(path)]
    with subprocess.Popen(command) as spy:
        load()
    if spy.returncode:
        raise RuntimeError(f"py-spy could not look at the server for {path.name}.")
    # Without the command, which names folders of this machine.
    path.write_text(re.sub(r">[^<>]* record --pid[^<]*<", f">{path.stem}<", path.read_text()))


def _send(one_more: Callable[[], object], one: Site) -> None:
    began = time.monotonic()
    while time.monotonic() - began < SECONDS + 2:
        one_more()
        for path in one.data.rglob("*"):
            if path.is_file() and path.stat().st_size == SIZE:
                path.unlink()


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else RESULTS)
