"""Servers as processes of their own, for what can only be seen from outside: memory, threads, file limits."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

APPLICATION = "tests.asgi:application"
ROOT = Path(__file__).parent.parent


@dataclass(frozen=True)
class ServerProcess:
    """A running server: where to ask it, and what the kernel tells about it (proc(5))."""

    address: str
    process: subprocess.Popen[bytes]

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """As the kernel does where memory runs out, and as no code of ours can notice."""
        self.process.kill()
        self.process.wait()

    def terminate(self) -> None:
        """As a deployment does; returns at once."""
        self.process.terminate()

    @property
    def peak_memory(self) -> int:
        """The most bytes that were resident at any time."""
        return int(self._number("status", r"VmHWM:\s+(\d+) kB")) * 1024

    @property
    def bytes_written(self) -> int:
        """Handed to write(2) and its kin, to whatever file."""
        return self._number("io", r"wchar: (\d+)")

    @property
    def page_faults(self) -> int:
        """Pages that the kernel had to give it, from memory."""
        return self._number("stat", r"^\d+ \(.*\)(?: \S+){7} (\d+)")

    @property
    def threads(self) -> int:
        return self._number("status", r"Threads:\s+(\d+)")

    def open_files(self, path: Path) -> int:
        """How often the process has ``path`` open."""
        return sum(_target(link) == str(path) for link in Path(f"/proc/{self.pid}/fd").iterdir())

    def _number(self, file: str, pattern: str) -> int:
        found = re.search(pattern, Path(f"/proc/{self.pid}/{file}").read_text())
        assert found is not None
        return int(found.group(1))


def _target(link: Path) -> str:
    try:
        return os.readlink(link)
    except FileNotFoundError:
        return ""


def command_for(kind: str, descriptor: int, application: str) -> list[str]:
    match kind:
        case "uvicorn":
            more = ["--fd", str(descriptor), "--lifespan", "off", "--log-level", "warning"]
        case "hypercorn":
            more = ["--bind", f"fd://{descriptor}", "--log-level", "warning"]
        case _:
            raise ValueError(kind)
    return [sys.executable, "-m", kind, *more, application]


@asynccontextmanager
async def server_process(
    kind: str = "uvicorn",
    *,
    application: str = APPLICATION,
    environment: Mapping[str, str] | None = None,
    arguments: Sequence[str] = (),
) -> AsyncIterator[ServerProcess]:
    """The test project in a process, on the test's own database and media folder.

    ``environment`` is added to this process's own; with ``DJANGO_SETTINGS_MODULE`` it has other settings.
    """
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(256)
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        process = subprocess.Popen(
            [*command_for(kind, listener.fileno(), application), *arguments],
            pass_fds=[listener.fileno()],
            cwd=ROOT,
            env={**os.environ, "DJANGO_SETTINGS_MODULE": "tests.settings", **(environment or {})},
        )
    try:
        yield ServerProcess(address=address, process=process)
    finally:
        process.terminate()
        try:
            await asyncio.to_thread(process.wait, 15)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
