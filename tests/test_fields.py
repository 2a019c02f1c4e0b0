"""The model fields: their options, their migrations, and the shapes of models they work in."""

from __future__ import annotations

import asyncio
from io import StringIO
from typing import Any

import pytest
from django.core.checks import Error
from django.core.files.storage import storages
from django.core.management import call_command
from django.db import models
from django.test.utils import isolate_apps
from pytest_django import Settings

from async_uploads import fields
from async_uploads.models import AsyncFileField, AsyncImageField
from async_uploads.registry import AsyncFieldRegistry, default_async_field_registry
from async_uploads.storage.filesystem import FileSystemAsyncUploadStorage
from async_uploads.storage.memory import MemoryAsyncUploadStorage
from tests.arrivals import arrived, begun
from tests.conftest import image_bytes
from tests.testapp.models import (
    Album,
    Document,
    DocumentProxy,
    Elsewhere,
    Guarded,
    Invoice,
    Letter,
    NullablePicture,
    Picture,
    Report,
    second_registry,
)


def field_of(model: type[models.Model], name: str = "file") -> Any:
    return model._meta.get_field(name)


def test_the_options_that_are_not_given_have_their_documented_defaults() -> None:
    field = field_of(Guarded)

    assert (field.max_size, field.max_size_bytes, field.max_length) == (100, 100 * 1024 * 1024, 500)
    assert field.file_restrictions == ()
    assert field.download_params == {}
    assert field.async_field_registry is default_async_field_registry
    assert (field.perm_create, field.perm_update, field.perm_detail) == (
        "testapp.add_guarded",
        "testapp.change_guarded",
        "testapp.view_guarded",
    )


def test_a_permission_of_none_is_kept() -> None:
    field = field_of(Document)

    assert (field.perm_create, field.perm_update, field.perm_detail) == (None, None, None)


def test_a_fraction_of_a_mebibyte_and_no_limit_at_all_are_sizes_too() -> None:
    assert AsyncFileField(max_size=0.5).max_size_bytes == 512 * 1024
    assert AsyncFileField(max_size=None).max_size_bytes is None


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("_perm_create", "testapp.other"),
        ("_perm_update", None),
        ("_perm_detail", lambda user, obj: True),
        ("max_size", 7),
        ("file_restrictions", (".docx",)),
        ("async_field_registry", second_registry),
        ("download_params", {"inline": False}),
    ],
)
def test_changing_what_the_database_does_not_know_makes_no_migration(
    monkeypatch: pytest.MonkeyPatch, option: str, value: Any
) -> None:
    assert hasattr(field_of(Guarded), option)
    monkeypatch.setattr(field_of(Guarded), option, value)
    said = StringIO()

    call_command("makemigrations", "testapp", check_changes=True, dry_run=True, stdout=said)

    assert "No changes detected" in said.getvalue()


