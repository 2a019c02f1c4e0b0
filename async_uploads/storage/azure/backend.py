"""Uploads sent by the browser straight to Azure Blob Storage, over django-storages' settings.

Needs, of whoever holds the credential: Storage Blob Data Contributor on the container, and with a token credential
Storage Blob Delegator on the account, to sign.
"""

from __future__ import annotations

import posixpath
from contextlib import suppress
from copy import copy
from http import HTTPStatus
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from asgiref.sync import async_to_sync, sync_to_async
from azure.core import MatchConditions
from azure.storage.blob import BlobSasPermissions, ContentSettings
from azure.storage.blob.aio import BlobClient
from django.core.files.base import File
from django.core.files.utils import validate_file_name
from django.utils.deconstruct import deconstructible
from storages.utils import clean_name

from async_uploads.conf import download_url_expiry
from async_uploads.inspection import UNKNOWN_TYPE, disposition, may_be_inline, served_type
from async_uploads.storage.azure.block_copies import BlockCopy
from async_uploads.storage.azure.connection import ConnectedAzureStorage
from async_uploads.storage.azure.copying import promoted_settings
from async_uploads.storage.azure.errors import Refused
from async_uploads.storage.azure.saving import asave_blob
from async_uploads.storage.azure.whole_copies import WholeCopy
from async_uploads.storage.base import (
    AsyncUploadStorage,
    FileChanged,
    GenerateUploadUrlResponse,
    OnProgress,
    StoredFile,
)

CREATE = BlobSasPermissions(create=True)
READ = BlobSasPermissions(read=True)
SOURCE_EXPIRY = 24 * 3600
"""Seconds for which Azure may read a source that it copies in its own time."""

MOST_NAMES = 20


