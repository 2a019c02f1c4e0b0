"""What a live site has in its table when the sweep comes. ``python -m benchmarks.sites.leftovers N``

Of N rows, for ours and for the peer alike: 5 % abandoned, their files on the disk in the folders of two days; 30 % that
were promoted in the day before the last two, which the sweep prunes; the rest of those two days, 60 % promoted and 5 %
uploaded, which it leaves alone. So it is where a site sweeps once a day and keeps for two.
"""

import os
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from secrets import token_urlsafe
from typing import Any, Literal

import django
from django.conf import settings

os.environ["DJANGO_SETTINGS_MODULE"] = "benchmarks.sites.settings"
django.setup()

from django.apps import apps  # noqa: E402
from django.core.management import call_command  # noqa: E402
from django.db import connection, transaction  # noqa: E402
from django.utils import timezone  # noqa: E402

Kind = Literal["abandoned", "finished", "promoted", "uploaded"]
CONTENT = b"0123456789abcdef" * 64
AGES: dict[Kind, tuple[int, int]] = {
    "abandoned": (72, 96),
    "finished": (49, 72),
    "promoted": (0, 47),
    "uploaded": (0, 47),
}
"""Hours: at least and at most."""


def main(count: int) -> None:
    call_command("migrate", run_syncdb=True, verbosity=0)
    make = {"ours": _ours, "peer": _peers}[settings.SITE]
    now = timezone.now()
    with transaction.atomic():
        rows = [make(kind, created) for kind, created in _kinds(count, now)]
        type(rows[0])._base_manager.bulk_create(rows, batch_size=1000)
    for row in rows:
        if row.left_on_disk:
            path = Path(settings.MEDIA_ROOT, row.key)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(CONTENT)
    connection.close()


def _kinds(count: int, now: datetime) -> Iterator[tuple[Kind, datetime]]:
    """Mixed, as they come in; each kind over its days evenly."""
    for number in range(count):
        share = number % 20
        kind: Kind = (
            "abandoned"
            if share == 0
            else "uploaded"
            if share == 10
            else "finished"
            if share % 3 == 0
            else "promoted"
        )
        youngest, oldest = AGES[kind]
        yield kind, now - timedelta(hours=oldest - (oldest - youngest) * number / count)


def _key(created: datetime) -> str:
    return f"async-temp-files/{created:%Y/%m/%d}/{token_urlsafe(16)}-report.pdf"


def _ours(kind: Kind, created: datetime) -> Any:
    state = {"abandoned": "uploaded", "uploaded": "uploaded"}.get(kind, "promoted")
    promoted = state == "promoted"
    key = _key(created)
    row = apps.get_model("async_uploads", "AsyncTempFile")(
        key=key,
        name="report.pdf",
        model="ours.paper",
        field_name="file",
        owner="user:1",
        state=state,
        version=4 if promoted else 2,
        received=len(CONTENT),
        size=len(CONTENT),
        content_type="application/pdf",
        etag="400-18da4d1c3a5b6c7d",
        record_db="default" if promoted else "",
        record_pk="1" if promoted else "",
        final_name=f"papers/{key[-33:]}" if promoted else "",
        attempts=int(promoted),
        created_at=created,
        updated_at=created,
        expires_at=created + timedelta(hours=1),
    )
    row.left_on_disk = kind == "abandoned"
    return row


def _peers(kind: Kind, created: datetime) -> Any:
    key = _key(created)
    paper = apps.get_model("contenttypes", "ContentType").objects.get_for_model(
        apps.get_model("peer", "Paper")
    )
    row = apps.get_model("alliance_platform_storage", "AsyncTempFile")(
        key=key,
        original_filename="report.pdf",
        content_type=paper,
        field_name="file",
        moved_to_location=f"papers/{key[-33:]}" if kind in ("finished", "promoted") else "",
    )
    # Its column takes the time of the insert, whatever it is given.
    row._meta.get_field("created_at").auto_now_add = False
    row.created_at = created
    row.left_on_disk = kind == "abandoned"
    return row


main(int(sys.argv[1]))
