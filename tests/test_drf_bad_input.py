"""Bodies of every shape, over HTTP and two levels deep: errors in DRF's own form, and never a 500."""

from __future__ import annotations

import json
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.http import QueryDict
from django.test import AsyncClient, Client
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.arrivals import arrived
from tests.conftest import field_id_of
from tests.drfapp.models import Volume
from tests.drfapp.serializers import DeepShelfSerializer, VolumeSerializer
from tests.test_drf_nested import page_of, shelf_with
from tests.test_forms import any_json

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.drfapp.urls")]

JSON = "application/json"
FORM = "application/x-www-form-urlencoded"
KEY = "async-temp-files/2026/11/22/token-x.txt"

# What stands for the file in {"text": …}, as JSON that is written by hand.
VALUES = {
    "a number": "5",
    "a huge number": "9" * 4000,
    "a fraction": "1e400",
    "NaN": "NaN",
    "Infinity": '{"key": "x", "width": Infinity}',
    "minus Infinity": '{"key": "x", "height": -Infinity}',
    "true": "true",
    "a list": '["x"]',
    "a list of lists": "[[[[]]]]",
    "a list of objects": f'[{{"key": "{KEY}"}}]',
    "an empty object": "{}",
    "an object in an object": f'{{"key": {{"key": "{KEY}"}}}}',
    "keys that are not known": f'{{"key": "{KEY}", "__class__": "x"}}',
    "a key twice, the last one a number": f'{{"key": "{KEY}", "key": 5}}',
    "a key twice": f'{{"key": 5, "key": "{KEY}"}}',
    "a key that is true": '{"key": true}',
    "a key of NUL": '{"key": "\\u0000"}',
    "a key of half a character": '{"key": "async-temp-files/\\ud800"}',
    "a name of half a character": f'{{"key": "{KEY}", "name": "\\udfff"}}',
    "a name that is a list": f'{{"key": "{KEY}", "name": ["x"]}}',
    "a name that is null": f'{{"key": "{KEY}", "name": null}}',
    "a width that is true": '{"key": "x", "width": true}',
    "a width that is negative": '{"key": "x", "width": -1}',
    "a key of a megabyte": f'{{"key": "{"x" * 1_000_000}"}}',
    "a name of a megabyte": f'{{"key": "{KEY}", "name": "{"x" * 1_000_000}"}}',
    "nested deeply": "[" * 400 + "]" * 400,
    "an error that is nested deeply": '{"key": "", "error": ' + "[" * 400 + "]" * 400 + "}",
    "an error of half a character": '{"key": "", "error": "\\ud800"}',
    "text": '"no JSON"',
    "text of half a character": '"\\ud800"',
    "text with NUL": '"\\u0000"',
    "JSON in JSON in JSON": json.dumps(json.dumps(json.dumps({"key": KEY}))),
    "JSON with NaN in it": json.dumps('{"key": "x", "width": NaN}'),
    "JSON nested deeply in it": json.dumps("[" * 9000 + "]" * 9000),
    "a mark of byte order": json.dumps('\ufeff{"key": "x"}'),
}


@pytest.mark.parametrize("path", ["/api/volumes/", "/api/sync-volumes/"])
@pytest.mark.parametrize("value", VALUES.values(), ids=VALUES)
async def test_value_of_any_shape_is_an_error_of_the_field(
    async_client: AsyncClient, path: str, value: str
) -> None:
    answer = await async_client.generic("POST", path, f'{{"title": "x", "text": {value}}}', content_type=JSON)

    assert answer.status_code == 400, answer.content
    told = json.loads(answer.content)
    assert list(told) in (["text"], ["detail"])  # the latter of DRF's parser, which knows no NaN
    assert not await Volume.objects.aexists()


@pytest.mark.parametrize("path", ["/api/volumes/", "/api/sync-volumes/"])
@pytest.mark.parametrize(
    ("body", "content_type"),
    [
        ("text=%00", FORM),
        ("text=%ed%a0%80", FORM),
        ("text[key]=x", FORM),
        ("text=x&text=y", FORM),
        ("text=%7B%22key%22%3A5%7D", FORM),
        ("[]", JSON),
        ('"text"', JSON),
        ("5", JSON),
        ("null", JSON),
        ("", JSON),
        ("\xff", JSON),
    ],
)
async def test_body_of_any_shape_is_an_error(
    async_client: AsyncClient, path: str, body: str, content_type: str
) -> None:
    answer = await async_client.generic("POST", path, body.encode("latin-1"), content_type=content_type)

    assert answer.status_code == 400, answer.content
    json.loads(answer.content)


@pytest.mark.parametrize("path", ["/api/volumes/", "/api/sync-volumes/"])
def test_file_itself_is_an_error_of_the_field(client: Client, path: str) -> None:
    answer = client.post(path, {"text": SimpleUploadedFile("direct.txt", b"x")})

    assert answer.status_code == 400, answer.content
    assert list(answer.json()) == ["text"]


