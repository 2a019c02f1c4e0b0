"""The value of a field: what Django's FieldFile can do, its async forms, and what copies and pickles of it keep."""

from __future__ import annotations

import copy
import pickle

import pytest
from django.core.exceptions import ValidationError
from django.core.files.base import ContentFile, File

from async_uploads.models import AsyncFileInputData
from tests.arrivals import aarrived, arrived, stored_names
from tests.testapp.models import Document

pytestmark = pytest.mark.django_db(transaction=True)


def content_of(document: Document) -> bytes:
    with document.file.open() as file:
        return bytes(file.read())


def test_a_file_saved_on_the_server_goes_straight_to_its_final_name() -> None:
    document = Document.objects.create()

    document.file.save("notes.txt", ContentFile(b"from the server"))

    stored = Document.objects.get()
    assert stored.file.name == "documents/notes.txt"
    assert content_of(stored) == b"from the server"


def test_a_file_assigned_on_the_server_is_stored_by_the_save() -> None:
    document = Document(file=ContentFile(b"assigned", name="notes.txt"))
    assert stored_names() == set()

    document.save()

    assert Document.objects.get().file.name == "documents/notes.txt"
    assert content_of(document) == b"assigned"


def test_an_open_django_file_can_be_assigned(tmp_path: object) -> None:
    document = Document.objects.create()
    with open(__file__, "rb") as this_file:
        document.file = File(this_file, name="test.py")
        document.save()

    with open(__file__, "rb") as this_file:
        assert content_of(Document.objects.get()) == this_file.read()


def test_a_file_of_the_same_name_does_not_overwrite_another() -> None:
    first = Document.objects.create(file=ContentFile(b"first", name="notes.txt"))
    second = Document.objects.create(file=ContentFile(b"second", name="notes.txt"))

    assert first.file.name != second.file.name
    assert content_of(first) == b"first"
    assert content_of(second) == b"second"


def test_deleting_the_file_clears_the_column() -> None:
    document = Document.objects.create(file=ContentFile(b"x", name="notes.txt"))

    document.file.delete()

    assert not Document.objects.get().file
    assert stored_names() == set()


async def test_the_async_forms_do_what_their_names_say() -> None:
    document = await Document.objects.acreate()

    await document.file.asave("notes.txt", b"0123456789")

    stored = await Document.objects.aget()
    assert stored.file.name == "documents/notes.txt"
    assert await stored.file.aread() == b"0123456789"
    assert await stored.file.asize() == 10
    assert await stored.file.aexists()


async def test_asave_takes_a_django_file_and_may_leave_the_record_unsaved() -> None:
    document = await Document.objects.acreate()

    await document.file.asave("notes.txt", ContentFile(b"content"), save=False)

    assert document.file.name == "documents/notes.txt"
    assert not (await Document.objects.aget()).file
    await document.asave()
    assert (await Document.objects.aget()).file.name == "documents/notes.txt"


async def test_an_opened_file_can_be_read_from_any_place_and_by_chunks() -> None:
    document = await Document.objects.acreate()
    content = bytes(range(256)) * 5000
    await document.file.asave("data.bin", content)

    async with await document.file.aopen() as file:
        assert await file.read(3) == content[:3]
        await file.seek(-2, 2)
        assert await file.read() == content[-2:]
        await file.seek(1)
        assert file.tell() == 1
        chunks = [chunk async for chunk in file]

    assert b"".join(chunks) == content[1:]
    assert len(chunks) == 2


async def test_adelete_removes_the_file_and_clears_the_column() -> None:
    document = await Document.objects.acreate()
    await document.file.asave("notes.txt", b"x")

    await document.file.adelete()

    assert not (await Document.objects.aget()).file
    assert stored_names() == set()
    assert not await document.file.aexists()
    await document.file.adelete()  # harmless where there is nothing


