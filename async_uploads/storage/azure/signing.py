"""Shared access signatures: one blob, for a while, signed without asking Azure.

https://learn.microsoft.com/rest/api/storageservices/create-service-sas
https://learn.microsoft.com/rest/api/storageservices/create-user-delegation-sas
"""

from __future__ import annotations

import base64
import binascii
import hmac
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import parse_qsl, quote

from azure.storage.blob import UserDelegationKey, generate_blob_sas
from django.core.exceptions import ImproperlyConfigured

from async_uploads.storage.azure.account import Account
from async_uploads.storage.azure.delegation import CLOCK_SKEW, DelegationKeys


class Signer:
    """Signs URLs of one container's blobs: with the account key, or with one that the token credential gets."""

    def __init__(self, account: Account, container: str, delegation_keys: DelegationKeys) -> None:
        self._account = account
        self._container = container
        self._delegation_keys = delegation_keys

    @property
    def can_sign(self) -> bool:
        return bool(self._account.key) or self._account.token_credential is not None

    async def sign(self, path: str, expire: int, **params: Any) -> str:
        """A SAS for ``expire`` seconds, or for as long as there is a key; ``params`` are those of generate_blob_sas.

        Raises ImproperlyConfigured where there is nothing to sign with, StorageUnavailable.
        """
        account = self._account
        if not account.name:
            raise ImproperlyConfigured(
                "Set account_name (AZURE_ACCOUNT_NAME): URLs cannot be signed without it."
            )
        if not self.can_sign:
            raise ImproperlyConfigured(
                "URLs are signed with account_key or token_credential; this storage has neither of them."
            )
        now = datetime.now(UTC)
        expiry = now + timedelta(seconds=expire)
        key: str | UserDelegationKey | None = account.key
        if not key:
            delegation = await self._delegation_keys.get(expiry)
            key, expiry = delegation.key, min(expiry, delegation.expires_at)
        protocol = {"protocol": "https"} if account.url.startswith("https:") else {}
        return sign_blob(
            account.name,
            self._container,
            path,
            key=key,
            version=account.options.get("api_version"),
            **{"start": now - CLOCK_SKEW, "expiry": expiry, **protocol, **params},
        )


def sign_blob(
    account_name: str,
    container: str,
    path: str,
    *,
    key: str | UserDelegationKey,
    version: str | None,
    **params: Any,
) -> str:
    """A SAS for one blob; ``params`` are those of generate_blob_sas. Raises ImproperlyConfigured for a bad key.

    ``version`` is the service version that it is written in, where that is not to be the SDK's newest.
    """
    secret = key if isinstance(key, str) else key.value
    named: dict[str, Any] = (
        {"account_key": key} if isinstance(key, str) else {"user_delegation_key": key, "account_key": None}
    )
    try:
        token = generate_blob_sas(account_name, container, path, **named, **params)
        if version is None:
            return token
        return _signed_anew(token, version, f"/blob/{account_name}/{container}/{path}", secret or "", params)
    except binascii.Error:
        invalid = ImproperlyConfigured("The Azure account key is not one: it must be base64.")
    raise invalid


def _signed_anew(token: str, version: str, resource: str, secret: str, params: dict[str, Any]) -> str:
    """The SDK writes its newest version only, which an emulator or a sovereign cloud may not know."""
    query = {**dict(parse_qsl(token)), "sv": version}
    del query["sig"]
    if not {"srh", "srq"}.isdisjoint(query):
        raise ImproperlyConfigured("request_headers and request_query_params need the SDK's own api_version.")
    timestamp = params.get("snapshot") or params.get("version_id") or ""
    known = {**query, "resource": resource, "timestamp": timestamp}
    to_sign = "\n".join(known.get(field, "") for field in _signed_fields(version, delegated="skoid" in query))
    digest = hmac.digest(base64.b64decode(secret), to_sign.encode(), "sha256")
    query["sig"] = base64.b64encode(digest).decode()
    return "&".join(f"{name}={quote(value)}" for name, value in query.items())


def _signed_fields(version: str, *, delegated: bool) -> list[str]:
    """The lines of the string-to-sign, in their order, as the versions have added to them."""
    fields = ["sp", "st", "se", "resource"]
    if delegated:
        fields += ["skoid", "sktid", "skt", "ske", "sks", "skv"]
        fields += ["saoid", "suoid", "scid"] if version >= "2020-02-10" else []
        fields += ["skdutid", "sduoid"] if version >= "2025-07-05" else []
    else:
        fields += ["si"]
    fields += ["sip", "spr", "sv", "sr", "timestamp"]
    fields += ["ses"] if version >= "2020-12-06" else []
    fields += ["srh", "srq"] if delegated and version >= "2026-04-06" else []
    return [*fields, "rscc", "rscd", "rsce", "rscl", "rsct"]
