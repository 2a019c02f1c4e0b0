"""The demo as a newcomer meets it: its own processes, its own settings, an empty data folder, driven over HTTP."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import httpx
import pytest
from PIL import Image

ROOT = Path(__file__).resolve().parent.parent
START_TIMEOUT = 30.0
PROMOTION_TIMEOUT = 10.0

OPEN_PAGES = ["/", "/documents/new/", "/uploads/", "/uploads/list/", "/accounts/login/"]
GUARDED_PAGES = ["/contracts/", "/contracts/new/", "/admin/", "/admin/library/document/add/"]
STATIC_FILES = [
    "library/library.css",
    "library/uploads.js",
    "library/favicon.svg",
    "async_uploads/async-file-input.js",
    "async_uploads/async-file-input.css",
    "async_uploads/many-files.js",
    "async_uploads/many-files.css",
    "async_uploads/status.js",
]

CREATE_READER = """
from django.contrib.auth.models import User
User.objects.create_user("reader", password="reader")
"""
INLINE_CODE = re.compile(r"<script(?![^>]*(\bsrc=|application/json))|<style|\sstyle=|\son[a-z]+=")
WIDGET = re.compile(r"<async-file-input\s([^>]*)>(.*?)</async-file-input>", re.DOTALL)


@dataclass(frozen=True)
class Demo:
    url: str
    environment: dict[str, str]

    def manage(self, *arguments: str) -> str:
        return run([sys.executable, "asgi_app/manage.py", *arguments], self.environment)


def run(command: list[str], environment: dict[str, str]) -> str:
    done = subprocess.run(
        command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    environment = {name: value for name, value in os.environ.items() if name != "DJANGO_SETTINGS_MODULE"}
    environment["DEMO_DATA"] = str(tmp_path_factory.mktemp("demo"))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    demo = Demo(f"http://127.0.0.1:{port}", environment)
    demo.manage("migrate", "--verbosity", "0")
    demo.manage("demo_user")
    server = subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "asgi_app.asgi:application", "--port", str(port)],
        cwd=ROOT,
        env=environment,
    )
    try:
        wait_until_it_answers(demo.url, server)
        yield demo
    finally:
        server.terminate()
        server.wait(timeout=30)


def wait_until_it_answers(url: str, server: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while time.monotonic() < deadline:
        assert server.poll() is None, "The server of the demo has ended."
        try:
            httpx.get(url)
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    pytest.fail("The demo does not answer.")


@pytest.fixture
def visitor(demo: Demo) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=demo.url) as client:
        yield client


@pytest.fixture
def demo_user(demo: Demo) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=demo.url) as client:
        log_in(client, "demo", "demo")
        yield client


def log_in(client: httpx.Client, username: str, password: str) -> None:
    answer = post(client, "/accounts/login/", {"username": username, "password": password})
    assert answer.status_code == 302


def post(client: httpx.Client, path: str, fields: dict[str, str]) -> httpx.Response:
    token = csrf_token(client.get(path).text)
    return client.post(path, data={**fields, "csrfmiddlewaretoken": token})


def csrf_token(page: str) -> str:
    found = re.search(r'name="csrfmiddlewaretoken" value="([^"]+)"', page)
    assert found, page
    return found[1]


def upload(client: httpx.Client, form_path: str, field: str, filename: str, content: bytes) -> str:
    """What the widget does in the browser: ask for a ticket, send the bytes. Answers the key."""
    page = client.get(form_path).text
    field_id, generate_url = widget_of(page, field)
    asked = client.post(
        generate_url,
        json={"fieldId": field_id, "filename": filename, "size": len(content)},
        headers={"X-CSRFToken": csrf_token(page)},
    )
    assert asked.status_code == 200, asked.text
    ticket = asked.json()
    target = ticket["uploadUrl"]
    sent = client.request(target["method"], target["url"], headers=target["headers"], content=content)
    assert sent.status_code == 201, sent.text
    assert sent.json()["state"] == "uploaded"
    return str(ticket["key"])


def widget_of(page: str, field: str) -> tuple[str, str]:
    """The field id and ticket URL of the widget that holds the hidden input named ``field``."""
    for attributes, inside in WIDGET.findall(page):
        if f'name="{field}"' not in inside:
            continue
        found = dict(re.findall(r'([\w-]+)="([^"]*)"', attributes))
        return found["field-id"], found["generate-url"]
    pytest.fail(f"No widget for {field} in {page}")


def document_fields(title: str, **files: str) -> dict[str, str]:
    no_attachments = {"attachments-TOTAL_FORMS": "0", "attachments-INITIAL_FORMS": "0"}
    return {"title": title, "description": "", **no_attachments, **files}


def value_of(key: str, name: str) -> str:
    return f'{{"key": "{key}", "name": "{name}"}}'


def status_when_promoted(client: httpx.Client, key: str) -> dict[str, str]:
    deadline = time.monotonic() + PROMOTION_TIMEOUT
    while True:
        status = client.get("/async-uploads/upload-status/", params={"key": key}).json()
        if status["state"] == "promoted":
            return dict(status)
        assert time.monotonic() < deadline, f"Not promoted: {status}"
        time.sleep(0.1)


def add_document(client: httpx.Client, title: str) -> str:
    """The path of the new document's page."""
    key = upload(client, "/documents/new/", "file", "notes.txt", b"notes")
    saved = post(client, "/documents/new/", document_fields(title, file=value_of(key, "notes.txt")))
    assert saved.status_code == 302, saved.text
    return saved.headers["location"]


