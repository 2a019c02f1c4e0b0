"""What a form's value is where a name belongs: taken for its key, or refused."""

from __future__ import annotations

import asyncio

import pytest

from async_uploads.models import AsyncFileInputData, promote_temp_files
from async_uploads.testing import amake_upload, make_upload
from tests.arrivals import arrived
from tests.testapp.models import Document, Portrait

pytestmark = pytest.mark.django_db(transaction=True)


def test_update_writes_the_key() -> None:
    document = Document.objects.create()
    key = arrived()

    Document.objects.update(file=AsyncFileInputData(key=key, name="report.txt"))

    document.refresh_from_db()
    assert document.file.name == key
    asyncio.run(promote_temp_files([document]))
    assert Document.objects.get().file.name == "documents/report.txt"


def test_a_record_is_found_by_the_value() -> None:
    document = Document.objects.create(file="documents/there.txt")
    value = AsyncFileInputData(key="documents/there.txt")

    assert Document.objects.get(file=value) == document
    assert Document.objects.get(file__in=[value]) == document
    assert not Document.objects.exclude(file=value).exists()


def test_a_made_upload_can_be_assigned_as_it_is() -> None:
    document = Document.objects.create(file=make_upload(Document.file, b"made", "made.txt"))
    assert document.file.name == "documents/made.txt"

    document.file = make_upload(Document.file, b"other", "other.txt")
    document.save()
    assert Document.objects.get().file.name == "documents/other.txt"


async def test_so_it_can_asynchronously_and_by_update() -> None:
    document = await Document.objects.acreate(file=await amake_upload(Document.file, b"made", "made.txt"))
    assert document.file.name == "documents/made.txt"

    made = await amake_upload(Document.file, b"other", "other.txt")
    await Document.objects.aupdate(file=made)

    assert await Document.objects.filter(file=made).aexists()
    assert (await Document.objects.aget()).file.name == made.key


@pytest.mark.parametrize("text", ['{"key": "x", "name": "y.txt"}', '{"key": "documents/there.txt"}'])
def test_the_text_that_a_form_submits_is_no_name(text: str) -> None:
    with pytest.raises(TypeError, match=r"AsyncFileInputData\.from_json"):
        Document.objects.create(file=text)
    with pytest.raises(TypeError, match=r"testapp\.Portrait\.file"):
        Portrait.objects.create(file=text)

    assert not Document.objects.exists()


def test_a_record_that_has_such_a_name_from_before_can_be_edited() -> None:
    document = Document.objects.create()
    Document.objects.update(file='{"key": "x", "name": "y.txt"}')
    document.refresh_from_db()

    document.title = "edited"
    document.save()

    assert Document.objects.get().title == "edited"


@pytest.mark.parametrize("name", ["{year}.txt", "{}", '{"a": 1}'])
def test_a_name_in_braces_is_a_name(name: str) -> None:
    assert Document.objects.create(file=name).file.name == name
