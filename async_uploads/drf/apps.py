"""An app for INSTALLED_APPS, for those who describe their API with drf-spectacular."""

from __future__ import annotations

from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class AsyncUploadsDrfConfig(AppConfig):
    name = "async_uploads.drf"
    label = "async_uploads_drf"
    verbose_name: StrOrPromise = _("Uploads")

    def ready(self) -> None:
        if find_spec("drf_spectacular") is not None:
            import_module("async_uploads.drf.schema")  # which registers its extensions
