"""The snippets of docs/drf.md, put into the project of the README, and used."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from async_uploads.drf.serializer import AsyncFileField
from tests.browser.demo_server import free_port
from tests.test_readme import SNIPPET, Project, project, wait_for_answer  # noqa: F401  # a fixture
from tests.testapp.models import Document

DOCUMENT = Path(__file__).parents[1] / "docs/drf.md"
PLACES = {
    "settings.py": "mysite/settings.py",
    "urls.py": "mysite/urls.py",
    "serializers.py": "library/serializers.py",
    "api.py": "library/api.py",
    "client.py": "client.py",
}


def snippets() -> dict[str, str]:
    return dict(SNIPPET.findall(DOCUMENT.read_text()))


@pytest.fixture
def api_project(project: Project) -> Project:  # noqa: F811  # the fixture
    for name, text in snippets().items():
        with (project.root / PLACES[name]).open("a") as file:
            file.write(text)
    project.run("manage.py", "migrate", "--verbosity", "0")
    return project


@pytest.fixture
def address(api_project: Project) -> Iterator[str]:
    port = free_port()
    uvicorn = [sys.executable, "-m", "uvicorn", "--port", str(port), "--log-level", "warning"]
    with subprocess.Popen(
        [*uvicorn, "mysite.asgi:application"], cwd=api_project.root, env=api_project.environment
    ) as server:
        try:
            wait_for_answer(f"http://127.0.0.1:{port}/api/schema/")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def test_every_snippet_is_known() -> None:
    assert set(snippets()) == set(PLACES)


def test_the_snippet_that_stands_alone_maps_the_fields() -> None:
    (mapping,) = re.findall(
        r"^```python\n(from rest_framework.*?)^```", DOCUMENT.read_text(), re.DOTALL | re.MULTILINE
    )
    names: dict[str, Any] = {}
    exec(mapping, names)

    base: Any = names["MyModelSerializer"]

    class DocumentSerializer(base):  # type: ignore[misc]  # known when the snippet has run
        class Meta:
            model = Document
            fields = ["file"]

    assert isinstance(DocumentSerializer().fields["file"], AsyncFileField)


def test_the_project_has_nothing_to_complain_about_and_describes_itself(api_project: Project) -> None:
    assert "no issues" in api_project.run("manage.py", "check")
    told = api_project.run("manage.py", "spectacular", "--validate", "--fail-on-warn")
    assert "/api/uploads/generate-upload-url/:" in told
    assert "#/components/schemas/AsyncImage" in told


def test_the_client_uploads_a_book_and_reads_it(api_project: Project, address: str) -> None:
    sign_in = httpx.post(f"{address}/api/token/", data={"username": "ada", "password": "secret"})
    token = sign_in.json()["token"]
    field_id = api_project.run(
        "manage.py",
        "shell",
        "--no-imports",
        "--command",
        "from library.models import Book; print(Book.text.field.async_field_registry.generate_id(Book.text.field))",
    ).strip()
    book = api_project.root / "notes.pdf"
    book.write_bytes(b"%PDF-1.7\n...")

    url = api_project.run("client.py", address, token, field_id, str(book)).strip()
    answer = httpx.get(url, headers={"Authorization": f"Token {token}"}, follow_redirects=True)

    assert url.startswith(f"{address}/api/uploads/download-file/?")
    assert answer.content == b"%PDF-1.7\n..."
    assert httpx.get(url).status_code == 401
