"""Files that are two things at once: refused by a field that takes one of them, and real files are not mistaken."""

from __future__ import annotations

import io
import random
import zipfile
from typing import Any

import pytest
from django.core.files.base import ContentFile
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, PngImagePlugin

from async_uploads.disguises import MAX_DIRECTORY_SIZE, TAIL_SIZE, check_disguise
from async_uploads.exceptions import TypeNotAllowed
from async_uploads.inspection import HEAD_SIZE, check_type, detect_type
from async_uploads.storage.arrival import acheck_arrival
from async_uploads.storage.memory import MemoryAsyncUploadStorage
from tests.arrivals import arrived
from tests.conftest import image_bytes
from tests.hostile.profile import bounded
from tests.test_inspection import docx
from tests.test_real_inputs import pdf, photo
from tests.testapp.models import Picture

SCRIPT = b"<script>alert(1)</script>"
PHP = b"<?php system($_GET['c']); ?>"
PAGE = b"<!DOCTYPE html><html><body onload=alert(1)></html>"
WORD = "application/vnd.openxmlformats-officedocument.wordprocessingml.document"
ODT = "application/vnd.oasis.opendocument.text"


def archive(*names: str, first: tuple[str, bytes] | None = None) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        if first:
            made.writestr(*first)
        for name in names:
            made.writestr(name, b"x")
    return file.getvalue()


def picture(kind: str, **more: Any) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", (7, 5), "teal").save(file, kind, **more)
    return file.getvalue()


def png_with_text(text: str) -> bytes:
    info = PngImagePlugin.PngInfo()
    info.add_text("Comment", text)
    return picture("PNG", pnginfo=info)


def gif_with_comment(comment: bytes) -> bytes:
    return picture("GIF", comment=comment)


class RestrictedField:
    """As much of a field as the check of an arrival asks."""

    max_size_bytes = None
    measures_images = False

    def __init__(self, storage: MemoryAsyncUploadStorage, restriction: str) -> None:
        self.storage = storage
        self.file_restrictions = (restriction,)


async def accepts(name: str, content: bytes) -> bool:
    storage = MemoryAsyncUploadStorage()
    storage.save("arrived", ContentFile(content))
    try:
        await acheck_arrival(RestrictedField(storage, "." + name.rpartition(".")[2]), "arrived", name)
    except TypeNotAllowed:
        return False
    return True


JPEG_OF_SIZE = photo()