@pytest.mark.parametrize("name", ["\ud800", "a\0b", "x" * 10_000, "<script>", "../../x", "", None])
def test_name_of_any_kind_is_only_shown(client: Client, name: str | None) -> None:
    key = arrived(name="real.txt", model=Volume, field="text")

    answer = client.post(
        "/api/sync-volumes/", json.dumps({"text": {"key": key, "name": name}}), content_type=JSON
    )

    assert answer.status_code == 201, answer.content
    assert Volume.objects.get().text.name == "volumes/real.txt"


TEXTS = ["\ud800", "\udfff.txt", "a\0b", "x" * 100_000, "\u202e\r\n.txt", "", "é"]
OTHERS = [5, -1, 10**30, 1.5, float("nan"), True, None, [], {}, [[1]], {"a": 1}]


@pytest.mark.parametrize("base", ["/api/uploads/", "/async-uploads/"])
@pytest.mark.parametrize("name", ["fieldId", "filename", "instanceId", "contentType", "size"])
async def test_parameter_of_any_shape_is_answered(async_client: AsyncClient, base: str, name: str) -> None:
    asked = {"fieldId": field_id_of(Volume, "text"), "filename": "x.txt"}

    for value in [*TEXTS, *OTHERS]:
        body = json.dumps({**asked, name: value})
        answer = await async_client.post(f"{base}generate-upload-url/", body, content_type=JSON)

        assert answer.status_code in (200, 400, 401, 403, 404, 413), value
        json.loads(answer.content)


@pytest.mark.parametrize("base", ["/api/uploads/", "/async-uploads/"])
@pytest.mark.parametrize(
    "content_type", ["é/plain", "text/\ud800", "text/plain\r\nX: y", "x" * 256, "text/\x7f"]
)
async def test_content_type_that_no_header_can_hold_is_refused(
    async_client: AsyncClient, base: str, content_type: str
) -> None:
    asked = {"fieldId": field_id_of(Volume, "text"), "filename": "x.txt", "contentType": content_type}

    answer = await async_client.post(f"{base}generate-upload-url/", json.dumps(asked), content_type=JSON)

    assert (answer.status_code, answer.json()) == (400, {"contentType": ["Enter a valid value."]})


@pytest.mark.parametrize("base", ["/api/uploads/", "/async-uploads/"])
@pytest.mark.parametrize("text", ["%00", "%ed%a0%80", "x" * 5000, "", "[]", "%2e%2e/"])
async def test_query_of_any_shape_is_answered(async_client: AsyncClient, base: str, text: str) -> None:
    field_id = field_id_of(Volume, "text")

    for query in (
        f"upload-status/?key={text}",
        f"download-file/?field_id={field_id}&instance_id={text}",
        f"download-file/?field_id={text}&instance_id=1",
    ):
        answer = await async_client.get(f"{base}{query}")

        assert answer.status_code in (400, 404), query
        json.loads(answer.content)


@settings(deadline=None)
@given(any_json)
def test_no_record_takes_any_value_for_another_file(value: Any) -> None:
    volume = Volume(pk=1, text="volumes/old.txt")
    serializer = VolumeSerializer(volume, data={"text": value}, partial=True)

    assert not serializer.is_valid()
    json.dumps(serializer.errors).encode()


####################################
# Two levels deep
####################################

some_json = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(["volumes", "id", "pk", "sheets", "scan", "key", "title"]), inner, max_size=4
        )
    ),
    max_leaves=25,
)
shelves = st.fixed_dictionaries(
    {
        "volumes": st.lists(
            some_json | st.fixed_dictionaries({"id": some_json, "sheets": st.lists(some_json, max_size=2)}),
            max_size=3,
        )
        | some_json
    }
)


@settings(deadline=None)
@given(st.data())
def test_no_nested_data_of_any_shape_makes_it_raise(data: Any) -> None:
    shelf = shelf_with("one.txt")
    page_of(shelf.volumes.get(), "a.txt")

    serializer = DeepShelfSerializer(shelf, data=data.draw(shelves))

    if not serializer.is_valid():
        json.dumps(serializer.errors).encode()


names = st.builds(
    "".join,
    st.lists(st.sampled_from(["volumes", "[0]", "[1]", "[x]", "sheets", ".", "id", "scan", "["]), max_size=5),
)


@settings(deadline=None)
@given(st.dictionaries(names, st.text(st.characters(codec="utf-8"), max_size=5), max_size=8))
def test_no_nested_form_of_any_shape_makes_it_raise(fields: dict[str, str]) -> None:
    shelf = shelf_with("one.txt")
    form = QueryDict(mutable=True)
    form.update(fields)

    serializer = DeepShelfSerializer(shelf, data=form)

    if not serializer.is_valid():
        json.dumps(serializer.errors).encode()
