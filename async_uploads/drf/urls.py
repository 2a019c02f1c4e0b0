"""The API's URLs: ``path("api/uploads/", include("async_uploads.drf.urls"))`` for the default registry."""

from __future__ import annotations

from django.urls import URLPattern, path

from async_uploads.drf import views
from async_uploads.drf.addresses import API_NAMESPACE, namespace_of
from async_uploads.registry import AsyncFieldRegistry, default_async_field_registry


def get_url_patterns(registry: AsyncFieldRegistry) -> tuple[list[URLPattern], str]:
    """For another registry: ``path("api/elsewhere/", include(get_url_patterns(registry)))``."""
    return _patterns(registry), namespace_of(registry)


def _patterns(registry: AsyncFieldRegistry) -> list[URLPattern]:
    return [
        path(f"{name}/", view.as_view(registry=registry), name=name)
        for name, view in (
            ("generate-upload-url", views.GenerateUploadUrlView),
            ("complete-upload", views.CompleteUploadView),
            ("cancel-upload", views.CancelUploadView),
            ("upload-status", views.UploadStatusView),
            ("download-file", views.DownloadRedirectView),
        )
    ]


app_name = API_NAMESPACE
urlpatterns: list[URLPattern] = _patterns(default_async_field_registry)
