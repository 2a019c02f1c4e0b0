"""What the bytes are, whatever the name says."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zipfile
import zlib

import httpx
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from async_uploads.exceptions import FileTooLarge, TypeNotAllowed
from async_uploads.inspection import HEAD_SIZE, check_name, check_size, check_type, detect_type, measure_image
from tests.conftest import image_bytes, ticket_for
from tests.testapp.models import NullablePicture
from tests.watching import files_under_media

GIF_AND_HTML = b"GIF89a/*<html><script>alert(1)</script>*/=1;"
UTF8_BOM = b"\xef\xbb\xbf"
HTML = b"<!doctype html><script>alert(1)</script>"
SVG = b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def docx() -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        archive.writestr("[Content_Types].xml", "<Types/>")
        archive.writestr("word/document.xml", "<document/>")
    return file.getvalue()


def png_that_claims(width: int, height: int) -> bytes:
    """A few bytes that say in their header that they are a picture of this size."""

    def chunk(kind: bytes, content: bytes) -> bytes:
        return (
            struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))
        )

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", header)
        + chunk(b"IDAT", zlib.compress(bytes(100)))
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("name", "content", "content_type"),
    [
        ("a.png", image_bytes("PNG"), "image/png"),
        ("a.jpg", image_bytes("JPEG"), "image/jpeg"),
        ("a.jpeg", image_bytes("JPEG"), "image/jpeg"),
        ("a.gif", image_bytes("GIF"), "image/gif"),
        ("a.webp", image_bytes("WEBP"), "image/webp"),
        ("a.bmp", image_bytes("BMP"), "image/bmp"),
        ("a.ico", image_bytes("ICO", (16, 16)), "image/vnd.microsoft.icon"),
        ("a.pdf", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj", "application/pdf"),
        ("a.docx", docx(), "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ("a.zip", docx(), "application/zip"),
        ("a.mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom", "video/mp4"),
        ("a.txt", b"plain words", "text/plain"),
        ("a.txt", "كلمات".encode(), "text/plain"),
        ("a.txt", ("年" * HEAD_SIZE).encode()[:HEAD_SIZE], "text/plain"),  # cut inside of a character
        ("a.csv", b"a,b\n1,2\n", "text/csv"),
        ("a.json", b'{"a": 1}', "application/json"),
        ("a.svg", SVG, "image/svg+xml"),
        ("a.svg", b'<?xml version="1.0"?>\n<!-- made by -->\n' + SVG, "image/svg+xml"),
        ("a.xml", b'<?xml version="1.0"?><a/>', "application/xml"),
        ("a.html", HTML, "text/html"),
        ("a.txt", b"", "text/plain"),
        ("a.txt", b"x", "text/plain"),
        ("a.bin", bytes(100), "application/octet-stream"),
        ("no extension", b"words", "text/plain"),
        ("no extension", image_bytes("PNG"), "image/png"),
    ],
)
def test_the_type_is_told_by_the_bytes(name: str, content: bytes, content_type: str) -> None:
    assert detect_type(content[:HEAD_SIZE], name) == content_type


@pytest.mark.parametrize(
    "content",
    [
        HTML,
        HTML.upper(),
        UTF8_BOM + HTML,
        b"\n\t " + HTML,
        b"<!-- a comment -->" + HTML,
        UTF8_BOM + b" <!-- one --> <!-- another --> <ScRiPt >alert(1)</script>",
        "<html><script>alert(1)</script>".encode("utf-16"),
        b"<iframe src='https://example.com'></iframe>",
        b"<img/src=x onerror=alert(1)>",
    ],
)
@pytest.mark.parametrize("name", ["a.png", "a.txt", "a.pdf", "a.json", "a"])
def test_html_is_html_under_any_name(content: bytes, name: str) -> None:
    assert detect_type(content, name) == "text/html"


@pytest.mark.parametrize("name", ["a.png", "a.txt", "a"])
def test_svg_is_svg_under_any_name(name: str) -> None:
    assert detect_type(UTF8_BOM + b"<!DOCTYPE svg>" + SVG, name) == "image/svg+xml"


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("a.png", b""),
        ("a.png", b"x"),
        ("a.png", bytes(100)),
        ("a.png", image_bytes("JPEG")),
        ("a.png", b"MZ\x90\0\x03"),
        ("a.png", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3"),
        ("a.pdf", image_bytes("PNG")),
        ("a.pdf", b"words"),
        ("a.docx", b"words"),
        ("a.mp4", bytes(100)),
        ("a.html", b"only words"),
        ("a.svg", b"only words"),
        ("a.html", GIF_AND_HTML),
    ],
)
def test_a_name_cannot_make_bytes_what_they_are_not(name: str, content: bytes) -> None:
    declared = {
        "a.png": "image/png",
        "a.pdf": "application/pdf",
        "a.docx": "application/vnd.openxmlformats-officedocument.wordprocessingml.document",
        "a.mp4": "video/mp4",
        "a.html": "text/html",
        "a.svg": "image/svg+xml",
    }[name]

    assert detect_type(content, name) != declared
    with pytest.raises(TypeNotAllowed):
        check_type(name, detect_type(content, name), [name[1:]])


def test_a_gif_that_is_html_too_goes_for_a_gif() -> None:
    """It is served as one, with nosniff: a browser that is told so does not look for tags."""
    assert detect_type(GIF_AND_HTML, "a.gif") == "image/gif"


@settings(deadline=None)
@given(head=st.binary(max_size=300), name=st.text(max_size=20))
@example(head=b"<?xml", name="a.xml")
@example(head=b"\xff\xfe<", name="a.txt")
def test_any_bytes_have_a_type(head: bytes, name: str) -> None:
    assert "/" in detect_type(head, name)


def test_no_bytes_keep_the_server_busy() -> None:
    """8 KiB that could be matched in 2 to the 1,000 ways would stop the event loop for good."""
    code = (
        "from async_uploads.inspection import detect_type as d\n"
        "for one in (b'<!---->', b'<!-- ', b'<', b' ', b'<a', b'<a:'):\n"
        "    d((one * 8192)[:8191] + b'x', 'a.txt')\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


@pytest.mark.parametrize(
    ("restrictions", "name", "content_type"),
    [
        (["image/*"], "a.png", "image/png"),
        (["image/png"], "a.png", "image/png"),
        (["IMAGE/PNG"], "a.png", "image/png"),
        ([".docx"], "a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        ([".PDF"], "a.pdf", "application/pdf"),
        ([".pdf"], "A.PDF", "application/pdf"),
        (["image/*", ".pdf"], "a.pdf", "application/pdf"),
        ([".unheard-of"], "a.unheard-of", "application/octet-stream"),
        (["image/*"], "without extension", "image/png"),
        ([], "a.exe", "application/x-dosexec"),
    ],
)
def test_what_a_field_takes(restrictions: list[str], name: str, content_type: str) -> None:
    check_name(name, restrictions)
    check_type(name, content_type, restrictions)


@pytest.mark.parametrize(
    ("restrictions", "name", "content_type"),
    [
        (["image/*"], "a.png", "text/html"),
        (["image/png"], "a.png", "image/jpeg"),
        ([".pdf"], "a.pdf", "text/html"),
        ([".pdf"], "a.txt", "application/pdf"),
        ([".png"], "a.png", "image/svg+xml"),
    ],
)
def test_what_a_field_refuses(restrictions: list[str], name: str, content_type: str) -> None:
    with pytest.raises(TypeNotAllowed, match="Only these types are allowed"):
        check_type(name, content_type, restrictions)


@pytest.mark.parametrize(
    ("restrictions", "name"), [([".pdf"], "a.txt"), (["image/*"], "a.pdf"), ([".pdf"], "pdf")]
)
def test_a_name_that_nothing_can_make_right_is_refused_at_once(restrictions: list[str], name: str) -> None:
    with pytest.raises(TypeNotAllowed):
        check_name(name, restrictions)


def test_the_size_limit_is_in_bytes_and_inclusive() -> None:
    check_size(100, 100)
    check_size(10**12, None)
    with pytest.raises(FileTooLarge, match="1 MiB"):
        check_size(1024 * 1024 + 1, 1024 * 1024)


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "GIF", "WEBP", "TIFF"])
def test_an_image_is_measured(kind: str) -> None:
    assert measure_image(io.BytesIO(image_bytes(kind, (31, 17)))) == (31, 17)


@pytest.mark.parametrize("size", [(50_000, 50_000), (2**31 - 1, 2**31 - 1), (10_000, 12_000)])
@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_an_image_bomb_is_not_measured(size: tuple[int, int]) -> None:
    """The last one is in the range where Pillow only warns."""
    with pytest.raises(TypeNotAllowed, match="too many pixels"):
        measure_image(io.BytesIO(png_that_claims(*size)))


async def test_an_image_bomb_is_refused_and_removed(visitor: httpx.AsyncClient) -> None:
    ticket = await ticket_for(visitor, "small.png", model=NullablePicture, field="image")

    response = await visitor.put(ticket["uploadUrl"]["url"], content=png_that_claims(50_000, 50_000))

    assert (response.status_code, response.json()["code"]) == (415, "type_not_allowed")
    assert files_under_media() == []


@pytest.mark.parametrize(
    ("restrictions", "words"),
    [
        (["image/*"], "JPG, PNG, GIF, WebP…"),
        ([".PDF", "application/pdf", "image/jpeg"], "PDF, JPG"),
        (["application/x-tar", ".tar.gz"], "TAR, TAR.GZ"),
    ],
)
def test_refusal_names_types_as_people_know_them(restrictions: list[str], words: str) -> None:
    with pytest.raises(TypeNotAllowed) as refusal:
        check_name("game.exe", restrictions)

    assert refusal.value.detail == f"Only these types are allowed: {words}."
