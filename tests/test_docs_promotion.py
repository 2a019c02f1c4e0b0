"""What docs/promotion.md tells about task queues, done in the project of the README, with real workers."""

from __future__ import annotations

import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.redis_process import redis_process
from tests.test_readme import Project, newcomers_project

TEXT = (Path(__file__).parents[1] / "docs/promotion.md").read_text()
SNIPPET = re.compile(r"^```python\n# (\S+\.py)\n(.*?)^```", re.DOTALL | re.MULTILINE)
PATIENCE = 60.0

SAVE = """
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
django.setup()
from async_uploads.testing import make_upload
from library.models import Book
for number in range({count}):
    made = make_upload(Book.text, b"%PDF-1.7", "notes.pdf")
    Book.objects.create(title=str(number), text=made.key)
"""
LOOK = """
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
django.setup()
from async_uploads.models import AsyncTempFile
from library.models import Book
print(sorted({book.text.name.split("/")[0] for book in Book.objects.all()}), end=" ")
print(sorted(set(AsyncTempFile.objects.values_list("state", flat=True))))
"""
BREAK = """
import os, django
os.environ["DJANGO_SETTINGS_MODULE"] = "mysite.settings"
django.setup()
import pathlib
from django.conf import settings
{what}
"""


def project_with(root: Path, section: str) -> Project:
    project = newcomers_project(root)
    for name, text in SNIPPET.findall(TEXT.split(f"\n## {section}\n")[1].split("\n## ")[0]):
        path = root / ("mysite/settings.py" if name == "settings.py" else name)
        kept = path.read_text() if path.exists() else ""
        path.write_text(f"{kept}\n{text}")
    return project


def saved(project: Project, count: int = 3) -> str:
    return project.run("-W", "ignore", "-c", SAVE.format(count=count))


def look(project: Project) -> str:
    return project.run("-W", "ignore", "-c", LOOK).strip()


def wait_for(project: Project, wanted: str) -> None:
    deadline = time.monotonic() + PATIENCE
    while (found := look(project)) != wanted:
        assert time.monotonic() < deadline, found
        time.sleep(0.2)


@contextmanager
def worker(project: Project, *command: str) -> Iterator[None]:
    log = project.root / "worker.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, *command],
            cwd=project.root,
            env=project.environment,
            stdout=output,
            stderr=output,
        )
    try:
        yield
    except BaseException:
        print(log.read_text())  # noqa: T201  # shown where the test fails
        raise
    finally:
        process.terminate()
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


NOT_YET = "['async-temp-files'] ['promoting']"
DONE = "['books'] ['promoted']"


@pytest.fixture
def on_django_tasks(tmp_path: Path) -> Project:
    project = project_with(tmp_path, "Django Tasks")
    project.run("manage.py", "migrate", "--verbosity", "0")
    return project


DB_WORKER = ("manage.py", "db_worker", "--interval", "0.1")


def test_a_worker_of_django_tasks_promotes(on_django_tasks: Project) -> None:
    saved(on_django_tasks)
    assert look(on_django_tasks) == NOT_YET

    with worker(on_django_tasks, *DB_WORKER):
        wait_for(on_django_tasks, DONE)


def test_a_promotion_that_fails_on_a_worker_is_enqueued_again_for_later(on_django_tasks: Project) -> None:
    """The folder of its final name is a file, at first."""
    with (on_django_tasks.root / "library/models.py").open("a") as models:
        models.write("\nfrom async_uploads.promotion import promoting\npromoting.RETRY_DELAY = 1.0\n")
    blocked = on_django_tasks.root / "media/books"
    blocked.parent.mkdir(exist_ok=True)
    blocked.write_bytes(b"")
    saved(on_django_tasks, 1)

    with worker(on_django_tasks, *DB_WORKER):
        wait_until(lambda: "promotion_failed" in errors(on_django_tasks))
        blocked.unlink()
        wait_for(on_django_tasks, DONE)


def errors(project: Project) -> str:
    return project.run(
        "-W",
        "ignore",
        "-c",
        BREAK.format(
            what="from async_uploads.models import AsyncTempFile; "
            "print(list(AsyncTempFile.objects.values_list('error_code', flat=True)))"
        ),
    )


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "It did not come about."
        time.sleep(0.2)


def test_a_worker_of_celery_promotes_and_a_broker_that_is_away_fails_no_save(tmp_path: Path) -> None:
    with redis_process(tmp_path) as redis:
        (tmp_path / "project").mkdir()
        project = newcomer_on_celery(tmp_path / "project", redis.address)
        saved(project)
        assert look(project) == NOT_YET

        with worker(project, "-m", "celery", "--app", "mysite", "worker", "--pool", "threads"):
            wait_for(project, DONE)
    told = saved(project, 1)

    assert "could not be handed to library.tasks.enqueue_promotion" in told
    assert "the sweep will promote it" in told
    assert look(project) == "['async-temp-files', 'books'] ['promoted', 'promoting']"


def newcomer_on_celery(root: Path, broker: str) -> Project:
    project = newcomers_project(root)
    project.environment["BROKER_URL"] = broker
    for name, text in SNIPPET.findall(TEXT.split("\n## Celery\n")[1].split("\n## ")[0]):
        path = root / ("mysite/settings.py" if name == "settings.py" else name)
        path.write_text(f"{path.read_text() if path.exists() else ''}\n{text}")
    return project


def test_every_snippet_is_run() -> None:
    assert TEXT.count("```python") == len(SNIPPET.findall(TEXT))
