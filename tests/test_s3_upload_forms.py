"""The form that a browser sends to S3: what was signed, and what an attacker can make of it."""

from __future__ import annotations

import pytest
from botocore.config import Config
from django.core.exceptions import SuspiciousFileOperation

from async_uploads.storage.s3 import S3AsyncUploadStorage
from tests.s3_storage import (
    CONTENT,
    code_in,
    content_of,
    keys_in,
    policy_of,
    send_form,
    storage_on,
    stored,
    ticket_for,
)
from tests.servers.seaweedfs import S3Server

KEY = "async-temp-files/2026/11/22/token-report.pdf"


@pytest.fixture
def storage(seaweedfs: S3Server) -> S3AsyncUploadStorage:
    return storage_on(seaweedfs)


async def test_a_browser_stores_the_file_with_the_ticket_alone(storage: S3AsyncUploadStorage) -> None:
    ticket = await ticket_for(storage, KEY, content_type="application/pdf")

    response = await send_form(ticket)

    assert response.status_code == 201
    assert (ticket["method"], ticket["provider"], ticket["headers"]) == ("POST", "s3", {})
    assert await content_of(storage, KEY) == CONTENT
    assert (await storage.astat(KEY)).content_type == "application/pdf"


async def test_the_policy_names_every_field_exactly(storage: S3AsyncUploadStorage) -> None:
    ticket = await ticket_for(storage, KEY, max_size=1000, content_type="application/pdf")

    conditions = policy_of(ticket)["conditions"]

    exact = {name: value for each in conditions if isinstance(each, dict) for name, value in each.items()}
    signed_elsewhere = {"policy", "x-amz-signature"}
    assert exact.pop("bucket") == "uploads"
    assert exact == {name: ticket["fields"][name] for name in ticket["fields"].keys() - signed_elsewhere}
    assert [each for each in conditions if not isinstance(each, dict)] == [["content-length-range", 0, 1000]]


async def test_the_largest_file_is_taken_and_a_byte_more_is_not(storage: S3AsyncUploadStorage) -> None:
    ticket = await ticket_for(storage, KEY, max_size=1000)

    too_large = await send_form(ticket, b"x" * 1001)
    assert not await storage.aexists(KEY)
    largest = await send_form(ticket, b"x" * 1000)

    assert (too_large.status_code, code_in(too_large)) == (400, "EntityTooLarge")
    assert largest.status_code == 201


async def test_without_a_limit_any_size_is_taken(storage: S3AsyncUploadStorage) -> None:
    ticket = await ticket_for(storage, KEY, max_size=None)

    response = await send_form(ticket, b"x" * 100_000)

    assert response.status_code == 201
    assert "content-length-range" not in str(policy_of(ticket))


@pytest.mark.parametrize(
    "changed",
    [
        {"key": "another.pdf"},
        {"key": "${filename}"},
        {"Content-Type": "text/html"},
        {"Content-Type": None},
        {"x-amz-meta-owner": "somebody"},
        {"x-amz-meta-async-uploads-source": "forged"},
        {"x-amz-storage-class": "STANDARD_IA"},
        {"x-amz-server-side-encryption": "AES256"},
        {"x-amz-date": "20991122T000000Z"},
        {"x-amz-credential": "other-key/20261122/us-east-1/s3/aws4_request"},
        {"x-amz-signature": "0" * 64},
    ],
    ids=str,
)
async def test_a_form_that_was_tampered_with_is_refused(
    storage: S3AsyncUploadStorage, seaweedfs: S3Server, changed: dict[str, str | None]
) -> None:
    """S3 refuses any field that is not in the policy; SeaweedFS overlooks those without x-amz."""
    ticket = await ticket_for(storage, KEY, content_type="application/pdf")

    response = await send_form(ticket, changed=changed)

    assert 400 <= response.status_code < 500, response.text
    assert keys_in(seaweedfs, f"{storage.location}/") == []


