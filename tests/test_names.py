"""Names that people and attackers give to files, and what becomes of them."""

from __future__ import annotations

import posixpath
import re
from typing import Any
from urllib.parse import unquote

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from async_uploads.drf.serializer import AsyncUploadsModelSerializer
from async_uploads.exceptions import InvalidParameters
from async_uploads.forms.widgets import described
from async_uploads.inspection import clean_name
from async_uploads.models import AsyncFileInputData, AsyncTempFile
from async_uploads.storage.filesystem import FileSystemAsyncUploadStorage
from async_uploads.storage.naming import shown_name
from tests.arrivals import arrived
from tests.conftest import field_id_of, upload
from tests.testapp.models import Document


class DocumentSerializer(AsyncUploadsModelSerializer):
    class Meta:
        model = Document
        fields = ["file"]


KEY = re.compile(r"async-temp-files/\d{4}/\d\d/\d\d/[\w-]{22}-[\w.-]+")


@pytest.mark.parametrize(
    ("given_name", "name"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\fakepath\\report.pdf", "report.pdf"),
        ("/var/www/index.html", "index.html"),
        ("two\nlines\r.txt", "twolines.txt"),
        ("nul\0byte.txt", "nulbyte.txt"),
        ("\u202egpj.exe", "gpj.exe"),
        ("left\u200eright\u200f\u2066.txt", "leftright.txt"),
        ("\ufeffbom.txt", "bom.txt"),
        ("lone\ud800surrogate.txt", "lonesurrogate.txt"),
        ("  spaces around  ", "spaces around"),
        (".htaccess", ".htaccess"),
        ("سنوي تقرير.pdf", "سنوي تقرير.pdf"),
        ("نمی\u200cروم.txt", "نمی\u200cروم.txt"),
        ("👩\u200d👩\u200d👧.png", "👩\u200d👩\u200d👧.png"),
        ("100% + 'more' \"quotes\".txt", "100% + 'more' \"quotes\".txt"),
        ("x" * 10_000 + ".pdf", "x" * 251 + ".pdf"),
        ("年" * 255, "年" * 255),
    ],
)
def test_a_name_is_cleaned(given_name: str, name: str) -> None:
    assert clean_name(given_name) == name


@pytest.mark.parametrize(
    "given_name", ["", ".", "..", "....", "  ", "dir/", "\n", "\u202e", "\0", 7, None, ["a"]]
)
def test_a_name_of_which_nothing_is_left_is_refused(given_name: object) -> None:
    with pytest.raises(InvalidParameters):
        clean_name(given_name)


@settings(deadline=None)
@given(st.text())
def test_any_name_is_safe_or_refused(given_name: str) -> None:
    try:
        name = clean_name(given_name)
    except InvalidParameters:
        return
    assert 0 < len(name) <= 255
    assert not set(name) & set("/\\\0\r\n\u202e")
    assert name.strip(".") != ""
    name.encode()


@pytest.mark.parametrize("name", ["x.pdf", "xx.png", "x_x.doc", "x", "-x-.txt"])
def test_a_name_of_an_x_is_a_name(name: str) -> None:
    assert FileSystemAsyncUploadStorage().get_valid_name(name) == name


@pytest.mark.parametrize(("name", "valid"), [("??.pdf", "file.pdf"), ("__.pdf", "file.pdf"), ("..", "file")])
def test_a_name_of_which_only_the_extension_is_left_is_a_files(name: str, valid: str) -> None:
    assert FileSystemAsyncUploadStorage().get_valid_name(name) == valid


def test_the_token_of_a_temporary_path_is_not_shown() -> None:
    storage = FileSystemAsyncUploadStorage()
    key = storage.generate_temporary_path("My report.txt")
    elsewhere = FileSystemAsyncUploadStorage()
    elsewhere.temporary_key_prefix = "incoming"

    assert shown_name(key) == shown_name(key, storage) == "My_report.txt"
    assert shown_name(elsewhere.generate_temporary_path("a-b.txt"), elsewhere) == "a-b.txt"


