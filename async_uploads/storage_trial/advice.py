"""What to do about what went wrong, by the words of the storage that refused."""

from __future__ import annotations

import re

from async_uploads.storage.base import AsyncUploadStorage

GUIDE = "docs/storages.md"

_S3 = [
    (r"SignatureDoesNotMatch", "Check the option secret_key (AWS_S3_SECRET_ACCESS_KEY)."),
    (
        r"InvalidAccessKeyId|InvalidClientTokenId",
        "Check the option access_key (AWS_S3_ACCESS_KEY_ID), and that the key belongs to this server.",
    ),
    (
        r"ExpiredToken|InvalidToken",
        "The session token is over or not that of the key: check the option security_token (AWS_SESSION_TOKEN).",
    ),
    (
        r"(?i)NoCredentials|unable to locate credentials|PartialCredentials",
        (
            "Set the options access_key and secret_key (AWS_S3_ACCESS_KEY_ID, AWS_S3_SECRET_ACCESS_KEY), or give the "
            "machine a role."
        ),
    ),
    (
        r"(?i)NoSuchBucket|bucket does not exist|no bucket|there is no bucket",
        "Create the bucket, or correct the option bucket_name (AWS_STORAGE_BUCKET_NAME).",
    ),
    (
        r"RequestTimeTooSkewed|(?i:policy expired|request has expired)",
        "Set the clock of this machine, as by NTP.",
    ),
    (
        r"PermanentRedirect|TemporaryRedirect|AuthorizationHeaderMalformed|HTTP 30[17]|IllegalLocationConstraint",
        (
            "The bucket lies elsewhere: check the options region_name (AWS_S3_REGION_NAME) and endpoint_url "
            "(AWS_S3_ENDPOINT_URL)."
        ),
    ),
    (
        r"NotImplemented|MethodNotAllowed|HTTP (405|501)",
        "The server takes no uploads by forms (PostObject), as Cloudflare R2 and Backblaze B2 do not: use another one.",
    ),
    (
        r"AccessControlListNotSupported",
        "The bucket takes no ACLs: leave out the option default_acl (AWS_DEFAULT_ACL) and the parameter ACL.",
    ),
    (
        r"AccessDenied|HTTP 403|(?i:forbidden|access denied|not allowed|\b403\b)",
        f"Check the secret key, then what the identity may do: it needs all of the IAM policy in {GUIDE}.",
    ),
]
_AZURE = [
    (
        r"ContainerNotFound|(?i:container does not exist|no container)",
        "Create the container, or correct the option azure_container (AZURE_CONTAINER).",
    ),
    (
        r"AuthorizationPermissionMismatch|InsufficientAccountPermissions|AuthorizationSourceIPMismatch",
        f"The identity may not do this: give it the role of {GUIDE}, and wait some minutes until Azure knows it.",
    ),
    (
        r"KeyBasedAuthenticationNotPermitted",
        (
            "The account refuses its keys: use the option token_credential (AZURE_TOKEN_CREDENTIAL), as for a managed "
            "identity."
        ),
    ),
    (
        r"AuthenticationFailed|AuthorizationFailure|NoAuthenticationInformation|InvalidAuthenticationInfo|HTTP 403",
        (
            "Check the options account_name and account_key (AZURE_ACCOUNT_NAME, AZURE_ACCOUNT_KEY) or "
            "connection_string (AZURE_CONNECTION_STRING), the clock of this machine, and that the account's firewall "
            "lets it in."
        ),
    ),
    (
        r"PublicAccessNotPermitted|ResourceNotFound|AccountIsDisabled",
        "Check the option account_name (AZURE_ACCOUNT_NAME) and that the account is in use.",
    ),
]
_BY_PROVIDER = {"s3": _S3, "azure": _AZURE}
_ADDRESS = {
    "s3": "the options endpoint_url (AWS_S3_ENDPOINT_URL) and region_name (AWS_S3_REGION_NAME)",
    "azure": "the options account_name (AZURE_ACCOUNT_NAME), custom_domain (AZURE_CUSTOM_DOMAIN) and endpoint_suffix "
    "(AZURE_ENDPOINT_SUFFIX)",
}


def advice_on(storage: AsyncUploadStorage, reason: str) -> str:
    """What to do about a request that was answered with ``reason``, or not at all; empty where nothing is known."""
    known = (
        advice for pattern, advice in _BY_PROVIDER.get(storage.provider, []) if re.search(pattern, reason)
    )
    advice = next(known, None) or _on_connection(storage, reason)
    return "" if _settings_in(reason) & _settings_in(advice) else advice


def _settings_in(text: str) -> set[str]:
    """What the storage has said itself need not be said again."""
    return set(re.findall(r"(?:AWS|AZURE)_[A-Z0-9_]+", text))


def _on_connection(storage: AsyncUploadStorage, reason: str) -> str:
    if re.search(r"(?i)certificate|\bSSL\b", reason):
        return "The server's TLS certificate is not trusted here: install its authority."
    if re.search(
        r"(?i)refused|unreachable|cannot be reached|could not connect|no answer|not answer|time|name", reason
    ):
        address = _ADDRESS.get(storage.provider, "its address")
        return f"Check {address}, that the server is up, and that no firewall stands between."
    return ""


def advice_on_cors(storage: AsyncUploadStorage, origin: str, method: str) -> str:
    where = "the blob service of the account" if storage.provider == "azure" else "the bucket"
    return (
        f"Put a CORS rule on {where} that allows the origin {origin}, the method {method} and all headers (*): "
        f"{GUIDE} has one to copy."
    )


def advice_on_overwriting(storage: AsyncUploadStorage) -> str:
    if storage.provider == "s3":
        return (
            "The server ignores If-None-Match: set the option conditional_writes (AWS_S3_CONDITIONAL_WRITES) to False; "
            "each final name then gets a random part."
        )
    return "Set copies_exclusively = False on its class: each final name then gets a random part."
