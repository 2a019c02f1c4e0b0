"""The widget's modules behind static files whose names tell their content's hash."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from django.contrib.staticfiles.storage import staticfiles_storage
from django.core.management import call_command
from pytest_django import Settings

from tests.documented import defined_in

IMPORTED = re.compile(r"""^(?:import|export)\b[^;]*?from "(\./[^"]+)";""", re.MULTILINE)
MANIFEST = "django.contrib.staticfiles.storage.ManifestStaticFilesStorage"
HASHED = re.compile(r"\.[0-9a-f]{12}\.js$")


HashedStaticFiles = defined_in("Static files", "HashedStaticFilesStorage")
HashedByWhiteNoise = defined_in(
    "Static files",
    "HashedStaticFilesStorage",
    **{
        "django.contrib.staticfiles.storage": "whitenoise.storage",
        "import Manifest": "import CompressedManifest",
        "(Manifest": "(CompressedManifest",
    },
)


def collected(settings: Settings, storage: str, into: Path) -> Path:
    """Our static files as ``collectstatic`` leaves them; the path of the module that pages load."""
    settings.STATIC_ROOT = str(into)
    settings.STORAGES = {**settings.STORAGES, "staticfiles": {"BACKEND": storage}}
    call_command("collectstatic", interactive=False, verbosity=0)
    storage_in_use: Any = staticfiles_storage
    return into / str(storage_in_use.stored_name("async_uploads/async-file-input.js"))


def modules_from(entry: Path) -> set[Path]:
    """All modules that a browser asks for, there or not, beginning with ``entry``."""
    found, asked = {entry}, [entry]
    while asked:
        module = asked.pop()
        if not module.exists():
            continue
        imported = {(module.parent / name).resolve() for name in IMPORTED.findall(module.read_text())}
        asked += imported - found
        found |= imported
    return found


@pytest.mark.parametrize("storage", ["HashedStaticFiles", "HashedByWhiteNoise"])
@pytest.mark.parametrize("keeps_only_hashed", [False, True])
def test_with_the_documented_storage_all_modules_are_found_by_their_hashes(
    settings: Settings, tmp_path: Path, storage: str, keeps_only_hashed: bool
) -> None:
    settings.WHITENOISE_KEEP_ONLY_HASHED_FILES = keeps_only_hashed

    modules = modules_from(collected(settings, f"{__name__}.{storage}", tmp_path))

    assert len(modules) > 10
    assert [module.name for module in modules if not module.exists() or not HASHED.search(module.name)] == []


def test_without_it_modules_are_found_by_names_that_a_cache_may_keep_too_long(
    settings: Settings, tmp_path: Path
) -> None:
    entry = collected(settings, MANIFEST, tmp_path)

    modules = modules_from(entry)

    assert all(module.exists() for module in modules)
    assert [module for module in modules if HASHED.search(module.name)] == [entry]


def test_without_it_modules_are_missing_where_only_hashed_names_are_kept(
    settings: Settings, tmp_path: Path
) -> None:
    settings.WHITENOISE_KEEP_ONLY_HASHED_FILES = True

    entry = collected(settings, "whitenoise.storage.CompressedManifestStaticFilesStorage", tmp_path)

    missing = [module for module in modules_from(entry) if not module.exists()]
    assert "field.js" in {module.name for module in missing}


def _imports_of_types_too(path: Path) -> set[str]:
    return set(re.findall(r"""["']\./([\w-]+\.js)["']""", path.read_text()))


def test_modules_do_not_import_in_a_circle_not_even_types() -> None:
    """Django 5.2 takes an import in a comment for one, and in a circle no file finds its hash."""
    folder = Path(__file__).parents[1] / "async_uploads/static/async_uploads"
    imports: dict[str, Any] = {path.name: _imports_of_types_too(path) for path in folder.glob("*.js")}
    while leaves := {name for name, imported in imports.items() if not imported & set(imports)}:
        for name in leaves:
            del imports[name]

    assert imports == {}
