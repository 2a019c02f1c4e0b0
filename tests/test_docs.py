"""What docs/reference.md lists is what there is."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from django.dispatch import Signal
from django.utils.translation import override

from async_uploads import checks, exceptions, signals
from async_uploads.conf import UploadSettings
from async_uploads.exceptions import UploadError
from async_uploads.fields import definitions
from async_uploads.forms import widget_messages
from async_uploads.type_names import WELL_KNOWN
from tests.documented import section

ROOT = Path(__file__).parents[1]


def listed(title: str) -> set[str]:
    """The first column of the section's table."""
    return set(re.findall(r"^\| `([\w.]+)`", section(title), re.MULTILINE))


def test_settings_are_all_documented() -> None:
    assert listed("Settings") == set(UploadSettings.names())


@pytest.mark.parametrize("name", ["UPLOAD_URL_EXPIRY", "CHUNK_SIZE", "IDLE_TIMEOUT", "PROGRESS_INTERVAL"])
def test_documented_defaults_are_true(name: str) -> None:
    assert f"| `{name}` | {vars(UploadSettings)[name].default} |" in section("Settings")


def test_system_checks_are_all_documented() -> None:
    modules = [*Path(checks.__path__[0]).glob("*.py"), Path(definitions.__file__)]
    sources = [module.read_text() for module in modules]
    ids = set(re.findall(r'id="(async_uploads\.\w+)"', "".join(sources)))
    assert listed("System checks") == ids


def test_signals_are_all_documented() -> None:
    assert listed("Signals") == {name for name, value in vars(signals).items() if isinstance(value, Signal)}


def test_error_codes_are_all_documented() -> None:
    classes = {value for value in vars(exceptions).values() if isinstance(value, type)}
    answers = {each for each in classes if issubclass(each, UploadError)}
    text = section("HTTP and status")
    for error in answers - {UploadError, exceptions.InvalidParameters}:
        assert re.search(rf"^\| {error.status} \|.*`{error.code}`", text, re.MULTILINE), error


def test_custom_properties_exist() -> None:
    css = (ROOT / "async_uploads/static/async_uploads/async-file-input.css").read_text()
    for name in re.findall(r"`(?:--async-uploads)?(-[a-z-]+)`", section("The widget").split("It sends")[0]):
        assert f"--async-uploads{name.removeprefix('--async-uploads')}:" in css, name


def test_widget_has_the_same_words_in_python_and_javascript() -> None:
    script = (ROOT / "async_uploads/static/async_uploads/messages.js").read_text()
    assert dict(re.findall(r'^  (\w+): "(.*)",$', script, re.MULTILINE)) == widget_messages()


def test_widget_knows_types_by_the_same_names_as_the_server() -> None:
    script = (ROOT / "async_uploads/static/async_uploads/checks.js").read_text()
    assert dict(re.findall(r'^  "(.+/.+)": "(.*)",$', script, re.MULTILINE)) == WELL_KNOWN


@pytest.mark.parametrize("language", ["ar", "de"])
def test_catalogues_know_every_word_of_the_widget(language: str) -> None:
    with override("en"):
        english = widget_messages()
    with override(language):
        translated = widget_messages()
    assert [name for name, text in translated.items() if text == english[name]] == []
