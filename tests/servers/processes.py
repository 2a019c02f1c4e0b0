"""Servers that are not ours, as processes that a test can pause, stop and start again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import NoReturn

import pytest

START_TIMEOUT = 60.0  # seconds; a start takes four, but the cores may be busy with other runs

# The server takes the place of the shell, so that it has the pid that Popen knows. Beside it waits a reader of the pipe
# that this process holds: however the tests end, SIGKILL included, the pipe is closed then, and the server is ended.
LEASH = """
how=$1; shift
exec 3<&0
{ read -r _ <&3; kill -s "$how" $$; kill -s CONT $$; } >/dev/null 2>&1 &
exec "$@" </dev/null 3<&-
"""


def missing(what: str, install: str) -> NoReturn:
    """Without it, a person's run skips and says how to get it; CI fails."""
    reason = f"{what} is missing. {install}"
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def free_ports(count: int) -> list[int]:
    """Ports that the kernel gives out now, all different."""
    with ExitStack() as held:
        listeners = [held.enter_context(socket.socket()) for _ in range(count)]
        for listener in listeners:
            listener.bind(("127.0.0.1", 0))
        return [listener.getsockname()[1] for listener in listeners]


class HasEnded(Exception):
    """The process ended where it should have begun to answer: a port was taken, or its options are wrong."""


class Process:
    """A command that runs until it is stopped, or the tests end, and appends what it prints to ``log``."""

    def __init__(
        self,
        command: Sequence[str],
        log: Path,
        environment: Mapping[str, str] | None = None,
        *,
        ended_by: str = "TERM",
    ) -> None:
        self.log = log
        self._command = ["sh", "-c", LEASH, "leash", ended_by, *command]
        self._name = Path(command[0]).name
        self._environment = {**os.environ, **(environment or {})}
        self._running: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert self._running is None, f"{self._name} is running."
        with self.log.open("ab") as log:
            self._running = subprocess.Popen(
                self._command,
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._environment,
                cwd=self.log.parent,
                start_new_session=True,  # Ctrl-C is for the tests, which then end it in their own time.
            )

    def stop(self) -> None:
        if self._running is None:
            return
        assert self._running.stdin is not None
        self._running.stdin.close()  # The leash.
        try:
            self._running.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self._running.kill()
            self._running.wait()
        self._running = None

    def pause(self) -> None:
        """It takes connections (the kernel does that) and never answers."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._signal(signal.SIGCONT)

    @property
    def pid(self) -> int | None:
        return self._running.pid if self._running else None

    @property
    def ended(self) -> bool:
        return self._running is None or self._running.poll() is not None

    def ensure_alive(self) -> None:
        if self.ended:
            raise HasEnded(self.tail())

    def wait_for_port(self, port: int) -> None:
        """Returns once something listens on ``port``; raises HasEnded when the process does not live so long."""
        deadline = time.monotonic() + START_TIMEOUT
        while not _listens(port):
            self.ensure_alive()
            assert time.monotonic() < deadline, f"{self._name} does not answer.\n{self.tail()}"
            time.sleep(0.05)
        self.ensure_alive()

    def tail(self) -> str:
        return self.log.read_text(errors="replace")[-2000:]

    def _signal(self, number: signal.Signals) -> None:
        if self._running is not None:
            self._running.send_signal(number)


class Server:
    """What a test can do to any of the servers; each has its own way to start."""

    _process: Process

    def start(self) -> None:
        raise NotImplementedError

    def discard(self) -> None:
        """Stops it for good, and what it stored is gone."""
        raise NotImplementedError

    def stop(self) -> None:
        """Its port refuses connections; what it stored stays."""
        self._process.stop()

    def pause(self) -> None:
        """It takes connections and never answers."""
        self._process.pause()

    def resume(self) -> None:
        self._process.resume()

    def restore(self) -> None:
        """Running, whatever a test did to it."""
        self.resume()
        if self._process.ended:
            self.stop()
            self.start()


def _listens(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
