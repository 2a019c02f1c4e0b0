from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from subprocess import CalledProcessError

import pytest
from asgiref.sync import SyncToAsync
from django.db import connections

from tests.servers.postgresql import PostgreSQL


@pytest.fixture
def restarted(postgresql: PostgreSQL) -> Iterator[PostgreSQL]:
    """A PostgreSQL that the test may stop and start. The next test has it running."""
    yield postgresql
    with suppress(CalledProcessError):  # where the test has stopped it, and failed
        postgresql.stop()
    postgresql.start()
    # What the restart has broken: this thread's connection, and that of the one in which async tests ask.
    connections.close_all()
    SyncToAsync.single_thread_executor.submit(connections.close_all).result()
