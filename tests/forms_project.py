"""The README's project with the snippets of docs/forms.md put into it."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.browser.demo_server import free_port
from tests.test_readme import SNIPPET, Project, newcomers_project, wait_for_answer

TEXT = (Path(__file__).parents[1] / "docs/forms.md").read_text()
PLACES = {
    "forms.py": "library/forms.py",
    "models.py": "library/models.py",
    "urls.py": "mysite/urls.py",
    "views.py": "library/views.py",
}
OWN_ROWS = '{% include "attachments.html" %}'


def section(title: str) -> str:
    return TEXT.split(f"\n## {title}\n")[1].split("\n## ")[0]


def documented_project(base: Path, root: Path, *sections: str) -> Project:
    """A copy of the project in ``base``, made if need be, with what the sections tell to write, one after the other."""
    if not base.exists():
        base.mkdir()
        newcomers_project(base)
    shutil.copytree(base, root)
    project = Project(root)
    for title in sections:
        for name, text in SNIPPET.findall(section(title)):
            path = root / PLACES.get(name, name)
            kept = path.read_text() if path.exists() and path.suffix == ".py" else ""
            path.write_text(f"{kept}\n{text}")
    project.run("manage.py", "makemigrations", "library")
    project.run("manage.py", "migrate", "--verbosity", "0")
    return project


def with_own_rows(project: Project) -> None:
    page = project.root / "library/templates/edit_book.html"
    page.write_text(page.read_text().replace("{{ attachments }}", OWN_ROWS))


def run_script(project: Project, script: str) -> str:
    """Run in the project as it is set up; what it prints."""
    (project.root / "script.py").write_text(script)
    settings = "os.environ['DJANGO_SETTINGS_MODULE'] = 'mysite.settings'"
    setup = f"import os, django; {settings}; django.setup()"
    return project.run("-c", f"{setup}; exec(open('script.py').read())")


@contextmanager
def served(project: Project) -> Iterator[str]:
    """Under uvicorn; the address."""
    port = free_port()
    uvicorn = [sys.executable, "-m", "uvicorn", "--port", str(port), "--log-level", "warning"]
    with subprocess.Popen(
        [*uvicorn, "mysite.asgi:application"], cwd=project.root, env=project.environment
    ) as server:
        try:
            wait_for_answer(f"http://127.0.0.1:{port}/admin/login/")
            yield f"http://127.0.0.1:{port}"
        finally:
            server.terminate()


def all_blocks() -> list[str]:
    return re.findall(r"^```(?:python|html)\n(.*?)^```", TEXT, re.DOTALL | re.MULTILINE)
