"""S3AsyncUploadStorage on SeaweedFS: storages with a folder of their own, a browser's form, an administrator's eyes."""

from __future__ import annotations

import base64
import json
import traceback
from collections.abc import Mapping
from secrets import token_hex
from typing import Any

import httpx
from botocore.exceptions import ClientError

from async_uploads.storage.base import GenerateUploadUrlResponse
from async_uploads.storage.s3 import S3AsyncUploadStorage
from tests.servers.seaweedfs import Credentials, S3Server

CONTENT = b"%PDF-1.7 the report"
FIELD_ID = "field"
MIB = 1024 * 1024


def storage_on(
    server: S3Server,
    who: Credentials | None = None,
    *,
    kind: type[S3AsyncUploadStorage] = S3AsyncUploadStorage,
    **options: Any,
) -> S3AsyncUploadStorage:
    """A storage with the rights of the application, in a folder of its own."""
    who = who or server.app
    given = {
        "endpoint_url": server.endpoint_url,
        "access_key": who.access_key,
        "secret_key": who.secret_key,
        "security_token": who.session_token,
        "bucket_name": server.bucket,
        "region_name": server.region,
        "location": f"site-{token_hex(6)}",
        "addressing_style": "path",
    }
    return kind(**{**given, **options})


async def put(storage: S3AsyncUploadStorage, name: str, content: bytes = CONTENT, **parameters: Any) -> str:
    """Store an object as it is, ETag returned; ``parameters`` are PutObject's."""
    client = await storage.aclient()
    answer = await client.put_object(
        Bucket=storage.bucket_name, Key=storage.key_of(name), Body=content, **parameters
    )
    return str(answer["ETag"]).strip('"')


async def put_temporary(storage: S3AsyncUploadStorage, content: bytes = CONTENT, **parameters: Any) -> str:
    """The key of an upload that has arrived."""
    key = storage.generate_temporary_path("report.pdf")
    await put(storage, key, content, **{"ContentType": "application/pdf", **parameters})
    return key


async def content_of(storage: S3AsyncUploadStorage, name: str) -> bytes:
    return await (await storage.aopen(name)).read()


async def stored(storage: S3AsyncUploadStorage, name: str, **parameters: Any) -> dict[str, Any]:
    """What S3 stores beside the bytes: HeadObject's answer."""
    client = await storage.aclient()
    answer: dict[str, Any] = await client.head_object(
        Bucket=storage.bucket_name, Key=storage.key_of(name), **parameters
    )
    return answer


async def tags_of(storage: S3AsyncUploadStorage, name: str) -> dict[str, str]:
    client = await storage.aclient()
    answer = await client.get_object_tagging(Bucket=storage.bucket_name, Key=storage.key_of(name))
    return {tag["Key"]: tag["Value"] for tag in answer["TagSet"]}


async def unfinished_uploads(storage: S3AsyncUploadStorage) -> list[str]:
    """The keys of multipart uploads that were neither completed nor aborted, in the storage's folder."""
    client = await storage.aclient()
    answer = await client.list_multipart_uploads(Bucket=storage.bucket_name)
    keys = [upload["Key"] for upload in answer.get("Uploads", [])]
    return [key for key in keys if key.startswith(storage.location)]


def keys_in(server: S3Server, prefix: str) -> list[str]:
    """What lies in the bucket, as its administrator sees it."""
    client = server.client()
    try:
        answer = client.list_objects_v2(Bucket=server.bucket, Prefix=prefix)
        return [entry["Key"] for entry in answer.get("Contents", [])]
    finally:
        client.close()


async def ticket_for(
    storage: S3AsyncUploadStorage,
    name: str,
    *,
    expire: int = 60,
    max_size: int | None = 1000,
    content_type: str | None = None,
) -> GenerateUploadUrlResponse:
    return await storage.agenerate_upload_url(
        name, FIELD_ID, expire=expire, max_size=max_size, content_type=content_type
    )


async def send_form(
    ticket: GenerateUploadUrlResponse,
    content: bytes = CONTENT,
    *,
    filename: str = "report.pdf",
    changed: Mapping[str, str | None] | None = None,
    proxy: str | None = None,
) -> httpx.Response:
    """What a browser does with a ticket. ``changed`` fields are an attacker's; None leaves one out."""
    fields = {**ticket["fields"], **(changed or {})}
    async with httpx.AsyncClient(proxy=proxy) as browser:
        return await browser.post(
            ticket["url"],
            data={name: value for name, value in fields.items() if value is not None},
            files={ticket["fileFieldName"]: (filename, content)},
        )


def policy_of(ticket: GenerateUploadUrlResponse) -> dict[str, Any]:
    """What was signed."""
    policy: dict[str, Any] = json.loads(base64.b64decode(ticket["fields"]["policy"]))
    return policy


def code_in(response: httpx.Response) -> str:
    """The code in one of S3's errors."""
    return response.text.partition("<Code>")[2].partition("</Code>")[0]


def all_said_by(error: BaseException) -> str:
    """Everything that a log could make of an error: its chain, each by str, repr and its traceback."""
    said = traceback.format_exception(error)
    link: BaseException | None = error
    while link is not None:
        said += [str(link), repr(link), repr(vars(link))]
        link = link.__cause__ or link.__context__
    return "\n".join(said)


def botocore_code(error: ClientError) -> str:
    return str(error.response["Error"]["Code"])
