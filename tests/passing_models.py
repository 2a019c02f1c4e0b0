"""What a project may have beside the test project's own: models and databases that are there for one test."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from django.apps import apps
from django.db import connection, connections, models


@contextmanager
def passing_model(
    *, table: bool = True, meta: dict[str, Any] | None = None, **attributes: Any
) -> Iterator[Any]:
    """A model of the project, with a table unless told otherwise."""
    options = type("Meta", (), {"app_label": "testapp", **(meta or {})})
    model: Any = type("Passing", (models.Model,), {"__module__": __name__, "Meta": options, **attributes})
    try:
        if table:
            with connection.schema_editor() as editor:
                editor.create_model(model)
        yield model
        if table:
            with connection.schema_editor() as editor:
                editor.delete_model(model)
    finally:
        del apps.all_models["testapp"]["passing"]
        apps.clear_cache()


@contextmanager
def second_database(path: Path | None, *tables: type[models.Model]) -> Iterator[str]:
    """Another database in DATABASES, with these tables; an empty entry without a path. Its alias."""
    options = {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": path,
        "OPTIONS": {"init_command": "PRAGMA foreign_keys=OFF"},  # to tables that are not there
    }
    settings = connections.configure_settings({"default": {}, "second": options if path else {}})
    connections.databases["second"] = settings["second"]
    try:
        if path:
            connections["second"].connect()  # Django keeps tests from asking others than theirs to connect
            with connections["second"].schema_editor() as editor:
                for model in tables:
                    editor.create_model(model)
        yield "second"
    finally:
        connections["second"].close()
        del connections["second"]
        del connections.databases["second"]
