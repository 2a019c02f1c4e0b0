"""What lies in S3: asked for, read, saved and deleted, all within the storage's folder."""

from __future__ import annotations

import gzip
import io
from pathlib import Path

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.exceptions import ClientError
from django.core.exceptions import SuspiciousOperation
from django.core.files.base import ContentFile, File
from django.core.files.uploadedfile import SimpleUploadedFile

from async_uploads.storage.base import FileChanged
from async_uploads.storage.s3 import S3AsyncUploadStorage
from tests.s3_storage import (
    CONTENT,
    FIELD_ID,
    MIB,
    botocore_code,
    content_of,
    keys_in,
    put,
    send_form,
    storage_on,
    stored,
    ticket_for,
    unfinished_uploads,
)
from tests.servers.proxy import Proxy
from tests.servers.seaweedfs import S3Server

NAME = "documents/report.pdf"


@pytest.fixture
def storage(seaweedfs: S3Server) -> S3AsyncUploadStorage:
    return storage_on(seaweedfs)


async def test_stat_tells_what_a_checker_needs(storage: S3AsyncUploadStorage) -> None:
    etag = await put(storage, NAME, ContentType="application/pdf")

    found = await storage.astat(NAME)

    assert (found.size, found.etag, found.content_type) == (len(CONTENT), etag, "application/pdf")
    assert '"' not in found.etag
    assert found.modified == int((await stored(storage, NAME))["LastModified"].timestamp())


async def test_only_the_asked_for_bytes_are_fetched(seaweedfs: S3Server, seaweedfs_proxy: Proxy) -> None:
    storage = storage_on(seaweedfs, endpoint_url=seaweedfs_proxy.url)
    etag = await put(storage, NAME, b"0123456789" * MIB)

    assert await storage.aread_range(NAME, 20, 25, if_match=etag) == b"01234"
    assert await storage.aread_range(NAME, 7, 3) == b""

    (asked,) = seaweedfs_proxy.requests(lambda asked: asked.method == "GET")
    assert (asked.headers["range"], asked.headers["if-match"]) == ("bytes=20-24", f'"{etag}"')


async def test_a_file_that_was_replaced_is_not_read_on(storage: S3AsyncUploadStorage) -> None:
    checked = await put(storage, NAME)
    await put(storage, NAME, CONTENT[::-1])

    with pytest.raises(FileChanged) as changed:
        await storage.aread_range(NAME, 0, 4, if_match=checked)
    assert (changed.value.__cause__, changed.value.__context__) == (None, None)


async def test_every_verb_stays_in_the_folder_of_the_storage(seaweedfs: S3Server) -> None:
    storage = storage_on(seaweedfs)
    folder = storage.location
    outside = storage_on(seaweedfs, location="")
    await put(outside, "shared.txt", b"somebody else's")

    await send_form(await ticket_for(storage, "async-temp-files/a.pdf"))
    await storage.acopy_file("async-temp-files/a.pdf", "shared.txt")
    await storage.asave("saved.txt", ContentFile(b"saved"))

    assert keys_in(seaweedfs, folder) == [
        f"{folder}/async-temp-files/a.pdf",
        f"{folder}/saved.txt",
        f"{folder}/shared.txt",
    ]
    assert (await storage.astat("shared.txt")).size == len(CONTENT)
    assert await storage.aread_range("shared.txt", 0, 4) == CONTENT[:4]
    assert f"/{folder}/shared.txt?" in await storage.agenerate_download_url("shared.txt", FIELD_ID)
    assert storage.exists("shared.txt")  # django-storages' own
    await storage.adelete("shared.txt")
    assert not await storage.aexists("shared.txt")
    assert await content_of(outside, "shared.txt") == b"somebody else's"


@pytest.mark.parametrize("name", ["../shared.txt", "async-temp-files/../../shared.txt", "/etc/passwd"])
async def test_no_verb_leaves_the_folder(storage: S3AsyncUploadStorage, name: str) -> None:
    for verb in (
        storage.astat(name),
        storage.aread_range(name, 0, 1),
        storage.adelete(name),
        ticket_for(storage, name),
        storage.agenerate_download_url(name, FIELD_ID),
    ):
        with pytest.raises(SuspiciousOperation):
            await verb


async def test_nothing_is_left_of_what_is_deleted(storage: S3AsyncUploadStorage, seaweedfs: S3Server) -> None:
    key = storage.generate_temporary_path("report.pdf")
    await send_form(await ticket_for(storage, key))

    await storage.adelete(key)
    await storage.adelete(key)

    assert keys_in(seaweedfs, f"{storage.location}/") == []


async def test_a_file_is_saved_with_its_type_and_the_projects_parameters(seaweedfs: S3Server) -> None:
    storage = storage_on(seaweedfs, object_parameters={"CacheControl": "no-store", "Metadata": {"a": "b"}})

    names = [
        await storage.asave("documents/guessed.pdf", ContentFile(CONTENT)),
        await storage.asave("documents/told.pdf", SimpleUploadedFile("told.pdf", CONTENT, "text/x-told")),
        await storage.asave(None, File(io.BytesIO(CONTENT), "documents/named-by-itself.pdf")),
    ]

    found = [await stored(storage, name) for name in names]
    assert names == ["documents/guessed.pdf", "documents/told.pdf", "documents/named-by-itself.pdf"]
    assert [each["ContentType"] for each in found] == ["application/pdf", "text/x-told", "application/pdf"]
    assert {each["CacheControl"] for each in found} == {"no-store"}
    assert found[0]["Metadata"] == {"a": "b"}


