"""S3AsyncUploadStorage: the options and the verbs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from asgiref.sync import sync_to_async
from django.core.files.base import File
from django.core.files.utils import validate_file_name
from django.utils.deconstruct import deconstructible
from storages.utils import clean_name, get_available_overwrite_name, setting

from async_uploads.storage.base import (
    AsyncUploadStorage,
    FileChanged,
    GenerateUploadUrlResponse,
    OnProgress,
    StoredFile,
)
from async_uploads.storage.clients import ClientPerLoop
from async_uploads.storage.s3.conditions import Conditions
from async_uploads.storage.s3.connecting import COPY_READ_TIMEOUT, OpenClient, client_config, unsigned
from async_uploads.storage.s3.copying import Copying
from async_uploads.storage.s3.downloads import download_url
from async_uploads.storage.s3.errors import in_plain_words
from async_uploads.storage.s3.forms import FILE_FIELD, signed_form
from async_uploads.storage.s3.parameters import reading_parameters
from async_uploads.storage.s3.reading import etag_of, head, read_range, stored_file
from async_uploads.storage.s3.saving import send_file

if TYPE_CHECKING:
    from django.core.files.storage import Storage

    class S3Storage(Storage):  # django-storages has no types
        def __init__(self, **settings: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...
        def get_default_settings(self) -> dict[str, Any]: ...
        def __getstate__(self) -> dict[str, Any]: ...
        def __setstate__(self, state: dict[str, Any]) -> None: ...

else:
    from storages.backends.s3 import S3Storage

MIB = 1024**2
GIB = 1024**3

_OF_A_PROCESS = ("_clients", "_copiers", "_unsigned_clients", "conditions")


@deconstructible(path="async_uploads.storage.s3.S3AsyncUploadStorage")
class S3AsyncUploadStorage(AsyncUploadStorage, S3Storage):
    """django-storages' S3Storage, which browsers send to by themselves. Its options mean what they mean there.

    Beside them, as options or as settings: ``multipart_copy_threshold`` (AWS_S3_MULTIPART_COPY_THRESHOLD, bytes),
    above which an object is copied in parts of ``multipart_copy_chunksize`` bytes, ``multipart_copy_concurrency`` of
    them at once; and ``conditional_writes=False`` (AWS_S3_CONDITIONAL_WRITES) for servers that do not know
    ``If-None-Match``: each final name then gets a random part.
    """

    provider = "s3"

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self.copies_exclusively: bool = self.conditional_writes
        self._open_clients()

    def get_default_settings(self) -> dict[str, Any]:
        return {
            **super().get_default_settings(),
            "multipart_copy_threshold": setting("AWS_S3_MULTIPART_COPY_THRESHOLD", 5 * GIB),
            "multipart_copy_chunksize": setting("AWS_S3_MULTIPART_COPY_CHUNKSIZE", 512 * MIB),
            "multipart_copy_concurrency": setting("AWS_S3_MULTIPART_COPY_CONCURRENCY", 8),
            "conditional_writes": setting("AWS_S3_CONDITIONAL_WRITES", True),
        }

    #########
    # Verbs
    #########

    @in_plain_words
    async def agenerate_upload_url(
        self, name: str, field_id: str, *, expire: int, max_size: int | None, content_type: str | None = None
    ) -> GenerateUploadUrlResponse:
        """A form that a browser posts to S3. Signed here, without asking S3."""
        form = await signed_form(
            self,
            await self.aclient(),
            self.key_of(name),
            expire=expire,
            max_size=max_size,
            content_type=content_type,
        )
        return {
            "url": form["url"],
            "method": "POST",
            "fields": form["fields"],
            "headers": {},
            "provider": self.provider,
            "fileFieldName": FILE_FIELD,
        }

    @in_plain_words
    async def agenerate_download_url(
        self,
        key: str,
        field_id: str,
        *,
        filename: str | None = None,
        inline: bool = True,
        expire: int | None = None,
        **params: Any,
    ) -> str:
        """Signed here, without asking S3. ``inline=False`` offers the file as an attachment whatever its type.

        ``expire`` in seconds; ``params`` are GetObject's (``ResponseCacheControl``) and win over what is made of
        ``filename``.
        """
        return await download_url(self, key, filename=filename, inline=inline, expire=expire, params=params)

    @in_plain_words
    async def astat(self, name: str) -> StoredFile:
        return stored_file(await head(self, await self.aclient(), self.key_of(name)))

    @in_plain_words
    async def aread_range(self, name: str, start: int, end: int, *, if_match: str | None = None) -> bytes:
        if start >= end:
            return b""
        return await read_range(self, await self.aclient(), self.key_of(name), start, end, if_match)

    @in_plain_words
    async def acopy_file(
        self,
        from_key: str,
        to_key: str,
        *,
        if_match: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> None:
        """``on_progress`` is called for each part of a copy in parts."""
        client = await self.aclient()
        stored = await head(self, client, self.key_of(from_key))
        if if_match and etag_of(stored) != if_match:
            raise FileChanged(f"{from_key} is not the file that was checked.")
        copying = Copying(
            storage=self,
            client=client,
            copier=await self.acopier(),
            from_key=from_key,
            to_key=to_key,
            stored=stored,
        )
        await copying.run(on_progress)

    @in_plain_words
    async def adelete(self, name: str) -> None:
        client, key = await self.aclient(), self.key_of(name)
        parameters = reading_parameters(self, client, "DeleteObject", key)
        await client.delete_object(**parameters, Bucket=self.bucket_name, Key=key)

    async def asave(self, name: str | None, content: File[Any], max_length: int | None = None) -> str:
        if not hasattr(content, "chunks"):
            content = File(content, name)
        free = await self._available_name(str(content.name if name is None else name), max_length)
        await self._asend(free, content)
        return free

    #######################
    # What they are made of
    #######################

    def key_of(self, name: str) -> str:
        """The object's key in the bucket: ``name`` in the storage's ``location``."""
        key: str = self._normalize_name(clean_name(name))
        return key

    @property
    def place(self) -> str:
        """Where the objects are, for people."""
        # Without the user and the password that a URL may have.
        host = urlsplit(self.endpoint_url or "").netloc.rpartition("@")[2]
        return f"bucket {self.bucket_name} at {host or 'Amazon S3'}"

    async def aclient(self) -> Any:
        """aioboto3's client of the running loop."""
        return await self._clients.get()

    async def acopier(self) -> Any:
        """A client that waits longer for an answer."""
        return await self._copiers.get()

    async def aunsigned_client(self) -> Any:
        """A client for URLs that everybody may have."""
        return await self._unsigned_clients.get()

    @in_plain_words
    async def _asend(self, name: str, content: File[Any]) -> None:
        await send_file(self, await self.aclient(), self.key_of(name), content)

    async def _available_name(self, name: str, max_length: int | None) -> str:
        """As ``get_available_name``, which asks S3 by django-storages' blocking client unless files are overwritten."""
        if type(self).get_available_name is not S3Storage.get_available_name:
            chosen: str = await sync_to_async(self.get_available_name, thread_sensitive=False)(
                name, max_length=max_length
            )
            return chosen
        wanted: str = get_available_overwrite_name(clean_name(name), max_length)
        free = wanted
        while not self.file_overwrite and await self.aexists(free):
            free = self.alternative_name(wanted, max_length)
        validate_file_name(free, allow_relative_path=True)
        return free

    #########################
    # Clients, one for a loop
    #########################

    def _open_clients(self) -> None:
        config = client_config(self)
        copying = client_config(self, read_timeout=COPY_READ_TIMEOUT)
        self.conditions: Conditions = Conditions()
        self._clients = ClientPerLoop(lambda: OpenClient(self, config))
        self._copiers = ClientPerLoop(lambda: OpenClient(self, copying))
        self._unsigned_clients = ClientPerLoop(lambda: OpenClient(self, unsigned(config)))

    @property
    def _signs_with_own_key(self) -> bool:
        return bool(self.cloudfront_key_id and self.cloudfront_key)

    def __getstate__(self) -> dict[str, Any]:
        state: dict[str, Any] = super().__getstate__()
        left_out = {*_OF_A_PROCESS, *(["cloudfront_signer"] if self._signs_with_own_key else [])}
        return {name: value for name, value in state.items() if name not in left_out}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        if self._signs_with_own_key:
            self.cloudfront_signer: Any = self.get_cloudfront_signer(
                self.cloudfront_key_id, self.cloudfront_key
            )
        self._open_clients()
