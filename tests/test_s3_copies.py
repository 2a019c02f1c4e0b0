"""Promotion's copies within S3: what they keep of their source, and what the project adds."""

from __future__ import annotations

from typing import Any

import pytest

from async_uploads.storage.s3 import S3AsyncUploadStorage
from tests.s3_storage import (
    CONTENT,
    content_of,
    put_temporary,
    send_form,
    storage_on,
    stored,
    tags_of,
    ticket_for,
)
from tests.servers.proxy import Asked, Proxy
from tests.servers.seaweedfs import S3Server

TARGET = "documents/report.pdf"


def copies(asked: Asked) -> bool:
    return asked.method == "PUT" and "x-amz-copy-source" in asked.headers


@pytest.fixture
def storage(seaweedfs: S3Server) -> S3AsyncUploadStorage:
    return storage_on(seaweedfs)


@pytest.fixture
def storage_behind(seaweedfs: S3Server, seaweedfs_proxy: Proxy) -> S3AsyncUploadStorage:
    """Behind the proxy."""
    return storage_on(seaweedfs, endpoint_url=seaweedfs_proxy.url)


async def test_the_bytes_do_not_come_through_here(
    storage_behind: S3AsyncUploadStorage, seaweedfs_proxy: Proxy
) -> None:
    key = await put_temporary(storage_behind)
    before = len(seaweedfs_proxy.requests())

    await storage_behind.acopy_file(key, TARGET)

    asked = seaweedfs_proxy.requests()[before:]
    assert [each.method for each in asked if "x-amz-copy-source" in each.headers] == ["PUT"]
    assert not [each for each in asked if each.method == "GET" and each.status == 200]
    assert await content_of(storage_behind, TARGET) == CONTENT


async def test_type_metadata_and_headers_are_kept(storage: S3AsyncUploadStorage) -> None:
    key = await put_temporary(
        storage,
        ContentType="application/pdf",
        ContentLanguage="de",
        CacheControl="private",
        Metadata={"scanned-by": "us"},
        Tagging="kind=report",
    )

    await storage.acopy_file(key, TARGET)

    found = await stored(storage, TARGET)
    assert found["ContentType"] == "application/pdf"
    assert found["ContentLanguage"] == "de"
    assert found["CacheControl"] == "private"
    assert found["Metadata"]["scanned-by"] == "us"
    assert await tags_of(storage, TARGET) == {"kind": "report"}


async def test_the_projects_parameters_are_applied_to_the_final_object(seaweedfs: S3Server) -> None:
    storage = storage_on(
        seaweedfs,
        object_parameters={
            "CacheControl": "max-age=60",
            "ContentDisposition": 'attachment; filename="ours.pdf"',
            "Metadata": {"owner": "us", "scanned-by": "us"},
            "ServerSideEncryption": "AES256",
            "StorageClass": "STANDARD_IA",
            "Tagging": "a=b&kind=final",
        },
    )
    key = await put_temporary(
        storage,
        CacheControl="private",
        Metadata={"scanned-by": "them", "kept": "yes"},
        Tagging="kind=temporary",
    )

    await storage.acopy_file(key, TARGET)

    found = await stored(storage, TARGET)
    assert found["CacheControl"] == "max-age=60"
    assert found["ContentDisposition"] == 'attachment; filename="ours.pdf"'
    assert found["ServerSideEncryption"] == "AES256"
    assert found["StorageClass"] == "STANDARD_IA"
    assert found["ContentType"] == "application/pdf"
    marker = found["Metadata"].pop("async-uploads-source")
    assert len(marker) == 64
    assert found["Metadata"] == {"owner": "us", "scanned-by": "us", "kept": "yes"}
    assert await tags_of(storage, TARGET) == {"a": "b", "kind": "final"}


async def test_parameters_may_depend_on_the_final_name(seaweedfs: S3Server) -> None:
    class ByName(S3AsyncUploadStorage):
        def get_object_parameters(self, name: str) -> dict[str, Any]:
            return {"CacheControl": name, "Unknown": "left out, as each request takes what it knows"}

    storage = storage_on(seaweedfs, kind=ByName)
    writer = storage_on(seaweedfs, location=storage.location)
    key = await put_temporary(writer)

    await storage.acopy_file(key, TARGET)

    assert (await stored(writer, TARGET))["CacheControl"] == f"{storage.location}/{TARGET}"


async def test_the_acl_is_the_final_objects(seaweedfs: S3Server, seaweedfs_proxy: Proxy) -> None:
    by_setting = storage_on(seaweedfs, endpoint_url=seaweedfs_proxy.url, default_acl="public-read")
    by_parameter = storage_on(
        seaweedfs,
        endpoint_url=seaweedfs_proxy.url,
        default_acl="public-read",
        object_parameters={"ACL": "authenticated-read"},
    )
    for storage in (by_setting, by_parameter):
        await storage.acopy_file(await put_temporary(storage), TARGET)

    acls = [asked.headers["x-amz-acl"] for asked in seaweedfs_proxy.requests(copies)]

    assert acls == ["public-read", "authenticated-read"]


@pytest.mark.parametrize(
    ("content_type", "name", "disposition"),
    [
        ("application/pdf", "report.pdf", None),
        ("text/plain; charset=utf-8", "notes.txt", None),
        ("text/html", "page.html", "attachment"),
        ("text/html", "photo.png", "attachment"),
        ("image/png", "page.html", "attachment"),
        ("image/svg+xml", "drawing.svg", "attachment"),
        ("application/x-unknown", "thing", "attachment"),
    ],
)
async def test_what_browsers_should_not_show_is_stored_as_an_attachment(
    storage: S3AsyncUploadStorage, content_type: str, name: str, disposition: str | None
) -> None:
    """A CDN may serve it without a signature, and so without our headers."""
    key = await put_temporary(storage, ContentType=content_type)

    await storage.acopy_file(key, name)

    assert (await stored(storage, name)).get("ContentDisposition") == disposition


async def test_a_browser_cannot_have_its_page_shown(storage: S3AsyncUploadStorage) -> None:
    """SeaweedFS stores what a form says beyond its policy, if it is not called x-amz."""
    key = storage.generate_temporary_path("page.png")
    response = await send_form(
        await ticket_for(storage, key),
        b"<script>",
        changed={"Content-Type": "text/html", "Content-Disposition": "inline"},
    )
    assert response.status_code == 201

    await storage.acopy_file(key, "page.png")

    assert (await stored(storage, "page.png"))["ContentDisposition"] == "attachment"


async def test_the_projects_disposition_is_respected(seaweedfs: S3Server) -> None:
    storage = storage_on(seaweedfs, object_parameters={"ContentDisposition": "inline"})

    await storage.acopy_file(await put_temporary(storage, ContentType="text/html"), "page.html")

    assert (await stored(storage, "page.html"))["ContentDisposition"] == "inline"


async def test_a_file_that_nobody_gave_a_type_gets_that_of_its_name(storage: S3AsyncUploadStorage) -> None:
    key = await put_temporary(storage, ContentType="binary/octet-stream")  # what S3 then says

    await storage.acopy_file(key, TARGET)

    assert (await stored(storage, TARGET))["ContentType"] == "application/pdf"