async def test_a_policy_that_was_rewritten_is_refused(
    storage: S3AsyncUploadStorage, seaweedfs: S3Server
) -> None:
    ticket = await ticket_for(storage, KEY)
    other = await ticket_for(storage_on(seaweedfs, secret_key="guessed", location=storage.location), "x")

    rewritten = {"key": other["fields"]["key"], "policy": other["fields"]["policy"]}

    response = await send_form(ticket, changed=rewritten)

    assert response.status_code == 403
    assert keys_in(seaweedfs, f"{storage.location}/") == []


async def test_the_name_of_the_sent_file_does_not_choose_the_key(
    storage: S3AsyncUploadStorage, seaweedfs: S3Server
) -> None:
    ticket = await ticket_for(storage, KEY)
    folder = KEY.rpartition("/")[0]

    refused = await send_form(
        ticket, filename="other.pdf", changed={"key": f"{storage.location}/{folder}/${{filename}}"}
    )
    taken = await send_form(ticket, filename="../../${filename}")

    assert 400 <= refused.status_code < 500
    assert taken.status_code == 201
    assert keys_in(seaweedfs, f"{storage.location}/") == [storage.key_of(KEY)]


@pytest.mark.parametrize(
    ("location", "name"),
    [
        ("", "async-temp-files/2026/11/22/token-${filename}"),
        ("", "async-temp-files/${filename}"),
        ("", "async-temp-files/${filename}/report.pdf"),
        ("", "async-temp-files/${anything}"),
        ("tenants/${filename}", KEY),
    ],
)
async def test_a_name_that_stands_for_many_is_not_signed(
    seaweedfs: S3Server, location: str, name: str
) -> None:
    storage = storage_on(seaweedfs, location=location)

    with pytest.raises(SuspiciousFileOperation):
        await ticket_for(storage, name)


async def test_names_that_look_like_policy_syntax_are_signed_as_they_are(
    storage: S3AsyncUploadStorage, seaweedfs: S3Server
) -> None:
    names = [
        'quote"},["starts-with","$key",""],{"x":"y.txt',
        "dollar$.txt",
        "braces{filename}.txt",
        "back\\.txt",
    ]

    for name in names:
        ticket = await ticket_for(storage, f"async-temp-files/{name}")
        assert (await send_form(ticket, changed={"key": "another.pdf"})).status_code == 403
        assert [condition for condition in policy_of(ticket)["conditions"] if "key" in condition] == [
            {"key": ticket["fields"]["key"]}
        ]

    assert keys_in(seaweedfs, "another.pdf") == []


async def test_encryption_is_part_of_the_form_and_cannot_be_left_out(seaweedfs: S3Server) -> None:
    storage = storage_on(seaweedfs, object_parameters={"ServerSideEncryption": "AES256"})
    ticket = await ticket_for(storage, KEY)

    left_out = await send_form(ticket, changed={"x-amz-server-side-encryption": None})
    sent = await send_form(ticket)

    assert left_out.status_code == 403
    assert sent.status_code == 201
    assert (await stored(storage, KEY))["ServerSideEncryption"] == "AES256"


async def test_encryption_by_a_key_of_kms_is_part_of_the_form(seaweedfs: S3Server) -> None:
    kms = {
        "ServerSideEncryption": "aws:kms",
        "SSEKMSKeyId": seaweedfs.kms_key_id,
        "SSEKMSEncryptionContext": "eyJhIjogImIifQ==",
        "BucketKeyEnabled": True,
    }
    storage = storage_on(
        seaweedfs, object_parameters={**kms, "CacheControl": "no-store"}, default_acl="public-read"
    )
    ticket = await ticket_for(storage, KEY)

    response = await send_form(ticket)

    assert {name: value for name, value in ticket["fields"].items() if "encryption" in name} == {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": seaweedfs.kms_key_id,
        "x-amz-server-side-encryption-context": "eyJhIjogImIifQ==",
        "x-amz-server-side-encryption-bucket-key-enabled": "true",
    }
    assert response.status_code == 201
    found = await stored(storage, KEY)
    assert (found["ServerSideEncryption"], found["SSEKMSKeyId"]) == ("aws:kms", seaweedfs.kms_key_id)


