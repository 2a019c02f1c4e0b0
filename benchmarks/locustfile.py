"""The whole journey of a person, for Locust: form, upload URL, status socket, upload, save, download.

As it stands it knows the demo (``make demo``); options, or variables of the environment, make it know your project:

    locust -f benchmarks/locustfile.py --headless -u 10 -r 5 -t 20s --host http://127.0.0.1:8000

Each step is a line of Locust's report. The records that it saves stay.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from html import unescape
from typing import Any, TypeVar
from urllib.parse import urljoin

from locust import HttpUser, between, events, task
from locust.argument_parser import LocustArgumentParser
from websockets.sync.client import ClientConnection, connect

T = TypeVar("T")

OPTIONS = (
    ("--prefix", "/async-uploads/", "path under which the package's URLs are mounted"),
    ("--socket", "/ws/async-uploads/", "path of the status socket"),
    ("--form", "/documents/new/", "page with the form: gives CSRF token and field id"),
    ("--field", "file", "name of the file field in the form"),
    ("--field-id", "", "id of the model field; empty: as the form has it"),
    ("--save", "", "where the form is posted to; empty: the page itself"),
    ("--save-as", "form", "form, or json for an API"),
    (
        "--save-fields",
        '{"title": "Load test", "attachments-TOTAL_FORMS": "0", "attachments-INITIAL_FORMS": "0"}',
        "the other fields, as JSON",
    ),
    ("--session", "", "session cookie of a user, as sessionid=…"),
    ("--login", "/accounts/login/", "page with the login form"),
    ("--username", "", "who logs in there; empty: nobody"),
    ("--password", "", "and the password"),
    ("--file-size", "1000000", "bytes of each file"),
    ("--file-name", "load-test.bin", "its name"),
    ("--pieces", "10", "pieces in which it is sent"),
    ("--pause", "0.1", "seconds between two pieces"),
    ("--patience", "60", "seconds until a status has to be there"),
)


@events.init_command_line_parser.add_listener
def add_options(parser: LocustArgumentParser) -> None:
    for name, default, about in OPTIONS:
        variable = f"UPLOADS_{name.strip('-').replace('-', '_').upper()}"
        secret = {"is_secret": True} if name in ("--password", "--session") else {}
        parser.add_argument(name, default=default, env_var=variable, help=about, **secret)


class Failure(Exception):
    """What came is not what a person hopes for."""


class Pieces:
    """A body that comes in pieces, as over a line that is no faster; its size is known."""

    def __init__(self, size: int, pieces: int, pause: float) -> None:
        self._size = self._left = size
        self._piece = max(-(-size // pieces), 1)
        self._pause = pause

    def __len__(self) -> int:
        return self._size

    def read(self, _size: int = -1) -> bytes:
        if self._left < self._size:
            time.sleep(self._pause)
        taken = min(self._piece, self._left)
        self._left -= taken
        return b"\0" * taken


class Person(HttpUser):
    """Fills out a form with one file, over and over."""

    wait_time = between(0.5, 2)

    def on_start(self) -> None:
        given = self.environment.parsed_options
        if given.session:
            name, _is, value = given.session.partition("=")
            self.client.cookies.set(name, value)
        elif given.username:
            self._log_in()

    @task
    def upload_save_and_download(self) -> None:
        given = self.environment.parsed_options
        page = self._page(given.form, "form")
        ticket = self._ticket(page)
        with self._socket(ticket["key"]) as socket:
            self._send(ticket)
            self._await(socket, "uploaded")
            self._save(page, ticket["key"])
            promoted = self._await(socket, "promoted")
        self._download(promoted["url"])

    def _log_in(self) -> None:
        given = self.environment.parsed_options
        page = self._page(given.login, "login page")
        fields = {"username": given.username, "password": given.password, **_csrf_field(page)}
        self._ask(
            "POST", given.login, "log in", 302, data=fields, allow_redirects=False, headers=self._referer
        )

    def _page(self, path: str, name: str) -> str:
        return str(self._ask("GET", path, name, 200).text)

    def _ticket(self, page: str) -> dict[str, Any]:
        given = self.environment.parsed_options
        asked = {
            "fieldId": given.field_id or _field_id(page, given.field),
            "filename": given.file_name,
            "size": int(given.file_size),
        }
        headers = {"X-CSRFToken": _csrf_token(page), **self._referer}
        answer = self._ask(
            "POST", f"{given.prefix}generate-upload-url/", "upload URL", 200, json=asked, headers=headers
        )
        return dict(answer.json())

    @contextmanager
    def _socket(self, key: str) -> Iterator[ClientConnection]:
        """The status socket, subscribed to the key."""
        given = self.environment.parsed_options
        address = urljoin(self.host, given.socket).replace("http", "ws", 1)
        cookies = "; ".join(f"{cookie.name}={cookie.value}" for cookie in self.client.cookies)

        with ExitStack() as stack:

            def open_and_subscribe() -> ClientConnection:
                socket = stack.enter_context(
                    connect(address, additional_headers={"Cookie": cookies}, origin=self.host.rstrip("/"))
                )
                socket.send(json.dumps({"action": "subscribe", "keys": [key]}))
                told = json.loads(socket.recv(float(given.patience)))
                if told["type"] != "status":
                    raise Failure(str(told))
                return socket

            yield self._told("subscribe", open_and_subscribe)

    def _send(self, ticket: dict[str, Any]) -> None:
        """As the ticket says: to Django, to S3 by its form, or to Azure."""
        given, target = self.environment.parsed_options, ticket["uploadUrl"]
        size = int(given.file_size)
        if target["method"] == "POST":
            content = b"\0" * size
            body = {
                "data": target["fields"],
                "files": {target["fileFieldName"]: (given.file_name, content)},
            }
        else:
            body = {"data": Pieces(size, int(given.pieces), float(given.pause))}
        self._ask(target["method"], target["url"], "upload", None, headers=target["headers"], **body)
        if target["provider"] != "filesystem":
            headers = {"X-CSRFToken": self.client.cookies.get("csrftoken", ""), **self._referer}
            key = {"key": ticket["key"]}
            self._ask("POST", ticket["completeUrl"], "complete", 200, json=key, headers=headers)

    def _await(self, socket: ClientConnection, state: str) -> dict[str, Any]:
        """Wait until the socket tells the state, or one that follows it."""
        patience = float(self.environment.parsed_options.patience)
        followed_by = {"uploaded": ("uploaded", "promoting", "promoted"), "promoted": ("promoted",)}[state]

        def listen() -> dict[str, Any]:
            while True:
                told: dict[str, Any] = json.loads(socket.recv(patience))
                if told.get("state") in followed_by:
                    return told
                if told.get("error"):
                    raise Failure(str(told["error"]))

        return self._told(f"status {state}", listen)

    def _save(self, page: str, key: str) -> None:
        given = self.environment.parsed_options
        value = {"key": key, "name": given.file_name}
        fields = json.loads(given.save_fields)
        path = given.save or given.form
        if given.save_as == "json":
            headers = {"X-CSRFToken": _csrf_token(page), **self._referer}
            self._ask("POST", path, "save", None, json={**fields, given.field: value}, headers=headers)
            return
        fields |= {given.field: json.dumps(value), **_csrf_field(page)}
        self._ask("POST", path, "save", 302, data=fields, allow_redirects=False, headers=self._referer)

    def _download(self, url: str) -> None:
        answer = self._ask("GET", url, "download: redirect", 302, allow_redirects=False)
        target = urljoin(urljoin(self.host, url), answer.headers["Location"])
        size = int(self.environment.parsed_options.file_size)
        self._ask("GET", target, "download: bytes", 200, size=size)

    @property
    def _referer(self) -> dict[str, str]:
        """Which Django wants to see over HTTPS."""
        return {"Referer": f"{self.host.rstrip('/')}/"}

    def _ask(
        self, method: str, url: str, name: str, status: int | None, *, size: int | None = None, **more: Any
    ) -> Any:
        """A request with this status (None: any success) and ``size`` bytes in its answer, else a failure."""
        with self.client.request(method, url, name=name, catch_response=True, **more) as answer:
            right = answer.ok if status is None else answer.status_code == status
            if right and size in (None, len(answer.content)):
                answer.success()
                return answer
            answer.failure(f"{answer.status_code}, {len(answer.content or b'')} bytes: {answer.text[:200]!r}")
        raise Failure(name)

    def _told(self, name: str, listen: Callable[[], T]) -> T:
        """What is heard on the socket, as a line of Locust's own."""
        began = time.perf_counter()
        error: Exception | None = None
        try:
            return listen()
        except Exception as failed:
            error = failed
            raise Failure(name) from failed
        finally:
            self.environment.events.request.fire(
                request_type="WS",
                name=name,
                response_time=(time.perf_counter() - began) * 1000,
                response_length=0,
                exception=error,
                context=self.context(),
            )


def _csrf_token(page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    return found[1] if found else ""


def _csrf_field(page: str) -> dict[str, str]:
    return {"csrfmiddlewaretoken": _csrf_token(page)}


def _field_id(page: str, field: str) -> str:
    """Of the widget that holds the input of this name."""
    for attributes, inside in re.findall(
        r"<async-file-input([^>]*)>(.*?)</async-file-input>", page, re.DOTALL
    ):
        found = re.search(r'field-id="([^"]+)"', attributes)
        if found and f'name="{field}"' in inside:
            return unescape(found[1])
    raise Failure(
        f"There is no file field {field!r} on the page of the form: use --form, --field or --field-id."
    )
