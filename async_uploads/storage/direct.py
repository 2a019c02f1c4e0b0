"""What storages have in common whose bytes go through Django's own views: signed URLs to those views."""

from __future__ import annotations

import posixpath
from typing import Any

from django.utils.http import urlencode

from async_uploads.conf import upload_settings
from async_uploads.inspection import may_be_inline
from async_uploads.signing import DownloadToken, UploadToken, sign
from async_uploads.storage.base import AsyncUploadStorage, GenerateUploadUrlResponse
from async_uploads.view_urls import view_url

UPLOAD_FIELD_NAME = "file"


class ServedByDjango(AsyncUploadStorage):
    """Upload and download URLs that point at ``upload-file-direct/`` and ``download-file-direct/``."""

    provider = "filesystem"
    receives_uploads = True
    serves_downloads = True

    @property
    def signs_by_blocking(self) -> bool:
        """Our two forms do the same, unless a project's own class has an async one."""
        form = getattr(self.agenerate_upload_url, "__func__", None)
        return form is ServedByDjango.agenerate_upload_url

    def field_registered(self, field_id: str, namespace: str) -> None:
        self._namespaces[field_id] = namespace

    @property
    def _namespaces(self) -> dict[str, str]:
        namespaces: dict[str, str] = self.__dict__.setdefault("_namespace_by_field_id", {})
        return namespaces

    def generate_upload_url(
        self, name: str, field_id: str, *, expire: int, max_size: int | None, content_type: str | None = None
    ) -> GenerateUploadUrlResponse:
        token = sign(UploadToken(key=name, field_id=field_id, max_size=max_size, expire=expire))
        return {
            "url": self._view_url("upload-file-direct", field_id, token),
            "method": "PUT",
            "fields": {},
            "headers": {"Content-Type": content_type or "application/octet-stream"},
            "provider": self.provider,
            "fileFieldName": UPLOAD_FIELD_NAME,
        }

    def generate_download_url(
        self,
        key: str,
        field_id: str,
        *,
        filename: str | None = None,
        expire: int | None = None,
        inline: bool = True,
        **params: Any,
    ) -> str:
        """``inline=False`` offers the file as an attachment whatever its type; ``params`` go into the URL."""
        filename = filename or posixpath.basename(key)
        token = DownloadToken(
            key=key,
            field_id=field_id,
            filename=filename,
            inline=inline and may_be_inline(filename),
            expire=upload_settings.DOWNLOAD_URL_EXPIRY if expire is None else expire,
        )
        return self._view_url("download-file-direct", field_id, sign(token), **params)

    # The URLs are signed without any I/O, so that neither form needs a thread.

    async def agenerate_upload_url(
        self, name: str, field_id: str, *, expire: int, max_size: int | None, content_type: str | None = None
    ) -> GenerateUploadUrlResponse:
        return self.generate_upload_url(
            name, field_id, expire=expire, max_size=max_size, content_type=content_type
        )

    async def agenerate_download_url(
        self, key: str, field_id: str, *, filename: str | None = None, **params: Any
    ) -> str:
        return self.generate_download_url(key, field_id, filename=filename, **params)

    def _view_url(self, view: str, field_id: str, token: str, **params: Any) -> str:
        url = view_url(view, self._namespaces.get(field_id))
        return f"{url}?{urlencode({'token': token, **params})}"
