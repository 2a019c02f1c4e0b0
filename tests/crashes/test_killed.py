"""A process that is killed at any step loses nothing and leaks nothing: one sweep puts all in order."""

from __future__ import annotations

import asyncio
import shutil
import tempfile
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings
from django.core.files.base import ContentFile
from django.utils import timezone

from async_uploads.models import AsyncTempFile
from async_uploads.sweeping import asweep
from async_uploads.temp_files import FINISHED_STATES, State
from async_uploads.uploads import acomplete
from tests.arrivals import arrived, begun
from tests.crashes.child import killed
from tests.crashes.places import CLOUDS, DISKS, Kind, Place
from tests.crashes.steps import STEPS, Step
from tests.testapp.models import Portrait

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.on_postgresql]

CASES = [
    pytest.param(kind, step, id=f"{kind}-{step.deed}-{step.name}")
    for kind in (*DISKS, *CLOUDS)
    for step in STEPS
    if kind in step.only
]


@pytest.fixture
def place(kind: Kind, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """In use in this process, empty."""
    options: dict[str, Any] = {}
    if kind in CLOUDS:
        options["location"] = f"site-{uuid4().hex[:8]}"
    if kind.startswith("s3"):
        server = request.getfixturevalue("seaweedfs")
        options |= {
            "endpoint_url": server.endpoint_url,
            "bucket_name": server.bucket,
            "region_name": server.region,
            "access_key": server.admin.access_key,
            "secret_key": server.admin.secret_key,
        }
        monkeypatch.setattr("async_uploads.storage.s3.multipart.STALE_AFTER", -60.0)
    elif kind.startswith("azure"):
        server = request.getfixturevalue("azurite")
        options |= {"connection_string": server.connection_string, "azure_container": server.container}
    other_disk = Path(tempfile.mkdtemp(dir="/dev/shm")) if kind == "other-disk" else None
    if other_disk is not None:
        root = Path(settings.MEDIA_ROOT)
        root.mkdir()
        (root / "async-temp-files").symlink_to(other_disk)
    found = Place(kind, options)
    with found.in_use():
        yield found
    if other_disk is not None:
        shutil.rmtree(other_disk)


def upload_in(place: Place) -> str:
    """The key of an upload that has arrived."""
    if place.is_disk:
        return arrived(place.content, "report.txt")
    temp_file = sent_to(place)
    async_to_sync(acomplete)(temp_file)
    return temp_file.key


def sent_to(place: Place) -> AsyncTempFile:
    """An upload whose bytes are in the cloud, and not yet completed."""
    temp_file = begun("report.txt", model=place.model, field=place.field.name)
    place.field.storage.save(temp_file.key, ContentFile(place.content))
    return temp_file


def prepared(deed: str, place: Place) -> str:
    match deed:
        case "upload":
            return ""
        case "complete":
            return sent_to(place).key
        case "replace":
            Portrait.objects.create(file=arrived(b"old", "old.txt", model=Portrait))
            return arrived(place.content, "report.txt", model=Portrait)
        case "sweep":
            key = upload_in(place)
            long_ago()
            return key
    return upload_in(place)


def long_ago() -> None:
    """All leases are over, and whoever was at work has been dead for a while; nothing is abandoned yet."""
    then = timezone.now() - timedelta(minutes=10)
    AsyncTempFile.objects.update(updated_at=then, created_at=then)
    AsyncTempFile.objects.exclude(lease_until=None).update(lease_until=then)


def records(place: Place) -> list[tuple[Any, str]]:
    """Storage and name of every file that a record names."""
    models = [(place.model, place.field)]
    if place.is_disk:
        models.append((Portrait, Portrait._meta.get_field("file")))
    return [
        (field.storage, name)
        for model, field in models
        for name in model.objects.exclude(**{field.name: ""}).values_list(field.attname, flat=True)
    ]


def content_of(storage: Any, name: str) -> bytes:
    with storage.open(name) as file:
        return bytes(file.read())


@pytest.mark.parametrize(("kind", "step"), CASES)
def test_killed(place: Place, step: Step) -> None:
    key = prepared(step.deed, place)

    assert killed(step, place, key), "The process ended by itself: it never came to this step."
    long_ago()
    first = asyncio.run(asweep())

    assert first.errors == []
    for storage, name in records(place):
        assert content_of(storage, name) in (place.content, b"old")
    assert len(records(place)) == (step.deed in ("save", "replace"))
    assert not AsyncTempFile.objects.filter(state__in=(State.UPLOADING, State.PROMOTING)).exists()
    known = {name for row in AsyncTempFile.objects.all() for name in (row.key, row.final_name) if name}
    assert place.names() <= known | {name for _storage, name in records(place)}
    if AsyncTempFile.objects.filter(key=key, state=State.UPLOADED).exists():
        assert_can_be_saved(place, key)

    AsyncTempFile.objects.update(created_at=timezone.now() - timedelta(days=3))
    AsyncTempFile.objects.update(updated_at=timezone.now() - timedelta(days=3), lease_until=None)
    for _round in range(2):  # what the first one expires, the second one prunes
        assert asyncio.run(asweep(age=timedelta())).errors == []
    assert place.names() == {name for _storage, name in records(place)}
    assert not AsyncTempFile.objects.exclude(state__in=FINISHED_STATES).exists()


def assert_can_be_saved(place: Place, key: str) -> None:
    """Retriable: the record that has the key already, or a new one, gets the file by a save."""
    model, field = (Portrait, "file") if Portrait.objects.exists() else (place.model, place.field.name)
    record = model.objects.first() or model()
    setattr(record, field, key)
    record.save()
    stored = getattr(record, field)
    assert not stored.storage.is_temporary_path(stored.name)
    assert content_of(stored.storage, stored.name) == place.content
