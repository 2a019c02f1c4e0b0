"""System checks of what is between a browser and Django: the channel layer, limits of size, static files."""

from __future__ import annotations

from typing import Any

import pytest
from channels.layers import InMemoryChannelLayer
from django.contrib.staticfiles.storage import ManifestStaticFilesStorage
from django.core import checks
from PIL import Image

from async_uploads.storage.direct import ServedByDjango
from tests.checking import found, the_only
from tests.testapp.models import Document


def test_deployment_of_the_test_project_has_the_matters_that_it_has() -> None:
    """In memory, and files that come through Django; the static files have plain names."""
    assert set(found(deploy=True)) == {"async_uploads.W008", "async_uploads.I001"}


class LayerOfTheProject(InMemoryChannelLayer):
    pass


IN_MEMORY = ["channels.layers.InMemoryChannelLayer", f"{__name__}.LayerOfTheProject"]
SHARED = "channels_redis.core.RedisChannelLayer"


@pytest.mark.parametrize("backend", IN_MEMORY)
@pytest.mark.parametrize("name", ["WEB_CONCURRENCY", "UVICORN_WORKERS", "GRANIAN_WORKERS"])
def test_layer_in_memory_of_several_processes(
    settings: Any, monkeypatch: pytest.MonkeyPatch, backend: str, name: str
) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend}}
    monkeypatch.setenv(name, "4")

    message = the_only("async_uploads.W007")

    assert f"{name}=4" in message.msg
    assert "channels_redis" in str(message.hint)
    assert "async_uploads.W008" not in found(deploy=True)  # it says the same with less certainty


@pytest.mark.parametrize("number", ["1", "0", "", "auto", "-2", "²"])
def test_one_process_may_keep_its_layer_in_memory(monkeypatch: pytest.MonkeyPatch, number: str) -> None:
    monkeypatch.setenv("WEB_CONCURRENCY", number)

    assert found() == {}


@pytest.mark.parametrize("backend", IN_MEMORY)
def test_layer_in_memory_is_told_before_a_deployment(settings: Any, backend: str) -> None:
    settings.CHANNEL_LAYERS = {"default": {"BACKEND": backend}}

    (message,) = found(deploy=True)["async_uploads.W008"]

    assert "channels_redis" in str(message.hint)


@pytest.mark.parametrize("layer", [{"BACKEND": SHARED}, {"BACKEND": "no.such.Layer"}, {}])
def test_layer_that_is_shared_or_broken_is_not_in_memory(
    settings: Any, monkeypatch: pytest.MonkeyPatch, layer: dict[str, Any]
) -> None:
    settings.CHANNEL_LAYERS = {"default": layer}
    monkeypatch.setenv("WEB_CONCURRENCY", "4")

    assert set(found(deploy=True)) == {"async_uploads.I001"}


# Sizes


@pytest.mark.parametrize("limit", [None, 4096, 2_621_440])
def test_limit_of_a_body_that_leaves_room_for_what_is_asked(settings: Any, limit: int | None) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = limit

    assert found() == {}


@pytest.mark.parametrize("limit", [0, 1000, 4095])
def test_limit_of_a_body_that_is_too_small(settings: Any, limit: int) -> None:
    settings.DATA_UPLOAD_MAX_MEMORY_SIZE = limit

    message = the_only("async_uploads.W009")

    assert str(limit) in message.msg
    assert "max_size" in str(message.hint)


@pytest.mark.parametrize(("setting", "pillows"), [(200, 100), (10**12, None), (None, 100), ("many", 100)])
def test_limit_of_pixels_that_pillow_keeps(
    settings: Any, monkeypatch: pytest.MonkeyPatch, setting: Any, pillows: int | None
) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", pillows)
    settings.ASYNC_UPLOADS = {"MAX_IMAGE_PIXELS": setting}

    assert "async_uploads.W013" not in found()


