"""Nested serializers that read HTML forms: grandchildren are recognised by their own parent there, too."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.http import QueryDict
from rest_framework.parsers import MultiPartParser
from rest_framework.response import Response
from rest_framework.serializers import ListSerializer
from rest_framework.test import APIRequestFactory
from rest_framework.views import APIView

from tests.drfapp.models import Page, Shelf, Volume
from tests.drfapp.serializers import DeepShelfSerializer, VolumeWithPagesSerializer
from tests.test_drf_nested import codes_of, page_of, shelf_with

pytestmark = pytest.mark.django_db(transaction=True)


def in_form(sheets: dict[tuple[int, int], Page], *volumes: Volume) -> dict[str, str]:
    """As a page with nested formsets posts it, by DRF's names: ``volumes[0]sheets[1]scan``."""
    sent = {f"volumes[{number}]id": str(volume.pk) for number, volume in enumerate(volumes)}
    for (outer, inner), page in sheets.items():
        row = f"volumes[{outer}]sheets[{inner}]"
        sent |= {f"{row}id": str(page.pk), f"{row}scan": json.dumps({"key": page.scan.name})}
    return sent


def deep(shelf: Shelf, form: dict[str, str]) -> DeepShelfSerializer:
    data = QueryDict(mutable=True)
    data.update(form)
    return DeepShelfSerializer(shelf, data=data)


def test_grandchildren_in_an_html_form_are_recognised_by_their_own_parent() -> None:
    shelf = shelf_with("one.txt", "two.txt")
    first, second = shelf.volumes.all()
    pages = [page_of(first, "a.txt"), page_of(first, "b.txt"), page_of(second, "c.txt")]

    form = in_form({(0, 0): pages[0], (0, 1): pages[1], (1, 0): pages[2]}, first, second)

    serializer = deep(shelf, form)
    assert serializer.is_valid(), serializer.errors


def test_grandchildren_in_an_html_form_are_not_recognised_under_their_parents_sibling() -> None:
    shelf = shelf_with("one.txt", "two.txt")
    first, second = shelf.volumes.all()
    page = page_of(first, "a.txt")

    theirs = page_of(second, "b.txt")

    assert codes_of(deep(shelf, in_form({(0, 0): theirs, (1, 0): page}, first, second))) == {
        "volumes": {number: {"sheets": {0: {"scan": ["not_found"]}}} for number in (0, 1)}
    }


def test_grandchild_that_an_html_form_has_under_two_parents_is_not_recognised() -> None:
    shelf = shelf_with("one.txt", "two.txt")
    first, second = shelf.volumes.all()
    page = page_of(first, "a.txt")
    refused = {"sheets": {0: {"scan": ["not_found"]}}}

    assert codes_of(deep(shelf, in_form({(0, 0): page, (1, 0): page}, first, second))) == {
        "volumes": {0: refused, 1: refused}
    }


class SaveShelf(APIView):
    parser_classes = [MultiPartParser]
    authentication_classes: list[Any] = []

    def put(self, request: Any) -> Response:
        serializer = DeepShelfSerializer(Shelf.objects.get(), data=request.data)
        serializer.is_valid(raise_exception=True)
        return Response([volume["pages"][0]["scan"].name for volume in serializer.validated_data["volumes"]])


def test_grandchildren_in_a_multipart_request_are_recognised() -> None:
    shelf = shelf_with("one.txt", "two.txt")
    first, second = shelf.volumes.all()
    form = in_form({(0, 0): page_of(first, "a.txt"), (1, 0): page_of(second, "b.txt")}, first, second)

    answer = SaveShelf.as_view()(APIRequestFactory().put("/", form, format="multipart"))

    assert answer.data == ["pages/a.txt", "pages/b.txt"]


class DeepListSerializer(VolumeWithPagesSerializer):
    class Meta(VolumeWithPagesSerializer.Meta):
        list_serializer_class = ListSerializer


def test_grandchildren_of_many_in_an_html_form_are_recognised() -> None:
    shelf = shelf_with("one.txt", "two.txt")
    first, second = shelf.volumes.all()
    form = in_form({(0, 0): page_of(first, "a.txt"), (1, 0): page_of(second, "b.txt")}, first, second)
    data = QueryDict(mutable=True)
    data.update({name.removeprefix("volumes"): value for name, value in form.items()})

    serializer = DeepListSerializer(Volume.objects.all(), data=data, many=True)

    assert serializer.is_valid(), serializer.errors


def test_request_with_hundreds_of_grandchildren_takes_no_longer_for_each_of_them(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shelf = shelf_with("one.txt")
    (volume,) = shelf.volumes.all()
    page = page_of(volume, "a.txt")
    reads = 0
    get_value = ListSerializer.get_value

    def count(self: Any, dictionary: Any) -> Any:
        nonlocal reads
        reads += 1
        return get_value(self, dictionary)

    monkeypatch.setattr(ListSerializer, "get_value", count)
    serializer = deep(shelf, in_form({(0, number): page for number in range(490)}, volume))

    assert serializer.is_valid(), serializer.errors
    assert reads < 10