@deconstructible(path="async_uploads.storage.azure.AzureAsyncUploadStorage")
class AzureAsyncUploadStorage(AsyncUploadStorage, ConnectedAzureStorage):
    """django-storages' AzureStorage with the contract of this package; its options mean what they mean there.

    ``timeout`` is that of each connection and each answer, unless ``client_options`` say otherwise. These are new:

    - ``account_url`` (``AZURE_ACCOUNT_URL``): where the account is, if not at ``https://NAME.blob.SUFFIX``.
    - ``copy_parameters`` (``AZURE_COPY_PARAMETERS``): ``metadata``, ``tags``, ``standard_blob_tier`` and
      ``encryption_scope`` of promoted files; or override ``get_copy_parameters(name)``. Their content settings are
      those of ``get_object_parameters(name)``.
    - ``block_copy_threshold`` (``AZURE_BLOCK_COPY_THRESHOLD``): bytes above which a file is copied in blocks, of
      ``block_size`` bytes, ``copy_concurrency`` at once.
    - ``copy_poll_interval`` (``AZURE_COPY_POLL_INTERVAL``): seconds until a pending copy is first asked after.

    URLs are signed with the account key, or with a user delegation key that ``token_credential`` gives: these live for
    seven days at most. With a ``sas_token`` alone there is nothing to sign with.
    """

    provider = "azure"

    ####################################
    # URLs
    ####################################

    async def agenerate_upload_url(
        self, name: str, field_id: str, *, expire: int, max_size: int | None, content_type: str | None = None
    ) -> GenerateUploadUrlResponse:
        """A PUT that can make this one blob, once. A SAS cannot limit its size."""
        path = self._get_valid_path(name)
        content_type = content_type or UNKNOWN_TYPE
        return {
            "url": f"{self._url_of(path)}?{await self._signer.sign(path, expire, permission=CREATE)}",
            "method": "PUT",
            "fields": {},
            "headers": {
                "Content-Type": content_type,
                "If-None-Match": "*",
                "x-ms-blob-content-type": content_type,
                "x-ms-blob-type": "BlockBlob",
            },
            "provider": self.provider,
        }

    async def agenerate_download_url(
        self,
        key: str,
        field_id: str,
        *,
        filename: str | None = None,
        expire: int | None = None,
        inline: bool = True,
        **params: Any,
    ) -> str:
        """``inline=False`` offers the file as an attachment whatever its type; ``params`` are generate_blob_sas's."""
        path = self._get_valid_path(key)
        filename = filename or posixpath.basename(key)
        shown = {
            "permission": READ,
            "content_disposition": disposition(filename, inline=inline and may_be_inline(filename)),
            "content_type": served_type(filename),
        }
        seconds = download_url_expiry(self.expiration_secs or None) if expire is None else expire
        token = await self._signer.sign(path, seconds, **{**shown, **params})
        url = urlsplit(self._url_of(path))
        return urlunsplit(url._replace(netloc=self.custom_domain or url.netloc, query=token))

    ####################################
    # Files
    ####################################

    async def astat(self, name: str) -> StoredFile:
        """Raises FileNotFoundError, also while the file is still being copied there."""
        found = await self._properties(name)
        if found.copy.status == "pending":
            raise FileNotFoundError(name)
        return StoredFile(
            size=found.size,
            etag=found.etag,
            modified=int(found.last_modified.timestamp()),
            content_type=found.content_settings.content_type or "",
        )

    async def aread_range(self, name: str, start: int, end: int, *, if_match: str | None = None) -> bytes:
        if end <= start:
            return b""
        blob = await self._blob(name)
        condition = {"etag": if_match, "match_condition": MatchConditions.IfNotModified} if if_match else {}
        try:
            return await self._ask(_read(blob, start, end - start, condition), name)
        except Refused as refused:
            if refused.http_status == HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:  # it ends before
                return b""
            if refused.http_status == HTTPStatus.PRECONDITION_FAILED:
                raise FileChanged(f"{name} is not the file that was checked.") from None
            raise

    async def adelete(self, name: str) -> None:
        with suppress(FileNotFoundError):
            await self._delete(name)

    async def _delete(self, name: str) -> None:
        blob = await self._blob(name)
        try:
            await self._ask(blob.delete_blob(delete_snapshots="include"), name)
        except Refused as refused:
            if refused.error_code != "PendingCopyOperation":
                raise
            found = await self._properties(name)
            await self._ask(blob.abort_copy(found.copy.id or ""), name)
            await self._ask(blob.delete_blob(delete_snapshots="include"), name)

    async def asave(self, name: str, content: File[Any], max_length: int | None = None) -> str:
        """As ``save``: never over another file, unless ``overwrite_files`` is set."""
        name = name or content.name or ""
        for _attempt in range(MOST_NAMES):
            validate_file_name(name, allow_relative_path=True)
            free = await self._afree_name(name, max_length)
            validate_file_name(free, allow_relative_path=True)
            try:
                await self._asave_as(free, content)
            except Refused as refused:
                # Somebody took the name meanwhile.
                if self.overwrite_files or not refused.unmet:
                    raise
            else:
                return str(clean_name(free))
        raise FileExistsError(f"No free name was found for {name}.")

    async def _afree_name(self, name: str, max_length: int | None) -> str:
        """``get_available_name``, which may be the project's own, with ``exists`` asked on this loop."""
        asking = copy(self)
        asking.__dict__["exists"] = async_to_sync(self.aexists)
        return await sync_to_async(asking.get_available_name, thread_sensitive=False)(
            name, max_length=max_length
        )

    async def _asave_as(self, name: str, content: File[Any]) -> None:
        path = self._get_valid_path(name)
        await asave_blob(
            await self._blob(name),
            content,
            place=self._place,
            settings=ContentSettings(**self._get_content_settings_parameters(path, content)),
            overwrite=self.overwrite_files,
            connections=self.upload_max_conn,
        )

    ####################################
    # Copies
    ####################################

    async def acopy_file(
        self,
        from_key: str,
        to_key: str,
        *,
        if_match: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        source = await self._properties(from_key)
        if if_match and source.etag != if_match:
            raise FileChanged(f"{from_key} is not the file that was checked.")
        path = self._get_valid_path(to_key)
        wanted = {"cache_control": self.cache_control, **self.get_object_parameters(path)}
        parameters = self.get_copy_parameters(path)
        # Only blocks can be told an encryption scope.
        by_blocks = source.size > self.block_copy_threshold or bool(parameters.get("encryption_scope"))
        common: dict[str, Any] = {
            "place": self._place,
            "source": source,
            "source_url": await self._source_url(from_key, by_blocks=by_blocks),
            "target": await self._blob(to_key),
            "from_key": from_key,
            "to_key": to_key,
            "content": promoted_settings(source.content_settings, wanted, to_key),
            "parameters": parameters,
            "on_progress": on_progress,
        }
        if by_blocks:
            await BlockCopy(**common, block_size=self.block_size, concurrency=self.copy_concurrency).run()
        else:
            await WholeCopy(**common, poll_interval=self.copy_poll_interval).run()

    def get_copy_parameters(self, name: str) -> dict[str, Any]:
        """What a promoted file gets beside its content settings; by default AZURE_COPY_PARAMETERS."""
        return dict(self.copy_parameters)

    async def _source_url(self, name: str, *, by_blocks: bool) -> str:
        """Signed, unless the account key lets Azure in: which it does in Copy Blob, and not in Put Block From URL."""
        path = self._get_valid_path(name)
        token = self._account.sas_token
        if self._signer.can_sign:
            signed = by_blocks or not self._account.lets_in_by_key
            token = await self._signer.sign(path, SOURCE_EXPIRY, permission=READ) if signed else ""
        return f"{self._url_of(path)}?{token}".rstrip("?")


async def _read(blob: BlobClient, offset: int, length: int, condition: dict[str, Any]) -> bytes:
    # Not decompressed: whoever uploaded it says how it is encoded, and a part of it is nothing that can be decoded.
    stream = await blob.download_blob(offset, length, decompress=False, **condition)
    content: bytes = await stream.readall()
    return content
