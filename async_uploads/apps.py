"""The app: labels, and the system checks."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from async_uploads.checks import register_checks

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class AsyncUploadsConfig(AppConfig):
    name = "async_uploads"
    verbose_name: StrOrPromise = _("Uploads")
    default_auto_field: str = "django.db.models.BigAutoField"

    def ready(self) -> None:
        register_checks()
