"""Download URLs of S3: signed for a while, offered by our rules, through the project's own domain where it has one."""

from __future__ import annotations

import base64
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from async_uploads.storage.s3 import S3AsyncUploadStorage
from tests.s3_storage import CONTENT, FIELD_ID, put, storage_on
from tests.servers.seaweedfs import S3Server

NAME = "documents/report.pdf"

# django-storages calls it; Python 3.12 and later warn.
of_utcnow = pytest.mark.filterwarnings("ignore:datetime.datetime.utcnow:DeprecationWarning")


@pytest.fixture
def storage(seaweedfs: S3Server) -> S3AsyncUploadStorage:
    return storage_on(seaweedfs)


async def get(url: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient() as browser:
        return await browser.get(url, headers=headers)


def query_of(url: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}


async def url_of(storage: S3AsyncUploadStorage, name: str = NAME, **params: Any) -> str:
    return await storage.agenerate_download_url(name, FIELD_ID, **params)


@pytest.mark.parametrize(
    ("filename", "inline", "disposition", "content_type"),
    [
        ("report.pdf", True, 'inline; filename="report.pdf"', "application/pdf"),
        ("report.pdf", False, 'attachment; filename="report.pdf"', "application/pdf"),
        ("page.html", True, 'attachment; filename="page.html"', "text/html"),
        ("drawing.svg", True, 'attachment; filename="drawing.svg"', "image/svg+xml"),
        ("möwe.png", True, "inline; filename*=utf-8''m%C3%B6we.png", "image/png"),
        ('a "quoted" name.txt', True, 'inline; filename="a \\"quoted\\" name.txt"', "text/plain"),
        ("nothing", True, 'attachment; filename="nothing"', "application/octet-stream"),
    ],
)
async def test_a_file_is_offered_by_its_name(
    storage: S3AsyncUploadStorage, filename: str, inline: bool, disposition: str, content_type: str
) -> None:
    await put(storage, NAME, ContentType="text/html")

    response = await get(await url_of(storage, filename=filename, inline=inline))

    assert (response.status_code, response.content) == (200, CONTENT)
    assert response.headers["content-disposition"] == disposition
    assert response.headers["content-type"] == content_type


async def test_without_a_name_the_key_gives_it(storage: S3AsyncUploadStorage) -> None:
    await put(storage, NAME)

    response = await get(await url_of(storage))

    assert response.headers["content-disposition"] == 'inline; filename="report.pdf"'
    assert response.headers["content-type"] == "application/pdf"


async def test_download_params_are_passed_on_and_win(storage: S3AsyncUploadStorage) -> None:
    await put(storage, NAME)

    response = await get(
        await url_of(
            storage,
            filename="report.pdf",
            ResponseCacheControl="private, max-age=60",
            ResponseContentDisposition="attachment",
        )
    )

    assert response.headers["cache-control"] == "private, max-age=60"
    assert response.headers["content-disposition"] == "attachment"
    assert response.headers["content-type"] == "application/pdf"


async def test_parts_of_a_file_can_be_asked_for(storage: S3AsyncUploadStorage) -> None:
    await put(storage, NAME)

    response = await get(await url_of(storage), Range="bytes=1-3")

    assert (response.status_code, response.content) == (206, CONTENT[1:4])


async def test_what_the_url_says_cannot_be_changed(storage: S3AsyncUploadStorage) -> None:
    await put(storage, NAME, b"<script>")
    url = await url_of(storage, filename="page.html")

    changed = await get(url.replace("attachment", "inline"))

    assert "attachment" in url
    assert changed.status_code == 403


async def test_the_expiry_is_the_callers_else_the_projects_else_django_storages(
    seaweedfs: S3Server, settings: Any
) -> None:
    storage = storage_on(seaweedfs, querystring_expire=120)
    settings.ASYNC_UPLOADS = {}
    by_option = query_of(await url_of(storage))
    settings.ASYNC_UPLOADS = {"DOWNLOAD_URL_EXPIRY": 60}
    by_setting = query_of(await url_of(storage))
    by_caller = query_of(await url_of(storage, expire=30))
    too_long = query_of(await url_of(storage, expire=30 * 24 * 3600))

    found = [each["X-Amz-Expires"] for each in (by_option, by_setting, by_caller, too_long)]

    assert found == ["120", "60", "30", str(7 * 24 * 3600)]  # a week is the longest that S3 takes


async def test_urls_are_signed_with_the_version_that_all_buckets_know_unless_told(
    seaweedfs: S3Server,
) -> None:
    current, old = storage_on(seaweedfs), storage_on(seaweedfs, signature_version="s3")

    assert query_of(await url_of(current))["X-Amz-Algorithm"] == "AWS4-HMAC-SHA256"
    assert "Signature" in query_of(await url_of(old))


async def test_temporary_credentials_sign_with_their_token(seaweedfs: S3Server) -> None:
    storage = storage_on(seaweedfs, seaweedfs.temporary())
    await put(storage, NAME)

    url = await url_of(storage)

    assert query_of(url)["X-Amz-Security-Token"]
    assert (await get(url)).content == CONTENT


async def test_unsigned_urls_say_nothing_about_the_answer(seaweedfs: S3Server) -> None:
    """S3 refuses response-… of those who do not say who they are."""
    storage = storage_on(seaweedfs, querystring_auth=False)

    url = await url_of(storage, filename="x.pdf", ResponseCacheControl="no-store", VersionId="3")

    assert url == f"{seaweedfs.endpoint_url}/uploads/{storage.location}/{NAME}?versionId=3"


async def test_unsigned_urls_need_no_credentials(
    seaweedfs: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/nowhere")
    storage = storage_on(
        seaweedfs, querystring_auth=False, access_key=None, secret_key=None, location="public"
    )

    assert await url_of(storage) == f"{seaweedfs.endpoint_url}/uploads/public/{NAME}"


async def test_a_custom_domain_is_respected(seaweedfs: S3Server) -> None:
    storage = storage_on(seaweedfs, custom_domain="cdn.example.com", location="media")

    plain = await url_of(storage, "documents/möwe 1.pdf", filename="x.pdf")
    with_params = await url_of(storage, VersionId="3")

    assert plain == "https://cdn.example.com/media/documents/m%C3%B6we%201.pdf"
    assert with_params == f"https://cdn.example.com/media/{NAME}?versionId=3"


def behind_cloudfront(server: S3Server, **options: Any) -> tuple[S3AsyncUploadStorage, rsa.RSAPrivateKey]:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    pem = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.TraditionalOpenSSL,
        serialization.NoEncryption(),
    )
    given = {"custom_domain": "cdn.example.com", "location": "media", "cloudfront_key_id": "K123"}
    return storage_on(server, **{**given, "cloudfront_key": pem.decode(), **options}), key


@of_utcnow
async def test_a_domain_of_cloudfront_is_signed_with_what_is_offered(seaweedfs: S3Server) -> None:
    storage, key = behind_cloudfront(seaweedfs)

    url = await url_of(storage, filename="page.html", expire=60, ResponseCacheControl="no-store")

    query = query_of(url)
    assert url.startswith(f"https://cdn.example.com/media/{NAME}?")
    assert query["response-content-disposition"] == 'attachment; filename="page.html"'
    assert query["response-content-type"] == "text/html"
    assert query["response-cache-control"] == "no-store"
    assert query["Key-Pair-Id"] == "K123"
    signed = url.partition("&Expires=")[0]
    policy = (
        f'{{"Statement":[{{"Resource":"{signed}","Condition":'
        f'{{"DateLessThan":{{"AWS:EpochTime":{query["Expires"]}}}}}}}]}}'
    )
    signature = base64.b64decode(query["Signature"].translate(str.maketrans("-_~", "+=/")))
    key.public_key().verify(signature, policy.encode(), padding.PKCS1v15(), hashes.SHA1())  # CloudFront's


async def test_a_domain_of_cloudfront_is_not_signed_where_the_project_says_so(seaweedfs: S3Server) -> None:
    storage, _key = behind_cloudfront(seaweedfs, querystring_auth=False)

    assert await url_of(storage, filename="page.html") == f"https://cdn.example.com/media/{NAME}"
