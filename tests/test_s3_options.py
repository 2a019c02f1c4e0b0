"""django-storages' options mean for aioboto3 what they mean for boto3."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from aiobotocore.config import AioConfig
from botocore import UNSIGNED
from botocore.config import Config
from django.core.exceptions import ImproperlyConfigured
from django.test import override_settings

from async_uploads.storage.s3 import S3AsyncUploadStorage
from tests.s3_storage import CONTENT, content_of, put, storage_on
from tests.servers.seaweedfs import S3Server

NAME = "documents/report.pdf"


async def config_of(**options: Any) -> Any:
    storage = S3AsyncUploadStorage(bucket_name="uploads", access_key="key", secret_key="secret", **options)
    return (await storage.aclient()).meta.config


async def test_somebody_who_waits_is_not_kept_waiting_for_minutes() -> None:
    config = await config_of()

    assert (config.connect_timeout, config.read_timeout) == (5, 30)
    assert (config.retries["mode"], config.retries["total_max_attempts"]) == ("standard", 3)
    assert config.max_pool_connections == 100


async def test_a_copy_may_take_longer_unless_the_project_says_otherwise() -> None:
    patient = S3AsyncUploadStorage(bucket_name="uploads", access_key="key", secret_key="secret")
    impatient = S3AsyncUploadStorage(
        bucket_name="uploads", access_key="key", secret_key="secret", client_config=Config(read_timeout=7)
    )

    timeouts = [(await storage.acopier()).meta.config.read_timeout for storage in (patient, impatient)]

    assert timeouts == [300, 7]


@pytest.mark.parametrize("kind", [Config, AioConfig])
async def test_what_the_projects_config_says_counts(kind: type[Config]) -> None:
    config = await config_of(
        client_config=kind(
            connect_timeout=1,
            retries={"max_attempts": 9, "mode": "adaptive"},
            s3={"addressing_style": "virtual"},
            signature_version="s3",
            proxies={"https": "http://proxy.example"},
        )
    )

    assert (config.connect_timeout, config.read_timeout) == (1, 30)
    assert config.retries["mode"] == "adaptive"
    assert config.retries["total_max_attempts"] == 10
    assert config.s3["addressing_style"] == "virtual"
    assert config.signature_version == "s3"
    assert config.proxies == {"https": "http://proxy.example"}


async def test_what_only_aioboto3_knows_is_kept() -> None:
    config = await config_of(client_config=AioConfig(connector_args={"keepalive_timeout": 3}))

    assert config.connector_args == {"keepalive_timeout": 3}


async def test_single_options_count_without_a_config() -> None:
    config = await config_of(
        addressing_style="path",
        signature_version="s3",
        proxies={"https": "http://proxy.example"},
        region_name="eu-central-1",
    )

    assert config.s3["addressing_style"] == "path"
    assert config.signature_version == "s3"
    assert config.proxies == {"https": "http://proxy.example"}
    assert config.region_name == "eu-central-1"


async def test_without_tls_where_the_project_says_so() -> None:
    storage = S3AsyncUploadStorage(bucket_name="uploads", access_key="k", secret_key="s", use_ssl=False)

    assert (await storage.aclient()).meta.endpoint_url == "http://s3.amazonaws.com"


async def test_settings_count_as_options_do(seaweedfs: S3Server) -> None:
    with override_settings(
        AWS_S3_ENDPOINT_URL=seaweedfs.endpoint_url,
        AWS_S3_ACCESS_KEY_ID=seaweedfs.app.access_key,
        AWS_S3_SECRET_ACCESS_KEY=seaweedfs.app.secret_key,
        AWS_STORAGE_BUCKET_NAME=seaweedfs.bucket,
        AWS_LOCATION="by-settings",
        AWS_S3_ADDRESSING_STYLE="path",
    ):
        storage = S3AsyncUploadStorage()

    await put(storage, NAME)

    assert storage.key_of(NAME) == f"by-settings/{NAME}"
    assert await content_of(storage, NAME) == CONTENT


async def test_a_profile_gives_the_credentials(
    seaweedfs: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text(
        "[default]\naws_access_key_id = nobody\naws_secret_access_key = nothing\n\n"
        f"[ours]\naws_access_key_id = {seaweedfs.app.access_key}\n"
        f"aws_secret_access_key = {seaweedfs.app.secret_key}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    storage = storage_on(seaweedfs, access_key=None, secret_key=None, session_profile="ours")

    await put(storage, NAME)

    assert await content_of(storage, NAME) == CONTENT


async def test_without_credentials_of_its_own_the_default_chain_is_asked(
    seaweedfs: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    credentials = tmp_path / "credentials"
    credentials.write_text(
        f"[default]\naws_access_key_id = {seaweedfs.app.access_key}\n"
        f"aws_secret_access_key = {seaweedfs.app.secret_key}\n"
    )
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(credentials))
    storage = storage_on(seaweedfs, access_key=None, secret_key=None)

    await put(storage, NAME)

    assert await content_of(storage, NAME) == CONTENT


async def test_a_session_token_is_sent(seaweedfs: S3Server) -> None:
    temporary = seaweedfs.temporary()
    storage = storage_on(seaweedfs, temporary)

    await put(storage, NAME)
    await storage.acopy_file(NAME, "copy.pdf")

    assert await content_of(storage, "copy.pdf") == CONTENT


async def test_a_public_bucket_needs_no_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    storage = S3AsyncUploadStorage(
        bucket_name="uploads",
        access_key=None,
        secret_key=None,
        client_config=Config(signature_version=UNSIGNED),
    )

    url = await storage.agenerate_download_url(NAME, "field")

    assert "X-Amz-Signature" not in url


def test_an_option_that_nobody_knows_is_refused() -> None:
    with pytest.raises(ImproperlyConfigured, match="multipart_copy_treshold"):
        S3AsyncUploadStorage(bucket_name="uploads", multipart_copy_treshold=5)


@pytest.mark.parametrize("name", ["multipart_copy_threshold", "conditional_writes"])
def test_a_subclass_may_say_it(name: str) -> None:
    """As with all options of django-storages."""
    kind = type("Ours", (S3AsyncUploadStorage,), {name: 0})

    assert getattr(kind(bucket_name="uploads"), name) == 0
