"""Uploads in Django's admin, to look at."""

from __future__ import annotations

from typing import TYPE_CHECKING

from django.contrib import admin
from django.http import HttpRequest

from async_uploads.temp_files import AsyncTempFile

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[AsyncTempFile]
else:
    ModelAdmin = admin.ModelAdmin  # generic in the stubs only


@admin.register(AsyncTempFile)
class AsyncTempFileAdmin(ModelAdmin):
    list_display = ("name", "state", "size", "model", "field_name", "owner", "error", "created_at")
    list_filter = ("state", "model")
    search_fields = ("name", "key")
    date_hierarchy = "created_at"
    readonly_fields = tuple(field.name for field in AsyncTempFile._meta.fields)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AsyncTempFile | None = None) -> bool:
        """Deleting a row would orphan its bytes: the sweep expires uploads."""
        return False
