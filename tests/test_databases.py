"""Which errors of a database are an outage, that passes, and which are a mistake, that does not."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import psycopg
import pytest
from django.db import InterfaceError, OperationalError
from psycopg import errors

from async_uploads.databases import apatiently, is_outage


def of_driver(cause: Exception) -> OperationalError:
    error = OperationalError(*cause.args)
    error.__cause__ = cause
    return error


def error_of_sqlite(path: Path, sql: str) -> OperationalError:
    """What ``sql`` meets in a database that somebody else is writing to."""
    with sqlite3.connect(path, isolation_level=None) as other, sqlite3.connect(path, timeout=0) as own:
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(sqlite3.OperationalError) as met:
            own.execute(sql)
    own.close()
    other.close()
    return of_driver(met.value)


@pytest.mark.parametrize(
    "cause",
    [
        psycopg.OperationalError("the connection is lost"),
        errors.AdminShutdown("terminating connection"),
        errors.CannotConnectNow("the database system is starting up"),
        errors.TooManyConnections("too many clients already"),
        Exception(2006, "MySQL server has gone away"),
    ],
    ids=lambda cause: type(cause).__name__,
)
def test_a_database_that_does_not_answer_is_an_outage(cause: Exception) -> None:
    assert is_outage(of_driver(cause))


@pytest.mark.parametrize(
    "cause",
    [
        errors.DeadlockDetected("deadlock detected"),
        errors.QueryCanceled("statement timeout"),
        Exception(1054, "Unknown column"),
        Exception(),
    ],
    ids=lambda cause: type(cause).__name__,
)
def test_an_error_of_a_query_is_none(cause: Exception) -> None:
    assert not is_outage(of_driver(cause))


def test_a_closed_connection_is_an_outage_and_other_errors_are_none() -> None:
    assert is_outage(InterfaceError("connection already closed"))
    assert not is_outage(ValueError())
    assert not is_outage(None)


def test_sqlite_that_is_busy_is_an_outage_and_a_missing_table_is_none(tmp_path: Path) -> None:
    busy = error_of_sqlite(tmp_path / "one.sqlite3", "CREATE TABLE one (id INTEGER)")
    missing = error_of_sqlite(tmp_path / "two.sqlite3", "SELECT * FROM nothing")

    assert "locked" in str(busy)
    assert is_outage(busy)
    assert not is_outage(missing)


async def test_what_is_no_outage_is_not_tried_again() -> None:
    tried = 0

    async def step() -> None:
        nonlocal tried
        tried += 1
        raise of_driver(errors.DeadlockDetected("deadlock detected"))

    with pytest.raises(OperationalError, match="deadlock"):
        await apatiently(step)

    assert tried == 1