async def test_adelete_may_leave_the_record_unsaved() -> None:
    document = await Document.objects.acreate()
    await document.file.asave("notes.txt", b"x")

    await document.file.adelete(save=False)

    assert not document.file
    assert (await Document.objects.aget()).file.name == "documents/notes.txt"
    assert not await (await Document.objects.aget()).file.aexists()


async def test_without_a_file_the_async_forms_say_so() -> None:
    document = Document()

    for ask in (document.file.aopen, document.file.aread, document.file.asize):
        with pytest.raises(ValueError, match="has no file associated with it"):
            await ask()
    assert not await document.file.aexists()


async def test_a_missing_file_is_told_as_missing() -> None:
    document = Document(file="documents/gone.txt")

    with pytest.raises(FileNotFoundError):
        await document.file.aopen()
    with pytest.raises(FileNotFoundError):
        await document.file.asize()
    assert not await document.file.aexists()


async def test_an_upload_can_be_read_before_its_record_is_saved() -> None:
    document = Document(file=await aarrived(b"early"))

    assert await document.file.aread() == b"early"


def test_the_url_asks_the_download_view_and_changes_with_the_name() -> None:
    url = Document(pk=5, file="documents/a.txt").file.url

    assert url.startswith("/async-uploads/download-file/?")
    assert "instance_id=5" in url
    assert url == Document(pk=5, file="documents/a.txt").file.url
    assert url != Document(pk=5, file="documents/b.txt").file.url


def test_there_is_no_url_without_file_or_record() -> None:
    with pytest.raises(ValueError, match="no file associated"):
        _ = Document(pk=5).file.url
    with pytest.raises(ValueError, match="before its record is saved"):
        _ = Document(file="documents/a.txt").file.url


def test_a_pickled_record_keeps_its_upload() -> None:
    key = arrived(b"pickled")

    unpickled = pickle.loads(pickle.dumps(Document(title="x", file=key)))
    unpickled.save()

    assert content_of(Document.objects.get()) == b"pickled"


def test_a_pickled_record_does_not_forget_that_its_value_came_from_a_browser() -> None:
    document = Document(file=AsyncFileInputData(key="documents/of-somebody-else.txt"))
    assert document.file.name == "documents/of-somebody-else.txt"

    unpickled = pickle.loads(pickle.dumps(document))

    with pytest.raises(ValidationError):
        unpickled.save()


def test_a_copied_record_has_a_file_of_its_own_to_change() -> None:
    original = Document.objects.create(file=arrived(b"original"))

    duplicate = copy.deepcopy(original)
    duplicate.file = arrived(b"changed", "other.txt")
    duplicate.save()

    assert original.file.name == "documents/report.txt"
    assert duplicate.file.name == "documents/other.txt"


def test_saving_a_record_whose_file_was_not_loaded_leaves_the_file_alone() -> None:
    Document.objects.create(title="before", file=arrived())

    document = Document.objects.defer("file").get()
    document.title = "after"
    document.save()

    assert "file" in document.get_deferred_fields()
    stored = Document.objects.get()
    assert (stored.title, stored.file.name) == ("after", "documents/report.txt")


def test_a_file_that_was_not_loaded_is_loaded_when_it_is_asked_for() -> None:
    Document.objects.create(file=arrived())

    assert Document.objects.defer("file").get().file.name == "documents/report.txt"


def test_a_file_that_was_not_loaded_can_be_replaced() -> None:
    Document.objects.create(file=arrived())

    document = Document.objects.defer("file").get()
    document.file = arrived(b"new", "new.txt")
    document.save()

    assert Document.objects.get().file.name == "documents/new.txt"


def test_refreshing_shows_what_another_process_has_promoted() -> None:
    document = Document.objects.create(file=arrived())
    elsewhere = Document.objects.get()
    elsewhere.file = arrived(b"new", "new.txt")
    elsewhere.save()

    document.refresh_from_db()

    assert document.file.name == "documents/new.txt"
    assert document.file.instance is document
