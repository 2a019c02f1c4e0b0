"""`make demo STORAGE=s3` and `STORAGE=azure`: the server that stands for the cloud, as the Makefile starts it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.servers import azurite, seaweedfs
from tests.servers.processes import free_ports

ROOT = Path(__file__).resolve().parent.parent
ORIGIN = "http://127.0.0.1:8000"
PREPARATION = {"s3": "demo_bucket", "azure": "demo_container"}
METHOD = {"s3": "POST", "azure": "PUT"}
PLACE = {"s3": "/demo/", "azure": "/devstoreaccount1/demo/file"}
START_TIMEOUT = 90.0  # seconds
MANAGE = [sys.executable, "asgi_app/manage.py"]
PREPARE = """
from django.core.files.base import ContentFile
from django.core.files.storage import default_storage as storage
from django.core.management import call_command
call_command("{command}", "{origin}")
"""
SAVE = 'print(storage.save("kept.txt", ContentFile(b"kept")))'
READ = 'print(storage.open("kept.txt").read().decode())'
SAY_WHERE_AND_WAIT = 'echo "$DEMO_STORAGE_URL"; exec sleep 600'


@pytest.fixture(params=["s3", "azure"])
def storage(request: pytest.FixtureRequest) -> str:
    return str(request.param)


class Starter:
    """`python -m asgi_app.storage_server`, with the servers on the PATH as in the Makefile."""

    def __init__(self, storage: str, data: Path) -> None:
        executable = {"s3": seaweedfs.executable, "azure": azurite.executable}[storage]()
        folders = [str(Path(executable).parent), str(Path(sys.executable).parent), os.environ["PATH"]]
        clean = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
        self.environment = {**clean, "DEMO_DATA": str(data), "PATH": os.pathsep.join(folders)}
        self._storage = storage

    def start(self, script: str) -> subprocess.Popen[str]:
        """A shell script beside the server; in a session of its own, to which Ctrl-C can be pressed."""
        return subprocess.Popen(
            [sys.executable, "-m", "asgi_app.storage_server", self._storage, "sh", "-c", script],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, command: list[str]) -> list[str]:
        """The lines that it prints, beside the server."""
        with self.start(shlex.join(command)) as process:
            printed, _ = process.communicate(timeout=120)
        assert process.returncode == 0, printed
        return printed.splitlines()


@pytest.fixture
def starter(storage: str, tmp_path: Path) -> Starter:
    return Starter(storage, tmp_path)


@pytest.fixture
def waiting(starter: Starter) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """A starter whose command waits, and the address of its server."""
    with starter.start(SAY_WHERE_AND_WAIT) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process, process.stdout.readline().strip()
        finally:
            process.terminate()


def answers(url: str) -> bool:
    try:
        httpx.get(url)
    except httpx.TransportError:
        return False
    return True


def shell(code: str) -> list[str]:
    return [*MANAGE, "shell", "--verbosity", "0", "-c", code]


def test_files_outlive_the_server(starter: Starter, storage: str) -> None:
    prepare = PREPARE.format(command=PREPARATION[storage], origin=ORIGIN)
    assert starter.run(shell(prepare + SAVE))[-1] == "kept.txt"

    assert starter.run(shell(prepare + READ))[-1] == "kept"


def test_ctrl_c_ends_the_server_after_its_command(waiting: Any) -> None:
    process, url = waiting
    assert answers(url)

    os.killpg(process.pid, signal.SIGINT)

    assert process.wait(timeout=30) == 128 + signal.SIGINT
    assert not answers(url)


def test_command_that_fails_takes_the_server_along(starter: Starter) -> None:
    with starter.start(f"{SAY_WHERE_AND_WAIT.split(';')[0]}; exit 3") as process:
        printed, _ = process.communicate(timeout=120)

    assert process.returncode == 3
    assert not answers(printed.splitlines()[-1])


def test_credentials_of_the_person_stay_outside(
    starter: Starter, storage: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("AWS_SESSION_TOKEN", "AWS_PROFILE", "AZURE_CLIENT_SECRET"):
        monkeypatch.setitem(starter.environment, name, "theirs")

    told = starter.run(["env"])

    assert f"DEMO_STORAGE={storage}" in told
    assert not [line for line in told if line.endswith("=theirs")]


def test_make_starts_the_demo_beside_its_storage_and_ends_both(storage: str, starter: Starter) -> None:
    port = free_ports(1)[0]
    url = f"http://127.0.0.1:{port}/"
    installed = ["-o", f".venv/demo-{storage}.stamp", "-o", "node_modules/.stamp", f"VENV={sys.executable}"]
    make = ["make", *installed, "demo", f"STORAGE={storage}", f"PORT={port}"]
    with subprocess.Popen(
        make, cwd=ROOT, env=starter.environment, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            storage_url = storage_told_by(process)
            wait_until(lambda: answers(url), process)

            policy = httpx.get(url).headers["content-security-policy"]
            preflight = {"Origin": url.rstrip("/"), "Access-Control-Request-Method": METHOD[storage]}
            allowed = httpx.options(storage_url + PLACE[storage], headers=preflight)
        finally:
            process.terminate()
            process.communicate(timeout=60)

    assert storage_url in policy
    assert allowed.headers["access-control-allow-origin"] == url.rstrip("/")
    assert not answers(url)
    assert not answers(storage_url)


def storage_told_by(process: subprocess.Popen[str]) -> str:
    """The address that the starter prints."""
    assert process.stdout is not None
    for line in process.stdout:
        if found := re.search(r" on (http://\S+), its files in ", line):
            return found[1]
    pytest.fail("The demo does not start.")


def wait_until(condition: Callable[[], bool], process: subprocess.Popen[str]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while not condition():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.1)


def policy_of(environment: dict[str, str]) -> str:
    code = "from django.conf import settings; print(settings.CONTENT_SECURITY_POLICY)"
    done = subprocess.run(
        shell(code), cwd=ROOT, env=environment, capture_output=True, text=True, timeout=60, check=True
    )
    return done.stdout.strip()


def test_policy_of_the_pages_names_the_storage_only_where_there_is_one(tmp_path: Path) -> None:
    clean = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    environment = {**clean, "DEMO_DATA": str(tmp_path)}
    cloud = {"DEMO_STORAGE": "s3", "DEMO_STORAGE_URL": "http://127.0.0.1:9"}

    without, with_cloud = policy_of(environment), policy_of({**environment, **cloud})

    assert "img-src 'self' blob: data:;" in without
    assert "connect-src 'self' ws: wss:;" in without
    assert re.findall(r"(\S+)-src [^;]*http://127\.0\.0\.1:9;", with_cloud) == ["img", "connect"]
    assert "script-src 'self';" in with_cloud
