"""Files that say one thing and are another: the name decides nothing that the bytes do not bear out."""

from __future__ import annotations

import mimetypes
from typing import Any

import pytest

from async_uploads.exceptions import TypeNotAllowed
from async_uploads.inspection import check_name, check_type, declared_type, detect_type, served_type
from tests.arrivals import arrived
from tests.conftest import image_bytes
from tests.testapp.models import Album, Picture

HTML = b"<!doctype html><script>alert(1)</script>"
PROGRAM = b"MZ" + bytes(range(1, 200)) * 5


def accepted(name: str, content: bytes, restrictions: list[str]) -> bool:
    try:
        check_name(name, restrictions)
        check_type(name, detect_type(content, name), restrictions)
    except TypeNotAllowed:
        return False
    return True


@pytest.mark.parametrize(
    ("name", "restriction"),
    [
        ("xx:a.html#.pdf", ".pdf"),
        ("xx:a.html?.png", ".png"),
        ("data:,a.png", ".png"),
        ("http://a.html;.png", ".png"),
    ],
)
def test_a_name_that_looks_like_a_url_is_only_a_name(name: str, restriction: str) -> None:
    assert not accepted(name, HTML, [restriction])
    assert not accepted(name, b"just words", [restriction])


@pytest.mark.parametrize("name", ["a.docx", "a.epub", "a.xlsx", "a.odt"])
@pytest.mark.parametrize("content", [HTML, PROGRAM])
def test_office_documents_are_told_on_a_machine_without_mime_types(
    monkeypatch: pytest.MonkeyPatch, name: str, content: bytes
) -> None:
    monkeypatch.setattr(mimetypes, "types_map", {})
    monkeypatch.setattr(mimetypes, "guess_type", lambda *args, **kwargs: (None, None))

    assert not accepted(name, content, ["." + name.partition(".")[2]])


def test_an_extension_that_nobody_knows_is_no_page_in_disguise() -> None:
    assert accepted("model.xyzzy", b"\x01\x02\x03 anything", [".xyzzy"])
    assert not accepted("model.xyzzy", HTML, [".xyzzy"])


@pytest.mark.parametrize("name", ["evil.html", "shell.php", "shell.phtml", "a.unknown"])
def test_a_pattern_wants_an_extension_of_its_own(name: str) -> None:
    assert not accepted(name, image_bytes("GIF"), ["image/*"])
    assert accepted("photo", image_bytes("GIF"), ["image/*"])


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize(("model", "field"), [(Album, "cover"), (Picture, "image")])
@pytest.mark.parametrize("name", ["evil.html", "shell.php"])
def test_an_image_field_stores_nothing_that_a_web_server_would_run(model: Any, field: str, name: str) -> None:
    with pytest.raises(TypeNotAllowed):
        arrived(image_bytes("GIF"), name, model=model, field=field)


@pytest.mark.parametrize("name", ["notes.txt.gz", "photo.png.gz", "page.svgz"])
def test_a_compressed_file_is_served_as_just_that(name: str) -> None:
    assert served_type(name) == declared_type(name) == "application/gzip"
