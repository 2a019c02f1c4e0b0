"""The proxy that lets a storage go wrong: what passes stays as it was, and what a test tells it comes true."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import aioboto3
import httpx
import pytest
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobBlock, BlobClient, BlobSasPermissions, BlobServiceClient, generate_blob_sas
from botocore.exceptions import ClientError

from tests.servers.azurite import AzureServer
from tests.servers.proxy import Asked, Proxy, copy_blob, put_block_from_url
from tests.servers.seaweedfs import S3Server

LARGE = bytes(range(256)) * (1 << 14)  # 4 MiB


@pytest.fixture
def key() -> str:
    return f"proxied/{uuid4()} ü+%.bin"


@pytest.fixture
def s3(seaweedfs: S3Server, seaweedfs_proxy: Proxy) -> Iterator[Any]:
    client = seaweedfs.client(seaweedfs.app, endpoint_url=seaweedfs_proxy.url)
    yield client
    client.close()


@pytest.fixture
def blob(azurite: AzureServer, azurite_proxy: Proxy, key: str) -> Iterator[BlobClient]:
    by_proxy = azurite.connection_string_by(azurite_proxy.url)
    with BlobServiceClient.from_connection_string(by_proxy, retry_total=0) as service:
        yield service.get_blob_client("uploads", key)


def beside(blob: BlobClient, azurite: AzureServer) -> tuple[BlobClient, str]:
    """Where a copy may go, and the URL that lets read the source."""
    token = generate_blob_sas(
        azurite.account_name,
        "uploads",
        blob.blob_name,
        account_key=azurite.account_key,
        permission=BlobSasPermissions(read=True),
        expiry=datetime.now(UTC) + timedelta(hours=1),
    )
    copy = BlobClient.from_blob_url(f"{blob.url}-copy", credential=azurite.account_key, retry_total=0)
    return copy, f"{blob.url}?{token}"


def test_signed_requests_of_every_kind_pass(s3: Any, seaweedfs_proxy: Proxy, key: str) -> None:
    s3.put_object(Bucket="uploads", Key=key, Body=LARGE)
    form = s3.generate_presigned_post("uploads", f"{key}-form")
    sent = httpx.post(form["url"], data=form["fields"], files={"file": LARGE})
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "uploads", "Key": f"{key}-form"})

    assert s3.get_object(Bucket="uploads", Key=key)["Body"].read() == LARGE
    assert sent.status_code == 204
    assert httpx.get(url).content == LARGE
    told = [(asked.method, asked.status) for asked in seaweedfs_proxy.requests()]
    assert told == [("PUT", 200), ("POST", 204), ("GET", 200), ("GET", 200)]


async def test_an_async_client_passes(seaweedfs: S3Server, seaweedfs_proxy: Proxy, key: str) -> None:
    async with aioboto3.Session().client(
        "s3",
        endpoint_url=seaweedfs_proxy.url,
        aws_access_key_id=seaweedfs.app.access_key,
        aws_secret_access_key=seaweedfs.app.secret_key,
        region_name=seaweedfs.region,
    ) as client:
        await client.put_object(Bucket="uploads", Key=key, Body=LARGE)
        answer = await client.get_object(Bucket="uploads", Key=key)

        assert await answer["Body"].read() == LARGE


def test_azures_signatures_and_copies_pass(blob: BlobClient, azurite: AzureServer) -> None:
    blob.upload_blob(LARGE)
    copy, source = beside(blob, azurite)

    copy.start_copy_from_url(source)

    assert copy.download_blob().readall() == LARGE
    copy.close()


def test_an_answer_of_the_proxy_never_reaches_the_server(
    s3: Any, seaweedfs: S3Server, seaweedfs_proxy: Proxy, key: str
) -> None:
    seaweedfs_proxy.answer(503, when=lambda asked: asked.method == "PUT", turns=1)

    with pytest.raises(ClientError, match="503"):
        s3.put_object(Bucket="uploads", Key=key, Body=LARGE)
    s3.put_object(Bucket="uploads", Key=key, Body=LARGE)

    assert [asked.status for asked in seaweedfs_proxy.requests()] == [503, 200]
    told = [request for request in seaweedfs.requests() if request.path.endswith(key)]
    assert [request.status for request in told] == [200]


def test_a_cut_request_is_not_done_and_a_lost_answer_is(
    s3: Any, seaweedfs_proxy: Proxy, seaweedfs: S3Server, key: str
) -> None:
    direct = seaweedfs.client()
    url = s3.generate_presigned_url("put_object", Params={"Bucket": "uploads", "Key": key})

    seaweedfs_proxy.cut(turns=1)
    with pytest.raises(httpx.TransportError):
        httpx.put(url, content=b"some bytes")
    with pytest.raises(ClientError, match="404"):
        direct.head_object(Bucket="uploads", Key=key)

    seaweedfs_proxy.lose_answer(turns=1)
    with pytest.raises(httpx.TransportError):
        httpx.put(url, content=b"some bytes")
    assert direct.head_object(Bucket="uploads", Key=key)["ContentLength"] == 10
    direct.close()


def test_a_delayed_request_comes_too_late_for_an_impatient_client(seaweedfs_proxy: Proxy) -> None:
    seaweedfs_proxy.delay(60)
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{seaweedfs_proxy.url}/status", timeout=0.5)

    seaweedfs_proxy.forget()

    assert httpx.get(f"{seaweedfs_proxy.url}/status").status_code == 200


def test_what_happens_between_two_requests(
    s3: Any, seaweedfs: S3Server, seaweedfs_proxy: Proxy, key: str
) -> None:
    etag = s3.put_object(Bucket="uploads", Key=key, Body=b"checked")["ETag"]
    direct = seaweedfs.client()

    def is_copy(asked: Asked) -> bool:
        return "x-amz-copy-source" in asked.headers

    seaweedfs_proxy.first(lambda: direct.put_object(Bucket="uploads", Key=key, Body=b"other"), when=is_copy)

    source = {"Bucket": "uploads", "Key": key}
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.copy_object(Bucket="uploads", Key=f"{key}-copy", CopySource=source, CopySourceIfMatch=etag)
    direct.close()


def test_a_copy_stays_pending_for_as_many_answers_as_are_told(
    blob: BlobClient, azurite: AzureServer, azurite_proxy: Proxy
) -> None:
    blob.upload_blob(b"some bytes")
    copy, source = beside(blob, azurite)
    pending = {"x-ms-copy-status": "pending", "x-ms-copy-progress": "4/10"}
    azurite_proxy.rewrite(pending, when=copy_blob, turns=3)

    blob.get_blob_properties()  # Of no copy, so it takes no turn.
    told: list[Any] = [copy.start_copy_from_url(source)["copy_status"]]
    found = [copy.get_blob_properties().copy for _ in range(3)]
    told += [properties.status for properties in found]

    assert told == ["pending", "pending", "pending", "success"]
    assert [properties.progress for properties in found] == ["4/10", "4/10", "10/10"]
    copy.close()


def test_the_blocks_of_a_copy_can_fail_in_the_middle(
    blob: BlobClient, azurite: AzureServer, azurite_proxy: Proxy
) -> None:
    blob.upload_blob(b"0123456789")
    copy, source = beside(blob, azurite)
    azurite_proxy.answer(500, when=put_block_from_url, after=1, turns=1)

    copy.stage_block_from_url("1", source, 0, 5)
    with pytest.raises(HttpResponseError, match="Answered by the proxy"):
        copy.stage_block_from_url("2", source, 5, 5)
    copy.stage_block_from_url("2", source, 5, 5)
    copy.commit_block_list([BlobBlock("1"), BlobBlock("2")])

    assert copy.download_blob().readall() == b"0123456789"
    copy.close()


def test_a_server_that_is_away_is_an_error_of_the_connection(
    seaweedfs: S3Server, seaweedfs_proxy: Proxy
) -> None:
    seaweedfs.stop()

    with pytest.raises(httpx.TransportError):
        httpx.get(f"{seaweedfs_proxy.url}/status")
