"""The wheel, as someone gets it who runs `pip install async_uploads` in a new environment."""

import os
import subprocess
import sys
import textwrap
from email import message_from_bytes
from email.message import Message
from pathlib import Path
from zipfile import ZipFile

import pytest

pytestmark = pytest.mark.packaging

PROJECT = Path(__file__).parents[1]
EXTRAS_OF_USERS = {"azure", "drf", "redis", "s3"}
# Settings of this test run must not reach a project that is not this one.
ENVIRONMENT = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}

NEW_PROJECT = """
    import django
    from django.conf import settings

    settings.configure(
        INSTALLED_APPS=["django.contrib.contenttypes", "django.contrib.auth", "async_uploads"],
        DATABASES={"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}},
        STORAGES={
            "default": {"BACKEND": "async_uploads.storage.filesystem.FileSystemAsyncUploadStorage"},
            "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
        },
        TEMPLATES=[{"BACKEND": "django.template.backends.django.DjangoTemplates", "APP_DIRS": True}],
        STATIC_URL="/static/",
        DEFAULT_AUTO_FIELD="django.db.models.BigAutoField",
        SECRET_KEY="packaging",
    )
    django.setup()
"""


def run(*command: str | Path, cwd: Path) -> str:
    finished = subprocess.run(command, cwd=cwd, env=ENVIRONMENT, text=True, capture_output=True, check=False)
    assert finished.returncode == 0, f"{finished.stdout}\n{finished.stderr}"
    return finished.stdout


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("wheel")
    run(sys.executable, "-m", "build", "--wheel", "--outdir", folder, PROJECT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def new_environment(wheel: Path) -> Path:
    """The Python of an environment with nothing in it but the wheel and what the wheel requires."""
    environment = wheel.parent / "environment"
    run(sys.executable, "-m", "venv", environment, cwd=wheel.parent)
    python = environment / ("Scripts" if os.name == "nt" else "bin") / "python"
    run(python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wheel, cwd=wheel.parent)
    return python


def run_in_new_project(python: Path, code: str) -> str:
    # -I: neither this checkout nor the environment's PYTHON* variables are seen.
    program = textwrap.dedent(NEW_PROJECT) + textwrap.dedent(code)
    return run(python, "-I", "-c", program, cwd=python.parent)


def metadata_of(wheel: Path) -> Message:
    with ZipFile(wheel) as archive:
        (name,) = [name for name in archive.namelist() if name.endswith(".dist-info/METADATA")]
        return message_from_bytes(archive.read(name))


def test_wheel_carries_every_file_of_the_package_and_nothing_else(wheel: Path) -> None:
    files_of_package = {
        path.relative_to(PROJECT).as_posix()
        for path in (PROJECT / "async_uploads").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }

    with ZipFile(wheel) as archive:
        carried = {name for name in archive.namelist() if ".dist-info/" not in name}

    assert carried == files_of_package


@pytest.mark.parametrize(
    "name",
    [
        "async_uploads/py.typed",
        "async_uploads/migrations/0001_initial.py",
        "async_uploads/static/async_uploads/async-file-input.css",
        "async_uploads/static/async_uploads/async-file-input.js",
        "async_uploads/templates/async_uploads/async_file_input.html",
    ],
)
def test_wheel_carries(wheel: Path, name: str) -> None:
    with ZipFile(wheel) as archive:
        assert name in archive.namelist()


def test_wheel_carries_a_compiled_catalog_for_every_translation(wheel: Path) -> None:
    with ZipFile(wheel) as archive:
        names = archive.namelist()

    translations = {name.removesuffix(".po") for name in names if name.endswith(".po")}
    compiled = {name.removesuffix(".mo") for name in names if name.endswith(".mo")}

    assert translations
    assert compiled == translations


def test_metadata_tells_licence_and_extras(wheel: Path) -> None:
    metadata = metadata_of(wheel)

    assert metadata["License-Expression"] == "MIT"
    assert metadata["Requires-Python"] == ">=3.11"
    assert set(metadata.get_all("Provides-Extra", [])) >= EXTRAS_OF_USERS


def test_public_names_import_without_any_extra(new_environment: Path) -> None:
    where = run_in_new_project(
        new_environment,
        """
        import async_uploads
        from async_uploads.asgi import get_asgi_application
        from async_uploads.consumers import UploadStatusConsumer
        from async_uploads.forms import AsyncFileField, AsyncFileInput, AsyncImageField
        from async_uploads.models import AsyncFileInputData, AsyncTempFile
        from async_uploads.permissions import resolve_perm_name
        from async_uploads.registry import AsyncFieldRegistry, default_async_field_registry
        from async_uploads.routing import websocket_urlpatterns
        from async_uploads.storage.base import AsyncUploadStorage
        from async_uploads.storage.memory import MemoryAsyncUploadStorage
        from async_uploads.views import GenerateUploadUrlView

        print(async_uploads.__file__)
        """,
    )

    assert Path(where.strip()).is_relative_to(new_environment.parents[1])


def test_a_new_project_needs_no_new_migration(new_environment: Path) -> None:
    run_in_new_project(
        new_environment,
        """
        from django.core.management import call_command

        call_command("makemigrations", "async_uploads", check=True, dry_run=True)
        call_command("migrate", verbosity=0)
        """,
    )


def test_a_new_project_finds_template_and_static_files(new_environment: Path) -> None:
    run_in_new_project(
        new_environment,
        """
        from django.contrib.staticfiles import finders
        from django.template.loader import get_template

        get_template("async_uploads/async_file_input.html")
        assert finders.find("async_uploads/async-file-input.js")
        """,
    )


def test_wheel_is_marked_as_typed_for_type_checkers(new_environment: Path) -> None:
    typed = run_in_new_project(
        new_environment,
        """
        from importlib.resources import files

        print(files("async_uploads").joinpath("py.typed").is_file())
        """,
    )

    assert typed.strip() == "True"
