"""Promotion after a save, whichever way the save is made."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import httpx
import pytest
from asgiref.sync import sync_to_async
from django.db import connection, transaction
from django.forms import modelform_factory
from django.http import HttpRequest, HttpResponse
from django.test import Client, TestCase
from django.test.utils import CaptureQueriesContext
from django.urls import path

from async_uploads.models import AsyncFileInputData, AsyncTempFile, promote_temp_files
from async_uploads.promotion import Claim, apromote
from async_uploads.storage.filesystem import FileSystemAsyncUploadStorage
from async_uploads.temp_files import State
from tests import urls
from tests.arrivals import aarrived, arrived, rolled_back, row_of, state_of, stored_names
from tests.conftest import image_bytes
from tests.testapp.models import Album, Document, Picture

pytestmark = pytest.mark.django_db(transaction=True)

OF_TRANSACTIONS = ("BEGIN", "COMMIT")


def save_view(request: HttpRequest) -> HttpResponse:
    document = Document.objects.create(file=AsyncFileInputData(key=request.GET["key"]))
    if "fail" in request.GET:
        raise RuntimeError("after the save")
    return HttpResponse(document.file.name)


async def asave_view(request: HttpRequest) -> HttpResponse:
    document = await Document.objects.acreate(file=AsyncFileInputData(key=request.GET["key"]))
    return HttpResponse(document.file.name)


urlpatterns = [path("save/", save_view), path("asave/", asave_view), *urls.urlpatterns]
with_save_views = pytest.mark.urls(__name__)


def assert_promoted(
    document: Document, content: bytes = b"some bytes", name: str = "documents/report.txt"
) -> None:
    assert document.file.name == name, "the saved object shows it"
    stored = Document.objects.get(pk=document.pk)
    assert stored.file.name == name
    with stored.file.open() as file:
        assert file.read() == content
    assert stored_names() == {name}, "the temporary file is gone"
    row = AsyncTempFile.objects.get()
    assert (row.state, row.record_pk, row.final_name) == ("promoted", str(document.pk), name)


def test_save_promotes() -> None:
    document = Document(file=arrived())
    document.save()
    assert_promoted(document)


def test_a_save_on_one_disk_costs_four_queries_beyond_its_own() -> None:
    """The key's row, the claim, the swap and the promotion; no event loop is asked, and no byte moves."""
    document = Document(file=arrived())
    inode = Path(document.file.path).stat().st_ino

    with CaptureQueriesContext(connection) as captured, pytest.MonkeyPatch.context() as patch:
        patch.setattr("async_uploads.promotion.dispatching.async_to_sync", None)
        document.save()

    of_rows = [
        each["sql"] for each in captured.captured_queries if not each["sql"].startswith(OF_TRANSACTIONS)
    ]
    assert len(of_rows) == 5, of_rows
    assert_promoted(document)
    assert Path(document.file.path).stat().st_ino == inode