async def test_saving_overwrites_only_where_the_project_lets_it(seaweedfs: S3Server) -> None:
    """django-storages' file_overwrite."""
    overwriting = storage_on(seaweedfs)
    keeping = storage_on(seaweedfs, file_overwrite=False, location=overwriting.location)
    await overwriting.asave("a.txt", ContentFile(b"first"))

    beside = await keeping.asave("a.txt", ContentFile(b"second"))
    again = await overwriting.asave("a.txt", ContentFile(b"third"))
    short = await keeping.asave("a.txt", ContentFile(b"fourth"), max_length=14)

    assert again == "a.txt"
    assert beside not in ("a.txt", short)
    assert len(short) <= 14
    assert [await content_of(keeping, name) for name in ("a.txt", beside, short)] == [
        b"third",
        b"second",
        b"fourth",
    ]


async def test_a_project_that_names_its_files_itself_is_asked(seaweedfs: S3Server) -> None:
    class ByNumber(S3AsyncUploadStorage):
        def get_available_name(self, name: str, max_length: int | None = None) -> str:
            return f"0001-{name}"

    storage = storage_on(seaweedfs, kind=ByNumber)

    assert await storage.asave("a.txt", ContentFile(b"a")) == "0001-a.txt"
    assert await content_of(storage, "0001-a.txt") == b"a"


@pytest.mark.parametrize("name", ["../a.txt", "a/../../b.txt", "/a.txt", ""])
async def test_saving_stays_in_the_folder(
    storage: S3AsyncUploadStorage, name: str, seaweedfs: S3Server
) -> None:
    with pytest.raises(SuspiciousOperation):
        await storage.asave(name, ContentFile(b"a"))
    assert keys_in(seaweedfs, f"{storage.location}/") == []


async def test_what_the_project_wants_compressed_is(seaweedfs: S3Server) -> None:
    storage = storage_on(seaweedfs, gzip=True)
    style = "p { color: teal }" * 1000

    await storage.asave("style.css", ContentFile(style))
    await storage.asave("photo.png", ContentFile(b"png"))

    found = await stored(storage, "style.css")
    assert (found["ContentEncoding"], found["ContentType"]) == ("gzip", "text/css")
    assert found["ContentLength"] < len(style)
    assert gzip.decompress(await content_of(storage, "style.css")) == style.encode()
    assert "ContentEncoding" not in await stored(storage, "photo.png")


async def test_a_large_file_is_saved_in_parts_from_where_it_is(seaweedfs: S3Server, tmp_path: Path) -> None:
    storage = storage_on(
        seaweedfs,
        transfer_config=TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=5 * MIB),
        object_parameters={"ChecksumAlgorithm": "CRC32"},
    )
    path = tmp_path / "large.bin"
    path.write_bytes(bytes(range(256)) * (17 * MIB // 256) + b"the end")

    with path.open("rb") as file:
        file.seek(1000)  # saving begins at the beginning, as Django's
        name = await storage.asave("large.bin", File(file))
        assert not file.closed

    assert (await storage.astat(name)).etag.endswith("-4")
    assert await content_of(storage, name) == path.read_bytes()


async def test_a_file_that_breaks_off_while_it_is_saved_leaves_nothing(
    seaweedfs: S3Server, seaweedfs_proxy: Proxy
) -> None:
    class Broken(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= 12 * MIB:
                raise OSError("The disk is broken.")
            return super().read(size)

    storage = storage_on(
        seaweedfs, transfer_config=TransferConfig(multipart_threshold=8 * MIB, multipart_chunksize=5 * MIB)
    )

    with pytest.raises(OSError, match="broken"):
        await storage.asave("large.bin", File(Broken(b"x" * 20 * MIB), "large.bin"))

    assert not await storage.aexists("large.bin")
    assert await unfinished_uploads(storage) == []


async def test_what_is_encrypted_with_the_customers_key_can_be_read(seaweedfs: S3Server) -> None:
    """SSE-C: all but what browsers send, who would have to know the key."""
    storage = storage_on(
        seaweedfs, object_parameters={"SSECustomerAlgorithm": "AES256", "SSECustomerKey": "k" * 32}
    )
    key = storage.generate_temporary_path("report.pdf")
    await send_form(await ticket_for(storage, key))

    await storage.acopy_file(key, NAME)
    await storage.acopy_file(NAME, "documents/again.pdf")
    await storage.asave("saved.pdf", ContentFile(CONTENT))

    for name in (key, NAME, "documents/again.pdf", "saved.pdf"):
        assert await content_of(storage, name) == CONTENT
    with pytest.raises(ClientError) as without_key:
        await stored(storage, NAME)
    assert botocore_code(without_key.value) == "400"
