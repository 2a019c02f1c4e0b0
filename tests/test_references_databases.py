"""A file stays that a row in any of the project's databases names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from django.apps import apps
from django.db import models

from tests.arrivals import arrived, stored_names
from tests.passing_models import second_database
from tests.testapp.models import Letter, Portrait

pytestmark = pytest.mark.django_db(transaction=True)

OLD = "portraits/old.txt"


class OnlyDefault:
    """A router for a second database that has none of the tables."""

    def allow_migrate(self, db: str, app_label: str, **hints: Any) -> bool | None:
        return db == "default"


@pytest.fixture
def portrait() -> Portrait:
    return Portrait.objects.create(file=arrived(name="old.txt", model=Portrait))


def models_with_files() -> list[type[models.Model]]:
    return [
        model
        for model in apps.get_models()
        if not model._meta.proxy
        and any(isinstance(field, models.FileField) for field in model._meta.local_fields)
    ]


def test_a_file_stays_that_a_row_in_another_database_names(portrait: Portrait, tmp_path: Path) -> None:
    with second_database(tmp_path / "second.sqlite3", *models_with_files()) as second:
        Letter.objects.using(second).create(attachment=OLD)
        portrait.delete()
        kept = stored_names()
        Letter.objects.using(second).all().delete()

        Portrait.objects.create(file=OLD).delete()

        assert kept == {OLD}
        assert stored_names() == set()


def test_a_file_stays_where_a_database_cannot_be_asked(
    portrait: Portrait, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with second_database(tmp_path / "second.sqlite3"):
        portrait.delete()

    assert stored_names() == {OLD}
    assert "could not be asked in the database 'second'" in caplog.text


def test_a_database_is_not_asked_that_the_routers_keep_the_model_out_of(
    portrait: Portrait, tmp_path: Path, settings: Any
) -> None:
    settings.DATABASE_ROUTERS = [f"{__name__}.OnlyDefault"]
    with second_database(tmp_path / "second.sqlite3"):
        portrait.delete()

    assert stored_names() == set()


def test_an_empty_entry_in_databases_keeps_no_file(portrait: Portrait) -> None:
    with second_database(None):
        portrait.delete()

    assert stored_names() == set()
