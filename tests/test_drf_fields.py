"""The serializer field: what it takes, what it keeps, what it answers."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.http import QueryDict
from django.test import RequestFactory
from hypothesis import given
from hypothesis import strategies as st
from rest_framework import serializers
from rest_framework.exceptions import ErrorDetail
from rest_framework.renderers import JSONRenderer
from rest_framework.test import APIRequestFactory, force_authenticate
from rest_framework.views import APIView

from async_uploads.drf.serializer import AsyncFileField, AsyncImageField, AsyncUploadsModelSerializer
from async_uploads.exceptions import UploadAlreadyUsed
from async_uploads.models import AsyncFileInputData
from async_uploads.owners import Owner
from tests.arrivals import arrived, begun, row_of, state_of
from tests.cloud import PDF, direct_uploads
from tests.conftest import image_bytes
from tests.drfapp.models import Page, Shelf, Volume
from tests.drfapp.serializers import (
    MappedVolumeSerializer,
    PageOfVolumeSerializer,
    PageSerializer,
    ShelfSerializer,
    VolumeSerializer,
)
from tests.test_forms import MALFORMED, any_json
from tests.testapp.models import Album, NullablePicture, Picture, Report

ROOT = Path(__file__).parents[1]

pytestmark = pytest.mark.django_db(transaction=True)


class PictureSerializer(AsyncUploadsModelSerializer):
    class Meta:
        model = Picture
        fields = ["image", "width", "height"]
        read_only_fields = ["width", "height"]


class NullablePictureSerializer(AsyncUploadsModelSerializer):
    class Meta:
        model = NullablePicture
        fields = ["image"]


class AlbumSerializer(AsyncUploadsModelSerializer):
    class Meta:
        model = Album
        fields = ["booklet"]


class ReportSerializer(AsyncUploadsModelSerializer):
    class Meta:
        model = Report
        fields = ["file", "pages"]


def volume_with(name: str = "old.txt", **more: Any) -> Volume:
    return Volume.objects.create(text=ContentFile(b"x", name=name), **more)


def text_of_volume(**more: Any) -> str:
    return arrived(model=Volume, field="text", **more)


def code_of(serializer: Any, field: str = "text") -> str:
    assert not serializer.is_valid()
    (error,) = serializer.errors[field]
    assert isinstance(error, ErrorDetail)
    return str(error.code)


def codes_for(value: Any, **options: Any) -> str:
    return code_of(VolumeSerializer(data={"text": value}, **options))


####################################
# Taken and answered
####################################


@pytest.mark.parametrize("kind", [VolumeSerializer, MappedVolumeSerializer])
@pytest.mark.parametrize("as_sent", [lambda value: value, json.dumps], ids=["an object", "a string"])
def test_an_upload_is_saved(kind: Any, as_sent: Any) -> None:
    key = text_of_volume()
    serializer = kind(data={"title": "x", "text": as_sent({"key": key, "name": "report.txt"})})

    assert serializer.is_valid(), serializer.errors
    assert serializer.validated_data["text"] == AsyncFileInputData(key=key, name="report.txt")
    volume = serializer.save()

    assert (volume.text.name, state_of(key)) == ("volumes/report.txt", "promoted")
    assert serializer.data["text"]["key"] == "volumes/report.txt"


def test_the_answer_has_key_name_and_url() -> None:
    volume = volume_with()

    data = VolumeSerializer(volume).data

    assert data["text"] == {"key": "volumes/old.txt", "name": "old.txt", "url": volume.text.url}


@pytest.mark.parametrize("factory", [RequestFactory, APIRequestFactory])
def test_the_url_is_absolute_where_the_request_is_known(factory: Any) -> None:
    volume = volume_with()

    data = VolumeSerializer(volume, context={"request": factory().get("/")}).data

    assert data["text"]["url"] == f"http://testserver{volume.text.url}"


def test_no_file_is_null() -> None:
    assert ShelfSerializer(Shelf()).data["plan"] is None
    assert NullablePictureSerializer(NullablePicture.objects.create(image=None)).data["image"] is None


def test_what_is_validated_and_not_saved_can_be_shown() -> None:
    key = text_of_volume()
    serializer = VolumeSerializer(data={"text": {"key": key, "name": "report.txt"}})
    serializer.is_valid(raise_exception=True)

    assert serializer.data["text"] == {"key": key, "name": "report.txt", "url": None}


def test_what_is_validated_can_be_shown_whatever_its_name() -> None:
    serializer = VolumeSerializer(data={"text": {"key": text_of_volume(), "name": "\ud800.txt"}})
    serializer.is_valid(raise_exception=True)

    assert b'"name":"?.txt"' in JSONRenderer().render(serializer.data)


def test_rows_that_are_no_records_show_the_name() -> None:
    volume_with()

    (data,) = VolumeSerializer(Volume.objects.values("id", "title", "text"), many=True).data

    assert data["text"] == {"key": "volumes/old.txt", "name": "old.txt", "url": None}


def test_images_have_the_image_field_and_are_measured_from_their_bytes() -> None:
    key = arrived(image_bytes(size=(20, 10)), "p.png", model=Picture, field="image")
    serializer = PictureSerializer(data={"image": {"key": key, "name": "p.png", "width": 1, "height": 9999}})

    serializer.is_valid(raise_exception=True)
    picture = serializer.save()

    assert isinstance(serializer.fields["image"], AsyncImageField)
    assert (picture.width, picture.height) == (20, 10)


def test_the_field_of_a_parent_model_is_the_childs_as_well() -> None:
    serializer = ReportSerializer(data={"file": {"key": arrived(), "name": "x"}, "pages": 3})
    serializer.is_valid(raise_exception=True)
    report = serializer.save()

    again = ReportSerializer(report, data={"file": ReportSerializer(report).data["file"], "pages": 4})

    assert again.is_valid(), again.errors
    assert again.save().file.name == "documents/report.txt"


####################################
# Kept, cleared, replaced
####################################


def test_the_value_that_was_answered_can_be_sent_back() -> None:
    volume = volume_with()
    context = {"request": RequestFactory().get("/")}
    shown = VolumeSerializer(volume, context=context).data

    serializer = VolumeSerializer(volume, data={**shown, "title": "new"}, context=context)

    assert serializer.is_valid(), serializer.errors
    serializer.save()
    stored = Volume.objects.get()
    assert (stored.title, stored.text.name) == ("new", "volumes/old.txt")


def test_a_partial_update_leaves_the_file_alone() -> None:
    volume = volume_with()
    serializer = VolumeSerializer(volume, data={"title": "new"}, partial=True)

    serializer.is_valid(raise_exception=True)
    serializer.save()

    stored = Volume.objects.get()
    assert (stored.title, stored.text.name) == ("new", "volumes/old.txt")


def test_a_partial_update_replaces_the_file_alone() -> None:
    volume = volume_with(title="kept")
    serializer = VolumeSerializer(
        volume, data={"text": {"key": text_of_volume(), "name": "report.txt"}}, partial=True
    )

    serializer.is_valid(raise_exception=True)
    serializer.save()

    stored = Volume.objects.get()
    assert (stored.title, stored.text.name) == ("kept", "volumes/report.txt")


@pytest.mark.parametrize("value", [None, "", "null", " "])
def test_an_optional_file_can_be_cleared(value: str | None) -> None:
    shelf = Shelf.objects.create(title="x", plan=ContentFile(b"x", name="plan.txt"))
    serializer = ShelfSerializer(shelf, data={"plan": value}, partial=True)

    assert serializer.is_valid(), serializer.errors
    serializer.save()

    assert not Shelf.objects.get().plan


def test_an_html_form_can_clear_it_too() -> None:
    shelf = Shelf.objects.create(title="x", plan=ContentFile(b"x", name="plan.txt"))
    serializer = ShelfSerializer(shelf, data=QueryDict("title=x&plan="))

    assert serializer.is_valid(), serializer.errors
    serializer.save()

    assert not Shelf.objects.get().plan


@pytest.mark.parametrize("value", [None, "", "null"])
def test_a_required_file_cannot_be_cleared(value: str | None) -> None:
    assert codes_for(value, instance=volume_with()) == "null"


def test_a_required_file_has_to_be_there() -> None:
    assert code_of(VolumeSerializer(data={})) == "required"


def test_a_read_only_field_takes_nothing() -> None:
    class Frozen(AsyncUploadsModelSerializer):
        class Meta:
            model = Volume
            fields = ["title", "text"]
            read_only_fields = ["text"]

    volume = volume_with()
    serializer = Frozen(volume, data={"title": "new", "text": {"key": text_of_volume()}})

    assert serializer.is_valid(), serializer.errors
    assert serializer.save().text.name == "volumes/old.txt"
    assert serializer.data["text"]["key"] == "volumes/old.txt"


def test_a_form_opened_before_the_promotion_can_still_be_sent() -> None:
    key = text_of_volume()
    volume = Volume.objects.create(text=key)

    serializer = VolumeSerializer(volume, data={"title": "new", "text": {"key": key}})

    assert serializer.is_valid(), serializer.errors
    serializer.save()
    assert Volume.objects.get().text.name == "volumes/report.txt"


####################################
# Chains of sources
####################################


def test_a_chain_of_sources_shows_the_file_at_its_end() -> None:
    page = Page.objects.create(volume=volume_with(), scan=ContentFile(b"x", name="p.txt"))

    assert PageOfVolumeSerializer(page).data["text"]["url"] == page.volume.text.url


def test_a_chain_of_sources_takes_the_value_that_is_there() -> None:
    page = Page.objects.create(volume=volume_with(), scan=ContentFile(b"x", name="p.txt"))

    serializer = PageOfVolumeSerializer(page, data={"text": {"key": "volumes/old.txt"}})

    assert serializer.is_valid(), serializer.errors
    assert serializer.validated_data["volume"]["text"] == page.volume.text


def test_a_chain_of_sources_takes_an_upload_for_the_field_at_its_end() -> None:
    key = text_of_volume()

    serializer = PageOfVolumeSerializer(data={"text": {"key": key}})

    assert serializer.is_valid(), serializer.errors
    assert serializer.validated_data == {"volume": {"text": AsyncFileInputData(key=key)}}
    assert code_of(PageOfVolumeSerializer(data={"text": {"key": arrived()}})) == "not_found"


def test_a_chain_that_is_broken_off_is_null() -> None:
    class PlanOfVolume(serializers.ModelSerializer):
        plan = AsyncFileField(source="shelf.plan", read_only=True)

        class Meta:
            model = Volume
            fields = ["plan"]

    assert PlanOfVolume(volume_with()).data == {"plan": None}


####################################
# Without a ModelSerializer
####################################


class Attachments(serializers.Serializer):
    files = serializers.ListField(child=AsyncFileField(model_field=Volume._meta.get_field("text")))


def test_a_list_of_files_is_taken_and_shown() -> None:
    keys = [text_of_volume(name=name) for name in ("one.txt", "two.txt")]
    serializer = Attachments(data={"files": [{"key": key} for key in keys]})

    assert serializer.is_valid(), serializer.errors
    assert [each.key for each in serializer.validated_data["files"]] == keys
    shown = Attachments({"files": [volume_with().text]}).data["files"]
    assert [each["key"] for each in shown] == ["volumes/old.txt"]


def test_a_list_of_files_is_refused_where_one_of_them_is() -> None:
    serializer = Attachments(data={"files": [{"key": text_of_volume()}, {"key": "volumes/theirs.txt"}]})

    assert not serializer.is_valid()
    assert serializer.errors["files"][1][0].code == "not_found"


def test_a_serializer_without_a_model_has_to_name_the_field() -> None:
    class Nameless(serializers.Serializer):
        file = AsyncFileField()

    with pytest.raises(TypeError, match="'file' needs model_field=… in Nameless"):
        _ = Nameless().fields


def test_the_field_alone_needs_neither_adrf_nor_drf_spectacular() -> None:
    program = """
        import sys
        sys.modules["adrf"] = sys.modules["drf_spectacular"] = None
        import django
        django.setup()
        import async_uploads.drf.serializer
    """

    subprocess.run([sys.executable, "-c", dedent(program)], check=True, cwd=ROOT)


####################################
# Refused
####################################


def test_a_key_that_never_was_is_refused() -> None:
    assert codes_for({"key": "async-temp-files/2026/11/22/nobody-knows.txt"}) == "not_found"


def test_the_name_of_another_records_file_is_refused() -> None:
    volume_with("theirs.txt")

    assert codes_for({"key": "volumes/theirs.txt"}) == "not_found"
    assert codes_for({"key": "volumes/theirs.txt"}, instance=volume_with("mine.txt")) == "not_found"


def test_an_upload_for_another_field_or_storage_is_refused() -> None:
    assert codes_for({"key": arrived()}) == "not_found"
    assert codes_for({"key": arrived(b"x", "x.txt", model=Album, field="booklet")}) == "not_found"


def test_a_used_key_is_refused() -> None:
    key = text_of_volume()
    Volume.objects.create(text=key)

    assert codes_for({"key": key}) == "already_used"


def test_an_upload_that_failed_is_refused_with_its_reason() -> None:
    temp_file = begun(model=Volume, field="text")
    temp_file.move("failed", error_code="file_too_large", error="The file is too large.")  # type: ignore[arg-type]

    serializer = VolumeSerializer(data={"text": {"key": temp_file.key}})

    assert code_of(serializer) == "upload_failed"
    assert serializer.errors["text"] == ["The upload failed: The file is too large."]


def test_an_upload_that_is_under_way_is_refused() -> None:
    assert codes_for({"key": begun(model=Volume, field="text").key}) == "incomplete"


def test_an_empty_file_is_refused_unless_the_field_allows_it() -> None:
    class Lenient(AsyncUploadsModelSerializer):
        class Meta:
            model = Volume
            fields = ["text"]
            extra_kwargs = {"text": {"allow_empty_file": True}}

    key = text_of_volume(content=b"")

    assert codes_for({"key": key}) == "empty"
    assert Lenient(data={"text": {"key": key}}).is_valid()


def test_a_key_longer_than_the_column_is_refused() -> None:
    key = "async-temp-files/2026/11/22/" + "x" * 200

    serializer = VolumeSerializer(data={"text": {"key": key}})

    assert code_of(serializer) == "max_length"
    assert serializer.errors["text"] == ["Ensure this field has no more than 200 characters."]


def test_an_error_of_the_client_is_told() -> None:
    serializer = VolumeSerializer(data={"text": {"key": "", "error": "the network is down \ud800"}})

    assert code_of(serializer) == "upload_failed"
    assert serializer.errors["text"] == ["The upload failed: the network is down ?"]


def test_validators_of_the_model_field_judge_the_stored_name_and_not_the_clients() -> None:
    key = arrived(name="page.exe", model=Page, field="scan")

    serializer = PageSerializer(data={"scan": {"key": key, "name": "page.txt"}})

    assert code_of(serializer, "scan") == "invalid_extension"


def test_validators_of_the_serializer_can_read_the_upload() -> None:
    read: list[bytes] = []

    class Curious(AsyncUploadsModelSerializer):
        class Meta:
            model = Volume
            fields = ["text"]
            extra_kwargs = {"text": {"validators": [lambda file: read.append(file.read())]}}

    assert Curious(data={"text": {"key": text_of_volume()}}).is_valid()
    assert read == [b"some bytes"]


####################################
# Who is asking
####################################

ADA = Owner(user="user:1")


def test_somebody_elses_upload_is_refused() -> None:
    key = text_of_volume(owner=ADA)
    request = RequestFactory().get("/")
    request.user = User(pk=2)

    assert codes_for({"key": key}, context={"request": request}) == "not_found"
    request.user = User(pk=1)
    assert VolumeSerializer(data={"text": {"key": key}}, context={"request": request}).is_valid()


@pytest.mark.parametrize(("pk", "answer"), [(1, 200), (2, 400)])
def test_who_is_asking_is_who_drf_has_authenticated(pk: int, answer: int) -> None:
    key = text_of_volume(owner=ADA)
    request = APIRequestFactory().post("/", {"text": {"key": key}}, format="json")
    force_authenticate(request, User(pk=pk))

    assert SaveVolume.as_view()(request).status_code == answer


class SaveVolume(APIView):
    def post(self, request: Any) -> Any:
        serializer = VolumeSerializer(data=request.data, context={"request": request})
        serializer.is_valid(raise_exception=True)
        return serializers_answer(serializer)


def serializers_answer(serializer: Any) -> Any:
    from rest_framework.response import Response

    return Response(serializer.data)


####################################
# Direct uploads, and races
####################################


def test_an_upload_that_was_never_completed_is_completed() -> None:
    with direct_uploads() as cloud:
        key = begun("booklet.pdf", model=Album, field="booklet").key
        assert code_of(AlbumSerializer(data={"booklet": {"key": key}}), "booklet") == "incomplete"
        cloud.receive(key, PDF)

        assert AlbumSerializer(data={"booklet": {"key": key}}).is_valid()

        assert (row_of(key).state, row_of(key).size) == ("uploaded", len(PDF))


def test_an_upload_that_turns_out_to_be_too_large_is_refused() -> None:
    with direct_uploads() as cloud:
        key = begun("booklet.pdf", model=Album, field="booklet").key
        cloud.receive(key, PDF + bytes(1024**2))

        assert code_of(AlbumSerializer(data={"booklet": {"key": key}}), "booklet") == "file_too_large"


@pytest.mark.parametrize("many", [False, True])
def test_a_key_that_is_used_between_validation_and_save_is_an_error_of_the_serializer(many: bool) -> None:
    key = text_of_volume()
    data: Any = {"text": {"key": key}}
    serializer = VolumeSerializer(data=[data] if many else data, many=many)
    serializer.is_valid(raise_exception=True)
    Volume.objects.create(text=key)

    with pytest.raises(serializers.ValidationError) as refused:
        serializer.save()

    assert refused.value.get_codes() == {"text": ["already_used"]}
    assert Volume.objects.count() == 1


def test_a_serializer_of_ones_own_hears_of_it_from_the_save() -> None:
    key = text_of_volume()
    serializer = MappedVolumeSerializer(data={"text": {"key": key}})
    serializer.is_valid(raise_exception=True)
    Volume.objects.create(text=key)

    with pytest.raises(UploadAlreadyUsed):
        serializer.save()


####################################
# Values of every shape
####################################


@pytest.mark.parametrize("text", MALFORMED, ids=lambda text: text[:40])
def test_a_malformed_string_is_an_error_of_the_field(text: str) -> None:
    assert codes_for(text) == "invalid"


@pytest.mark.parametrize(
    "value",
    [
        0,
        1.5,
        True,
        [],
        ["x"],
        {},
        {"key": None},
        {"key": 5},
        {"key": {"key": "x"}},
        {"key": "x", "more": 1},
        object(),
    ],
    ids=str,
)
def test_a_value_of_another_shape_is_an_error_of_the_field(value: Any) -> None:
    assert codes_for(value) == "invalid"


def test_a_file_in_the_request_itself_is_not_taken() -> None:
    assert codes_for(ContentFile(b"x", name="direct.txt")) == "invalid"


@given(any_json)
def test_no_value_of_any_shape_makes_it_raise_anything_but_a_validation_error(value: Any) -> None:
    field = VolumeSerializer(data={"text": value}).fields["text"]

    for sent in (value, json.dumps(value)):
        field.get_value({"text": sent})
        with pytest.raises(serializers.ValidationError) as refused:
            field.run_validation(sent)
        json.dumps(refused.value.detail).encode()


@given(st.lists(any_json, max_size=3))
def test_no_list_of_any_shape_makes_a_serializer_of_many_raise(values: list[Any]) -> None:
    serializer = VolumeSerializer(data=[{"text": value} for value in values], many=True)

    assert serializer.is_valid() is (not values)
    json.dumps(serializer.errors).encode()
