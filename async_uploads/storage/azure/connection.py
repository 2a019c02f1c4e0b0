"""django-storages' settings and a few more, and the clients that they make, one for each event loop."""

from __future__ import annotations

from collections.abc import Awaitable
from datetime import datetime
from functools import cached_property
from typing import TYPE_CHECKING, Any, TypeVar

from azure.storage.blob import BlobProperties, BlobServiceClient, UserDelegationKey, aio
from azure.storage.blob.aio import BlobClient
from storages.utils import setting

from async_uploads.storage.azure.account import Account
from async_uploads.storage.azure.delegation import DelegationKeys
from async_uploads.storage.azure.errors import Place, answer
from async_uploads.storage.azure.signing import Signer
from async_uploads.storage.clients import ClientPerLoop

if TYPE_CHECKING:
    from django.core.files.storage import Storage

    class AzureStorage(Storage):  # django-storages has no types
        def __init__(self, **settings: Any) -> None: ...
        def __getattr__(self, name: str) -> Any: ...
        def __setattr__(self, name: str, value: Any) -> None: ...
        def get_default_settings(self) -> dict[str, Any]: ...
        def _get_service_client(self) -> BlobServiceClient: ...

else:
    from storages.backends.azure_storage import AzureStorage

T = TypeVar("T")

MIB = 1024 * 1024


class ConnectedAzureStorage(AzureStorage):
    """AzureStorage with asynchronous clients beside its own."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        self._clients = ClientPerLoop(self._open_client)
        self._delegation_keys = DelegationKeys(self._fetch_delegation_key)

    def get_default_settings(self) -> dict[str, Any]:
        return {
            **super().get_default_settings(),
            "account_url": setting("AZURE_ACCOUNT_URL"),
            "copy_parameters": setting("AZURE_COPY_PARAMETERS", {}),
            "block_copy_threshold": setting("AZURE_BLOCK_COPY_THRESHOLD", 256 * MIB),
            "block_size": setting("AZURE_BLOCK_SIZE", 64 * MIB),
            "copy_concurrency": setting("AZURE_COPY_CONCURRENCY", 8),
            "copy_poll_interval": setting("AZURE_COPY_POLL_INTERVAL", 1.0),
        }

    @cached_property
    def _account(self) -> Account:
        timeouts = {"connection_timeout": self.timeout, "read_timeout": self.timeout}
        return Account.of(
            self.service_client,
            name=self.account_name,
            key=self.account_key,
            token_credential=self.token_credential,
            options={**timeouts, **self._client_options},
        )

    @property
    def _client_options(self) -> dict[str, Any]:
        version = {"api_version": self.api_version} if self.api_version else {}
        return {**self.client_options, **version}

    def _get_service_client(self) -> BlobServiceClient:
        if self.connection_string is not None or not self.account_url:
            client: BlobServiceClient = super()._get_service_client()
            return client
        credential = self.sas_token or self.token_credential
        if self.account_key:
            credential = {"account_name": self.account_name, "account_key": self.account_key}
        return BlobServiceClient(self.account_url, credential=credential, **self._client_options)

    @property
    def _place(self) -> Place:
        return Place(container=self.azure_container, host=self._account.host)

    @cached_property
    def _signer(self) -> Signer:
        return Signer(self._account, self.azure_container, self._delegation_keys)

    async def _fetch_delegation_key(self, start: datetime, expiry: datetime) -> UserDelegationKey:
        async with self._account.open_with_token() as service:
            return await self._ask(service.get_user_delegation_key(start, expiry), "")

    def _open_client(self) -> aio.BlobServiceClient:
        return self._account.open()

    def _url_of(self, path: str) -> str:
        return self._account.url_of(self.azure_container, path)

    async def _blob(self, name: str) -> BlobClient:
        service = await self._clients.get()
        return service.get_blob_client(self.azure_container, self._get_valid_path(name))

    async def _properties(self, name: str) -> BlobProperties:
        blob = await self._blob(name)
        return await self._ask(blob.get_blob_properties(), name)

    async def _ask(self, request: Awaitable[T], name: str) -> T:
        return await answer(request, of=self._place, name=name)