async def test_what_is_temporary_stays_private(seaweedfs: S3Server) -> None:
    """ACL, cache and the customer's own key are for the final object."""
    storage = storage_on(
        seaweedfs,
        default_acl="public-read",
        object_parameters={
            "ACL": "public-read",
            "CacheControl": "public",
            "SSECustomerAlgorithm": "AES256",
            "SSECustomerKey": "k" * 32,
        },
    )

    ticket = await ticket_for(storage, KEY)

    assert set(ticket["fields"]) == {
        "key",
        "success_action_status",
        "x-amz-algorithm",
        "x-amz-credential",
        "x-amz-date",
        "policy",
        "x-amz-signature",
    }
    assert (await send_form(ticket)).status_code == 201
    assert (await storage.astat(KEY)).size == len(CONTENT)


async def test_a_session_token_is_part_of_the_form(seaweedfs: S3Server) -> None:
    storage = storage_on(seaweedfs, security_token="the-session-token")

    ticket = await ticket_for(storage, KEY)

    assert ticket["fields"]["x-amz-security-token"] == "the-session-token"
    assert {"x-amz-security-token": "the-session-token"} in policy_of(ticket)["conditions"]


@pytest.mark.parametrize("version", [None, "s3", "s3v4"])
async def test_forms_are_signed_with_version_4_whatever_urls_are_signed_with(
    seaweedfs: S3Server, version: str | None
) -> None:
    storage = storage_on(seaweedfs, signature_version=version)

    ticket = await ticket_for(storage, KEY)

    assert ticket["fields"]["x-amz-algorithm"] == "AWS4-HMAC-SHA256"
    assert (await send_form(ticket)).status_code == 201


@pytest.mark.parametrize("as_config", [False, True], ids=["option", "client-config"])
async def test_virtual_addressing_puts_the_bucket_into_the_host(seaweedfs: S3Server, as_config: bool) -> None:
    style = {"addressing_style": "virtual"}
    through = {"http": seaweedfs.endpoint_url}  # no name server knows the host: the server is its own proxy
    options = (
        {"client_config": Config(s3=style, proxies=through)} if as_config else {**style, "proxies": through}
    )
    storage = storage_on(seaweedfs, endpoint_url=seaweedfs.virtual_endpoint_url, **options)
    ticket = await ticket_for(storage, KEY)

    response = await send_form(ticket, proxy=seaweedfs.endpoint_url)

    assert ticket["url"].startswith(seaweedfs.virtual_endpoint_url.replace("//", "//uploads."))
    assert response.status_code == 201
    assert await content_of(storage, KEY) == CONTENT
    assert keys_in(seaweedfs, storage.location) == [storage.key_of(KEY)]


@pytest.mark.parametrize(
    ("options", "url"),
    [
        ({}, "https://uploads.s3.amazonaws.com/"),
        ({"region_name": "eu-central-1"}, "https://uploads.s3.eu-central-1.amazonaws.com/"),
        (
            {"region_name": "eu-central-1", "addressing_style": "path"},
            "https://s3.eu-central-1.amazonaws.com/uploads",
        ),
        ({"endpoint_url": "https://s3.example.com"}, "https://s3.example.com/uploads"),
        (
            {"endpoint_url": "https://s3.example.com", "addressing_style": "virtual"},
            "https://uploads.s3.example.com/",
        ),
        (
            {"endpoint_url": "https://example.com:9000", "addressing_style": "path"},
            "https://example.com:9000/uploads",
        ),
    ],
)
async def test_the_form_goes_to_where_the_bucket_is(options: dict[str, str], url: str) -> None:
    storage = S3AsyncUploadStorage(bucket_name="uploads", access_key="key", secret_key="secret", **options)

    ticket = await ticket_for(storage, KEY)

    assert ticket["url"] == f"{url.rstrip('/')}/", "below the bucket, where its CORS rules hold"
