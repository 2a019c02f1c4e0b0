"""The pages of tests/pages under uvicorn, for a real browser."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

from tests.browser.demo_server import ROOT, DemoServer


class PagesServer(DemoServer):
    def __init__(self, data: Path) -> None:
        settings = {"DJANGO_SETTINGS_MODULE": "tests.pages.settings", "PAGES_DATA": str(data)}
        super().__init__(data, {"ASYNC_UPLOADS_TEST_RUN": "pages", **settings})

    def prepare(self) -> None:
        self._run("django", "migrate", "--run-syncdb", "--verbosity", "0")

    def start(self) -> None:
        command = [sys.executable, "-m", "uvicorn", "tests.pages.asgi:application", "--port", str(self.port)]
        with (self.data / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )
        self._wait_until_it_answers(self.process)

    def _run(self, *arguments: str) -> None:
        done = subprocess.run(
            [sys.executable, "-m", *arguments],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr


def serving_pages(data: Path) -> Iterator[PagesServer]:
    server = PagesServer(data)
    server.prepare()
    server.start()
    yield server
    server.kill()
