"""What the modules of this package know of the storage that they work for: django-storages' options, and ours."""

from __future__ import annotations

from typing import Any, Protocol

from botocore.config import Config

from async_uploads.storage.s3.conditions import Conditions


class S3Options(Protocol):
    """S3AsyncUploadStorage, as seen from below."""

    access_key: str | None
    secret_key: str | None
    security_token: str | None
    session_profile: str | None
    bucket_name: str | None
    region_name: str | None
    endpoint_url: str | None
    use_ssl: bool
    verify: bool | str | None
    client_config: Config

    custom_domain: str | None
    cloudfront_signer: Any
    querystring_auth: bool
    querystring_expire: int

    default_acl: str | None
    gzip: bool
    gzip_content_types: tuple[str, ...]
    transfer_config: Any

    multipart_copy_threshold: int
    multipart_copy_chunksize: int
    multipart_copy_concurrency: int
    conditional_writes: bool
    conditions: Conditions
    temporary_key_prefix: str

    @property
    def place(self) -> str:
        """Where the objects are, for people."""

    def key_of(self, name: str) -> str:
        """The object's key in the bucket."""

    def get_object_parameters(self, name: str) -> dict[str, Any]: ...

    def _get_write_parameters(self, name: str, content: Any = None) -> dict[str, Any]: ...

    def _compress_content(self, content: Any) -> Any: ...

    async def aclient(self) -> Any:
        """aioboto3's client of the running loop."""

    async def aunsigned_client(self) -> Any:
        """A client for URLs that everybody may have."""
