"""S3 that does not answer, or not as it should: one error, one sentence that tells why, and no secrets."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest
from boto3.s3.transfer import TransferConfig
from botocore.config import Config
from django.core.files.base import ContentFile

from tests.s3_faults import (
    EVERY,
    NAME,
    READING,
    SECRETS,
    SIGNING,
    TARGET,
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
    put_temporary,
    storage_on,
)
from tests.servers.proxy import Asked, Proxy
from tests.servers.seaweedfs import S3Server


@pytest.fixture(autouse=True)
def telling_nothing(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """In whatever a test has logged, at any level that our own logger has, there are no secrets."""
    with caplog.at_level(logging.DEBUG, logger="async_uploads"):
        yield
    assert not [secret for secret in SECRETS if secret in caplog.text]


class TestStopped:
    """One test, as starting takes a while."""

    async def test_nothing_but_signing_works(self, seaweedfs: S3Server) -> None:
        storage = storage_on(seaweedfs, client_config=impatient)
        await put(storage, NAME)
        seaweedfs.stop()

        reasons = [await refusal(verb, storage) for verb in EVERY.values()]
        signed = [await verb(storage) for verb in SIGNING.values()]

        where = f"bucket uploads at {host_of(seaweedfs)}"
        assert {reason.partition(" (")[0] for reason in reasons} == {
            "The server cannot be reached: is it up, and AWS_S3_ENDPOINT_URL right?"
        }
        assert all(reason.endswith(f"(EndpointConnectionError; {where}).") for reason in reasons)
        assert len(signed) == 2
        seaweedfs.start()
        assert await content_of(storage, NAME) == CONTENT  # the same client: nothing has to be restarted


async def test_signing_asks_the_server_nothing(seaweedfs: S3Server, seaweedfs_proxy: Proxy) -> None:
    storage = storage_on(seaweedfs, endpoint_url=seaweedfs_proxy.url)

    for verb in SIGNING.values():
        await verb(storage)

    assert seaweedfs_proxy.requests() == []


@every_verb
async def test_a_server_that_hangs_is_given_up(seaweedfs: S3Server, verb: Verb) -> None:
    storage = storage_on(seaweedfs, client_config=impatient)
    await put(storage, NAME)
    await put(storage, "other.pdf")
    seaweedfs.pause()

    reason = await refusal(verb, storage)

    assert reason.startswith("The server does not answer in time (ReadTimeoutError; bucket uploads at")
    seaweedfs.resume()
    assert await content_of(storage, "other.pdf") == CONTENT


@every_verb
@pytest.mark.parametrize(
    ("status", "code", "sentence"),
    [
        (503, "SlowDown", "The server is overloaded or broken: Reduce your request rate (SlowDown; "),
        (
            500,
            "InternalError",
            "The server is overloaded or broken: Reduce your request rate (InternalError; ",
        ),
        (400, "Whatever", "The server refused the request: Reduce your request rate (Whatever; "),
        (
            400,
            "ExpiredToken",
            "The session token has expired or is not valid: the credentials have to be renewed (",
        ),
        (
            400,
            "AuthorizationHeaderMalformed",
            "The bucket is in another region than AWS_S3_REGION_NAME says (",
        ),
        (403, "InvalidObjectState", "The object is archived and has to be restored first ("),
    ],
)
async def test_what_s3_says_is_handed_on(
    seaweedfs: S3Server, seaweedfs_proxy: Proxy, verb: Verb, status: int, code: str, sentence: str
) -> None:
    """Errors that a whole S3 has, and SeaweedFS cannot be brought to."""
    storage = storage_on(
        seaweedfs, endpoint_url=seaweedfs_proxy.url, client_config=Config(retries={"total_max_attempts": 1})
    )
    message = f"<Error><Code>{code}</Code><Message>Reduce your request rate.</Message></Error>"
    seaweedfs_proxy.answer(status, message.encode(), when=lambda asked: asked.method != "HEAD")
    seaweedfs_proxy.answer(status, when=lambda asked: asked.method == "HEAD")

    reason = await refusal(verb, storage)

    if status < 500 or not reason.endswith(f"({status}; bucket uploads at {host_of(seaweedfs_proxy)})."):
        assert reason.startswith(sentence)


async def test_a_server_that_stumbles_is_asked_again(seaweedfs: S3Server, seaweedfs_proxy: Proxy) -> None:
    storage = storage_on(seaweedfs, endpoint_url=seaweedfs_proxy.url)
    await put(storage, NAME)
    seaweedfs_proxy.answer(503, turns=1)
    assert (await storage.astat(NAME)).size == len(CONTENT)
    seaweedfs_proxy.cut(turns=1)
    assert await storage.aread_range(NAME, 0, 4) == CONTENT[:4]
    seaweedfs_proxy.cut(turns=1)
    await storage.acopy_file(NAME, TARGET)


@every_verb
async def test_a_connection_that_is_always_cut_is_told(
    seaweedfs: S3Server, seaweedfs_proxy: Proxy, verb: Verb
) -> None:
    storage = storage_on(seaweedfs, endpoint_url=seaweedfs_proxy.url, client_config=impatient)
    seaweedfs_proxy.cut()

    reason = await refusal(verb, storage)

    assert "; bucket uploads at" in reason


async def test_bytes_that_break_off_are_no_shorter_file(seaweedfs: S3Server, seaweedfs_proxy: Proxy) -> None:
    storage = storage_on(seaweedfs, endpoint_url=seaweedfs_proxy.url)
    await put(storage, NAME)
    seaweedfs_proxy.rewrite({"Content-Length": "1000"}, when=lambda asked: asked.method == "GET")

    reason = await refusal(READING["read"], storage)

    assert reason.startswith("The connection broke off")


@pytest.mark.parametrize("verb", [READING["stat"], READING["copy"]], ids=["stat", "copy"])
async def test_an_answer_that_is_not_s3s_is_told(
    seaweedfs: S3Server, seaweedfs_proxy: Proxy, verb: Verb
) -> None:
    storage = storage_on(seaweedfs, endpoint_url=seaweedfs_proxy.url)
    seaweedfs_proxy.answer(200)

    reason = await refusal(verb, storage)

    assert reason.startswith("The server's answer is not S3's: is AWS_S3_ENDPOINT_URL right?")


async def test_a_server_that_stops_taking_bytes_is_given_up(
    seaweedfs: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More than the buffers on the way hold: none of aiohttp's timeouts has begun."""
    storage = storage_on(seaweedfs, client_config=impatient)
    monkeypatch.setattr("async_uploads.storage.s3.saving.SLOWEST", 32 * 1024**2)
    transfer = TransferConfig(multipart_threshold=64 * 1024**2)
    storage.transfer_config = transfer
    await put(storage, NAME)
    seaweedfs.pause()

    reason = await refusal(lambda storage: storage.asave(TARGET, ContentFile(b"x" * 48 * 1024**2)), storage)

    assert reason.startswith("The server does not answer in time (TimeoutError; ")
    seaweedfs.resume()
    assert await content_of(storage, NAME) == CONTENT


