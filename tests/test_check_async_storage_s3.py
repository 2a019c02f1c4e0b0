"""``check_async_storage`` on S3: what it says where everything is right, and of each thing that can be wrong."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

import pytest

from async_uploads.storage.s3 import S3AsyncUploadStorage
from tests.s3_storage import keys_in
from tests.servers.processes import free_ports
from tests.servers.proxy import Asked, Proxy
from tests.servers.seaweedfs import S3Server
from tests.storage_checks import check_async_storage, configure_s3, s3_cors_rules

SITE = "https://example.com"
UPLOAD = "uploading as a browser does"
CORS = f"letting pages of {SITE} upload (CORS)"
LATE = "Thu, 01 Oct 2026 12:00:00 GMT"


def rule(**changed: list[str]) -> dict[str, Any]:
    return {"AllowedOrigins": [SITE], "AllowedMethods": ["POST"], "AllowedHeaders": ["*"], **changed}


@pytest.mark.usefixtures("localhost_names")
def test_storage_that_works_is_told_so_and_left_as_it_was(settings: Any, seaweedfs: S3Server) -> None:
    folder = configure_s3(
        settings, seaweedfs, endpoint_url=seaweedfs.virtual_endpoint_url, addressing_style="virtual"
    )
    before = keys_in(seaweedfs, "")

    with s3_cors_rules(seaweedfs, rule()):
        checked = check_async_storage("tried", "--origin", f"{SITE}/")

    assert checked.code == 0, checked.told
    assert checked.errors == ""
    assert checked.steps("skipped") == []
    assert checked.steps("ok")[-3:] == [
        "not copying swapped bytes",
        "downloading as a browser does",
        "deleting",
    ]
    assert keys_in(seaweedfs, "") == before
    written = {r.path for r in seaweedfs.requests() if f"/{folder}/" in r.path and r.method == "PUT"}
    assert written  # in its folder


@pytest.mark.parametrize(
    "wrong",
    [
        {"AllowedOrigins": ["https://example.org"]},
        {"AllowedMethods": ["GET"]},
    ],
    ids=["another-origin", "another-method"],
)
@pytest.mark.usefixtures("localhost_names")
def test_cors_rule_that_does_not_let_the_site_in_is_told(
    settings: Any, seaweedfs: S3Server, wrong: dict[str, list[str]]
) -> None:
    configure_s3(settings, seaweedfs, endpoint_url=seaweedfs.virtual_endpoint_url, addressing_style="virtual")

    with s3_cors_rules(seaweedfs, rule(**wrong)):
        checked = check_async_storage("tried", "--origin", SITE)

    assert checked.code == 1
    assert checked.steps("wrong") == [CORS]
    assert "the preflight" in checked.line(CORS)
    assert f"Put a CORS rule on the bucket that allows the origin {SITE}, the method POST" in checked.told


def test_cors_rule_is_found_where_the_path_names_the_bucket(settings: Any, seaweedfs: S3Server) -> None:
    configure_s3(settings, seaweedfs, addressing_style="path")

    with s3_cors_rules(seaweedfs, rule()):
        checked = check_async_storage("tried", "--origin", SITE)

    assert checked.line(CORS).startswith("ok"), checked.told


def test_preflight_that_is_not_answered_is_told(
    settings: Any, seaweedfs: S3Server, seaweedfs_proxy: Proxy
) -> None:
    seaweedfs_proxy.cut(when=lambda asked: asked.method == "OPTIONS")
    configure_s3(settings, seaweedfs, endpoint_url=seaweedfs_proxy.url)

    checked = check_async_storage("tried", "--origin", SITE)

    assert checked.steps("wrong") == [CORS]
    assert "no answer to the preflight" in checked.line(CORS)
    assert f"allows the origin {SITE}" in checked.line(CORS)


def test_without_an_origin_the_person_is_told_how_to_give_one(settings: Any, seaweedfs: S3Server) -> None:
    configure_s3(settings, seaweedfs)

    checked = check_async_storage("tried")

    assert checked.code == 0
    assert checked.steps("skipped") == ["letting your pages upload (CORS)"]
    assert "--origin https://example.com" in checked.told


def test_wrong_secret_is_told_with_the_setting_to_mend_and_not_printed(
    settings: Any, seaweedfs: S3Server
) -> None:
    secret = token_hex(20)
    configure_s3(settings, seaweedfs, secret_key=secret)

    checked = check_async_storage("tried", "--origin", SITE)

    assert checked.code == 1
    assert "refused with HTTP 403 SignatureDoesNotMatch" in checked.line(UPLOAD)
    assert "AWS_S3_SECRET_ACCESS_KEY" in checked.line(UPLOAD)
    assert "AWS_S3_SECRET_ACCESS_KEY" in checked.line("asking for a file that is not there")
    assert checked.line("copying").startswith("skipped")
    for hidden in (secret, seaweedfs.app.secret_key, "X-Amz-Signature", "StringToSign"):
        assert hidden not in checked.told


def test_bucket_that_is_missing_is_told(settings: Any, seaweedfs: S3Server) -> None:
    missing = f"missing-{token_hex(4)}"
    everything = {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Action": ["s3:GetObject", "s3:PutObject", "s3:DeleteObject"],
                "Resource": f"arn:aws:s3:::{missing}/*",
            }
        ],
    }
    who = seaweedfs.with_policy(everything, bucket=missing)
    configure_s3(settings, seaweedfs, who, bucket_name=missing)

    checked = check_async_storage("tried")

    assert checked.code == 1
    assert "AWS_STORAGE_BUCKET_NAME" in checked.line("asking for a file that is not there")
    assert missing in checked.told


def test_server_that_is_down_is_told_once_for_each_way_to_it(settings: Any, seaweedfs: S3Server) -> None:
    configure_s3(settings, seaweedfs, endpoint_url=f"http://127.0.0.1:{free_ports(1)[0]}")

    checked = check_async_storage("tried", "--origin", SITE)

    assert checked.code == 1
    assert checked.steps("wrong") == ["asking for a file that is not there", UPLOAD]
    assert "no answer: Connection refused. Check the options endpoint_url" in checked.line(UPLOAD)
    assert "the storage did not answer" in checked.line(CORS)


def test_identity_that_may_only_read_is_told_what_it_needs(settings: Any, seaweedfs: S3Server) -> None:
    bucket = "arn:aws:s3:::uploads"
    reading = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:ListBucket"]}
    who = seaweedfs.with_policy(
        {"Version": "2012-10-17", "Statement": [{**reading, "Resource": [bucket, f"{bucket}/*"]}]}
    )
    folder = configure_s3(settings, seaweedfs, who)

    checked = check_async_storage("tried")

    assert checked.code == 1
    assert checked.line("asking for a file that is not there").startswith("ok")
    assert "refused with HTTP 403 AccessDenied" in checked.line(UPLOAD)
    assert "the IAM policy in docs/storages.md" in checked.line(UPLOAD)
    assert keys_in(seaweedfs, folder) == []


def test_identity_that_may_not_delete_is_told_what_it_left(settings: Any, seaweedfs: S3Server) -> None:
    bucket = "arn:aws:s3:::uploads"
    allowed = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:PutObject", "s3:ListBucket"]}
    who = seaweedfs.with_policy(
        {"Version": "2012-10-17", "Statement": [{**allowed, "Resource": [bucket, f"{bucket}/*"]}]}
    )
    folder = configure_s3(settings, seaweedfs, who)

    checked = check_async_storage("tried")

    assert checked.steps("wrong") == ["deleting"]
    left = keys_in(seaweedfs, folder)
    assert left
    for key in left:
        assert key.removeprefix(f"{folder}/") in checked.line("deleting")


class UnconditionalStorage(S3AsyncUploadStorage):
    """Sends no conditions, and believes that it does: as on a server that does not read them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.conditional_writes = False


