"""What is stored: asked for by HeadObject, read by ranges."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from async_uploads.exceptions import StorageUnavailable
from async_uploads.storage.base import FileChanged, StoredFile
from async_uploads.storage.s3.errors import NOT_S3, REFUSED_CONDITION, code_of, status_of
from async_uploads.storage.s3.options import S3Options
from async_uploads.storage.s3.parameters import reading_parameters

RANGE_NOT_SATISFIABLE = 416


def etag_of(stored: dict[str, Any]) -> str:
    return str(stored["ETag"]).strip('"')


async def head(storage: S3Options, client: Any, key: str) -> dict[str, Any]:
    """HeadObject's answer; raises botocore's errors with the code that GetObject gives, since a HEAD has no body."""
    try:
        stored: dict[str, Any] = await client.head_object(
            **reading_parameters(storage, client, "HeadObject", key), Bucket=storage.bucket_name, Key=key
        )
    except ClientError as error:
        if status_of(error) < 500:
            await _ask_why(storage, client, key)
        raise
    if "ETag" not in stored:
        raise StorageUnavailable(f"{NOT_S3} ({storage.place}).")
    return stored


async def _ask_why(storage: S3Options, client: Any, key: str) -> None:
    try:
        answer = await client.get_object(
            **reading_parameters(storage, client, "GetObject", key),
            Bucket=storage.bucket_name,
            Key=key,
            Range="bytes=0-0",
        )
    except ClientError as error:
        if status_of(error) != RANGE_NOT_SATISFIABLE:
            raise
    else:
        answer["Body"].close()


def stored_file(stored: dict[str, Any]) -> StoredFile:
    return StoredFile(
        size=int(stored["ContentLength"]),
        etag=etag_of(stored),
        modified=int(stored["LastModified"].timestamp()),
        content_type=str(stored.get("ContentType", "")),
    )


async def read_range(
    storage: S3Options, client: Any, key: str, start: int, end: int, if_match: str | None
) -> bytes:
    """Raises FileChanged, and botocore's errors."""
    condition = {"IfMatch": f'"{if_match}"'} if if_match else {}
    try:
        answer = await client.get_object(
            **reading_parameters(storage, client, "GetObject", key),
            **condition,
            Bucket=storage.bucket_name,
            Key=key,
            Range=f"bytes={start}-{end - 1}",
        )
    except ClientError as error:
        if status_of(error) == RANGE_NOT_SATISFIABLE:
            return b""
        if code_of(error) in REFUSED_CONDITION:
            raise FileChanged(f"{key} is not the file that was checked.") from error
        raise
    async with answer["Body"] as body:
        content: bytes = await body.read()
    return content
