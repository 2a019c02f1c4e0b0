"""Where the client of an API can read a file."""

from __future__ import annotations

from typing import Any

from django.urls import NoReverseMatch
from rest_framework.reverse import reverse

from async_uploads.events import download_query, download_url
from async_uploads.promotion import record_pk_of
from async_uploads.registry import AsyncFieldRegistry, default_async_field_registry

API_NAMESPACE = "async_uploads_api"


def namespace_of(registry: AsyncFieldRegistry) -> str:
    """The URL namespace of the API's views for a registry."""
    if registry is default_async_field_registry:
        return API_NAMESPACE
    return f"{API_NAMESPACE}_{registry.name}"


def file_address(file: Any, request: Any) -> str | None:
    """The URL of a FieldFile, absolute where the request is known; None before its record is saved."""
    record_pk = record_pk_of(file.field, file.instance)
    return download_address(file.field, record_pk, file.name, request) if record_pk else None


def download_address(field: Any, record_pk: str, name: str, request: Any) -> str:
    """The download view of the API where it is mounted, as it knows the API's ways to sign in; else Django's."""
    try:
        view = reverse(f"{namespace_of(field.async_field_registry)}:download-file", request=request)
    except NoReverseMatch:
        return absolute(download_url(field, record_pk, name), request)
    path, _, _format = view.partition("?")
    return f"{path}?{download_query(field, record_pk, name)}"


def absolute(url: str, request: Any) -> str:
    """A path of this site with its host; a signed URL of a cloud stays as it is, to the letter."""
    return str(request.build_absolute_uri(url)) if request is not None and url.startswith("/") else url