@pytest.mark.parametrize(
    "name", ["documents/0123456789012345678901-a.txt", "async-temp-files/short-a.txt", ""]
)
def test_a_name_without_a_token_is_shown_as_it_is(name: str) -> None:
    assert shown_name(name) == posixpath.basename(name)


@settings(deadline=None)
@given(st.text(min_size=1, max_size=400), st.integers(min_value=70, max_value=500))
def test_any_name_makes_a_key_that_fits(given_name: str, max_length: int) -> None:
    try:
        name = clean_name(given_name)
    except InvalidParameters:
        return

    key = FileSystemAsyncUploadStorage().generate_temporary_path(name, max_length)

    assert KEY.fullmatch(key)
    assert len(key) <= max_length
    # Room for ".<16 digits>.part", which the file has while it is on its way.
    assert len(posixpath.basename(key).encode()) + 22 <= 255


NAMES = [
    "تقرير سنوي ٢٠٢٦.txt",
    "年度报告.txt",
    "🎉🎂.txt",
    "with many  spaces.txt",
    "100%.txt",
    "a%2Fb%00.txt",
    "one+one=two&more?#.txt",
    'it\'s "quoted".txt',
    "semi;colon.txt",
    "é" * 125 + ".txt",
    "年" * 83 + ".txt",
    "😀" * 62 + ".txt",
    "x" * 251 + ".txt",
    ".hidden.txt",
    "-rf.txt",
    "CON.txt",
]


@pytest.mark.parametrize("name", NAMES)
async def test_a_file_of_any_name_is_uploaded_saved_and_downloaded(
    visitor: httpx.AsyncClient, name: str
) -> None:
    key = await upload(visitor, name.encode(), name)
    document = await Document.objects.acreate(file=AsyncFileInputData(key=key, name=name))

    response = await visitor.get(document.file.url, follow_redirects=True)

    assert (await AsyncTempFile.objects.aget()).name == name
    assert KEY.fullmatch(key)
    assert str(document.file.name).startswith("documents/")
    assert response.content == name.encode()
    assert unquote(response.headers["content-disposition"]).endswith((".txt", '.txt"'))


async def test_two_files_of_one_name_are_two_files(visitor: httpx.AsyncClient) -> None:
    documents = []
    for content in (b"the first", b"the second"):
        key = await upload(visitor, content, "年度报告.txt")
        documents.append(await Document.objects.acreate(file=AsyncFileInputData(key=key, name="x")))

    assert documents[0].file.name != documents[1].file.name
    assert [await document.file.aread() for document in documents] == [b"the first", b"the second"]


@pytest.mark.parametrize("name", ["..", "dir/", "\u202e", "\n"])
async def test_a_name_that_is_none_gets_no_ticket(visitor: httpx.AsyncClient, name: str) -> None:
    response = await visitor.post(
        "/async-uploads/generate-upload-url/", json={"fieldId": field_id_of(), "filename": name}
    )

    assert (response.status_code, list(response.json())) == (400, ["filename"])
    assert not await AsyncTempFile.objects.aexists()


def waiting(key: str) -> None:
    """A queue that nobody works off."""


@pytest.mark.django_db(transaction=True)
def test_a_file_that_waits_for_its_promotion_is_shown_by_its_own_name(settings: Any) -> None:
    settings.ASYNC_UPLOADS = {"PROMOTION_DISPATCHER": "tests.test_names.waiting"}
    document = Document.objects.create(file=arrived(name="My report.txt"))
    assert document.file.storage.is_temporary_path(str(document.file))

    described_in_form = described(document.file)
    described_by_api = DocumentSerializer(document).data["file"]

    assert described_in_form is not None
    assert described_in_form["name"] == described_by_api["name"] == "My_report.txt"
