"""Copies in parts, as the tests make and watch them: a film, the requests of a multipart upload."""

from __future__ import annotations

import hashlib
from typing import Any

from async_uploads.storage.s3 import S3AsyncUploadStorage
from tests.s3_storage import (
    MIB,
    put_temporary,
    storage_on,
)
from tests.servers.proxy import Asked
from tests.servers.seaweedfs import S3Server

SMALL = 12 * MIB  # three parts
LARGE = 64 * MIB  # thirteen parts


def begins(asked: Asked) -> bool:
    return asked.method == "POST" and asked.query in ("uploads", "uploads=")


def copies_a_part(asked: Asked) -> bool:
    return asked.method == "PUT" and "partNumber=" in asked.query


def completes(asked: Asked) -> bool:
    return asked.method == "POST" and "uploadId=" in asked.query


def aborts(asked: Asked) -> bool:
    return asked.method == "DELETE" and "uploadId=" in asked.query


def lists_parts(asked: Asked) -> bool:
    return asked.method == "GET" and "uploadId=" in asked.query


def in_parts(server: S3Server, **options: Any) -> S3AsyncUploadStorage:
    """A storage that copies in parts of 5 MiB, the least that S3 allows."""
    few = {"multipart_copy_threshold": 5 * MIB, "multipart_copy_chunksize": 5 * MIB}
    return storage_on(server, **{**few, **options})


def film(size: int = SMALL) -> bytes:
    return hashlib.shake_128(b"film").digest(size)


async def put_film(storage: S3AsyncUploadStorage, size: int = SMALL, **parameters: Any) -> str:
    return await put_temporary(storage, film(size), **{"ContentType": "video/mp4", **parameters})
