"""Presigned POST: a form that lets a browser store one object, and nothing else.

https://docs.aws.amazon.com/AmazonS3/latest/API/sigv4-HTTPPOSTConstructPolicy.html
"""

from __future__ import annotations

from typing import Any

from django.core.exceptions import SuspiciousFileOperation

from async_uploads.storage.s3.options import S3Options
from async_uploads.storage.s3.parameters import encryption_fields

FILE_FIELD = "file"
CREATED = "201"


async def signed_form(
    storage: S3Options,
    client: Any,
    key: str,
    *,
    expire: int,
    max_size: int | None,
    content_type: str | None,
) -> dict[str, Any]:
    """``{"url", "fields"}``; each field is a condition that the form has to meet exactly.

    Raises SuspiciousFileOperation for a key that S3 or botocore would take for a pattern.
    """
    if "${" in key:
        raise SuspiciousFileOperation("The key of an upload must not have ${ in it: it would stand for many.")
    fields = {"success_action_status": CREATED, **encryption_fields(storage, client, key)}
    if content_type:
        fields["Content-Type"] = content_type
    conditions: list[Any] = [{name: value} for name, value in fields.items()]
    if max_size is not None:
        conditions.append(["content-length-range", 0, max_size])
    form: dict[str, Any] = await client.generate_presigned_post(
        storage.bucket_name, key, Fields=fields, Conditions=conditions, ExpiresIn=expire
    )
    # Below the bucket, since some servers know the bucket's CORS rules only there.
    form["url"] = f"{form['url'].rstrip('/')}/"
    return form