@pytest.mark.parametrize("path", OPEN_PAGES)
def test_page_answers_a_visitor(visitor: httpx.Client, path: str) -> None:
    assert visitor.get(path).status_code == 200


@pytest.mark.parametrize("path", GUARDED_PAGES)
def test_guarded_page_sends_a_visitor_to_the_login(visitor: httpx.Client, path: str) -> None:
    answer = visitor.get(path)

    assert answer.status_code == 302
    assert "/login/" in answer.headers["location"]


@pytest.mark.parametrize("path", OPEN_PAGES + GUARDED_PAGES)
def test_page_answers_the_demo_user(demo_user: httpx.Client, path: str) -> None:
    assert demo_user.get(path).status_code == 200


def test_contracts_are_not_for_every_account(demo: Demo, visitor: httpx.Client) -> None:
    demo.manage("shell", "-c", CREATE_READER)
    log_in(visitor, "reader", "reader")

    answer = visitor.get("/contracts/")

    assert answer.status_code == 403
    assert "You are logged in as reader" in answer.text


@pytest.mark.parametrize("name", STATIC_FILES)
def test_static_files_need_no_other_server(visitor: httpx.Client, name: str) -> None:
    assert visitor.get(f"/static/{name}").status_code == 200


@pytest.mark.parametrize("path", OPEN_PAGES + GUARDED_PAGES)
def test_page_holds_to_its_content_security_policy(demo_user: httpx.Client, path: str) -> None:
    answer = demo_user.get(path)

    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert not INLINE_CODE.search(answer.text)


def test_visitor_uploads_saves_and_downloads(visitor: httpx.Client) -> None:
    content = b"%PDF-1.7\n" + os.urandom(3 * 1024 * 1024)
    picture = BytesIO()
    Image.new("RGB", (40, 30), "teal").save(picture, "PNG")
    key = upload(visitor, "/documents/new/", "file", "report.pdf", content)
    cover_key = upload(visitor, "/documents/new/", "cover", "cover.png", picture.getvalue())
    fields = document_fields(
        "Report", file=value_of(key, "report.pdf"), cover=value_of(cover_key, "cover.png")
    )

    saved = post(visitor, "/documents/new/", fields)

    assert saved.status_code == 302, saved.text
    status = status_when_promoted(visitor, key)
    downloaded = visitor.get(status["url"], follow_redirects=True)
    assert downloaded.content == content
    assert "report" in downloaded.headers["content-disposition"]
    status_when_promoted(visitor, cover_key)
    page = visitor.get(saved.headers["location"]).text
    assert "Report" in page
    assert "40 \N{MULTIPLICATION SIGN} 30" in page


def test_document_keeps_its_files_when_edited(visitor: httpx.Client) -> None:
    path = add_document(visitor, "Draft")
    form = visitor.get(f"{path}edit/").text
    value = re.search(r'name="file" value="([^"]*)"', form)
    assert value
    unchanged = value[1].replace("&quot;", '"')

    saved = post(visitor, f"{path}edit/", document_fields("Final", file=unchanged))

    assert saved.status_code == 302, saved.text
    page = visitor.get(path).text
    assert "Final" in page
    link = re.search(r'class="button" href="([^"]+)"', page)
    assert link
    assert visitor.get(link[1].replace("&amp;", "&"), follow_redirects=True).content == b"notes"


def test_error_in_another_field_keeps_the_upload(visitor: httpx.Client) -> None:
    key = upload(visitor, "/documents/new/", "file", "kept.txt", b"kept")

    answer = post(visitor, "/documents/new/", document_fields("", file=value_of(key, "kept.txt")))

    assert answer.status_code == 200
    assert key in answer.text


