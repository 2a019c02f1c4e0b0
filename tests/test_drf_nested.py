"""Nested serializers: the unchanged value of a child is recognised by that child, and by nobody else's."""

from __future__ import annotations

from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.http import QueryDict
from rest_framework.serializers import ListSerializer

from tests.arrivals import arrived
from tests.conftest import image_bytes
from tests.drfapp.models import Cover, Page, Shelf, Volume
from tests.drfapp.serializers import (
    AsyncVolumeSerializer,
    DeepShelfSerializer,
    FullShelfSerializer,
    VolumeSerializer,
)
from tests.testapp.models import Document

pytestmark = pytest.mark.django_db(transaction=True)


def shelf_with(*names: str) -> Shelf:
    shelf = Shelf.objects.create(title="shelf")
    for name in names:
        Volume.objects.create(shelf=shelf, text=ContentFile(b"x", name=name))
    return shelf


def page_of(volume: Volume, name: str) -> Page:
    return Page.objects.create(volume=volume, scan=ContentFile(b"x", name=name))


def unchanged(volume: Volume, **more: Any) -> dict[str, Any]:
    return {"id": volume.pk, "title": volume.title, "text": {"key": volume.text.name}, **more}


def full(shelf: Shelf, *volumes: dict[str, Any], **more: Any) -> Any:
    return FullShelfSerializer(shelf, data={"title": "shelf", "volumes": list(volumes), **more})


def codes_of(serializer: Any) -> Any:
    assert not serializer.is_valid()

    def code(detail: Any) -> Any:
        if isinstance(detail, dict):
            return {name: code(one) for name, one in detail.items()}
        return [code(one) for one in detail] if isinstance(detail, list) else detail.code

    return code(serializer.errors)


REFUSED = {"text": ["not_found"]}


def test_children_that_come_back_unchanged_are_saved_with_their_parent() -> None:
    shelf = shelf_with("one.txt", "two.txt")
    shown = FullShelfSerializer(shelf).data
    for volume in shown["volumes"]:
        volume["title"] = "edited"

    serializer = FullShelfSerializer(shelf, data=shown)

    assert serializer.is_valid(), serializer.errors
    serializer.save()
    assert [(each.title, each.text.name) for each in shelf.volumes.all()] == [
        ("edited", "volumes/one.txt"),
        ("edited", "volumes/two.txt"),
    ]


def test_one_child_changes_one_stays_one_comes_new() -> None:
    shelf = shelf_with("one.txt", "two.txt")
    first, second = shelf.volumes.all()
    new = arrived(name="new.txt", model=Volume, field="text")
    newest = arrived(name="newest.txt", model=Volume, field="text")

    serializer = full(
        shelf,
        unchanged(first),
        {"id": second.pk, "text": {"key": new}},
        {"text": {"key": newest}},
    )

    assert serializer.is_valid(), serializer.errors
    serializer.save()
    assert [each.text.name for each in shelf.volumes.all()] == [
        "volumes/one.txt",
        "volumes/new.txt",
        "volumes/newest.txt",
    ]


def test_a_child_is_not_recognised_by_its_sibling() -> None:
    shelf = shelf_with("one.txt", "two.txt")
    first, second = shelf.volumes.all()

    serializer = full(shelf, unchanged(first), unchanged(second, text={"key": first.text.name}))

    assert codes_of(serializer) == {"volumes": {1: REFUSED}}


def test_a_child_of_another_parent_is_not_recognised() -> None:
    (theirs,) = shelf_with("theirs.txt").volumes.all()

    assert codes_of(full(shelf_with("mine.txt"), unchanged(theirs))) == {"volumes": {0: REFUSED}}


def test_a_child_without_its_primary_key_is_not_recognised() -> None:
    shelf = shelf_with("one.txt")

    assert codes_of(full(shelf, {"text": {"key": "volumes/one.txt"}})) == {"volumes": {0: REFUSED}}


def test_a_new_parent_has_no_children_yet() -> None:
    (theirs,) = shelf_with("theirs.txt").volumes.all()

    serializer = FullShelfSerializer(data={"title": "new", "volumes": [unchanged(theirs)]})

    assert codes_of(serializer) == {"volumes": {0: REFUSED}}


@pytest.mark.parametrize(
    "pk", ["x", "1\0", "\ud800", -1, 1.5, True, 2**70, "9" * 5000, [], [1], {}, {"pk": 1}, None, ""], ids=repr
)
@pytest.mark.parametrize("prefetched", [False, True])
def test_a_primary_key_of_any_shape_is_a_child_that_is_not_there(pk: Any, prefetched: bool) -> None:
    shelf = Shelf.objects.prefetch_related("volumes").get(pk=shelf_with("one.txt", "two.txt").pk)
    shelf = shelf if prefetched else Shelf.objects.get()
    last = Volume.objects.get(text="volumes/two.txt")

    assert codes_of(full(shelf, unchanged(last, id=pk))) == {"volumes": {0: REFUSED}}


def test_prefetched_children_are_not_asked_for_again(django_assert_num_queries: Any) -> None:
    shelf_with("one.txt", "two.txt")
    shelf = Shelf.objects.prefetch_related("volumes").get()
    serializer = full(shelf, *[unchanged(volume) for volume in shelf.volumes.all()])

    with django_assert_num_queries(0):
        assert serializer.is_valid(), serializer.errors


def test_the_primary_key_may_come_as_text_or_by_another_name() -> None:
    class Renamed(VolumeSerializer):
        class Meta(VolumeSerializer.Meta):
            fields = ["number", "text"]

        from rest_framework.serializers import IntegerField

        number = IntegerField(source="pk")

    class RenamedShelf(FullShelfSerializer):
        volumes = Renamed(many=True)

    shelf = shelf_with("one.txt")
    (volume,) = shelf.volumes.all()

    data = {"title": "x", "volumes": [{"number": str(volume.pk), "text": {"key": volume.text.name}}]}

    assert RenamedShelf(shelf, data=data).is_valid()


