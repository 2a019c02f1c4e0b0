"""The verbs that read, write and delete: below the location, and with every way to get in."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import sync_to_async
from azure.storage.blob import ContentSettings
from django.core.exceptions import SuspiciousOperation
from django.core.files.base import ContentFile, File

from async_uploads.storage.azure import AzureAsyncUploadStorage
from async_uploads.storage.base import FileChanged
from tests.azure_storage import (
    CONTENT,
    FINAL,
    azure_storage,
    blob_at,
    content_of,
    file,
    names_in,
    overwrite,
    temporary,
    uploaded,
    with_key,
    with_sas,
)
from tests.servers.azurite import AzureServer

MIB = 1024 * 1024


@pytest.fixture
def storage(azurite: AzureServer) -> AzureAsyncUploadStorage:
    return azure_storage(azurite)


def settings_of(server: AzureServer, storage: AzureAsyncUploadStorage, name: str) -> ContentSettings:
    with blob_at(server, storage, name) as blob:
        return blob.get_blob_properties().content_settings


#####################
# Reading and deleting
#####################


async def test_every_verb_stays_below_the_location(azurite: AzureServer) -> None:
    storage = azure_storage(azurite, location="media/site")
    key = await uploaded(storage)

    with blob_at(azurite, storage, key) as blob:
        assert blob.exists()
    assert (await storage.astat(key)).size == len(CONTENT)
    assert await storage.aread_range(key, 2, 4) == b"23"
    await storage.acopy_file(key, FINAL)
    saved = await storage.asave("notes.txt", file(b"notes", "notes.txt"))
    assert names_in(azurite, storage) == sorted([key, FINAL, "notes.txt"])
    assert saved == "notes.txt"
    for name in (key, FINAL, saved):
        await storage.adelete(name)
    assert names_in(azurite, storage) == []


async def test_no_name_leaves_the_location(storage: AzureAsyncUploadStorage) -> None:
    for verb in (storage.astat, storage.adelete):
        with pytest.raises(SuspiciousOperation):
            await verb("../secret.txt")
    with pytest.raises(SuspiciousOperation):
        await storage.agenerate_download_url("../secret.txt", "field")


async def test_the_blocking_storage_of_django_storages_sees_the_same_files(
    storage: AzureAsyncUploadStorage,
) -> None:
    saved = await sync_to_async(storage.save)(FINAL, file())

    assert await content_of(storage, saved) == CONTENT
    assert await sync_to_async(storage.exists)(saved)
    assert await sync_to_async(storage.size)(saved) == len(CONTENT)
    await sync_to_async(storage.service_client.close)()


async def test_bytes_that_were_replaced_are_not_read_as_those_that_were_checked(
    azurite: AzureServer, storage: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(storage)
    etag = (await storage.astat(key)).etag
    assert await storage.aread_range(key, 0, 4, if_match=etag) == b"0123"
    overwrite(azurite, storage, key, b"swapped!")

    with pytest.raises(FileChanged):
        await storage.aread_range(key, 0, 4, if_match=etag)


async def test_what_says_that_it_is_compressed_is_read_as_it_is(storage: AzureAsyncUploadStorage) -> None:
    key = await uploaded(storage, headers={"x-ms-blob-content-encoding": "gzip"})

    assert await storage.aread_range(key, 3, 7) == b"3456"


async def test_an_empty_file_has_no_bytes_to_read(storage: AzureAsyncUploadStorage) -> None:
    key = await uploaded(storage, b"")

    assert (await storage.astat(key)).size == 0
    assert await storage.aread_range(key, 0, 10) == b""


async def test_nothing_is_asked_for_no_bytes(azurite: AzureServer, storage: AzureAsyncUploadStorage) -> None:
    assert await storage.aread_range("not/there.txt", 5, 5) == b""


async def test_deleting_takes_the_snapshots_that_an_uploader_may_have_made(
    azurite: AzureServer, storage: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(storage)
    with blob_at(azurite, storage, key) as blob:
        blob.create_snapshot()

    await storage.adelete(key)
    await storage.adelete(key)

    with azurite.service() as service, service.get_container_client(azurite.container) as container:
        left = container.list_blobs(name_starts_with=f"{storage.location}/", include=["snapshots"])
        assert list(left) == []


async def test_when_it_was_changed_is_told(storage: AzureAsyncUploadStorage) -> None:
    key = await uploaded(storage)

    modified = (await storage.astat(key)).modified

    expected = await sync_to_async(storage.get_modified_time)(key)
    assert modified == int(expected.timestamp())
    await sync_to_async(storage.service_client.close)()


########
# Saving
########


async def test_a_saved_file_has_the_settings_that_django_storages_gives_it(azurite: AzureServer) -> None:
    storage = azure_storage(
        azurite, cache_control="max-age=60", object_parameters={"content_disposition": "attachment"}
    )

    await storage.asave("a/styles.css", file(b"body {}", "styles.css"))
    await sync_to_async(storage.save)("b/styles.css", file(b"body {}", "styles.css"))

    ours, theirs = (settings_of(azurite, storage, f"{folder}/styles.css") for folder in "ab")
    assert (ours.content_type, ours.cache_control) == ("text/css", "max-age=60")
    assert ours.content_disposition == "attachment"
    assert vars(ours) == vars(theirs)
    await sync_to_async(storage.service_client.close)()


async def test_a_save_takes_another_name_for_a_file_that_is_there(storage: AzureAsyncUploadStorage) -> None:
    first = await storage.asave(FINAL, file(b"the first"))
    second = await storage.asave(FINAL, file(b"the second"))

    assert first == FINAL != second
    assert await content_of(storage, first) == b"the first"
    assert await content_of(storage, second) == b"the second"


async def test_two_saves_at_once_keep_both_files(storage: AzureAsyncUploadStorage) -> None:
    contents = [b"%d" % number * size for number, size in ((1, 10), (2, 10), (3, 6 * MIB), (4, 6 * MIB))]

    names = await asyncio.gather(*(storage.asave(FINAL, file(content)) for content in contents))

    assert len(set(names)) == 4
    assert [await content_of(storage, name) for name in names] == contents


async def test_overwrite_files_overwrites(azurite: AzureServer) -> None:
    storage = azure_storage(azurite, overwrite_files=True)

    for content in (b"the first", b"the second", b"3" * 6 * MIB):
        assert await storage.asave(FINAL, file(content)) == FINAL
        assert await content_of(storage, FINAL) == content
    assert names_in(azurite, storage) == [FINAL]


async def test_the_projects_own_choice_of_a_name_is_heeded(azurite: AzureServer) -> None:
    class Marked(AzureAsyncUploadStorage):
        def get_alternative_name(self, file_root: str, file_ext: str) -> str:
            return f"{file_root}-again{file_ext}"

    storage = Marked(
        connection_string=azurite.connection_string,
        azure_container=azurite.container,
        location=azure_storage(azurite).location,
    )

    names = [await storage.asave(FINAL, file()) for _ in range(2)]

    assert names == [FINAL, "documents/report-again.txt"]


async def test_a_large_file_is_sent_in_blocks_that_are_the_file(
    azurite: AzureServer, storage: AzureAsyncUploadStorage, tmp_path: Path
) -> None:
    content = bytes(range(256)) * (9 * MIB // 256) + b"the end"
    (tmp_path / "large.bin").write_bytes(content)

    with (tmp_path / "large.bin").open("rb") as opened:
        opened.seek(1234)
        name = await storage.asave("large.bin", File(opened))

    with blob_at(azurite, storage, name) as blob:
        committed, uncommitted = blob.get_block_list("all")
    assert [block.size for block in committed] == [4 * MIB, 4 * MIB, MIB + len(b"the end")]
    assert uncommitted == []
    assert await content_of(storage, name) == content


async def test_text_is_saved_as_its_bytes(storage: AzureAsyncUploadStorage) -> None:
    name = await storage.asave("größe.txt", ContentFile("Größe"))

    assert await content_of(storage, name) == "Größe".encode()


async def test_a_name_that_is_too_long_is_cut(storage: AzureAsyncUploadStorage) -> None:
    name = await storage.asave("n" * 60 + ".txt", file(), max_length=30)

    assert len(name) == 30
    assert name.endswith(".txt")
    assert await storage.aexists(name)


async def test_a_name_that_climbs_is_not_saved(storage: AzureAsyncUploadStorage) -> None:
    with pytest.raises(SuspiciousOperation):
        await storage.asave("../report.txt", file())


async def test_a_file_that_cannot_be_read_is_not_saved(
    azurite: AzureServer, storage: AzureAsyncUploadStorage
) -> None:
    class Torn(io.BytesIO):
        def read(self, size: int | None = -1) -> bytes:
            if self.tell() >= 4 * MIB:
                raise OSError("The disk is gone.")
            return super().read(size)

    with pytest.raises(OSError, match="The disk is gone"):
        await storage.asave("torn.bin", File(Torn(b"x" * 9 * MIB), "torn.bin"))

    assert names_in(azurite, storage) == []


##################
# Ways to get in
##################


@pytest.mark.parametrize(
    "options",
    [
        lambda server: {},
        with_key,
        with_sas,
        lambda server: {"connection_string": _with_shared_access_signature(server)},
    ],
    ids=["connection string", "account key", "SAS", "connection string with a SAS"],
)
async def test_a_storage_works_with(azurite: AzureServer, options: Any) -> None:
    other = azure_storage(azurite)
    key = await uploaded(other)
    storage = azure_storage(azurite, **{**options(azurite), "location": other.location})

    stored = await storage.astat(key)
    head = await storage.aread_range(key, 0, 4)
    await storage.acopy_file(key, FINAL, if_match=stored.etag)
    saved = await storage.asave("notes.txt", file(b"notes"))
    await storage.adelete(key)

    assert (stored.size, head) == (len(CONTENT), b"0123")
    assert names_in(azurite, storage) == sorted([FINAL, saved])
    assert await content_of(storage, FINAL) == CONTENT


def _with_shared_access_signature(server: AzureServer) -> str:
    token = with_sas(server)["sas_token"]
    return f"BlobEndpoint={server.account_url};SharedAccessSignature={token}"


async def test_the_emulators_short_connection_string_is_known() -> None:
    storage = AzureAsyncUploadStorage(connection_string="UseDevelopmentStorage=true", azure_container="files")

    upload = await storage.agenerate_upload_url(temporary(storage), "field", expire=60, max_size=None)

    assert upload["url"].startswith("http://127.0.0.1:10000/devstoreaccount1/files/async-temp-files/")
    assert "sig=" in upload["url"]


async def test_options_of_the_client_are_heeded_with_a_connection_string_too(azurite: AzureServer) -> None:
    versions = []
    hook = {"raw_request_hook": lambda request: versions.append(request.http_request.headers["x-ms-version"])}
    storage = azure_storage(azurite, client_options={"api_version": "2021-12-02", **hook})

    await storage.aexists("not/there.txt")

    assert versions == ["2021-12-02"]
