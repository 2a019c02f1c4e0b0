"""What runs scripts is downloaded, by whichever way, whatever the project's settings say."""

from __future__ import annotations

from typing import Any

import pytest
from django.test import AsyncClient

from async_uploads.inspection import NEVER_INLINE, disposition, is_inline_type, may_be_inline
from tests.asking import ask_upload
from tests.checking import the_only
from tests.testapp.models import Document

SVG = b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>"
NAMES = ["a.svg", "a.SVG", "a.html", "a.htm", "a.xhtml", "a.xml", "a.js", "a.svg ", "x.png.svg"]


@pytest.fixture
def wants_all_inline(settings: Any) -> None:
    settings.ASYNC_UPLOADS = {"INLINE_TYPES": [*NEVER_INLINE, "text/plain"]}


@pytest.mark.django_db(transaction=True)
@pytest.mark.usefixtures("wants_all_inline")
@pytest.mark.parametrize("name", NAMES)
async def test_what_runs_scripts_is_never_inline(async_client: AsyncClient, name: str) -> None:
    document = await Document.objects.acreate(file=await ask_upload(async_client, SVG, name))

    page = await async_client.get((await async_client.get(document.file.url))["Location"])

    assert page["Content-Disposition"].startswith("attachment")
    assert page["X-Content-Type-Options"] == "nosniff"


@pytest.mark.usefixtures("wants_all_inline")
@pytest.mark.parametrize("name", NAMES)
def test_no_storage_is_told_that_it_may_be_inline(name: str) -> None:
    """S3 and Azure sign the header that this makes."""
    assert not may_be_inline(name)
    assert disposition(name, inline=may_be_inline(name)).startswith("attachment")


@pytest.mark.usefixtures("wants_all_inline")
@pytest.mark.parametrize(
    "content_type", ["image/svg+xml", "IMAGE/SVG+XML; charset=utf-8", " text/html", "text/xml"]
)
def test_no_spelling_of_the_type_makes_it_inline(content_type: str) -> None:
    assert not is_inline_type(content_type)
    assert is_inline_type("text/plain; charset=utf-8")


def test_setting_that_asks_for_it_is_told(settings: Any) -> None:
    settings.ASYNC_UPLOADS = {"INLINE_TYPES": ["image/png", "image/svg+xml"]}

    message = the_only("async_uploads.W020")

    assert "'image/svg+xml'" in message.msg
