"""System checks of what a field takes, and of the values in ASYNC_UPLOADS."""

from __future__ import annotations

from typing import Any

import pytest
from django.core import checks

from async_uploads.models import AsyncFileField
from tests.checking import found, the_only
from tests.testapp.models import Document

THROTTLE_OF_NONE = 3


@pytest.fixture
def field() -> Any:
    return Document._meta.get_field("file")


@pytest.mark.parametrize(
    ("given", "named", "hint"),
    [
        (AsyncFileField(file_restrictions=".pdf").file_restrictions, "'.pdf' is a string", "['.pdf']"),
        (tuple("image/*"), "'image/*' is a string", "['image/*']"),
        (("pdf",), "'pdf'", "Write '.pdf', with the dot."),
        (("PDF",), "'PDF'", "Write '.PDF', with the dot."),
        (("image/jpg",), "'image/jpg'", "Write 'image/jpeg'"),
        (("audio/mp3",), "'audio/mp3'", "Write 'audio/mpeg'"),
        (("images",), "'images'", "such as '.pdf'"),
        (("*.pdf",), "'*.pdf'", "such as '.pdf'"),
        ((".pdf, .docx",), "'.pdf, .docx'", "such as '.pdf'"),
        (("image/",), "'image/'", "such as"),
        ((".",), "'.'", "such as"),
        (("",), "''", "such as"),
        ((None,), "None", "such as"),
        ((7,), "7", "such as"),
    ],
)
def test_restriction_that_no_file_can_match(
    monkeypatch: pytest.MonkeyPatch, field: Any, given: Any, named: str, hint: str
) -> None:
    monkeypatch.setattr(field, "file_restrictions", given)

    message = the_only("async_uploads.E006")

    assert message.is_serious(checks.ERROR)
    assert message.obj is field
    assert named in message.msg
    assert hint in str(message.hint)


def test_each_wrong_restriction_is_told(monkeypatch: pytest.MonkeyPatch, field: Any) -> None:
    monkeypatch.setattr(field, "file_restrictions", ("pdf", ".docx", "image/jpg"))

    assert len(found()["async_uploads.E006"]) == 2


@pytest.mark.parametrize(
    "given",
    [
        (),
        (".pdf", ".tar.gz", ".PDF", ".c++", ".7z", ".c"),
        ("image/*", "application/pdf", "*/*", "Image/JPEG"),
        ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "image/svg+xml"),
        ("application/x-something",),
    ],
)
def test_restrictions_that_are_right(monkeypatch: pytest.MonkeyPatch, field: Any, given: Any) -> None:
    monkeypatch.setattr(field, "file_restrictions", given)

    assert found() == {}


@pytest.mark.parametrize("given", ["3", 0, -1, float("nan"), True, [20]])
def test_max_size_that_is_none(monkeypatch: pytest.MonkeyPatch, field: Any, given: Any) -> None:
    monkeypatch.setattr(field, "max_size", given)

    message = the_only("async_uploads.E007")

    assert message.obj is field
    assert repr(given) in message.msg


@pytest.mark.parametrize("given", [None, 1, 0.5, 10_000])
def test_max_size_that_is_right(monkeypatch: pytest.MonkeyPatch, field: Any, given: Any) -> None:
    monkeypatch.setattr(field, "max_size", given)

    assert found() == {}


@pytest.mark.parametrize("name", ["PROMOTION_DISPATCHER", "RESOLVE_PERM_NAME", "THROTTLE"])
@pytest.mark.parametrize(
    ("path", "why"),
    [
        ("x.y", "No module named 'x'"),
        ("project", "doesn't look like a module path"),
        ("tests.asking.no_such_function", "no_such_function"),
        ("tests.test_checks_options.THROTTLE_OF_NONE", "no function"),
        (print, "no string"),
        ("", "doesn't look like a module path"),
    ],
)
def test_function_that_cannot_be_called(settings: Any, name: str, path: Any, why: str) -> None:
    settings.ASYNC_UPLOADS = {name: path}

    message = the_only("async_uploads.E008")

    assert name in message.msg
    assert why in message.msg


def test_function_that_can_be_called(settings: Any) -> None:
    settings.ASYNC_UPLOADS = {"THROTTLE": "tests.checking.found", "RESOLVE_PERM_NAME": None}

    assert found() == {}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("UPLOAD_URL_EXPIRY", "3600"),
        ("DOWNLOAD_URL_EXPIRY", None),
        ("CHUNK_SIZE", 0),
        ("IDLE_TIMEOUT", -1),
        ("TEMP_FILE_MAX_AGE", float("nan")),
        ("PROMOTION_MAX_ATTEMPTS", True),
        ("PROGRESS_INTERVAL", -0.1),
        ("MAX_PENDING_PER_OWNER", "many"),
    ],
)
def test_number_that_is_none(settings: Any, name: str, value: Any) -> None:
    settings.ASYNC_UPLOADS = {name: value}

    message = the_only("async_uploads.E009")

    assert name in message.msg
    assert repr(value) in message.msg
    assert "default" in str(message.hint)


@pytest.mark.parametrize(
    ("name", "value"), [("MAX_PENDING_PER_OWNER", 0), ("PROGRESS_INTERVAL", 0), ("IDLE_TIMEOUT", 0.5)]
)
def test_number_that_is_right(settings: Any, name: str, value: Any) -> None:
    settings.ASYNC_UPLOADS = {name: value}

    assert found() == {}
