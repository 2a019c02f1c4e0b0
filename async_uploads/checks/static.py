"""Of static files whose names tell their content's hash: our modules import each other by name."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.apps import apps
from django.conf import STATICFILES_STORAGE_ALIAS, settings
from django.contrib.staticfiles.storage import HashedFilesMixin
from django.core import checks
from django.utils.module_loading import import_string

HINT = (
    'Name a subclass of the storage in STORAGES["staticfiles"], with support_js_module_import_aggregation = True and '
    "max_post_process_passes = 20: see 'Static files' in docs/reference.md."
)


def check_modules_are_kept(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    if _hashes_names_but_not_imports() and _deletes_other_names():
        yield checks.Warning(
            "Uploads work only without JavaScript: the widget's modules import each other by names without a hash, and "
            "WHITENOISE_KEEP_ONLY_HASHED_FILES deletes the files of those names.",
            hint=HINT,
            id="async_uploads.W010",
        )


def check_modules_are_hashed(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    if _hashes_names_but_not_imports() and not _deletes_other_names():
        yield checks.Warning(
            "The widget's modules import each other by names without a hash: where browsers may keep static files, "
            "they mix modules of two versions after an upgrade.",
            hint=HINT,
            id="async_uploads.W011",
        )


def _hashes_names_but_not_imports() -> bool:
    """Asks the class: an instance may read its manifest over the network."""
    storage = _storage_class()
    return issubclass(storage, HashedFilesMixin) and not storage.support_js_module_import_aggregation


def _deletes_other_names() -> bool:
    return hasattr(_storage_class(), "keep_only_hashed_files") and bool(
        getattr(settings, "WHITENOISE_KEEP_ONLY_HASHED_FILES", False)
    )


def _storage_class() -> type:
    """``object`` where there is none; Django tells what is wrong with it."""
    if not apps.is_installed("django.contrib.staticfiles"):
        return object
    configured: Any = settings.STORAGES
    try:
        storage = import_string(configured.get(STATICFILES_STORAGE_ALIAS, {}).get("BACKEND", ""))
    except ImportError:
        return object
    return storage if isinstance(storage, type) else object