def test_limit_of_pixels_above_pillows(settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    settings.ASYNC_UPLOADS = {"MAX_IMAGE_PIXELS": 201}

    assert "no effect above 200" in the_only("async_uploads.W013").msg


@pytest.mark.parametrize(
    ("max_size", "told", "setting"),
    [
        (1000, "1000 MiB", "client_max_body_size 1001m;"),
        (200.5, "200.5 MiB", "client_max_body_size 202m;"),
        (None, "any size", "client_max_body_size 0;"),
    ],
)
def test_largest_upload_that_a_proxy_has_to_let_pass(
    monkeypatch: pytest.MonkeyPatch, max_size: float | None, told: str, setting: str
) -> None:
    monkeypatch.setattr(Document._meta.get_field("file"), "max_size", max_size)

    (message,) = found(deploy=True)["async_uploads.I001"]

    assert not message.is_serious(checks.WARNING)
    assert f"up to {told} come through Django, to testapp.Document.file:" in message.msg
    assert setting in str(message.hint)


def test_proxies_do_not_matter_where_no_upload_comes_through_django(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ServedByDjango, "receives_uploads", False)

    assert "async_uploads.I001" not in found(deploy=True)


# Static files


class HashedImports(ManifestStaticFilesStorage):
    support_js_module_import_aggregation = True


MANIFEST = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
WHITENOISE = "whitenoise.storage.CompressedManifestStaticFilesStorage"


def with_static(settings: Any, backend: str, *, only_hashed: bool = False) -> None:
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": backend}}
    settings.WHITENOISE_KEEP_ONLY_HASHED_FILES = only_hashed


@pytest.mark.parametrize("backend", [MANIFEST, WHITENOISE])
def test_modules_that_a_cache_may_mix_are_told_before_a_deployment(settings: Any, backend: str) -> None:
    with_static(settings, backend)

    assert found() == {}
    (message,) = found(deploy=True)["async_uploads.W011"]
    assert "support_js_module_import_aggregation" in str(message.hint)


def test_modules_that_are_deleted_are_told_by_collectstatic_too(settings: Any) -> None:
    with_static(settings, WHITENOISE, only_hashed=True)

    message = the_only("async_uploads.W010")

    assert "support_js_module_import_aggregation" in str(message.hint)
    assert message in checks.run_checks(tags=[checks.Tags.staticfiles])
    assert "async_uploads.W011" not in found(deploy=True)


def test_setting_of_whitenoise_deletes_nothing_of_another_storage(settings: Any) -> None:
    with_static(settings, MANIFEST, only_hashed=True)

    assert found() == {}


@pytest.mark.parametrize(
    "backend", [f"{__name__}.HashedImports", "django.core.files.storage.InMemoryStorage"]
)
def test_modules_that_are_hashed_or_not_at_all_are_right(settings: Any, backend: str) -> None:
    with_static(settings, backend, only_hashed=True)

    assert not {"async_uploads.W010", "async_uploads.W011"} & set(found(deploy=True))


def test_project_without_static_files_can_be_checked(settings: Any) -> None:
    with_static(settings, WHITENOISE, only_hashed=True)
    settings.INSTALLED_APPS = [app for app in settings.INSTALLED_APPS if "staticfiles" not in app]

    assert not {"async_uploads.W010", "async_uploads.W011"} & set(found(deploy=True))


@pytest.mark.parametrize(
    "storages", [{}, {"staticfiles": {}}, {"staticfiles": {"BACKEND": "no.such.Storage"}}]
)
def test_static_files_without_a_storage_are_left_to_django(settings: Any, storages: dict[str, Any]) -> None:
    settings.STORAGES = {"default": settings.STORAGES["default"], **storages}

    assert set(found(deploy=True)) == {"async_uploads.W008", "async_uploads.I001"}


TASKS_DISPATCHER = {"PROMOTION_DISPATCHER": "async_uploads.tasks.enqueue_promotion"}


@pytest.mark.parametrize("backend", [None, "django_tasks.backends.dummy.DummyBackend"])
def test_tasks_that_no_worker_takes(settings: Any, backend: str | None) -> None:
    settings.ASYNC_UPLOADS = TASKS_DISPATCHER
    if backend:
        settings.TASKS = {"default": {"BACKEND": backend}}

    assert "Backend" in the_only("async_uploads.W012").msg


def test_tasks_with_workers_are_well(settings: Any) -> None:
    settings.ASYNC_UPLOADS = TASKS_DISPATCHER
    settings.TASKS = {"default": {"BACKEND": "django_tasks_db.DatabaseBackend"}}

    assert found() == {}
