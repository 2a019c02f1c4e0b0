"""Statements on the one table that every upload and every save goes through several times.

They are plain: columns that equal values. To have the ORM compose them takes several times as long as to run them, so
their text is composed once. Values go through the fields and the database's own conversions, as the ORM's do.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, TypeVar

from django.db import connections, models, transaction

ModelT = TypeVar("ModelT", bound=models.Model)


def read_row(model: type[ModelT], alias: str, where: Mapping[str, Any]) -> ModelT | None:
    """The row whose columns equal ``where``, which are unique together."""
    connection = connections[alias]
    with connection.cursor() as cursor:
        cursor.execute(_select(model, alias, tuple(where)), _prepared(model, connection, where))
        found = cursor.fetchone()
    if found is None:
        return None
    columns = _columns(model)
    values = [_converted(value, column, connection) for value, column in zip(found, columns, strict=True)]
    return model.from_db(alias, [column.target.attname for column in columns], values)


def insert_row(row: models.Model, alias: str) -> None:
    """``row.save_base(force_insert=True)`` of a new row, whose primary key the database makes; without signals."""
    model, connection = type(row), connections[alias]
    if not knows_returning(connection):
        row.save_base(using=alias, force_insert=True)
        return
    values = [
        field.get_db_prep_save(getattr(row, field.attname), connection) for field in _fields_to_insert(model)
    ]
    with transaction.mark_for_rollback_on_error(using=alias), connection.cursor() as cursor:
        cursor.execute(_insert(model, alias), values)
        (row.pk,) = cursor.fetchone()
    row._state.adding, row._state.db = False, alias


def update_row(
    model: type[models.Model], alias: str, changes: Mapping[str, Any], where: Mapping[str, Any]
) -> bool:
    """Write ``changes`` where the columns equal ``where``. False where there is no such row."""
    connection = connections[alias]
    values = [*_prepared(model, connection, changes), *_prepared(model, connection, where)]
    with transaction.mark_for_rollback_on_error(using=alias), connection.cursor() as cursor:
        cursor.execute(_update(model, alias, tuple(changes), tuple(where)), values)
        return bool(cursor.rowcount)


def knows_returning(connection: Any) -> bool:
    """PostgreSQL, or a SQLite of 2021 or later: RETURNING, and UPDATE … FROM."""
    return (
        connection.vendor in ("postgresql", "sqlite") and connection.features.can_return_columns_from_insert
    )


@cache
def _select(model: type[models.Model], alias: str, where: tuple[str, ...]) -> str:
    quote = connections[alias].ops.quote_name
    names = ", ".join(quote(column.target.column) for column in _columns(model))
    return f"SELECT {names} FROM {quote(model._meta.db_table)} WHERE {_equal(model, alias, where, ' AND ')}"  # noqa: S608  # nosec B608  # names of our own columns


@cache
def _fields_to_insert(model: type[models.Model]) -> list[Any]:
    return [field for field in model._meta.concrete_fields if not field.primary_key]


@cache
def _insert(model: type[models.Model], alias: str) -> str:
    quote = connections[alias].ops.quote_name
    columns = [quote(field.column) for field in _fields_to_insert(model)]
    names, values, pk = (
        ", ".join(columns),
        ", ".join(["%s"] * len(columns)),
        quote(_field(model, "pk").column),
    )
    return f"INSERT INTO {quote(model._meta.db_table)} ({names}) VALUES ({values}) RETURNING {pk}"  # noqa: S608  # nosec B608  # as above


@cache
def _update(model: type[models.Model], alias: str, changes: tuple[str, ...], where: tuple[str, ...]) -> str:
    table = connections[alias].ops.quote_name(model._meta.db_table)
    written, found = _equal(model, alias, changes, ", "), _equal(model, alias, where, " AND ")
    return f"UPDATE {table} SET {written} WHERE {found}"  # noqa: S608  # nosec B608  # as above


def _equal(model: type[models.Model], alias: str, names: Iterable[str], between: str) -> str:
    quote = connections[alias].ops.quote_name
    return between.join(f"{quote(_field(model, name).column)} = %s" for name in names)


@cache
def _columns(model: type[models.Model]) -> list[Any]:
    return [field.get_col(model._meta.db_table) for field in model._meta.concrete_fields]


def _field(model: type[models.Model], name: str) -> Any:
    return model._meta.pk if name == "pk" else model._meta.get_field(name)


def _prepared(model: type[models.Model], connection: Any, values: Mapping[str, Any]) -> list[Any]:
    return [_field(model, name).get_db_prep_save(value, connection) for name, value in values.items()]


def _converted(value: Any, column: Any, connection: Any) -> Any:
    for convert in (*connection.ops.get_db_converters(column), *column.get_db_converters(connection)):
        value = convert(value, column, connection)
    return value
