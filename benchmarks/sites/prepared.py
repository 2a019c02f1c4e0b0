"""Uploads of ours or of the peer that may begin, without a request for each. ``python -m benchmarks.sites.prepared N``

Prints JSON: the path and query of each one's upload URL. Without N: how many rows of ours are in which state.
"""

import json
import os
import sys
from datetime import timedelta
from typing import Any

import django
from django.apps import apps
from django.conf import settings

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.sites.settings"
django.setup()

from django.db import transaction  # noqa: E402
from django.db.models import Count  # noqa: E402
from django.urls import get_resolver  # noqa: E402
from django.utils import timezone  # noqa: E402

NAME = "slow.bin"
EXPIRE = 3600

SITE: str = settings.SITE  # type: ignore[misc]  # of these sites
MODELS = {"ours": "async_uploads.AsyncTempFile", "peer": "alliance_platform_storage.AsyncTempFile"}
AsyncTempFile: Any = apps.get_model(MODELS[SITE])
field: Any = apps.get_model(SITE, "Paper")._meta.get_field("file")


def urls(count: int) -> list[str]:
    field_id = str(field.async_field_registry.generate_id(field))
    if SITE == "ours":
        keys = _begun(count)
        options = {"expire": EXPIRE, "max_size": field.max_size_bytes}
    else:
        keys = _begun_by_peer(count)
        options = {}
    return [field.storage.generate_upload_url(key, field_id, **options)["url"] for key in keys]


def _begun(count: int) -> list[str]:
    rows = [
        AsyncTempFile(
            key=field.storage.generate_temporary_path(NAME, max_length=field.max_length),
            name=NAME,
            model=field.model._meta.label_lower,
            field_name=field.name,
            owner=f"user:{number}",  # who is there, as far as there are visitors
            expires_at=timezone.now() + timedelta(seconds=EXPIRE),
        )
        for number in range(1, count + 1)
    ]
    return [row.key for row in AsyncTempFile.objects.bulk_create(rows, batch_size=500)]


def _begun_by_peer(count: int) -> list[str]:
    with transaction.atomic():
        return [AsyncTempFile.create_for_field(field, NAME).key for _ in range(count)]


def states() -> dict[str, int]:
    return dict(AsyncTempFile.objects.order_by().values_list("state").annotate(Count("pk")))


_ = get_resolver().url_patterns  # they tell each field its URLs
json.dump(urls(int(sys.argv[1])) if len(sys.argv) > 1 else states(), sys.stdout)
