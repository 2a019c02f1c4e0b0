"""The README's snippets, put together to a project as a newcomer would, and used."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest

from tests.browser.demo_server import free_port

README = Path(__file__).parents[1] / "README.md"
SNIPPET = re.compile(
    r"^```(?:python|html)\n(?:# |<!-- )(\S+\.(?:py|html))(?: -->)?\n(.*?)^```", re.DOTALL | re.MULTILINE
)
PLACES = {
    "settings.py": "mysite/settings.py",
    "urls.py": "mysite/urls.py",
    "asgi.py": "mysite/asgi.py",
    "models.py": "library/models.py",
    "views.py": "library/views.py",
    "library/templates/add_book.html": "library/templates/add_book.html",
}


def snippets() -> dict[str, str]:
    return dict(SNIPPET.findall(README.read_text()))


class Project:
    """A project of its own, in processes of its own."""

    def __init__(self, root: Path) -> None:
        self.root = root
        clean = {
            name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "COV_"))
        }
        self.environment = {**clean, "PYTHONPATH": f"{root}{os.pathsep}{README.parent}"}

    def run(self, *command: str) -> str:
        done = subprocess.run(
            [sys.executable, *command],
            cwd=self.root,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Project:
    return newcomers_project(tmp_path)


def newcomers_project(root: Path) -> Project:
    """The README's project, with the account of ada, who may do everything."""
    project = Project(root)
    project.run("-m", "django", "startproject", "mysite", ".")
    project.run("manage.py", "startapp", "library")
    for name, text in snippets().items():
        path = root / PLACES[name]
        path.parent.mkdir(exist_ok=True)
        before = path.read_text() if name == "settings.py" else ""
        path.write_text(before + text)
    with (root / "mysite/settings.py").open("a") as settings:
        settings.write('INSTALLED_APPS += ["library"]\n')
    project.run("manage.py", "makemigrations", "library")
    project.run("manage.py", "migrate", "--verbosity", "0")
    project.environment |= {
        "DJANGO_SUPERUSER_PASSWORD": "secret",
        "DJANGO_SUPERUSER_USERNAME": "ada",
        "DJANGO_SUPERUSER_EMAIL": "ada@example.com",
    }
    project.run("manage.py", "createsuperuser", "--no-input")
    return project


def test_every_snippet_is_known() -> None:
    assert set(snippets()) == set(PLACES)


def test_newcomers_project_has_nothing_to_complain_about(project: Project) -> None:
    assert "no issues" in project.run("manage.py", "check")


def test_newcomers_project_uploads_and_saves(project: Project) -> None:
    port = free_port()
    uvicorn = [sys.executable, "-m", "uvicorn", "--port", str(port), "--log-level", "warning"]
    address = f"http://127.0.0.1:{port}"
    with subprocess.Popen(
        [*uvicorn, "mysite.asgi:application"], cwd=project.root, env=project.environment
    ) as server:
        try:
            wait_for_answer(f"{address}/admin/login/")
            with httpx.Client(base_url=address, timeout=30) as ada:
                log_in(ada)
                page = ada.get("/books/add/").text
                key = upload_as_the_page_says(ada, page)
                token = field_of(page, "csrfmiddlewaretoken")
                answer = ada.post(
                    "/books/add/",
                    data={"title": "Notes", "text": f'{{"key": "{key}"}}', "csrfmiddlewaretoken": token},
                    follow_redirects=True,
                )
                assert answer.content == b"%PDF-1.7\n..."
                script = re.search(r'src="([^"]+async-file-input\.js)"', page)
                assert script is not None
                assert ada.get(script.group(1)).status_code == 200
        finally:
            server.terminate()


def wait_for_answer(url: str) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    raise AssertionError(f"{url} does not answer.")


def log_in(client: httpx.Client) -> None:
    page = client.get("/admin/login/").text
    data = {
        "username": "ada",
        "password": "secret",
        "csrfmiddlewaretoken": field_of(page, "csrfmiddlewaretoken"),
    }
    assert (
        client.post("/admin/login/", data=data, headers={"Referer": str(client.base_url)}).status_code == 302
    )


def upload_as_the_page_says(client: httpx.Client, page: str) -> str:
    element = re.search(r"<async-file-input(.*?)>", page, re.DOTALL)
    assert element is not None
    attributes = dict(re.findall(r'([\w-]+)="([^"]*)"', element.group(1)))
    ticket = client.post(
        attributes["generate-url"],
        json={"fieldId": attributes["field-id"], "filename": "notes.pdf"},
        headers={attributes["csrf-header"]: field_of(page, "csrfmiddlewaretoken")},
    ).json()
    how = ticket["uploadUrl"]
    client.request(
        how["method"], how["url"], content=b"%PDF-1.7\n...", headers=how["headers"]
    ).raise_for_status()
    return str(ticket["key"])


def field_of(page: str, name: str) -> str:
    found = re.search(rf'name="{name}" value="([^"]+)"', page)
    assert found is not None
    return found.group(1)
