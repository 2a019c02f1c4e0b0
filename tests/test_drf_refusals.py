"""What an API refuses before anything is written, and what it tells a client that is not ours yet."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import QueryDict
from django.test import Client
from rest_framework import serializers

from async_uploads.drf.serializer import AsyncFileField
from tests.arrivals import arrived
from tests.drfapp.models import Shelf, Volume
from tests.drfapp.serializers import FullShelfSerializer, VolumeSerializer

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.drfapp.urls")]

EXPECTED = 'Expected {"key", "name"} of an upload. A file itself is not taken here: it is uploaded first.'


def uploaded() -> dict[str, str]:
    return {"key": arrived(model=Volume, field="text"), "name": "report.txt"}


def full(shelf: Shelf, *volumes: dict[str, Any]) -> Any:
    return FullShelfSerializer(shelf, data={"title": "shelf", "volumes": list(volumes)})


# One upload, two records


def test_one_upload_in_two_items_of_a_list_is_refused_in_both() -> None:
    text = uploaded()

    serializer: Any = VolumeSerializer(
        data=[{"text": text}, {"text": dict(text)}, {"text": uploaded()}], many=True
    )

    assert not serializer.is_valid()
    assert [serializer.errors[index]["text"][0].code for index in (0, 1)] == ["already_used"] * 2


def test_one_upload_in_two_children_is_refused_before_anything_is_written() -> None:
    text = uploaded()
    shelf = Shelf.objects.create(title="shelf")

    serializer = full(shelf, {"text": text}, {"text": json.dumps(text)})

    assert not serializer.is_valid()
    assert serializer.errors["volumes"][0]["text"][0].code == "already_used"


def test_one_upload_in_two_children_of_an_html_form_is_refused() -> None:
    text = json.dumps(uploaded())
    form = QueryDict(mutable=True)
    form.update({"title": "x", "volumes[0]text": text, "volumes[1]text": text})

    assert not FullShelfSerializer(Shelf.objects.create(title="shelf"), data=form).is_valid()


def test_one_upload_twice_in_a_list_of_files_is_refused() -> None:
    class Uploads(serializers.Serializer[Any]):
        files = serializers.ListField(child=AsyncFileField(Volume._meta.get_field("text")))

    text = uploaded()

    assert Uploads(data={"files": [text, uploaded()]}).is_valid()
    assert not Uploads(data={"files": [text, text]}).is_valid()


def test_same_serializer_can_be_validated_with_the_same_upload_again() -> None:
    text = uploaded()

    for _time in range(2):
        assert VolumeSerializer(data={"text": text}).is_valid()


# Primary keys in the data


@pytest.mark.parametrize("depth", [100, 500, 900])
def test_key_of_a_child_that_is_nested_deep_is_no_key(depth: int) -> None:
    pk: Any = []
    for _level in range(depth):
        pk = [pk]
    shelf = Shelf.objects.create(title="shelf")
    Volume.objects.create(shelf=shelf, text=ContentFile(b"x", name="one.txt"))

    assert not full(shelf, {"id": pk, "text": {"key": "volumes/one.txt"}}).is_valid()


@pytest.mark.parametrize("pk", [True, 1.0, {}, [1]])
def test_key_of_a_child_is_a_number_or_a_text(pk: Any) -> None:
    shelf = Shelf.objects.create(title="shelf")
    Volume.objects.create(pk=1, shelf=shelf, text=ContentFile(b"x", name="one.txt"))

    assert not full(shelf, {"id": pk, "text": {"key": "volumes/one.txt"}}).is_valid()


def test_child_is_named_by_the_field_of_the_serializer_alone() -> None:
    """The project would make a new record of it, with the file of this one."""
    shelf = Shelf.objects.create(title="shelf")
    volume = Volume.objects.create(shelf=shelf, text=ContentFile(b"x", name="one.txt"))

    assert full(shelf, {"id": volume.pk, "text": {"key": "volumes/one.txt"}}).is_valid()
    assert not full(shelf, {"pk": volume.pk, "text": {"key": "volumes/one.txt"}}).is_valid()
    assert not full(shelf, {"id": "", "pk": volume.pk, "text": {"key": "volumes/one.txt"}}).is_valid()


# What is told


def test_file_that_was_replaced_meanwhile_is_told() -> None:
    volume = Volume.objects.create(text=ContentFile(b"x", name="new.txt"))

    serializer: Any = VolumeSerializer(volume, data={"text": {"key": "volumes/old.txt"}})

    assert not serializer.is_valid()
    (error,) = serializer.errors["text"]
    assert error.code == "not_found"
    assert "it may have been replaced meanwhile" in error


@pytest.mark.parametrize("sent", ["async-temp-files/x", "nonsense", ["x"], {"id": 5}, 5])
def test_what_is_expected_is_told(sent: Any) -> None:
    serializer: Any = VolumeSerializer(data={"text": sent})

    assert not serializer.is_valid()
    assert serializer.errors == {"text": [EXPECTED]}
    assert serializer.errors["text"][0].code == "invalid"


def test_client_that_posts_the_file_itself_is_told_what_is_expected(client: Client) -> None:
    answer = client.post("/api/sync-volumes/", {"text": SimpleUploadedFile("x.txt", b"x")})

    assert answer.status_code == 400
    assert answer.json() == {"text": [EXPECTED]}


def test_options_call_the_field_a_file_upload(client: Client) -> None:
    described = client.options("/api/sync-volumes/").json()

    assert described["actions"]["POST"]["text"]["type"] == "file upload"
