"""nginx as what it is at its best: a server in C that takes bodies by WebDAV PUT and writes them to the disk."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from benchmarks.measuring.processes import Server, serving

# One worker, as the others have. Its buffer is as large as our CHUNK_SIZE: with its own 16 KiB it is slower.
CONFIGURATION = """
daemon off;
worker_processes 1;
{user}
pid {folder}/nginx.pid;
error_log stderr;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    client_max_body_size 0;
    client_body_buffer_size 1m;
    client_body_temp_path {folder}/arriving;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    server {{
        listen 127.0.0.1:{port} backlog=4096;
        root {folder}/files;
        dav_methods PUT;
        create_full_put_path on;
    }}
}}
"""


def executable() -> str | None:
    """Debian keeps it where only root looks."""
    return shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")


@contextmanager
def nginx_dav(folder: Path) -> Iterator[tuple[Server, Path]]:
    """The server, and the folder that it writes to. Raises FileNotFoundError where there is no nginx."""
    found = executable()
    if found is None:
        raise FileNotFoundError("nginx")
    nginx: str = found
    files = folder / "files"
    files.mkdir(parents=True)
    configuration = folder / "nginx.conf"

    def command(port: int) -> list[str]:
        user = "user root;" if os.geteuid() == 0 else ""
        configuration.write_text(CONFIGURATION.format(folder=folder, port=port, user=user))
        return [nginx, "-c", str(configuration), "-p", str(folder), "-e", "stderr"]

    with serving(command, folder) as server:
        yield server, files
