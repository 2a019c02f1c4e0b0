"""Uploads that a site has in S3 already, to be saved. ``python -m benchmarks.sites.objects N SIZE``

Puts N objects of SIZE bytes and makes their rows. Prints JSON: their keys.
"""

import json
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from secrets import token_hex
from typing import Any

import boto3
import django
from botocore.config import Config
from django.conf import settings

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.sites.settings"
django.setup()

from django.apps import apps  # noqa: E402


def main(count: int, size: int) -> None:
    paper: Any = apps.get_model(settings.SITE, "Paper")
    field = paper._meta.get_field("file")
    names = [f"report-{token_hex(4)}.pdf" for _number in range(count)]
    keys = [field.storage.generate_temporary_path(name, max_length=field.max_length) for name in names]
    # The peer leaves its ``location`` out where it signs and where it moves.
    folder = f"{settings.SITE}/" if settings.SITE == "ours" else ""
    with ThreadPoolExecutor(16) as threads:
        etags = list(threads.map(lambda key: _put(f"{folder}{key}", size), keys))
    rows = [
        {"ours": _ours, "peer": _peers}[settings.SITE](paper, key, name, size, etag)
        for key, name, etag in zip(keys, names, etags, strict=True)
    ]
    type(rows[0])._base_manager.bulk_create(rows)
    json.dump(keys, sys.stdout)


_client = boto3.client(
    "s3",
    endpoint_url=settings.ON_S3["endpoint_url"],
    aws_access_key_id=settings.ON_S3["access_key"],
    aws_secret_access_key=settings.ON_S3["secret_key"],
    region_name=settings.ON_S3["region_name"],
    config=Config(s3={"addressing_style": "path"}, max_pool_connections=16),
)


def _put(key: str, size: int) -> str:
    """The object's ETag."""
    done = _client.put_object(
        Bucket=settings.ON_S3["bucket_name"], Key=key, Body=b"x" * size, ContentType="application/pdf"
    )
    return str(done["ETag"]).strip('"')


def _ours(paper: Any, key: str, name: str, size: int, etag: str) -> Any:
    return apps.get_model("async_uploads", "AsyncTempFile")(
        key=key,
        name=name,
        model=paper._meta.label_lower,
        field_name="file",
        owner="user:1",
        state="uploaded",
        version=2,
        received=size,
        size=size,
        content_type="application/pdf",
        etag=etag,
    )


def _peers(paper: Any, key: str, name: str, size: int, etag: str) -> Any:
    return apps.get_model("alliance_platform_storage", "AsyncTempFile")(
        key=key,
        original_filename=name,
        content_type=apps.get_model("contenttypes", "ContentType").objects.get_for_model(paper),
        field_name="file",
    )


main(int(sys.argv[1]), int(sys.argv[2]))
