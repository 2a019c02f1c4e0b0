"""The demo under uvicorn, in a process that a test can kill and start again on the same port."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

import httpx

ROOT = Path(__file__).resolve().parents[2]
START_TIMEOUT = 60.0  # seconds


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class DemoServer:
    def __init__(self, data: Path, environment: Mapping[str, str] | None = None) -> None:
        """``environment`` says where it keeps its files, if not in ``data``."""
        self.data = data
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.environment = {
            **os.environ,
            "DEMO_DATA": str(data),
            "DJANGO_SETTINGS_MODULE": "asgi_app.settings",
            **(environment or {}),
        }
        self.process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        self.manage("migrate", "--verbosity", "0")
        self.manage("demo_user")

    def manage(self, *arguments: str) -> str:
        command = [sys.executable, "asgi_app/manage.py", *arguments]
        done = subprocess.run(
            command, cwd=ROOT, env=self.environment, capture_output=True, text=True, timeout=120, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    def start(self) -> None:
        command = [sys.executable, "-m", "uvicorn", "asgi_app.asgi:application", "--port", str(self.port)]
        with (self.data / "server.log").open("ab") as log:
            self.process = subprocess.Popen(
                command, cwd=ROOT, env=self.environment, stdout=log, stderr=subprocess.STDOUT
            )
        self._wait_until_it_answers(self.process)

    def kill(self) -> None:
        """End it as a crash would, with uploads in flight."""
        if self.process is None:
            return
        self.process.kill()
        self.process.wait(timeout=30)
        self.process = None

    def ensure_running(self) -> None:
        if self.process is None or self.process.poll() is not None:
            self.start()

    def log(self) -> str:
        return (self.data / "server.log").read_text(errors="replace")

    def _wait_until_it_answers(self, process: "subprocess.Popen[bytes]") -> None:
        deadline = time.monotonic() + START_TIMEOUT
        while time.monotonic() < deadline:
            assert process.poll() is None, self.log()
            try:
                httpx.get(self.url)
            except httpx.TransportError:
                time.sleep(0.1)
            else:
                return
        raise AssertionError(f"The demo does not answer.\n{self.log()}")
