"""A server as a process of its own, with its children, and what the kernel tells of them (proc(5))."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from benchmarks.measuring.machine import ROOT
from tests.servers.processes import Process, free_ports

Command = Callable[[int], Sequence[str]]
"""The command of a server that listens on this port of 127.0.0.1."""


@dataclass(frozen=True)
class Spent:
    """What a server has used since it began. Seconds of CPU, bytes."""

    cpu: float
    to_disk: int

    def __sub__(self, other: Spent) -> Spent:
        return Spent(self.cpu - other.cpu, self.to_disk - other.to_disk)


class Server:
    """A running server and its workers. ``port`` is on 127.0.0.1."""

    def __init__(self, process: Process, port: int) -> None:
        self.port = port
        self._process = process

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> str:
        return self._process.tail()

    @property
    def spent(self) -> Spent:
        cpu = to_disk = 0
        for process in self._processes():
            times = process.cpu_times()
            cpu += times.user + times.system
            to_disk += process.io_counters().write_bytes
        return Spent(cpu, to_disk)

    @property
    def memory(self) -> int:
        """Bytes that are resident now, shared ones counted once."""
        return sum(process.memory_full_info().uss for process in self._processes())

    @property
    def peak_memory(self) -> int:
        """The most bytes that were resident at once, since ``forget_peak``."""
        return sum(_peak(process.pid) for process in self._processes())

    def forget_peak(self) -> None:
        for process in self._processes():
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")

    @property
    def busiest(self) -> int:
        """The process that has used most CPU: the server itself, not what holds it on a leash."""
        busiest: psutil.Process = max(self._processes(), key=lambda process: sum(process.cpu_times()[:2]))
        return int(busiest.pid)

    @property
    def threads(self) -> int:
        return sum(process.num_threads() for process in self._processes())

    @property
    def connections(self) -> int:
        """How many of its files are sockets."""
        return sum(
            _is_socket(link)
            for process in self._processes()
            for link in Path(f"/proc/{process.pid}/fd").iterdir()
        )

    def _processes(self) -> list[psutil.Process]:
        assert self._process.pid is not None
        return _with_children(self._process.pid)


def cpu_of(pid: int) -> float:
    """Seconds of CPU that a process and those of its children that still run have used."""
    return float(sum(sum(process.cpu_times()[:2]) for process in _with_children(pid)))


def _with_children(pid: int) -> list[psutil.Process]:
    parent = psutil.Process(pid)
    return [parent, *parent.children(recursive=True)]


def _is_socket(link: Path) -> bool:
    try:
        return os.readlink(link).startswith("socket:")
    except FileNotFoundError:  # closed meanwhile
        return False


def _peak(pid: int) -> int:
    found = re.search(r"VmHWM:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(found.group(1)) * 1024 if found else 0


@contextmanager
def serving(command: Command, folder: Path, environment: Mapping[str, str] | None = None) -> Iterator[Server]:
    """Start the server in ``folder``, and end it with the block."""
    (port,) = free_ports(1)
    process = Process(command(port), folder / f"server-{port}.log", {**_ours(), **(environment or {})})
    process.start()
    try:
        process.wait_for_port(port)
        yield Server(process, port)
    finally:
        process.stop()


def run(command: Sequence[str], environment: Mapping[str, str]) -> str:
    """Run a command to its end; returns what it printed. Raises RuntimeError with all of it where it fails."""
    done = subprocess.run(
        command, env={**os.environ, **_ours(), **environment}, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}\n{done.stdout}{done.stderr}")
    return done.stdout


def _ours() -> dict[str, str]:
    return {"PYTHONPATH": str(ROOT)}


def until(is_true: Callable[[], Any], within: float = 60.0) -> None:
    """Wait; raises TimeoutError after ``within`` seconds."""
    deadline = time.monotonic() + within
    while not is_true():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.05)


def settle(server: Server) -> None:
    """Until a server is idle, so that one measurement does not pay for what came before it."""
    with suppress(TimeoutError):
        before = server.spent.cpu
        until(lambda: _idle_since(server, before), within=5)


def _idle_since(server: Server, before: float) -> bool:
    then = server.spent.cpu
    time.sleep(0.2)
    return server.spent.cpu - then < 0.02
