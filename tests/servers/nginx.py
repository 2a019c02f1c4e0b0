"""nginx with the configuration that docs/deployment.md tells."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from tests.servers.processes import Process, free_ports, missing

DOCUMENT = Path(__file__).parents[2] / "docs/deployment.md"
AROUND = """
daemon off;
{user}
pid {folder}/nginx.pid;
error_log stderr;
events {{}}
http {{
    access_log off;
    add_header X-Upstream $upstream_addr always;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    {site}
}}
"""


@contextmanager
def nginx_before(ports: Sequence[int], media: Path, folder: Path) -> Iterator[str]:
    """Its address, ``http://127.0.0.1:PORT``."""
    executable = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
    if executable is None:
        missing("nginx", "Install it with: apt-get install nginx-light")
    (port,) = free_ports(1)
    (site,) = re.findall(r"```nginx\n(.*?)```", DOCUMENT.read_text(), re.DOTALL)
    site = site.replace("listen 80;", f"listen 127.0.0.1:{port};").replace("/srv/mysite/media/", f"{media}/")
    for number, upstream in enumerate(ports, 1):
        site = site.replace(f"127.0.0.1:800{number};", f"127.0.0.1:{upstream};")
    configuration = folder / "nginx.conf"
    user = "user root;" if os.geteuid() == 0 else ""
    configuration.write_text(AROUND.format(folder=folder, site=site, user=user))
    process = Process([executable, "-c", str(configuration), "-p", str(folder)], folder / "nginx.log")
    process.start()
    try:
        process.wait_for_port(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.stop()
