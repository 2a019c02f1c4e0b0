"""Width and height columns of images: measured from the stored bytes, whichever way the image came."""

from __future__ import annotations

import pytest
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage
from pytest_django import DjangoAssertNumQueries

from async_uploads.models import AsyncFileInputData
from tests.arrivals import arrived
from tests.conftest import image_bytes
from tests.testapp.models import Album, NullablePicture, Picture

pytestmark = pytest.mark.django_db(transaction=True)


def image_of(width: int, height: int) -> ContentFile[bytes]:
    return ContentFile(image_bytes(size=(width, height)), name=f"{width}x{height}.png")


def arrived_image(width: int, height: int) -> str:
    return arrived(image_bytes(size=(width, height)), f"{width}x{height}.png", model=Picture, field="image")


def stored_dimensions() -> tuple[int | None, int | None]:
    return Picture.objects.values_list("width", "height").get()


def test_an_uploaded_image_fills_the_columns_with_what_was_measured() -> None:
    key = arrived_image(20, 10)

    picture = Picture.objects.create(image=AsyncFileInputData(key=key, width=9999, height=1))

    assert (picture.width, picture.height) == (20, 10)
    assert stored_dimensions() == (20, 10)


def test_an_image_assigned_on_the_server_is_measured_by_the_save() -> None:
    picture = Picture.objects.create(image=image_of(4, 3))

    assert (picture.width, picture.height) == (4, 3)
    assert stored_dimensions() == (4, 3)


def test_replacing_an_image_measures_the_new_one() -> None:
    picture = Picture.objects.create(image=arrived_image(20, 10))

    picture.image = arrived_image(8, 6)
    picture.save()
    assert stored_dimensions() == (8, 6)

    picture.image = image_of(4, 3)
    picture.save()
    assert stored_dimensions() == (4, 3)


def test_saving_an_image_file_on_the_server_measures_it() -> None:
    picture = Picture.objects.create(image=image_of(20, 10))

    picture.image.save("other.png", image_of(4, 3))

    assert stored_dimensions() == (4, 3)


async def test_the_async_save_measures_too() -> None:
    picture = await Picture.objects.acreate(image=image_of(20, 10))

    await picture.image.asave("other.png", image_bytes(size=(4, 3)))

    stored = await Picture.objects.aget()
    assert (stored.width, stored.height) == (4, 3)


def test_an_image_that_lies_in_the_storage_is_measured_when_its_name_is_assigned() -> None:
    name = default_storage.save("pictures/there.png", image_of(4, 3))
    picture = Picture.objects.create(image=image_of(20, 10))

    picture.image = name
    picture.save()

    assert stored_dimensions() == (4, 3)


def test_the_first_image_of_a_record_is_measured_when_its_name_is_assigned() -> None:
    name = default_storage.save("there.png", image_of(4, 3))
    NullablePicture.objects.create()

    picture = NullablePicture.objects.get()
    picture.image = name
    picture.save()

    assert NullablePicture.objects.values_list("width", "height").get() == (4, 3)


def test_an_image_that_was_not_loaded_is_measured_when_it_is_replaced() -> None:
    name = default_storage.save("pictures/there.png", image_of(4, 3))
    Picture.objects.create(image=image_of(20, 10))

    picture = Picture.objects.defer("image").get()
    picture.image = name
    picture.save()

    assert stored_dimensions() == (4, 3)


def test_an_image_is_still_measured_when_another_column_was_saved_before_it() -> None:
    name = default_storage.save("pictures/there.png", image_of(4, 3))
    picture = Picture.objects.create(image=image_of(20, 10))

    picture.image = name
    picture.save(update_fields=["title"])
    picture.save()

    assert stored_dimensions() == (4, 3)


def test_clearing_an_image_clears_its_dimensions() -> None:
    picture = NullablePicture.objects.create(image=image_of(20, 10))
    assert (picture.width, picture.height) == (20, 10)

    picture.image = None
    assert (picture.width, picture.height) == (None, None)
    picture.save()

    assert NullablePicture.objects.values_list("width", "height").get() == (None, None)


def test_deleting_an_image_clears_its_dimensions() -> None:
    picture = NullablePicture.objects.create(image=image_of(20, 10))

    picture.image.delete()

    assert NullablePicture.objects.values_list("width", "height").get() == (None, None)


async def test_deleting_an_image_asynchronously_clears_its_dimensions() -> None:
    picture = await NullablePicture.objects.acreate(image=image_of(20, 10))

    await picture.image.adelete()

    stored = await NullablePicture.objects.aget()
    assert (stored.width, stored.height) == (None, None)


def test_a_record_without_image_can_be_loaded_refreshed_and_saved_where_the_columns_are_not_nullable() -> (
    None
):
    Picture.objects.create(title="no image")

    picture = Picture.objects.get()
    picture.refresh_from_db()
    picture.image = ""
    picture.save()

    assert stored_dimensions() == (0, 0)


def test_refreshing_brings_the_dimensions_without_reading_the_file() -> None:
    picture = Picture.objects.create(image=image_of(20, 10))
    elsewhere = Picture.objects.get()
    elsewhere.image = image_of(4, 3)
    elsewhere.save()
    default_storage.delete(str(elsewhere.image.name))

    picture.refresh_from_db()
    picture.save()

    assert (picture.width, picture.height) == (4, 3)
    assert stored_dimensions() == (4, 3)


def test_dimensions_come_from_the_columns_where_there_are_some(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    picture = Picture.objects.create(image=image_of(20, 10))
    default_storage.delete(str(picture.image.name))

    with django_assert_num_queries(0):
        assert (picture.image.width, picture.image.height) == (20, 10)


def test_dimensions_come_from_the_file_where_there_are_no_columns() -> None:
    album = Album.objects.create(cover=image_of(20, 10))

    with album.cover:
        assert (album.cover.width, album.cover.height) == (20, 10)


def test_an_image_turned_by_its_camera_is_measured_as_it_is_stored() -> None:
    key = arrived(image_bytes("JPEG", (20, 10)), "photo.jpg", model=Picture, field="image")

    Picture.objects.create(image=key)

    assert stored_dimensions() == (20, 10)
