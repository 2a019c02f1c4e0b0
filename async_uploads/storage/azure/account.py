"""The account: where it is, and how to get in, as django-storages' options say it."""

from __future__ import annotations

import inspect
from copy import copy
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import quote, urlsplit

from asgiref.sync import sync_to_async
from azure.core.credentials import AccessToken, TokenCredential
from azure.storage.blob import BlobServiceClient, ExponentialRetry, LinearRetry, aio
from django.core.exceptions import ImproperlyConfigured

TRIES = {
    # Somebody waits. A server that is busy is asked four times within a few seconds; one that does not answer at all
    # twice, so that the answer comes after about twice the timeout.
    "retry_total": 3,
    "retry_status": 3,
    "retry_connect": 1,
    "retry_read": 1,
    "initial_backoff": 0,
    "increment_base": 1,
    "random_jitter_range": 1,
}
ASYNC_POLICIES: dict[type[Any], type[Any]] = {
    ExponentialRetry: aio.ExponentialRetry,
    LinearRetry: aio.LinearRetry,
}


@dataclass(frozen=True, kw_only=True)
class Account:
    """``url`` ends without a slash, and has no SAS. ``options`` are those of BlobServiceClient."""

    url: str
    name: str | None
    key: str | None = field(repr=False)
    sas_token: str = field(repr=False)
    credential: Any = field(repr=False)
    token_credential: Any = field(repr=False)
    options: dict[str, Any] = field(repr=False)

    @classmethod
    def of(
        cls,
        service: BlobServiceClient,
        *,
        name: str | None,
        key: str | None,
        token_credential: Any,
        options: dict[str, Any],
    ) -> Account:
        """The account that ``service``, django-storages' client, talks to. Name and key are known to it, or given."""
        url, _, sas_token = service.primary_endpoint.partition("?")
        return cls(
            url=url.rstrip("/"),
            name=name or service.account_name,
            key=key or getattr(service.credential, "account_key", None),
            sas_token=sas_token,
            credential=service.credential,
            token_credential=token_credential,
            options=options,
        )

    @property
    def host(self) -> str:
        return urlsplit(self.url).netloc

    @property
    def lets_in_by_key(self) -> bool:
        """Are requests signed with the account key? It may also be there for URLs alone."""
        return hasattr(self.credential, "account_key")

    def url_of(self, container: str, path: str) -> str:
        """The blob's address, without a signature."""
        return f"{self.url}/{quote(container)}/{quote(path, safe='~/')}"

    def open(self) -> aio.BlobServiceClient:
        """A client for the running loop; close it."""
        return self._open(self.credential, f"{self.url}?{self.sas_token}".rstrip("?"))

    def open_with_token(self) -> aio.BlobServiceClient:
        """One that is let in by the token credential, which alone may ask for user delegation keys."""
        return self._open(self.token_credential, self.url)

    def _open(self, credential: Any, url: str) -> aio.BlobServiceClient:
        if hasattr(credential, "account_key"):
            credential = {"account_name": credential.account_name, "account_key": credential.account_key}
        elif hasattr(credential, "get_token") and not inspect.iscoroutinefunction(credential.get_token):
            credential = ThreadedCredential(credential)
        return aio.BlobServiceClient(url, credential=credential, **async_options(self.options))


def async_options(options: dict[str, Any]) -> dict[str, Any]:
    """Options of the blocking client, for one of a loop: a transport and a policy belong to one client each."""
    mine = {**TRIES, **options}
    mine.pop("transport", None)
    policy = mine.get("retry_policy")
    if policy is not None:
        mine["retry_policy"] = _async_policy(policy)
    return mine


def _async_policy(policy: Any) -> Any:
    if inspect.iscoroutinefunction(policy.send):
        return copy(policy)
    if type(policy) not in ASYNC_POLICIES:
        raise ImproperlyConfigured(
            f"client_options has a blocking retry_policy, {type(policy).__name__}, that cannot be used on a loop."
        )
    twin = ASYNC_POLICIES[type(policy)]()
    vars(twin).update(vars(policy))
    return twin


class ThreadedCredential:
    """A credential as django-storages takes it, which blocks: asked in a thread."""

    def __init__(self, credential: TokenCredential) -> None:
        self._credential = credential

    async def get_token(self, *scopes: str, **options: Any) -> AccessToken:
        return await sync_to_async(self._credential.get_token, thread_sensitive=False)(*scopes, **options)