POLYGLOTS = {
    "a GIF that is a script": ("a.gif", b"GIF89a/*" + SCRIPT + b"*/=1;"),
    "a GIF with a script after it": ("a.gif", image_bytes("GIF") + SCRIPT),
    "a GIF with a page for a comment": ("a.gif", gif_with_comment(PAGE)),
    "a GIF with a handler": ("a.gif", image_bytes("GIF") + b"<img src=x onerror=alert(1)>"),
    "a GIF with a handler without spaces": ("a.gif", image_bytes("GIF") + b"<img/src=x/onerror=alert(1)>"),
    "a JPEG with PHP for a comment": ("a.jpg", picture("JPEG", comment=PHP)),
    "a JPEG with PHP after it": ("a.jpg", JPEG_OF_SIZE + b"\n" + PHP),
    "a JPEG with a page after it": ("a.jpg", JPEG_OF_SIZE + PAGE),
    "a PNG with an SVG in its text": ("a.png", png_with_text("<svg onload=alert(1)>")),
    "a PNG with PHP in its text": ("a.png", png_with_text("<?php phpinfo();")),
    "a PNG with an archive after it": ("a.png", image_bytes() + archive("a.txt")),
    "a PNG with Java after it": ("a.png", image_bytes() + archive("META-INF/MANIFEST.MF", "Main.class")),
    "a PNG with an archive and more after it": ("a.png", image_bytes() + archive("a.txt") + bytes(1000)),
    "a PNG with a PDF after it": ("a.png", image_bytes() + pdf()),
    "a PNG with a PDF's beginning in it": ("a.png", png_with_text("%PDF-1.4 1 0 obj")),
    "a BMP with a script": ("a.bmp", image_bytes("BMP") + SCRIPT.upper()),
    "a WebP with a page": ("a.webp", image_bytes("WEBP") + PAGE),
    "a film with a page": ("a.mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + PAGE + bytes(100)),
    "a PDF that is a page": ("a.pdf", b"%PDF-1.4\n" + PAGE + pdf()),
    "a PDF with a page before it": ("a.pdf", PAGE + pdf()),
    "a PDF with anything before it": ("a.pdf", b"anything\0" + pdf()),
    "a PDF with PHP": ("a.pdf", b"%PDF-1.4\n" + PHP + b"\n" + pdf()),
    "a PDF with an archive after it": ("a.pdf", pdf() + archive("a.txt")),
    "a PDF with a page after it": ("a.pdf", pdf() + PAGE),
    "a document with macros": (
        "a.docx",
        archive("[Content_Types].xml", "word/document.xml", "word/vbaProject.bin"),
    ),
    "a document without its types": ("a.docx", archive("word/document.xml")),
    "a document that is a table": ("a.docx", archive("[Content_Types].xml", "xl/workbook.xml")),
    "a document that is Java": (
        "a.docx",
        archive("[Content_Types].xml", "word/document.xml", "META-INF/MANIFEST.MF", "Main.class"),
    ),
    "a document that is any archive": ("a.docx", archive("a.exe")),
    "a document that is cut off": ("a.docx", docx()[:-30]),
    "an OpenDocument that is any archive": ("a.odt", archive("content.xml", "META-INF/manifest.xml")),
    "an OpenDocument of another kind": (
        "a.odt",
        archive("META-INF/manifest.xml", first=("mimetype", ODT.replace("text", "chart").encode())),
    ),
    "a book that is any archive": ("a.epub", archive("index.html")),
}


@pytest.mark.parametrize(("name", "content"), POLYGLOTS.values(), ids=POLYGLOTS)
async def test_what_is_something_else_too_is_refused(name: str, content: bytes) -> None:
    assert not await accepts(name, content)


XMP = (
    b'<?xpacket begin="\xef\xbb\xbf" id="W5M0MpCehiHzreSzNTczkc9d"?><x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description rdf:about="" dc:format="image/svg+xml">'
    b"<dc:title><rdf:Alt><rdf:li xml:lang='x-default'>&lt;script&gt; a &amp; b</rdf:li></rdf:Alt></dc:title>"
    b'</rdf:Description></rdf:RDF></x:xmpmeta><?xpacket end="w"?>'
)

REAL = {
    "a photo": ("a.jpg", JPEG_OF_SIZE),
    "a photo with XMP": ("a.jpg", picture("JPEG", xmp=XMP)),
    "a photo that moves": ("a.jpg", JPEG_OF_SIZE + b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(2000)),
    "a photo with another one after it": ("a.jpg", JPEG_OF_SIZE + picture("JPEG")),
    "a picture with XMP": ("a.png", png_with_text(XMP.decode())),
    "a picture with a comment": ("a.png", png_with_text("Made with a <b>drawing</b> program & <http://x>")),
    "a GIF": ("a.gif", gif_with_comment(b"Created with GIMP")),
    "a WebP": ("a.webp", image_bytes("WEBP")),
    "a TIFF": ("a.tiff", image_bytes("TIFF")),
    "a film": ("a.mp4", b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + random.Random(1).randbytes(100_000)),
    "a paper": ("a.pdf", pdf()),
    "a form": ("a.pdf", pdf().replace(b"%%EOF", b"<script contentType='application/x-javascript'>\n%%EOF")),
    "a paper with an archive attached": ("a.pdf", pdf().replace(b"%%EOF", archive("a.txt") + b"\n%%EOF")),
    "a letter": ("a.docx", docx()),
    "a letter of another program": (
        "a.docx",
        archive("[Content_Types].xml", "_rels/.rels", "word/document2.xml"),
    ),
    "a table": ("a.xlsx", archive("[Content_Types].xml", "xl/workbook.xml", "xl/worksheets/sheet1.xml")),
    "slides": ("a.pptx", archive("[Content_Types].xml", "ppt/presentation.xml")),
    "an OpenDocument": (
        "a.odt",
        archive("content.xml", "META-INF/manifest.xml", first=("mimetype", ODT.encode())),
    ),
    "a book": (
        "a.epub",
        archive("META-INF/container.xml", "a.xhtml", first=("mimetype", b"application/epub+zip")),
    ),
    "an SVG": ("a.svg", b'<svg xmlns="http://www.w3.org/2000/svg"><script>1</script></svg>'),
    "words": ("a.txt", b"<?php is how a file of PHP begins"),
    "an archive": ("a.zip", archive("Main.class", "word/vbaProject.bin")),
}


@pytest.mark.parametrize(("name", "content"), REAL.values(), ids=REAL)
async def test_real_files_are_taken(name: str, content: bytes) -> None:
    assert await accepts(name, content)


@pytest.mark.django_db(transaction=True)
def test_a_field_for_images_refuses_a_polyglot_at_its_door() -> None:
    with pytest.raises(TypeNotAllowed, match="not only what its name says"):
        arrived(image_bytes("GIF") + SCRIPT, "a.gif", model=Picture, field="image")


def read_from(content: bytes) -> tuple[list[int], Any]:
    """What ``check_disguise`` reads by, and how many bytes it has read."""
    read: list[int] = []

    def read_range(start: int, end: int) -> bytes:
        read.append(end - start)
        return content[start:end]

    return read, read_range


def disguised(content_type: str, content: bytes) -> bool:
    read, read_range = read_from(content)
    try:
        check_disguise(content_type, content[:HEAD_SIZE], content[-TAIL_SIZE:], len(content), read_range)
    except TypeNotAllowed:
        return True
    finally:
        assert sum(read) <= MAX_DIRECTORY_SIZE
    return False


def test_a_directory_of_millions_is_not_read() -> None:
    """An archive's end may claim any size."""
    content = bytearray(docx() + bytes(MAX_DIRECTORY_SIZE + 100))
    end = content.rindex(b"PK\x05\x06")
    record = content[end : end + 22]
    record[12:16] = (MAX_DIRECTORY_SIZE + 50).to_bytes(4, "little")
    content += record

    assert disguised(WORD, bytes(content))


@bounded
@given(
    content_type=st.sampled_from(
        [WORD, ODT, "application/pdf", "image/png", "application/epub+zip", "text/plain"]
    ),
    start=st.sampled_from([b"", docx(), pdf(), image_bytes(), archive("a")]),
    place=st.integers(min_value=0, max_value=400),
    junk=st.binary(max_size=30),
)
def test_broken_archives_and_documents_raise_nothing_else(
    content_type: str, start: bytes, place: int, junk: bytes
) -> None:
    disguised(content_type, start[:place] + junk + start[place + len(junk) :])


@bounded
@given(st.integers())
def test_noise_is_no_disguise(seed: int) -> None:
    """What is compressed looks like noise, and there is much of it."""
    assert not disguised("image/jpeg", random.Random(seed).randbytes(TAIL_SIZE + HEAD_SIZE))


@bounded
@given(st.lists(st.sampled_from([b"<", b"a", b" on", b"<a ", b"/", b"onload", b"="]), max_size=30))
def test_no_content_keeps_the_search_busy(pieces: list[bytes]) -> None:
    content = (b"".join(pieces) or b"<") * 2000
    disguised("image/png", content[: TAIL_SIZE + HEAD_SIZE])


@pytest.mark.parametrize("name", ["a.png", "a.pdf", "a.docx"])
def test_the_type_is_still_told_first(name: str) -> None:
    with pytest.raises(TypeNotAllowed, match="Only these types"):
        check_type(name, detect_type(PAGE, name), [name[1:]])
