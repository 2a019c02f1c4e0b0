"""Clients of S3 from the storage's options: what is expensive is made once, what belongs to a loop for each loop."""

from __future__ import annotations

import copy
from functools import cache
from typing import Any

import aioboto3
import botocore.session
from aiobotocore.config import AioConfig
from aiobotocore.session import AioSession, get_session
from asgiref.sync import sync_to_async
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import BotoCoreError, NoCredentialsError, PartialCredentialsError

from async_uploads.exceptions import StorageUnavailable
from async_uploads.storage.s3.options import S3Options

DEFAULTS: dict[str, Any] = {
    # For somebody who waits for an answer: seconds, where botocore waits a minute for each.
    "connect_timeout": 5,
    "read_timeout": 30,
    "retries": {"mode": "standard", "total_max_attempts": 3},
    "max_pool_connections": 100,
}

COPY_READ_TIMEOUT = 300
"""Seconds. While they copy gigabytes, not all servers send a byte."""


def client_config(storage: S3Options, **defaults: Any) -> AioConfig:
    """``client_config`` of the storage; ``defaults`` and ``DEFAULTS`` are for what it leaves open."""
    given: Config = storage.client_config
    ours = AioConfig(connector_args=getattr(given, "connector_args", None), **{**DEFAULTS, **defaults})
    config: AioConfig = ours.merge(given)
    if config.signature_version is None:
        # For old regions botocore would sign URLs with version 2, which new buckets do not know.
        config = config.merge(AioConfig(signature_version="s3v4"))
    config.http_session_cls = getattr(given, "http_session_cls", config.http_session_cls)
    return config


def unsigned(config: AioConfig) -> AioConfig:
    return config.merge(AioConfig(signature_version=UNSIGNED))


class OpenClient:
    """A client, open in the block, with a session of its own: credentials are renewed on the loop they are used on.

    No generator: a loop that shuts down closes those of all blocks at once, the inner ones before the outer.
    """

    def __init__(self, storage: S3Options, config: AioConfig) -> None:
        self._storage = storage
        self._config = config
        self._client: Any = None

    async def __aenter__(self) -> Any:
        storage = self._storage
        if not storage.bucket_name:
            raise StorageUnavailable("No bucket is named: set AWS_STORAGE_BUCKET_NAME.")
        session = await _new_session(storage)
        if self._config.signature_version is not UNSIGNED and await session.get_credentials() is None:
            raise NoCredentialsError()
        opening = session.client(
            "s3",
            region_name=storage.region_name,
            use_ssl=storage.use_ssl,
            endpoint_url=storage.endpoint_url,
            verify=storage.verify,
            config=self._config,
        )
        try:
            self._client = await opening.__aenter__()
        except ValueError as error:
            if isinstance(error, BotoCoreError):
                raise
            raise StorageUnavailable("AWS_S3_ENDPOINT_URL is not a URL.") from error
        events = self._client.meta.events
        events.register_first("choose-signer.s3.PutObject", _sign_forms_with_v4)
        events.register("before-parameter-build.s3", _address_the_region)
        events.register_last("before-call.s3", _expect_nothing)
        return self._client

    async def __aexit__(self, *exc_info: object) -> None:
        await self._client.__aexit__(*exc_info)


async def _new_session(storage: S3Options) -> aioboto3.Session:
    """As django-storages' ``_create_session``."""
    if not _shared_session.cache_info().currsize:
        await sync_to_async(_shared_session, thread_sensitive=False)()  # reads a megabyte of JSON
    shared = _shared_session()
    own = AioSession(
        event_hooks=copy.copy(shared.get_component("event_emitter")), include_builtin_handlers=False
    )
    own.register_component("data_loader", shared.get_component("data_loader"))
    if storage.session_profile:
        return aioboto3.Session(profile_name=storage.session_profile, botocore_session=own)
    if not storage.access_key and not storage.secret_key:
        return aioboto3.Session(botocore_session=own)
    if not storage.access_key or not storage.secret_key:
        missing = "secret_key" if storage.access_key else "access_key"
        raise PartialCredentialsError(provider="django-storages", cred_var=missing)
    return aioboto3.Session(
        storage.access_key, storage.secret_key, storage.security_token, botocore_session=own
    )


@cache
def _shared_session() -> AioSession:
    """What is read and parsed once for a process: the descriptions of the service, and botocore's own handlers."""
    shared = get_session()
    reader = botocore.session.Session()
    reader.register_component("data_loader", shared.get_component("data_loader"))
    reader.create_client("s3", region_name="us-east-1", config=Config(signature_version=UNSIGNED)).close()
    return shared


def _sign_forms_with_v4(signature_version: Any, **kwargs: Any) -> str | None:
    """Of the two signatures that a form can have, botocore still chooses the old one for old regions."""
    if str(signature_version).endswith("-presign-post"):
        return "s3v4-presign-post"
    return None


def _address_the_region(context: dict[str, Any], **kwargs: Any) -> None:
    """Browsers follow no redirect to the bucket's region that CORS allows, so no URL may begin elsewhere."""
    context.pop("use_global_endpoint", None)


def _expect_nothing(params: dict[str, Any], **kwargs: Any) -> None:
    """aiohttp waits for ``100 Continue`` without an end, whatever the timeouts."""
    params["headers"].pop("Expect", None)
