"""The app: labels, the system checks, and who is told of each upload's moves."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from async_uploads.checks import register_checks
from async_uploads.metrics import count_move, metrics
from async_uploads.signals import upload_moved
from async_uploads.upload_logs import log_move

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class AsyncUploadsConfig(AppConfig):
    name = "async_uploads"
    verbose_name: StrOrPromise = _("Uploads")
    default_auto_field: str = "django.db.models.BigAutoField"

    def ready(self) -> None:
        register_checks()
        upload_moved.connect(log_move)
        if metrics is not None:
            upload_moved.connect(count_move)
