"""Runs a command with an S3 or Azure server of its own beside it: `python -m asgi_app.storage_server s3 COMMAND …`.

Machinery of the demo, nothing to copy: a real project has its bucket or container in the cloud. The server listens on
the loopback address only, keeps its files in DEMO_DATA, and ends when the command does.
"""

import json
import os
import shutil
import signal
import socket
import subprocess  # nosec B404  # runs what the Makefile names
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asgi_app.settings import DATA_DIR

START_TIMEOUT = 60.0  # seconds
STOP_TIMEOUT = 5.0  # seconds
ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

# No secret: the server is there for this machine only.
S3_KEY, S3_SECRET = "demo", "demo-secret"
# The one account that Azurite's documentation tells everybody.
AZURE_ACCOUNT = "devstoreaccount1"
AZURE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="


@dataclass(frozen=True)
class Server:
    name: str
    command: list[str]
    port: int
    environment: Mapping[str, str]
    """What settings.py and the SDKs read."""
    ended_by: signal.Signals = signal.SIGTERM


def seaweedfs(folder: Path) -> Server:
    parts = ["s3", "master", "volume", "filer"]
    ports = free_ports(2 * len(parts))
    http, grpc = ports[: len(parts)], ports[len(parts) :]
    identities = folder / "s3.json"
    credentials = [{"accessKey": S3_KEY, "secretKey": S3_SECRET}]
    identities.write_text(
        json.dumps({"identities": [{"name": "demo", "credentials": credentials, "actions": ["Admin"]}]})
    )
    command = [
        "weed",
        "-logtostderr",
        "server",
        f"-dir={folder}",
        "-ip=127.0.0.1",
        "-ip.bind=127.0.0.1",
        "-filer",
        "-s3",
        f"-s3.config={identities}",
        "-s3.port.iceberg=0",
        "-s3.port.lance=0",
        "-master.telemetry=false",
        "-master.volumeSizeLimitMB=256",
        "-volume.max=100",
        *(f"-{part}.port={port}" for part, port in zip(parts, http, strict=True)),
        *(f"-{part}.port.grpc={port}" for part, port in zip(parts, grpc, strict=True)),
    ]
    keys = {"AWS_ACCESS_KEY_ID": S3_KEY, "AWS_SECRET_ACCESS_KEY": S3_SECRET}
    # Asked to end, it waits for 15 seconds; all that it was told to keep is on disk already.
    return Server("S3 (SeaweedFS)", command, http[0], keys, ended_by=signal.SIGKILL)


def azurite(folder: Path) -> Server:
    (port,) = free_ports(1)
    command = [
        "azurite-blob",
        "--blobHost=127.0.0.1",
        f"--blobPort={port}",
        f"--location={folder}",
        "--disableTelemetry",
        "--skipApiVersionCheck",
    ]
    connection_string = (
        f"DefaultEndpointsProtocol=http;AccountName={AZURE_ACCOUNT};AccountKey={AZURE_KEY};"
        f"BlobEndpoint=http://127.0.0.1:{port}/{AZURE_ACCOUNT};"
    )
    return Server("Azure (Azurite)", command, port, {"AZURE_STORAGE_CONNECTION_STRING": connection_string})


SERVERS: Mapping[str, Callable[[Path], Server]] = {"s3": seaweedfs, "azure": azurite}


def main(storage: str, *command: str) -> int:
    folder = DATA_DIR / f"{storage}-server"
    folder.mkdir(exist_ok=True)
    server = SERVERS[storage](folder)
    url = f"http://127.0.0.1:{server.port}"
    # Whoever has an account with Amazon or Microsoft keeps it out of here.
    outside = {name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "AZURE_"))}
    environment = {**outside, **server.environment, "DEMO_STORAGE": storage, "DEMO_STORAGE_URL": url}
    with served(server, folder.with_suffix(".log")):
        sys.stdout.write(f"{server.name} on {url}, its files in {folder}\n")
        sys.stdout.flush()
        with running(list(command), env=environment) as process:
            return process.wait()


@contextmanager
def served(server: Server, log: Path) -> Iterator[None]:
    if shutil.which(server.command[0]) is None:
        sys.exit(f"{server.command[0]} is missing: `make demo` installs it.")
    with log.open("wb") as output:
        # A session of its own: Ctrl-C ends the command, which may still need the server to come to its end.
        options = {"stdout": output, "stderr": output, "start_new_session": True}
        with running(server.command, server.ended_by, cwd=log.parent, **options) as process:
            deadline = time.monotonic() + START_TIMEOUT
            while not listens(server.port):
                if process.poll() is not None or time.monotonic() > deadline:
                    sys.exit(f"{server.name} does not start; {log} tells why.")
                time.sleep(0.1)
            yield


@contextmanager
def running(
    command: list[str], ended_by: signal.Signals = signal.SIGTERM, **options: Any
) -> Iterator[subprocess.Popen[bytes]]:
    """A process that does not outlive the block."""
    process = subprocess.Popen(command, **options)  # noqa: S603  # nosec B603  # the Makefile's own
    try:
        yield process
    finally:
        process.send_signal(ended_by)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def free_ports(count: int) -> list[int]:
    """Ports that the kernel gives out now, all different."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def end_in_order(number: int, _: object) -> None:
    for each in ENDING:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(128 + number)


if __name__ == "__main__":
    for each in ENDING:
        signal.signal(each, end_in_order)
    sys.exit(main(*sys.argv[1:]))