def test_the_one_child_of_a_one_to_one_relation_needs_no_key() -> None:
    shelf = shelf_with()
    Cover.objects.create(shelf=shelf, picture=ContentFile(image_bytes(), name="p.png"))
    other = shelf_with()
    Cover.objects.create(shelf=other, picture=ContentFile(image_bytes(), name="theirs.png"))

    assert full(shelf, cover={"picture": {"key": "covers/p.png"}}).is_valid()
    assert codes_of(full(shelf, cover={"picture": {"key": "covers/theirs.png"}})) == {
        "cover": {"picture": ["not_found"]}
    }
    assert codes_of(full(shelf_with(), cover={"picture": {"key": "covers/p.png"}})) == {
        "cover": {"picture": ["not_found"]}
    }


def test_a_child_in_an_html_form_is_recognised() -> None:
    shelf = shelf_with("one.txt")
    (volume,) = shelf.volumes.all()
    form = QueryDict(mutable=True)
    form.update(
        {"title": "x", "volumes[0]id": str(volume.pk), "volumes[0]text": '{"key": "volumes/one.txt"}'}
    )

    serializer = FullShelfSerializer(shelf, data=form)

    assert serializer.is_valid(), serializer.errors


####################################
# Two levels deep
####################################


def test_grandchildren_are_recognised_by_their_own_parent() -> None:
    shelf = shelf_with("one.txt", "two.txt")
    first, second = shelf.volumes.all()
    page, other = page_of(first, "a.txt"), page_of(second, "b.txt")

    serializer = DeepShelfSerializer(
        shelf,
        data={
            "volumes": [
                {"id": first.pk, "sheets": [{"id": page.pk, "scan": {"key": page.scan.name}}]},
                {"id": second.pk, "sheets": [{"id": other.pk, "scan": {"key": other.scan.name}}]},
            ]
        },
    )

    assert serializer.is_valid(), serializer.errors


def test_grandchildren_are_not_recognised_under_their_parents_sibling() -> None:
    shelf = shelf_with("one.txt", "two.txt")
    first, second = shelf.volumes.all()
    page = page_of(first, "a.txt")
    sheet = {"id": page.pk, "scan": {"key": page.scan.name}}

    serializer = DeepShelfSerializer(
        shelf,
        data={
            "volumes": [
                {"id": first.pk, "sheets": [dict(sheet)]},
                {"id": second.pk, "sheets": [dict(sheet)]},
            ]
        },
    )

    assert codes_of(serializer) == {"volumes": {1: {"sheets": {0: {"scan": ["not_found"]}}}}}


def test_grandchildren_in_data_of_the_wrong_shape_are_errors() -> None:
    shelf = shelf_with("one.txt")
    sheet = {"id": 1, "scan": {"key": "pages/a.txt"}}

    for data in (
        {"volumes": {"sheets": [sheet]}},
        {"volumes": [[sheet]]},
        {"volumes": [{"sheets": {"0": sheet}}]},
        {"volumes": [None, {"sheets": [None, sheet]}]},
        {"volumes": [{"id": [], "sheets": [sheet]}]},
    ):
        assert not DeepShelfSerializer(shelf, data=data).is_valid()


####################################
# Many at once, without a parent
####################################


class ManyVolumes(ListSerializer):
    def update(self, instance: Any, validated_data: Any) -> Any:
        pairs = zip(self.initial_data, validated_data, strict=True)
        child: Any = self.child
        return [child.update(instance.get(pk=sent["id"]), validated) for sent, validated in pairs]


class UpdatedTogether(VolumeSerializer):
    class Meta(VolumeSerializer.Meta):
        list_serializer_class = ManyVolumes


@pytest.mark.parametrize("kind", [VolumeSerializer, AsyncVolumeSerializer])
def test_many_are_created(kind: Any) -> None:
    keys = [arrived(name=name, model=Volume, field="text") for name in ("one.txt", "two.txt")]

    serializer = kind(data=[{"text": {"key": key}} for key in keys], many=True)

    assert serializer.is_valid(), serializer.errors
    assert [volume.text.name for volume in serializer.save()] == ["volumes/one.txt", "volumes/two.txt"]


def test_many_are_updated_each_by_its_own_value() -> None:
    shelf_with("one.txt", "two.txt")
    first, second = Volume.objects.all()
    data = [unchanged(second, title="b"), unchanged(first, title="a")]

    serializer = UpdatedTogether(Volume.objects.all(), data=data, many=True)

    assert serializer.is_valid(), serializer.errors
    serializer.save()
    assert [(each.title, each.text.name) for each in Volume.objects.all()] == [
        ("a", "volumes/one.txt"),
        ("b", "volumes/two.txt"),
    ]


@pytest.mark.parametrize(
    "records", [list, lambda all_of_them: all_of_them[:5], lambda all_of_them: all_of_them]
)
def test_only_the_records_that_are_updated_are_recognised(records: Any) -> None:
    shelf_with("one.txt", "two.txt", "three.txt")
    first, second, third = Volume.objects.all()
    chosen = records(Volume.objects.exclude(pk=third.pk))

    data = [unchanged(first), unchanged(second, text={"key": first.text.name}), unchanged(third)]

    assert codes_of(UpdatedTogether(chosen, data=data, many=True)) == {1: REFUSED, 2: REFUSED}


def test_an_upload_for_a_childs_sibling_field_is_refused() -> None:
    shelf = shelf_with("one.txt")

    assert codes_of(full(shelf, {"text": {"key": arrived(model=Document)}})) == {"volumes": {0: REFUSED}}