@pytest.mark.django_db
def test_changing_what_the_database_knows_makes_a_migration(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(field_of(Guarded), "max_length", 300)

    with pytest.raises(SystemExit):
        call_command("makemigrations", "testapp", check_changes=True, dry_run=True, stdout=StringIO())


@pytest.mark.parametrize("max_length", [100, 300, 500])
def test_a_field_comes_out_of_its_migration_as_long_as_it_went_in(max_length: int) -> None:
    _name, path, args, kwargs = AsyncFileField(max_length=max_length, upload_to="here").deconstruct()

    assert path == "async_uploads.models.AsyncFileField"
    assert kwargs["max_length"] == max_length
    assert AsyncFileField(*args, **kwargs).max_length == max_length


def test_a_cloned_image_field_keeps_its_dimension_columns() -> None:
    clone = field_of(Picture, "image").clone()

    assert isinstance(clone, AsyncImageField)
    assert (clone.width_field, clone.height_field) == ("width", "height")


def test_each_child_of_an_abstract_parent_has_a_field_of_its_own() -> None:
    ids = {default_async_field_registry.generate_id(field_of(one, "attachment")) for one in (Letter, Invoice)}

    assert len(ids) == 2
    assert ids <= set(default_async_field_registry.fields_by_id)


def test_the_id_of_a_field_does_not_tell_the_model() -> None:
    field_id = default_async_field_registry.generate_id(field_of(Document))

    assert "ocument" not in field_id
    assert "testapp" not in field_id
    assert default_async_field_registry.fields_by_id[field_id] is field_of(Document)


@pytest.mark.parametrize("model", [Report, DocumentProxy])
def test_children_and_proxies_share_the_field_of_their_parent(model: type[models.Model]) -> None:
    assert field_of(model) is field_of(Document)
    of_model = [one for one in default_async_field_registry.fields_by_id.values() if one.model is model]
    assert of_model == []


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("model", [Report, DocumentProxy])
def test_saving_a_child_or_a_proxy_promotes_its_upload(model: Any) -> None:
    saved = model.objects.create(title="x", file=arrived(b"inherited"))

    assert saved.file.name == "documents/report.txt"
    with Document.objects.get().file.open() as file:
        assert file.read() == b"inherited"


@pytest.mark.django_db(transaction=True)
def test_two_fields_of_one_record_keep_to_their_own_storages() -> None:
    cover = arrived(image_bytes(), "cover.png", model=Album, field="cover")
    booklet = arrived(b"words", "in-its-own-storage.txt", model=Album, field="booklet")

    album = Album.objects.create(cover=cover, booklet=booklet)

    assert (album.cover.name, album.booklet.name) == ("albums/cover.png", "booklets/in-its-own-storage.txt")
    assert field_of(Album, "booklet").storage.exists("booklets/in-its-own-storage.txt")
    assert not field_of(Album, "cover").storage.exists("booklets/in-its-own-storage.txt")
    assert field_of(Album, "cover").storage.exists("albums/cover.png")


@pytest.mark.django_db(transaction=True)
def test_a_record_without_a_file_is_saved_and_found_by_that() -> None:
    Document.objects.create()
    NullablePicture.objects.create(image=None)

    assert not Document.objects.get().file
    assert not NullablePicture.objects.get().image


@pytest.mark.django_db(transaction=True)
def test_a_storage_may_come_from_a_callable() -> None:
    storage = field_of(Letter, "attachment").storage

    letter = Letter.objects.create(attachment=arrived(model=Letter, field="attachment"))

    assert isinstance(storage, FileSystemAsyncUploadStorage)
    assert not storage.fsync
    assert letter.attachment.name == "attached/report.txt"


@isolate_apps("tests.testapp")
def test_a_storage_may_come_from_the_settings(settings: Settings, own_registry: AsyncFieldRegistry) -> None:
    settings.STORAGES = {
        **settings.STORAGES,
        "scans": {"BACKEND": "async_uploads.storage.memory.MemoryAsyncUploadStorage"},
    }

    class Scan(models.Model):
        file = AsyncFileField(storage=storages["scans"], async_field_registry=own_registry)
        other = AsyncFileField(storage=lambda: storages["scans"], async_field_registry=own_registry)

        class Meta:
            app_label = "testapp"

    assert isinstance(field_of(Scan).storage, MemoryAsyncUploadStorage)
    assert field_of(Scan).storage is field_of(Scan, "other").storage is storages["scans"]


@isolate_apps("tests.testapp")
def test_a_missing_pillow_can_be_suppressed(
    monkeypatch: pytest.MonkeyPatch, own_registry: AsyncFieldRegistry
) -> None:
    class Shown(models.Model):
        checked = AsyncImageField(async_field_registry=own_registry)
        unchecked = AsyncImageField(async_field_registry=own_registry, suppress_pillow_check=True)

        class Meta:
            app_label = "testapp"

    missing = Error("no Pillow", id="fields.E210")
    monkeypatch.setattr(models.ImageField, "_check_image_library_installed", lambda self: [missing])

    assert missing in field_of(Shown, "checked").check()
    assert missing not in field_of(Shown, "unchecked").check()


@pytest.mark.django_db(transaction=True)
def test_a_field_of_a_second_registry_is_served_under_its_own_prefix() -> None:
    record = Elsewhere.objects.create(file=arrived(model=Elsewhere))

    assert record.file.url.startswith("/elsewhere/download-file/?")
    assert Document(pk=1, file="documents/x.txt").file.url.startswith("/async-uploads/download-file/?")


@pytest.mark.django_db(transaction=True)
def test_an_upload_for_a_second_registry_goes_to_its_own_prefix() -> None:
    temp_file = begun(model=Elsewhere)
    field = field_of(Elsewhere)

    how = asyncio.run(
        field.storage.agenerate_upload_url(
            temp_file.key, second_registry.generate_id(field), expire=60, max_size=None
        )
    )

    assert how["url"].startswith("/elsewhere/upload-file-direct/?token=")


@isolate_apps("tests.testapp")
def test_two_models_that_would_share_an_id_are_refused(
    monkeypatch: pytest.MonkeyPatch, own_registry: AsyncFieldRegistry
) -> None:
    monkeypatch.setattr(own_registry, "generate_id", lambda field: "the-same")

    class First(models.Model):
        file = AsyncFileField(async_field_registry=own_registry)

        class Meta:
            app_label = "testapp"

    with pytest.raises(ValueError, match=r"AsyncFieldRegistry\('own'\) has a field with the id 'the-same'"):

        class Second(models.Model):
            file = AsyncFileField(async_field_registry=own_registry)

            class Meta:
                app_label = "testapp"


def test_the_historical_models_of_migrations_register_nothing() -> None:
    from django.db.migrations.state import ModelState, ProjectState

    before = dict(default_async_field_registry.fields_by_id)
    state = ProjectState()
    state.add_model(ModelState.from_model(Document))

    historical = state.apps.get_model("testapp", "Document")

    assert historical._meta.get_field("file").__class__ is fields.AsyncFileField
    assert default_async_field_registry.fields_by_id == before


EVERY_OPTION: dict[str, Any] = {
    "perm_create": None,
    "perm_update": "testapp.change_document",
    "perm_detail": lambda user, record: True,
    "max_size": 3,
    "file_restrictions": [".png"],
    "async_field_registry": second_registry,
    "download_params": {"inline": False},
    "delete_replaced": "on_commit",
}


@pytest.mark.parametrize(
    ("kind", "options"),
    [(AsyncFileField, EVERY_OPTION), (AsyncImageField, {**EVERY_OPTION, "suppress_pillow_check": True})],
)
def test_a_clone_has_every_option_though_a_migration_does_not(
    kind: type[Any], options: dict[str, Any]
) -> None:
    """As packages copy fields, for records of history or of another language."""
    field = kind(upload_to="scans", blank=True, **options)

    clone = field.clone()

    assert type(clone) is kind
    assert {name: getattr(clone, name) for name in options} == {
        **options,
        "file_restrictions": (".png",),
    }
    assert set(clone.deconstruct()[3]) == set(field.deconstruct()[3]) == {"upload_to", "blank", "max_length"}


@isolate_apps("tests.testapp")
def test_a_clone_is_served_where_its_original_is(own_registry: AsyncFieldRegistry) -> None:
    original = AsyncFileField(async_field_registry=own_registry, perm_update=None)

    class Copy(models.Model):
        file = original.clone()
        strict = AsyncFileField(async_field_registry=own_registry).clone()

        class Meta:
            app_label = "testapp"

    assert set(own_registry.fields_by_id.values()) == {field_of(Copy), field_of(Copy, "strict")}
    assert field_of(Copy).perm_update is None
    assert field_of(Copy, "strict").perm_update == "testapp.change_copy"