async def test_what_is_missing_is_no_fault(seaweedfs: S3Server) -> None:
    storage = storage_on(seaweedfs)
    key = await put_temporary(storage)
    await storage.adelete(key)

    for work in (storage.astat(key), storage.aread_range(key, 0, 1), storage.acopy_file(key, TARGET)):
        with pytest.raises(FileNotFoundError) as missing:
            await work
        assert str(missing.value) == key
        assert missing.value.__context__ is None
    await storage.adelete(key)


async def test_a_file_that_arrives_while_it_is_looked_for_was_not_there(
    seaweedfs: S3Server, seaweedfs_proxy: Proxy
) -> None:
    """A HEAD says that something is wrong, and a GET shall say what: it finds the file."""
    storage = storage_on(seaweedfs, endpoint_url=seaweedfs_proxy.url)
    client = seaweedfs.client()

    def reads(asked: Asked) -> bool:
        return asked.method == "GET"

    for content in (CONTENT, b""):
        name = f"late-{len(content)}.pdf"
        seaweedfs_proxy.first(
            lambda name=name, content=content: client.put_object(  # type: ignore[misc]  # a lambda's defaults
                Bucket="uploads", Key=storage.key_of(name), Body=content
            ),
            when=reads,
        )
        with pytest.raises(FileNotFoundError):
            await storage.astat(name)
        assert (await storage.astat(name)).size == len(content)
    client.close()
