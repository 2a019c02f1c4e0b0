"""Azurite refuses what Azure refuses: what the tests of the Azure storage lean on."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import httpx
import pytest
from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError
from azure.storage.blob import (
    BlobBlock,
    BlobClient,
    BlobSasPermissions,
    BlobServiceClient,
    CorsRule,
    generate_blob_sas,
)

from tests.servers.azurite import AzureServer
from tests.servers.azurite_oauth import OAuthAzureServer

OURS, THEIRS = "https://ours.example", "https://theirs.example"


@pytest.fixture
def key() -> str:
    return f"servers/{uuid4()}"


@pytest.fixture
def service(azurite: AzureServer) -> Iterator[BlobServiceClient]:
    with azurite.service() as service:
        yield service


@pytest.fixture
def blob(service: BlobServiceClient, key: str) -> BlobClient:
    return service.get_blob_client("uploads", key)


def sas_for(server: AzureServer, blob: BlobClient, **more: Any) -> str:
    """A URL that may create the blob, or do what ``permission`` says."""
    options = {"permission": BlobSasPermissions(create=True), "account_key": server.account_key, **more}
    token = generate_blob_sas(
        server.account_name,
        "uploads",
        blob.blob_name,
        expiry=datetime.now(UTC) + timedelta(hours=1),
        **options,
    )
    return f"{blob.url}?{token}"


def put(url: str, verify: Any = True) -> tuple[int, str | None]:
    headers = {"x-ms-blob-type": "BlockBlob"}
    response = httpx.put(url, content=b"some bytes", headers=headers, verify=verify)
    return response.status_code, response.headers.get("x-ms-error-code")


def test_a_signature_that_creates_one_blob_does_nothing_else(azurite: AzureServer, blob: BlobClient) -> None:
    url = sas_for(azurite, blob)

    assert put(url) == (201, None)
    assert put(url) == (403, "AuthorizationPermissionMismatch")
    assert put(url.replace("?", "-other?")) == (403, "AuthorizationFailure")
    assert put(url[:-8] + "AAAAAA%3D") == (403, "AuthorizationFailure")


def test_azure_refuses_to_copy_what_has_changed_or_onto_what_exists(
    service: BlobServiceClient, blob: BlobClient
) -> None:
    etag = blob.upload_blob(b"checked")["etag"]
    copy = service.get_blob_client("uploads", f"{blob.blob_name}-copy")
    unchanged = MatchConditions.IfNotModified

    with pytest.raises(HttpResponseError, match="ConditionNotMet"):
        copy.start_copy_from_url(blob.url, source_etag='"0x123"', source_match_condition=unchanged)
    copy.start_copy_from_url(blob.url, source_etag=etag, source_match_condition=unchanged)
    with pytest.raises(HttpResponseError, match="BlobAlreadyExists"):
        copy.start_copy_from_url(blob.url, match_condition=MatchConditions.IfMissing)


def test_azure_copies_block_by_block_what_has_not_changed(
    azurite: AzureServer, service: BlobServiceClient, blob: BlobClient
) -> None:
    etag = blob.upload_blob(b"0123456789")["etag"]
    source = sas_for(azurite, blob, permission=BlobSasPermissions(read=True))
    copy = service.get_blob_client("uploads", f"{blob.blob_name}-copy")

    for number, start in enumerate([0, 5]):
        copy.stage_block_from_url(f"{number}", source, start, 5, headers={"x-ms-source-if-match": etag})
    with pytest.raises(HttpResponseError, match="SourceConditionNotMet"):
        copy.stage_block_from_url("2", source, 0, 5, headers={"x-ms-source-if-match": '"0x123"'})
    copy.commit_block_list([BlobBlock("0"), BlobBlock("1")])

    assert copy.download_blob().readall() == b"0123456789"


def test_azure_answers_a_preflight_for_the_origins_of_its_rules_only(
    azurite: AzureServer, service: BlobServiceClient
) -> None:
    service.set_service_properties(cors=[CorsRule([OURS], ["PUT"], allowed_headers=["*"])])

    def preflight(origin: str) -> httpx.Response:
        headers = {"Origin": origin, "Access-Control-Request-Method": "PUT"}
        return httpx.options(f"{azurite.account_url}/uploads/blob", headers=headers)

    assert preflight(OURS).headers["Access-Control-Allow-Origin"] == OURS
    assert preflight(THEIRS).status_code == 403
    service.set_service_properties(cors=[])


def test_a_wrong_account_key_is_refused(azurite: AzureServer) -> None:
    wrong = azurite.connection_string.replace("AccountKey=Eby8", "AccountKey=AAAA")
    with (
        BlobServiceClient.from_connection_string(wrong, retry_total=0) as service,
        pytest.raises(HttpResponseError, match="AuthorizationFailure"),
    ):
        service.get_blob_client("uploads", "blob").upload_blob(b"some bytes")


def test_azurite_keeps_its_blobs_while_it_is_stopped(azurite: AzureServer, blob: BlobClient) -> None:
    blob.upload_blob(b"some bytes")

    azurite.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(azurite.account_url)
    azurite.start()

    assert blob.download_blob().readall() == b"some bytes"


def test_azurite_tells_what_it_was_asked(azurite: AzureServer, blob: BlobClient) -> None:
    url = sas_for(azurite, blob)
    path = f"/devstoreaccount1/uploads/{blob.blob_name}"

    put(url)
    put(url)

    told = [request for request in azurite.requests() if request.path == path]
    assert [(request.method, request.status) for request in told] == [("PUT", 201), ("PUT", 403)]


def test_a_user_delegation_key_signs_uploads_and_copies(azurite_oauth: OAuthAzureServer, key: str) -> None:
    verify = str(azurite_oauth.ca_file)
    now = datetime.now(UTC)
    with BlobServiceClient(
        azurite_oauth.account_url,
        credential=azurite_oauth.credential(),
        connection_verify=verify,
        retry_total=0,
    ) as service:
        delegated = service.get_user_delegation_key(now - timedelta(minutes=5), now + timedelta(hours=1))
        signed_by = {"account_key": None, "user_delegation_key": delegated}
        blob = service.get_blob_client("uploads", key)
        copy = service.get_blob_client("uploads", f"{key}-copy")
        reading = BlobSasPermissions(read=True)

        upload_url = sas_for(azurite_oauth, blob, **signed_by)
        context = ssl.create_default_context(cafile=verify)
        assert put(upload_url, context) == (201, None)
        assert put(upload_url, context) == (403, "AuthorizationPermissionMismatch")
        copy.start_copy_from_url(sas_for(azurite_oauth, blob, permission=reading, **signed_by))

        assert copy.download_blob().readall() == b"some bytes"
