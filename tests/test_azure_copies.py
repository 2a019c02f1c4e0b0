"""Promotion's copies: made by Azure, of the bytes that were checked, over nothing, with what the project wants."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from django.core.exceptions import ImproperlyConfigured

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
    properties_of,
    request,
    temporary,
    uploaded,
    with_sas,
)
from tests.servers.azurite import AzureServer


@pytest.fixture
def storage(azurite: AzureServer) -> AzureAsyncUploadStorage:
    return azure_storage(azurite)


async def test_the_bytes_do_not_come_through_us(
    azurite: AzureServer, storage: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(storage)
    before = len(azurite.requests())

    await storage.acopy_file(key, FINAL)

    asked = azurite.requests()[before:]
    assert [each.method for each in asked] == ["HEAD", "PUT"]
    assert await content_of(storage, FINAL) == CONTENT


async def test_bytes_swapped_after_the_check_are_not_copied(
    azurite: AzureServer, storage: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(storage)
    checked = (await storage.astat(key)).etag
    overwrite(azurite, storage, key, b"swapped!")

    with pytest.raises(FileChanged):
        await storage.acopy_file(key, FINAL, if_match=checked)

    assert names_in(azurite, storage) == [key]


async def test_nothing_is_overwritten(azurite: AzureServer, storage: AzureAsyncUploadStorage) -> None:
    key = await uploaded(storage)
    await storage.asave(FINAL, file(b"somebody else's"))

    with pytest.raises(FileExistsError):
        await storage.acopy_file(key, FINAL)

    assert await content_of(storage, FINAL) == b"somebody else's"


async def test_of_two_copies_to_one_name_one_is_made(storage: AzureAsyncUploadStorage) -> None:
    keys = [await uploaded(storage, content) for content in (b"the first", b"the second")]

    results = await asyncio.gather(*(storage.acopy_file(key, FINAL) for key in keys), return_exceptions=True)

    (lost,) = (result for result in results if result is not None)
    assert isinstance(lost, FileExistsError)
    assert await content_of(storage, FINAL) == (b"the first", b"the second")[results.index(None)]


async def test_a_copy_that_was_made_before_a_crash_is_taken_for_made(
    azurite: AzureServer, storage: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(storage)
    await storage.acopy_file(key, FINAL)
    etag = (await storage.astat(FINAL)).etag

    await azure_storage(azurite, location=storage.location).acopy_file(key, FINAL)

    assert (await storage.astat(FINAL)).etag == etag


async def test_a_crash_before_the_headers_were_set_is_mended(azurite: AzureServer) -> None:
    before = azure_storage(azurite)
    key = await uploaded(before)
    await before.acopy_file(key, FINAL)

    after = azure_storage(azurite, location=before.location, cache_control="max-age=60")
    await after.acopy_file(key, FINAL)

    assert properties_of(azurite, after).content_settings.cache_control == "max-age=60"


async def test_the_copy_of_another_upload_is_somebody_elses(storage: AzureAsyncUploadStorage) -> None:
    first, second = await uploaded(storage), await uploaded(storage)
    await storage.acopy_file(first, FINAL)

    with pytest.raises(FileExistsError):
        await storage.acopy_file(second, FINAL)


async def test_an_uploader_cannot_pass_their_file_off_as_a_copy(
    azurite: AzureServer, storage: AzureAsyncUploadStorage
) -> None:
    key = await uploaded(storage, headers={"x-ms-meta-Async_Uploads_Source": "forged"})

    await storage.acopy_file(key, FINAL)

    metadata = properties_of(azurite, storage).metadata
    assert list(metadata) == ["async_uploads_source"]
    assert metadata["async_uploads_source"] != "forged"


async def test_a_copy_of_nothing_is_not_made(azurite: AzureServer, storage: AzureAsyncUploadStorage) -> None:
    with pytest.raises(FileNotFoundError):
        await storage.acopy_file(temporary(storage), FINAL)

    assert names_in(azurite, storage) == []


async def test_type_and_metadata_are_kept(azurite: AzureServer, storage: AzureAsyncUploadStorage) -> None:
    headers = {"x-ms-meta-title": "The report", "x-ms-blob-content-language": "de"}
    headers["x-ms-blob-content-type"] = "application/pdf"
    key = await uploaded(storage, filename="report.pdf", headers=headers)

    await storage.acopy_file(key, "documents/report.pdf")

    kept = properties_of(azurite, storage, "documents/report.pdf")
    assert kept.content_settings.content_type == "application/pdf"
    assert kept.content_settings.content_language == "de"
    assert (
        kept.content_settings.content_md5 == properties_of(azurite, storage, key).content_settings.content_md5
    )
    assert kept.content_settings.content_md5 is not None
    assert kept.metadata["title"] == "The report"


PROJECT: dict[str, Any] = {
    "cache_control": "max-age=31536000, immutable",
    "object_parameters": {"content_language": "fr", "content_disposition": "inline"},
    "copy_parameters": {
        "metadata": {"department": "sales"},
        "tags": {"kind": "report"},
        "standard_blob_tier": "Cool",
    },
}


async def test_a_promoted_file_has_what_the_project_wants(azurite: AzureServer) -> None:
    storage = azure_storage(azurite, **PROJECT)
    key = await uploaded(storage, headers={"x-ms-meta-title": "The report"})

    await storage.acopy_file(key, FINAL)

    promoted = properties_of(azurite, storage)
    content = promoted.content_settings
    assert content.cache_control == "max-age=31536000, immutable"
    assert (content.content_language, content.content_disposition) == ("fr", "inline")
    assert content.content_type == "text/plain"
    assert promoted.blob_tier == "Cool"
    assert {"title": "The report", "department": "sales"}.items() <= promoted.metadata.items()
    with blob_at(azurite, storage, FINAL) as blob:
        assert blob.get_blob_tags() == {"kind": "report"}


async def test_parameters_may_differ_from_file_to_file(azurite: AzureServer) -> None:
    class PerFile(AzureAsyncUploadStorage):
        def get_object_parameters(self, name: str) -> dict[str, Any]:
            return {"cache_control": f"max-age={len(name)}"}

        def get_copy_parameters(self, name: str) -> dict[str, Any]:
            return {"metadata": {"wanted_as": name}}

    location = azure_storage(azurite).location
    storage = PerFile(
        connection_string=azurite.connection_string, azure_container=azurite.container, location=location
    )
    key = await uploaded(storage)

    await storage.acopy_file(key, FINAL)

    promoted = properties_of(azurite, storage)
    assert promoted.metadata["wanted_as"] == f"{location}/{FINAL}"
    assert promoted.content_settings.cache_control == f"max-age={len(f'{location}/{FINAL}')}"


async def test_a_parameter_that_nobody_knows_is_told(azurite: AzureServer) -> None:
    storage = azure_storage(azurite, copy_parameters={"storage_class": "Cool"})
    key = await uploaded(storage)

    with pytest.raises(ImproperlyConfigured, match=r"storage_class.*standard_blob_tier"):
        await storage.acopy_file(key, FINAL)


@pytest.mark.parametrize(
    ("name", "content_type", "disposition"),
    [
        ("documents/page.html", "text/html", "attachment"),
        ("documents/page.html", "image/png", "attachment"),
        ("documents/picture.png", "text/html", "attachment"),
        ("documents/picture.png", "image/png", None),
        ("documents/report.txt", "application/octet-stream", "attachment"),
    ],
)
async def test_a_cdn_does_not_show_what_a_browser_might_run(
    azurite: AzureServer,
    storage: AzureAsyncUploadStorage,
    name: str,
    content_type: str,
    disposition: str | None,
) -> None:
    liar = {"x-ms-blob-content-disposition": "inline", "x-ms-blob-cache-control": "immutable"}
    key = await uploaded(storage, headers={**liar, "x-ms-blob-content-type": content_type})

    await storage.acopy_file(key, name)

    content = properties_of(azurite, storage, name).content_settings
    assert (content.content_type, content.content_disposition) == (content_type, disposition)
    assert content.cache_control is None


async def test_whoever_reads_a_copy_is_not_told_a_signature(storage: AzureAsyncUploadStorage) -> None:
    key = await uploaded(storage)
    await storage.acopy_file(key, FINAL)

    response = await request("GET", await storage.agenerate_download_url(FINAL, "field"))

    assert "sig=" not in str(response.headers)


async def test_a_copy_by_sas_is_modified_so_that_azure_forgets_where_it_came_from(
    azurite: AzureServer,
) -> None:
    """Azurite goes on telling it; Azure does not. https://learn.microsoft.com/rest/api/storageservices/get-blob"""
    key = await uploaded(azure_storage(azurite, location="by-sas"))
    storage = azure_storage(azurite, location="by-sas", **with_sas(azurite))
    before = len(azurite.requests())

    await storage.acopy_file(key, key + "-copy.txt")

    asked = azurite.requests()[before:]
    assert [(each.method, "comp=properties" in each.query) for each in asked][-1] == ("PUT", True)
    assert (await storage.astat(key + "-copy.txt")).content_type == "text/plain"


async def test_a_move_leaves_nothing_behind(azurite: AzureServer, storage: AzureAsyncUploadStorage) -> None:
    key = await uploaded(storage)

    await storage.amove_file(key, FINAL)

    assert names_in(azurite, storage) == [FINAL]
