"""S3 that lets nobody in, since something is configured wrongly: one sentence that tells what to mend."""

from __future__ import annotations

import datetime
import logging
from collections.abc import Iterator
from typing import Any

import botocore.auth
import pytest

from tests.s3_faults import (
    EVERY,
    NAME,
    READING,
    SECRETS,
    SIGNING,
    TARGET,
    WRITING,
    Verb,
    every_verb,
    host_of,
    impatient,
    refusal,
)
from tests.s3_storage import (
    CONTENT,
    content_of,
    put,
    storage_on,
)
from tests.servers.seaweedfs import S3Server


@pytest.fixture(autouse=True)
def telling_nothing(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """In whatever a test has logged, at any level that our own logger has, there are no secrets."""
    with caplog.at_level(logging.DEBUG, logger="async_uploads"):
        yield
    assert not [secret for secret in SECRETS if secret in caplog.text]


@every_verb
@pytest.mark.parametrize(
    ("options", "sentence", "code"),
    [
        (
            {"secret_key": "wrong-secret"},
            "The secret key does not belong to the access key: mend AWS_S3_SECRET_ACCESS_KEY",
            "SignatureDoesNotMatch",
        ),
        (
            {"access_key": "unknown-key"},
            "The access key is not known there: mend AWS_S3_ACCESS_KEY_ID",
            "InvalidAccessKeyId",
        ),
        (
            {"bucket_name": "another"},
            "The credentials may not do this: see the permissions that S3AsyncUploadStorage needs",
            "AccessDenied",
        ),
        (
            {"secret_key": None},
            "Half of the credentials are missing: set AWS_S3_ACCESS_KEY_ID and AWS_S3_SECRET_ACCESS_KEY",
            "PartialCredentialsError",
        ),
    ],
    ids=["wrong-secret", "unknown-key", "not-ours", "half"],
)
async def test_wrong_credentials_are_told_apart(
    seaweedfs: S3Server, verb: Verb, options: dict[str, Any], sentence: str, code: str
) -> None:
    storage = storage_on(seaweedfs, **options)

    reason = await refusal(verb, storage)

    assert reason == f"{sentence} ({code}; bucket {storage.bucket_name} at {host_of(seaweedfs)})."


@pytest.mark.parametrize("verb", [*READING.values(), WRITING["delete"]], ids=[*READING, "delete"])
async def test_a_missing_bucket_is_named(seaweedfs: S3Server, verb: Verb) -> None:
    """SeaweedFS makes it for an administrator who writes, and hides it from everybody else."""
    storage = storage_on(seaweedfs, seaweedfs.admin, bucket_name="nowhere")

    reason = await refusal(verb, storage)

    assert reason == (
        "The bucket does not exist: create it, or mend AWS_STORAGE_BUCKET_NAME "
        f"(NoSuchBucket; bucket nowhere at {host_of(seaweedfs)})."
    )


async def test_a_bucket_that_nobody_has_named_is_told(seaweedfs: S3Server) -> None:
    storage = storage_on(seaweedfs, bucket_name=None)

    reasons = {await refusal(verb, storage) for verb in (EVERY | SIGNING).values()}

    assert reasons == {"No bucket is named: set AWS_STORAGE_BUCKET_NAME."}


@every_verb
async def test_a_clock_that_is_wrong_is_told(
    seaweedfs: S3Server, monkeypatch: pytest.MonkeyPatch, verb: Verb
) -> None:
    storage = storage_on(seaweedfs)
    now = botocore.auth.get_current_datetime

    def twenty_minutes_ago() -> datetime.datetime:
        earlier: datetime.datetime = now() - datetime.timedelta(minutes=20)
        return earlier

    monkeypatch.setattr(botocore.auth, "get_current_datetime", twenty_minutes_ago)

    reason = await refusal(verb, storage)

    assert reason.startswith("This machine's clock or the server's is wrong: set it (RequestTimeTooSkewed")


@pytest.mark.parametrize("verb", [*WRITING.values(), READING["copy"]], ids=[*WRITING, "copy"])
async def test_credentials_that_may_only_read_are_told_so(seaweedfs: S3Server, verb: Verb) -> None:
    owner = storage_on(seaweedfs)
    await put(owner, NAME)
    reads = {
        "Effect": "Allow",
        "Action": ["s3:GetObject", "s3:ListBucket"],
        "Resource": "arn:aws:s3:::uploads*",
    }
    reader = seaweedfs.with_policy({"Version": "2012-10-17", "Statement": [reads]})
    storage = storage_on(seaweedfs, reader, location=owner.location)
    assert (await storage.astat(NAME)).size == len(CONTENT)

    reason = await refusal(verb, storage)

    assert reason.startswith("The credentials may not do this")
    assert await content_of(owner, NAME) == CONTENT
    assert not await owner.aexists(TARGET)


async def test_no_credentials_at_all_are_told(
    seaweedfs: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Any
) -> None:
    for name, value in {
        "AWS_EC2_METADATA_DISABLED": "true",
        "AWS_SHARED_CREDENTIALS_FILE": str(tmp_path / "none"),
        "AWS_CONFIG_FILE": str(tmp_path / "none"),
    }.items():
        monkeypatch.setenv(name, value)
    storage = storage_on(seaweedfs, access_key=None, secret_key=None)

    reasons = {await refusal(verb, storage) for verb in (EVERY | SIGNING).values()}

    assert len(reasons) == 1
    assert reasons.pop().startswith("There are no credentials: set AWS_S3_ACCESS_KEY_ID and")


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"endpoint_url": "not a url"}, "AWS_S3_ENDPOINT_URL is not a URL."),
        (
            {"session_profile": "nobody"},
            "There is no such profile: mend AWS_S3_SESSION_PROFILE (ProfileNotFound; ",
        ),
        ({"region_name": "not a region"}, "The request could not be made (InvalidRegionError; "),
        (
            {"object_parameters": {"RequestPayer": ["app-secret"]}},
            "S3 takes no such parameters: RequestPayer (",
        ),
        (
            {"proxies": {"http": "http://user:app-secret@127.0.0.1:1"}},
            "The proxy cannot be reached: see AWS_S3_PROXIES",
        ),
    ],
    ids=["endpoint", "profile", "region", "parameters", "proxy"],
)
async def test_wrong_settings_are_told(
    seaweedfs: S3Server, monkeypatch: pytest.MonkeyPatch, options: dict[str, Any], sentence: str
) -> None:
    if "session_profile" in options:
        options = {**options, "access_key": None, "secret_key": None}
    storage = storage_on(seaweedfs, **options)

    for verb in EVERY.values():
        assert (await refusal(verb, storage)).startswith(sentence)


async def test_a_server_without_tls_is_told(seaweedfs: S3Server) -> None:
    storage = storage_on(
        seaweedfs, endpoint_url=seaweedfs.endpoint_url.replace("http:", "https:"), client_config=impatient
    )

    for verb in EVERY.values():
        assert "server" in await refusal(verb, storage)