def test_attachments_are_saved_with_their_document(visitor: httpx.Client) -> None:
    key = upload(visitor, "/documents/new/", "file", "notes.txt", b"notes")
    attached = upload(visitor, "/documents/new/", "attachments-0-file", "errata.txt", b"errata")
    fields = document_fields("With attachment", file=value_of(key, "notes.txt"))
    fields |= {"attachments-TOTAL_FORMS": "2", "attachments-0-file": value_of(attached, "errata.txt")}
    fields |= {"attachments-1-file": ""}

    saved = post(visitor, "/documents/new/", fields)

    assert saved.status_code == 302, saved.text
    status = status_when_promoted(visitor, attached)
    assert visitor.get(status["url"], follow_redirects=True).content == b"errata"
    assert "errata" in visitor.get(saved.headers["location"]).text


def test_document_of_an_account_is_changed_by_nobody_else(
    visitor: httpx.Client, demo_user: httpx.Client
) -> None:
    path = add_document(demo_user, "Mine")

    assert visitor.get(path).status_code == 200
    assert visitor.get(f"{path}edit/").status_code == 403
    assert visitor.get(f"{path}delete/").status_code == 403
    assert demo_user.get(f"{path}edit/").status_code == 200


def test_deleted_document_takes_its_files_along(demo: Demo, visitor: httpx.Client) -> None:
    media = Path(demo.environment["DEMO_DATA"]) / "media"
    path = add_document(visitor, "Short-lived")
    before = set(media.rglob("notes*"))

    answer = post(visitor, f"{path}delete/", {})

    assert answer.status_code == 302
    assert visitor.get(path).status_code == 404
    assert len(before - set(media.rglob("notes*"))) == 1


def test_uploads_page_shows_the_visitors_own(visitor: httpx.Client, demo_user: httpx.Client) -> None:
    upload(visitor, "/documents/new/", "file", "only-mine.txt", b"mine")

    assert "only-mine.txt" in visitor.get("/uploads/").text
    assert "only-mine.txt" in visitor.get("/uploads/list/").text
    assert "only-mine.txt" not in demo_user.get("/uploads/").text


def test_contract_is_filed_by_who_may(demo_user: httpx.Client, visitor: httpx.Client) -> None:
    key = upload(demo_user, "/contracts/new/", "file", "lease.pdf", b"%PDF-1.7\nlease")
    fields = {"title": "Lease", "partner": "City", "file": value_of(key, "lease.pdf")}

    saved = post(demo_user, "/contracts/new/", fields)

    assert saved.status_code == 302, saved.text
    url = status_when_promoted(demo_user, key)["url"]
    assert demo_user.get(url, follow_redirects=True).content == b"%PDF-1.7\nlease"
    assert visitor.get(url, follow_redirects=True).status_code == 403
    field_id, generate_url = widget_of(demo_user.get("/contracts/new/").text, "file")
    page = visitor.get("/documents/new/").text
    asked = visitor.post(
        generate_url,
        json={"fieldId": field_id, "filename": "lease.pdf"},
        headers={"X-CSRFToken": csrf_token(page)},
    )
    assert asked.status_code == 403


def test_language_switch_turns_the_page_around(visitor: httpx.Client) -> None:
    token = csrf_token(visitor.get("/").text)

    visitor.post("/i18n/setlang/", data={"language": "ar", "csrfmiddlewaretoken": token})

    assert '<html lang="ar" dir="rtl">' in visitor.get("/").text


def test_missing_page_is_told_in_words(visitor: httpx.Client) -> None:
    assert visitor.get("/documents/999999/").status_code == 404


def test_second_start_keeps_data_and_password(demo: Demo) -> None:
    data = Path(demo.environment["DEMO_DATA"])
    key = (data / "secret-key").read_text()

    demo.manage("migrate", "--verbosity", "0")
    printed = demo.manage("demo_user")

    assert printed == "Log in as demo with password demo.\n"
    assert (data / "secret-key").read_text() == key
    with httpx.Client(base_url=demo.url) as client:
        log_in(client, "demo", "demo")


@pytest.mark.parametrize("command", [["asgi_app/manage.py"], ["-m", "asgi_app.manage"]])
def test_manage_works_in_both_ways(demo: Demo, command: list[str]) -> None:
    printed = run([sys.executable, *command, "check", "--fail-level", "WARNING"], demo.environment)

    assert "no issues" in printed


def test_migrations_are_complete(demo: Demo) -> None:
    demo.manage("makemigrations", "--check", "--dry-run")
