"""SeaweedFS refuses what S3 refuses, and servers end with the tests: what the other tests lean on."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import httpx
import pytest
from botocore.exceptions import ClientError

from tests.servers.processes import missing
from tests.servers.seaweedfs import S3Server

OURS, THEIRS = "https://ours.example", "https://theirs.example"
PREFLIGHT = {"Access-Control-Request-Method": "POST"}


@pytest.fixture
def s3(seaweedfs: S3Server) -> Iterator[Any]:
    client = seaweedfs.client()
    yield client
    client.close()


@pytest.fixture
def key() -> str:
    return f"servers/{uuid4()}"


def send(form: dict[str, Any], content: bytes = b"some bytes") -> httpx.Response:
    return httpx.post(form["url"], data=form["fields"], files={"file": content})


def changed(form: dict[str, Any], **fields: str) -> dict[str, Any]:
    return {**form, "fields": {**form["fields"], **fields}}


def refusal_of(response: httpx.Response) -> tuple[int, str]:
    code = response.text.partition("<Code>")[2].partition("</Code>")[0]
    return response.status_code, code


def test_a_form_stores_under_the_key_that_was_signed_and_no_other(s3: Any, key: str) -> None:
    form = s3.generate_presigned_post("uploads", key)

    assert send(form).status_code == 204
    assert s3.head_object(Bucket="uploads", Key=key)["ContentLength"] == 10
    assert refusal_of(send(changed(form, key=f"{key}-other"))) == (403, "AccessDenied")


def test_a_form_takes_no_more_bytes_than_were_signed(s3: Any, key: str) -> None:
    form = s3.generate_presigned_post("uploads", key, Conditions=[["content-length-range", 0, 4]])

    assert refusal_of(send(form, b"12345")) == (400, "EntityTooLarge")
    assert send(form, b"1234").status_code == 204


def test_a_form_with_another_signature_is_refused(s3: Any, key: str) -> None:
    form = s3.generate_presigned_post("uploads", key)

    response = send(changed(form, **{"x-amz-signature": "0" * 64}))

    assert refusal_of(response) == (403, "SignatureDoesNotMatch")


def test_s3_refuses_to_copy_what_has_changed_or_onto_what_exists(s3: Any, key: str) -> None:
    etag = s3.put_object(Bucket="uploads", Key=key, Body=b"checked")["ETag"]
    copy = {"Bucket": "uploads", "Key": f"{key}-copy", "CopySource": {"Bucket": "uploads", "Key": key}}

    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.copy_object(**copy, CopySourceIfMatch='"0123456789abcdef0123456789abcdef"')
    s3.copy_object(**copy, CopySourceIfMatch=etag)
    with pytest.raises(ClientError, match="PreconditionFailed"):
        s3.copy_object(**copy, IfNoneMatch="*")


def test_a_form_can_demand_encryption_with_either_kind_of_key(s3: Any, seaweedfs: S3Server, key: str) -> None:
    ours = {"x-amz-server-side-encryption": "AES256"}
    theirs = {
        "x-amz-server-side-encryption": "aws:kms",
        "x-amz-server-side-encryption-aws-kms-key-id": seaweedfs.kms_key_id,
    }

    for number, fields in enumerate([ours, theirs]):
        conditions = [{name: value} for name, value in fields.items()]
        form = s3.generate_presigned_post("uploads", f"{key}-{number}", Fields=fields, Conditions=conditions)
        plain = {name: value for name, value in form["fields"].items() if name not in fields}
        assert refusal_of(send({**form, "fields": plain})) == (403, "AccessDenied")
        assert send(form).status_code == 204

    assert s3.head_object(Bucket="uploads", Key=f"{key}-0")["ServerSideEncryption"] == "AES256"
    assert s3.head_object(Bucket="uploads", Key=f"{key}-1")["SSEKMSKeyId"] == seaweedfs.kms_key_id


@pytest.mark.parametrize("by_name", [True, False], ids=["by name", "by path"])
def test_a_preflight_is_answered_by_the_rules_of_the_bucket_only(
    seaweedfs: S3Server, s3: Any, by_name: bool
) -> None:
    bucket = seaweedfs.new_bucket(f"cors-{uuid4()}")
    host = seaweedfs.virtual_endpoint_url.replace("http://", f"{bucket}.")

    def preflight(origin: str) -> httpx.Response:
        if by_name:
            headers = {**PREFLIGHT, "Origin": origin, "Host": host}
            return httpx.options(f"{seaweedfs.endpoint_url}/", headers=headers)
        headers = {**PREFLIGHT, "Origin": origin}
        return httpx.options(f"{seaweedfs.endpoint_url}/{bucket}/", headers=headers)

    assert preflight(OURS).status_code == 403
    rule = {"AllowedOrigins": [OURS], "AllowedMethods": ["POST"], "AllowedHeaders": ["*"]}
    s3.put_bucket_cors(Bucket=bucket, CORSConfiguration={"CORSRules": [rule]})

    assert preflight(OURS).headers["Access-Control-Allow-Origin"] == OURS
    assert preflight(THEIRS).status_code == 403
    assert "Access-Control-Allow-Origin" not in preflight(THEIRS).headers


@pytest.mark.usefixtures("localhost_names")
def test_a_bucket_is_found_by_its_host_name(seaweedfs: S3Server, key: str) -> None:
    client = seaweedfs.client(seaweedfs.app, endpoint_url=seaweedfs.virtual_endpoint_url)

    client.put_object(Bucket="uploads", Key=key, Body=b"some bytes")
    url = client.generate_presigned_url("get_object", Params={"Bucket": "uploads", "Key": key})
    client.close()

    assert url.startswith("http://uploads.localhost:")
    assert httpx.get(url).content == b"some bytes"


def test_an_iam_policy_is_the_limit_of_what_its_user_may(seaweedfs: S3Server, key: str) -> None:
    resource = f"arn:aws:s3:::uploads/{key}/*"
    statement = {"Effect": "Allow", "Action": ["s3:PutObject", "s3:GetObject"], "Resource": resource}
    client = seaweedfs.client(seaweedfs.with_policy({"Version": "2012-10-17", "Statement": [statement]}))

    client.put_object(Bucket="uploads", Key=f"{key}/inside", Body=b"some bytes")
    beyond: list[Callable[[], object]] = [
        lambda: client.put_object(Bucket="uploads", Key="outside", Body=b"some bytes"),
        lambda: client.get_object(Bucket="uploads", Key="outside"),
        lambda: client.delete_object(Bucket="uploads", Key=f"{key}/inside"),
        lambda: client.list_objects_v2(Bucket="uploads", Prefix=f"{key}/"),
    ]
    for forbidden in beyond:
        with pytest.raises(ClientError, match="AccessDenied"):
            forbidden()
    assert send(client.generate_presigned_post("uploads", f"{key}/form")).status_code == 204
    assert refusal_of(send(client.generate_presigned_post("uploads", "outside"))) == (403, "AccessDenied")
    client.close()


def test_temporary_credentials_are_worth_nothing_without_their_token(seaweedfs: S3Server, key: str) -> None:
    temporary = seaweedfs.temporary()
    with_token = seaweedfs.client(temporary)
    without = seaweedfs.client(type(temporary)(temporary.access_key, temporary.secret_key))

    with_token.put_object(Bucket="uploads", Key=key, Body=b"some bytes")
    url = with_token.generate_presigned_url("get_object", Params={"Bucket": "uploads", "Key": key})

    assert httpx.get(url).content == b"some bytes"
    with pytest.raises(ClientError, match="InvalidAccessKeyId"):
        without.put_object(Bucket="uploads", Key=key, Body=b"some bytes")
    with_token.close()
    without.close()


def test_the_gateway_tells_what_it_was_asked_and_by_whom(seaweedfs: S3Server, s3: Any, key: str) -> None:
    form = s3.generate_presigned_post("uploads", f"{key}-form")
    headers = {"User-Agent": f"browser of {key}"}

    httpx.post(form["url"], data=form["fields"], files={"file": b"some bytes"}, headers=headers)
    httpx.get(f"{seaweedfs.endpoint_url}/uploads/{key}", headers=headers)

    told = [request for request in seaweedfs.requests() if request.agent == f"browser of {key}"]
    assert [(request.method, request.path, request.status) for request in told] == [
        ("POST", "/uploads", 204),
        ("GET", f"/uploads/{key}", 403),
    ]


def test_s3_keeps_its_objects_while_it_is_stopped(seaweedfs: S3Server, s3: Any, key: str) -> None:
    s3.put_object(Bucket="uploads", Key=key, Body=b"some bytes")

    seaweedfs.stop()
    with pytest.raises(httpx.ConnectError):
        httpx.get(seaweedfs.endpoint_url)
    seaweedfs.start()

    assert s3.get_object(Bucket="uploads", Key=key)["Body"].read() == b"some bytes"


def test_a_paused_server_takes_connections_and_does_not_answer(seaweedfs: S3Server) -> None:
    seaweedfs.pause()
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{seaweedfs.endpoint_url}/status", timeout=1)

    seaweedfs.resume()

    assert httpx.get(f"{seaweedfs.endpoint_url}/status", timeout=30).status_code == 200


# The processes


def test_what_is_missing_fails_under_ci_and_skips_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match=r"Azurite is missing\. Get it"):
        missing("Azurite", "Get it")

    monkeypatch.delenv("CI")
    with pytest.raises(pytest.skip.Exception, match=r"Azurite is missing\. Get it"):
        missing("Azurite", "Get it")


STARTS_AND_WAITS = """
import pathlib, sys, time
from tests.servers.processes import Process
process = Process(["sh", "-c", "echo up; exec sleep 600"], pathlib.Path(sys.argv[1]))
process.start()
while not process.log.read_text():
    time.sleep(0.02)
process.pause()
print(process.pid, flush=True)
time.sleep(600)
"""


def test_a_server_ends_with_the_tests_even_if_they_are_killed(tmp_path: Path) -> None:
    tests = subprocess.Popen(
        [sys.executable, "-c", STARTS_AND_WAITS, str(tmp_path / "log")], stdout=subprocess.PIPE
    )
    assert tests.stdout is not None
    server = int(tests.stdout.readline())
    assert runs(server)

    tests.send_signal(signal.SIGKILL)
    tests.communicate()

    deadline = time.monotonic() + 20
    while runs(server):
        assert time.monotonic() < deadline, "The server has outlived the tests."
        time.sleep(0.02)


def runs(pid: int) -> bool:
    """One that has ended may still wait for someone to ask how."""
    asked = ["ps", "-o", "stat=", "-p", str(pid)]
    state = subprocess.run(asked, check=False, capture_output=True, text=True).stdout
    return state.strip()[:1] not in ("", "Z")
