"""Signed URLs to read an object, offered as our rules say."""

from __future__ import annotations

import posixpath
from typing import Any

from async_uploads.conf import download_url_expiry
from async_uploads.inspection import disposition, may_be_inline, served_type
from async_uploads.storage.s3.options import S3Options

MAX_EXPIRY = 7 * 24 * 3600
"""Seconds: https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-query-string-auth.html"""

_QUERY = {
    "ResponseCacheControl": "response-cache-control",
    "ResponseContentDisposition": "response-content-disposition",
    "ResponseContentEncoding": "response-content-encoding",
    "ResponseContentLanguage": "response-content-language",
    "ResponseContentType": "response-content-type",
    "ResponseExpires": "response-expires",
    "VersionId": "versionId",
}
"""GetObject's parameters, as a URL has them."""


async def download_url(
    storage: S3Options,
    name: str,
    *,
    filename: str | None,
    inline: bool,
    expire: int | None,
    params: dict[str, Any],
) -> str:
    """``expire`` in seconds. Raises botocore's errors."""
    filename = filename or posixpath.basename(name)
    offered = {
        "ResponseContentDisposition": disposition(filename, inline=inline and may_be_inline(filename)),
        "ResponseContentType": served_type(filename),
        **params,
    }
    seconds = download_url_expiry(storage.querystring_expire) if expire is None else expire
    if storage.custom_domain:
        signed = storage.querystring_auth and storage.cloudfront_signer
        query = {_QUERY.get(each, each): value for each, value in (offered if signed else params).items()}
        typed_as_djangos: Any = storage
        return str(typed_as_djangos.url(name, parameters=query, expire=seconds))
    if storage.querystring_auth:
        client = await storage.aclient()
    else:
        client = await storage.aunsigned_client()
        offered = {each: value for each, value in params.items() if not each.startswith("Response")}
    url: str = await client.generate_presigned_url(
        "get_object",
        Params={**offered, "Bucket": storage.bucket_name, "Key": storage.key_of(name)},
        ExpiresIn=min(seconds, MAX_EXPIRY),
    )
    return url