def test_server_without_conditional_writes_is_found_out(settings: Any, seaweedfs: S3Server) -> None:
    folder = configure_s3(settings, seaweedfs, backend=f"{__name__}.UnconditionalStorage")

    checked = check_async_storage("tried")

    assert checked.steps("wrong") == ["giving a name to one of several copies at once"]
    assert "AWS_S3_CONDITIONAL_WRITES" in checked.told
    assert keys_in(seaweedfs, folder) == []


def test_proxy_that_takes_every_form_is_found_out(
    settings: Any, seaweedfs: S3Server, seaweedfs_proxy: Proxy
) -> None:
    configure_s3(settings, seaweedfs, endpoint_url=seaweedfs_proxy.url)
    forms: list[Asked] = []

    def comes_after_the_first(asked: Asked) -> bool:
        if asked.method == "POST":
            forms.append(asked)
        return asked.method == "POST" and 1 < len(forms) <= 3

    seaweedfs_proxy.answer(201, when=comes_after_the_first)

    checked = check_async_storage("tried")

    assert "a ticket for one key was taken for another" in checked.line("refusing an upload to another key")
    assert "1025 bytes were taken where the ticket allows 1024" in checked.line(
        "refusing more bytes than allowed"
    )


def test_clock_that_is_wrong_is_told(settings: Any, seaweedfs: S3Server, seaweedfs_proxy: Proxy) -> None:
    configure_s3(settings, seaweedfs, endpoint_url=seaweedfs_proxy.url)
    seaweedfs_proxy.rewrite({"Date": LATE}, when=lambda asked: asked.method == "POST")

    checked = check_async_storage("tried")

    assert "seconds ahead of the storage's" in checked.line("comparing the clocks")


def test_cdn_that_drops_the_query_is_found_out(
    settings: Any, seaweedfs: S3Server, seaweedfs_proxy: Proxy
) -> None:
    configure_s3(settings, seaweedfs, endpoint_url=seaweedfs_proxy.url)
    seaweedfs_proxy.rewrite(
        {"Content-Disposition": "attachment"},
        when=lambda asked: "response-content-disposition" in asked.query,
    )

    checked = check_async_storage("tried")

    assert checked.steps("wrong") == ["downloading as a browser does"]
    assert "hand the query string on" in checked.line("downloading as a browser does")


def test_pages_by_https_are_told_that_they_may_not_send_by_http(settings: Any, seaweedfs: S3Server) -> None:
    configure_s3(settings, seaweedfs, endpoint_url="http://storage.invalid")

    checked = check_async_storage("tried", "--origin", SITE)

    assert "browsers let no https page send to an http address" in checked.line(CORS)