def test_a_storage_of_ones_own_that_copies_in_another_way_is_asked_to(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Stamping(FileSystemAsyncUploadStorage):
        def copy_file(self, from_key: str, to_key: str, **options: Any) -> None:
            Path(self.path(to_key)).parent.mkdir(parents=True)
            Path(self.path(to_key)).write_bytes(b"stamped")

    monkeypatch.setattr(Document._meta.get_field("file"), "storage", Stamping())

    assert_promoted(Document.objects.create(file=arrived()), content=b"stamped")


def test_create_promotes() -> None:
    assert_promoted(Document.objects.create(file=AsyncFileInputData(key=arrived())))


async def test_asave_promotes() -> None:
    document = Document(file=await aarrived())
    await document.asave()
    await sync_to_async(assert_promoted)(document)


async def test_acreate_promotes() -> None:
    document = await Document.objects.acreate(file=await aarrived())
    await sync_to_async(assert_promoted)(document)


def test_a_form_save_promotes() -> None:
    form = modelform_factory(Document, fields=["title", "file"])(
        {"title": "x", "file": AsyncFileInputData(key=arrived(), name="report.txt").as_json()}
    )
    assert_promoted(form.save())


def test_changing_the_file_of_a_record_promotes_and_keeps_the_first_until_someone_deletes_it() -> None:
    document = Document.objects.create(file=arrived(b"first", "first.txt"))

    document.file = arrived(b"second", "second.txt")
    document.save()

    assert document.file.name == "documents/second.txt"
    assert stored_names() == {"documents/first.txt", "documents/second.txt"}


def test_inside_a_transaction_nothing_happens_before_the_commit() -> None:
    key = arrived()

    with transaction.atomic():
        document = Document.objects.create(file=key)
        assert document.file.name == key
        assert stored_names() == {key}

    assert_promoted(document)


def test_a_rolled_back_save_leaves_the_upload_usable() -> None:
    key = arrived()
    with rolled_back():
        Document.objects.create(file=key)
    assert (state_of(key), row_of(key).record_pk) == ("uploaded", "")
    assert stored_names() == {key}

    assert_promoted(Document.objects.create(file=key))


def test_the_object_of_a_rolled_back_save_can_be_saved_again() -> None:
    document = Document(file=arrived())
    with rolled_back():
        document.save()

    document.save()

    assert_promoted(document)


def test_a_rolled_back_savepoint_leaves_the_upload_usable_by_the_rest_of_the_transaction() -> None:
    key = arrived()

    with transaction.atomic():
        with rolled_back():
            Document.objects.create(file=key)
        document = Document.objects.create(file=key)

    assert_promoted(document)


@with_save_views
def test_a_view_without_an_event_loop_promotes() -> None:
    answer = Client().get("/save/", {"key": arrived()})

    assert answer.content == b"documents/report.txt"
    assert_promoted(Document.objects.get())


@with_save_views
def test_a_request_that_is_one_transaction_promotes_after_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(connection.settings_dict, "ATOMIC_REQUESTS", True)
    key = arrived()

    with pytest.raises(RuntimeError, match="after the save"):
        Client().get("/save/", {"key": key, "fail": "yes"})
    assert not Document.objects.exists()
    assert state_of(key) == "uploaded"

    assert Client().get("/save/", {"key": key}).content == key.encode()
    assert_promoted(Document.objects.get())


@with_save_views
@pytest.mark.parametrize("view", ["/save/", "/asave/"])
async def test_views_under_asgi_promote(visitor: httpx.AsyncClient, view: str) -> None:
    answer = await visitor.get(view, params={"key": await aarrived()})

    assert answer.text == "documents/report.txt"
    await sync_to_async(lambda: assert_promoted(Document.objects.get()))()


class UnderDjangosTestCase(TestCase):
    """Where each test is a transaction, promotion waits for captureOnCommitCallbacks."""

    def test_captured_callbacks_promote(self) -> None:
        key = arrived()
        with self.captureOnCommitCallbacks(execute=True):
            document = Document.objects.create(file=key)
            assert document.file.name == key

        assert_promoted(document)

    def test_without_the_callbacks_the_record_serves_the_upload(self) -> None:
        key = arrived()
        Document.objects.create(file=key)

        assert Document.objects.get().file.name == key
        assert state_of(key) == "promoting"


def test_two_files_of_one_record_are_promoted_at_the_same_time(monkeypatch: pytest.MonkeyPatch) -> None:
    both_have_begun = asyncio.Barrier(2)
    for name in ("cover", "booklet"):
        storage: Any = Album._meta.get_field(name).storage  # type: ignore[union-attr]
        copy = storage.acopy_file

        async def copy_beside_the_other(*args: Any, copy: Any = copy, **kwargs: Any) -> None:
            async with asyncio.timeout(30):
                await both_have_begun.wait()
            await copy(*args, **kwargs)

        monkeypatch.setattr(storage, "acopy_file", copy_beside_the_other)
    cover = arrived(image_bytes(), "cover.png", model=Album, field="cover")
    booklet = arrived(b"words", "beside-the-cover.txt", model=Album, field="booklet")

    album = Album.objects.create(cover=cover, booklet=booklet)

    assert (album.cover.name, album.booklet.name) == ("albums/cover.png", "booklets/beside-the-cover.txt")


def test_only_the_fields_that_are_saved_are_promoted() -> None:
    document = Document.objects.create(title="before")
    key = arrived()
    document.file, document.title = key, "after"

    document.save(update_fields=["title"])
    assert state_of(key) == "uploaded"
    assert not Document.objects.get().file

    document.save(update_fields=["file"])
    assert_promoted(document)


def test_an_image_saved_by_itself_gets_its_dimensions_all_the_same() -> None:
    picture = Picture.objects.create()
    picture.image = arrived(image_bytes(size=(20, 10)), "p.png", model=Picture, field="image")

    picture.save(update_fields=["image"])

    assert Picture.objects.values_list("width", "height").get() == (20, 10)


def test_saving_a_record_again_is_harmless() -> None:
    document = Document.objects.create(file=arrived())

    document.save()
    with transaction.atomic():
        document.save()
        document.save()

    assert_promoted(document)


def test_saving_twice_in_one_transaction_is_harmless() -> None:
    document = Document(file=arrived())

    with transaction.atomic():
        document.save()
        document.save()

    assert_promoted(document)


def test_of_two_files_given_in_one_transaction_the_second_stays() -> None:
    first, second = arrived(b"first", "first.txt"), arrived(b"second", "second.txt")

    with transaction.atomic():
        document = Document.objects.create(file=first)
        document.file = second
        document.save()

    assert Document.objects.get().file.name == "documents/second.txt"
    assert stored_names() == {"documents/second.txt"}
    assert state_of(first) == "cancelled"


def test_an_object_that_has_not_heard_of_the_promotion_does_not_undo_it() -> None:
    key = arrived()
    document = Document.objects.create(file=key)
    stale = Document(pk=document.pk, title="stale", file=key)

    stale.save(force_update=True)

    stored = Document.objects.get()
    assert (stored.title, stored.file.name) == ("stale", "documents/report.txt")
    assert stale.file.name == "documents/report.txt"
    assert stored_names() == {"documents/report.txt"}


def test_records_written_in_bulk_are_promoted_when_asked() -> None:
    keys = [arrived(b"one", "one.txt"), arrived(b"two", "two.txt")]
    documents = Document.objects.bulk_create([Document(file=key) for key in keys] + [Document()])
    assert stored_names() == set(keys)

    asyncio.run(promote_temp_files(documents))

    assert [document.file.name for document in documents] == ["documents/one.txt", "documents/two.txt", ""]
    assert stored_names() == {"documents/one.txt", "documents/two.txt"}


def test_records_written_by_update_are_promoted_when_asked() -> None:
    document = Document.objects.create()
    Document.objects.filter(pk=document.pk).update(file=arrived())

    asyncio.run(promote_temp_files(Document.objects.all()))

    document.refresh_from_db()
    assert_promoted(document)


async def test_a_save_that_the_promotion_overtook_has_the_final_file() -> None:
    """It found the upload at its promotion, and wrote the key once more when that was done."""
    key = await aarrived()
    document = await Document.objects.acreate(file=key)
    final = document.file.name
    overtaken = await AsyncTempFile.objects.aget()
    overtaken.state, overtaken.version = State.PROMOTING, overtaken.version - 1
    await Document.objects.filter(pk=document.pk).aupdate(file=key)

    assert await apromote(Claim(temp_file=overtaken))

    assert (await Document.objects.aget()).file.name == final
