"""Promise 8: constructing, loading and assigning touch neither database nor storage."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from django.core.exceptions import SynchronousOnlyOperation
from django.core.files.base import ContentFile
from django.db import connection
from django.urls import reverse
from pytest_django import DjangoAssertNumQueries

from async_uploads.models import AsyncFileInputData
from async_uploads.registry import default_async_field_registry
from tests.testapp.models import Album, Document, NullablePicture, Picture

pytestmark = pytest.mark.django_db(transaction=True)

KEY = "async-temp-files/2026/11/22/nothing-lies-here.png"
FINAL = "pictures/nothing-lies-here.png"
VALUES = [KEY, FINAL, AsyncFileInputData(key=KEY), ContentFile(b"no image", name="new.png"), "", None]

_opened: list[str] = []
_watching: list[bool] = []


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _watching and event == "open":
        _opened.append(str(arguments[0]))


sys.addaudithook(_note)


@contextmanager
def no_file_opened() -> Iterator[None]:
    """Python tells an audit hook of each file that is opened, whoever opens it."""
    _opened.clear()
    _watching.append(True)
    try:
        yield
    finally:
        _watching.clear()
    assert _opened == []


def test_the_watch_sees_a_file_that_is_opened() -> None:
    with pytest.raises(AssertionError), no_file_opened(), open(__file__):
        pass


async def test_the_guard_sees_a_query_on_the_event_loop() -> None:
    with pytest.raises(SynchronousOnlyOperation):
        connection.cursor()


@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_constructing_touches_nothing(value: Any) -> None:
    with no_file_opened():
        Document(file=value)
        Picture(image=value)
        NullablePicture(image=value)
        Album(cover=value, booklet=value)


@pytest.mark.parametrize("value", VALUES, ids=repr)
async def test_assigning_touches_nothing(value: Any) -> None:
    document = Document(pk=1, file=FINAL)
    picture = Picture(pk=1, image=FINAL, width=1, height=1)
    nullable = NullablePicture(pk=1)

    with no_file_opened():
        document.file = value
        picture.image = value
        nullable.image = value
        nullable.image = FINAL


async def test_loading_touches_no_storage_although_the_file_is_missing() -> None:
    await Picture.objects.abulk_create([Picture(image=FINAL, width=20, height=10), Picture(image=FINAL)])
    await NullablePicture.objects.abulk_create([NullablePicture(image=FINAL)])

    with no_file_opened():
        picture = await Picture.objects.filter(width=20).aget()
        unmeasured = await Picture.objects.filter(width=0).aget()
        nullable = await NullablePicture.objects.aget()
        everything = [one async for one in Picture.objects.all()]

    assert (picture.image.name, picture.width, picture.height) == (FINAL, 20, 10)
    assert (unmeasured.width, nullable.width) == (0, None)
    assert len(everything) == 2


def test_loading_takes_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    NullablePicture.objects.bulk_create([NullablePicture(image=FINAL), NullablePicture()])

    with django_assert_num_queries(1), no_file_opened():
        assert len(NullablePicture.objects.all()) == 2


async def test_refreshing_touches_no_storage() -> None:
    await Picture.objects.abulk_create([Picture(image=FINAL, width=20, height=10)])
    picture = await Picture.objects.aget()

    with no_file_opened():
        await picture.arefresh_from_db()
        await picture.arefresh_from_db(fields=["image"])

    assert (picture.width, picture.height) == (20, 10)


async def test_the_name_and_the_url_of_a_file_touch_nothing() -> None:
    picture = Picture(pk=5, image=FINAL, width=20, height=10)
    assert reverse(
        f"{default_async_field_registry.name}:download-file"
    )  # The URLconf is read once, from files.

    with no_file_opened():
        assert picture.image.name == FINAL
        assert picture.image.url
        assert (picture.image.width, picture.image.height) == (20, 10)
