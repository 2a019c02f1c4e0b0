"""The app: labels, and the system checks."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _

from async_uploads.checks import register_checks


class AsyncUploadsConfig(AppConfig):
    name = "async_uploads"
    verbose_name = _("Uploads")
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        register_checks()
