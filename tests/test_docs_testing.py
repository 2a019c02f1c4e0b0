"""What docs/reference.md tells about testing one's own project, done in the project of the README."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

import pytest

from async_uploads import pytest_plugin, testing
from tests.documented import section
from tests.test_readme import Project, newcomers_project

SNIPPET = re.compile(r"^```(?:python|ini)\n# (\S+)\n(.*?)^```", re.DOTALL | re.MULTILINE)


@pytest.fixture
def tested_project(tmp_path: Path) -> Project:
    project = newcomers_project(tmp_path)
    for name, text in SNIPPET.findall(section("Testing")):
        (tmp_path / name).write_text(text)
    return project


def test_documented_tests_pass_with_pytest_and_leave_nothing_behind(tested_project: Project) -> None:
    told = tested_project.run("-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error")

    assert "3 passed" in told
    assert not (tested_project.root / "media").exists()


def test_documented_tests_pass_with_django_and_leave_nothing_behind(tested_project: Project) -> None:
    # pytest is not asked for: what is imported of the package works without it.
    told = tested_project.run("-W", "error::ResourceWarning", "manage.py", "test", "library.tests")

    assert "Ran 3 tests" in told
    assert "OK" in told
    assert not (tested_project.root / "media").exists()


def test_documented_tests_of_django_pass_with_pytest_too(tested_project: Project) -> None:
    told = tested_project.run(
        "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", "library/tests.py"
    )

    assert "3 passed" in told


def test_every_snippet_is_run() -> None:
    names = [name for name, _text in SNIPPET.findall(section("Testing"))]

    assert names == ["pytest.ini", "library/test_books.py", "library/tests.py"]
    assert section("Testing").count("```") == 2 * len(names)


def test_everything_offered_is_in_the_table() -> None:
    rows = re.findall(r"^\| (`.*?) \|", section("Testing"), re.MULTILINE)
    told = {name for row in rows for name in re.findall(r"`(\w+)", row)}

    assert told == set(testing.__all__) - {"MadeUpload", "send"}


def test_fixtures_are_all_documented() -> None:
    fixtures = {
        name
        for name, value in vars(pytest_plugin).items()
        if not name.startswith("_") and type(value).__name__ == "FixtureFunctionDefinition"
    }

    assert fixtures == {"make_upload", "amake_upload", "memory_uploads", "upload_statuses"}
    assert all(f"`{name}`" in section("Testing") for name in fixtures)
    assert inspect.iscoroutinefunction(testing.amake_upload)
