"""Two submissions of one upload in the demo: both are validated, then one is saved. Nobody loses the form."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path

import httpx
import pytest

from tests.test_demo import Demo, csrf_token, demo, document_fields, log_in, upload, value_of  # noqa: F401

USED = "This upload has been used already. Please choose the file again."
VALIDATION = 2.0
"""Seconds that it takes at most; where it takes longer, the second one is refused by it, which looks the same."""


@pytest.fixture
def person(demo: Demo) -> Iterator[httpx.Client]:  # noqa: F811  # the fixture
    with httpx.Client(base_url=demo.url, timeout=60) as client:
        log_in(client, "demo", "demo")
        yield client


def submit_together(
    demo: Demo,  # noqa: F811
    person: httpx.Client,
    path: str,
    *forms: dict[str, str],
) -> tuple[httpx.Response, httpx.Response]:
    """The answers to the form that was saved, and to the other one: nothing is written until both are validated."""
    token = csrf_token(person.get(path).text)
    database = Path(demo.environment["DEMO_DATA"]) / "db.sqlite3"
    with closing(sqlite3.connect(database, isolation_level=None)) as lock, ThreadPoolExecutor() as tabs:
        lock.execute("BEGIN IMMEDIATE")
        posted = [
            tabs.submit(person.post, path, data={**form, "csrfmiddlewaretoken": token}) for form in forms
        ]
        time.sleep(VALIDATION)
        lock.execute("ROLLBACK")
    saved, late = sorted((answer.result() for answer in posted), key=lambda answer: -answer.status_code)
    assert (saved.status_code, late.status_code) == (302, 200)
    return saved, late


def test_document_whose_file_was_just_used_is_kept_as_a_form(demo: Demo, person: httpx.Client) -> None:  # noqa: F811
    path = "/documents/new/"
    file = value_of(upload(person, path, "file", "notes.txt", b"notes"), "notes.txt")
    form = document_fields("Twice", file=file)

    _, late = submit_together(demo, person, path, form, form)

    assert USED in late.text
    assert 'name="title" value="Twice"' in late.text
    saved = person.get("/api/documents/").json()["results"]
    assert [document["title"] for document in saved].count("Twice") == 1


def test_document_whose_attachment_was_just_used_is_not_saved_and_can_be_sent_again(
    demo: Demo,  # noqa: F811
    person: httpx.Client,
) -> None:
    path = "/documents/new/"
    attached = value_of(upload(person, path, "attachments-0-file", "errata.txt", b"errata"), "errata.txt")
    row = {"attachments-TOTAL_FORMS": "1", "attachments-0-file": attached}
    forms = []
    for title in ("First", "Second"):
        key = upload(person, path, "file", "notes.txt", title.encode())
        forms.append(document_fields(title, file=value_of(key, "notes.txt")) | row)

    _, late = submit_together(demo, person, path, *forms)

    assert USED in late.text
    # It was rolled back, so there is no record that its fields could belong to.
    assert "<h1>Add a document</h1>" in late.text
    assert "instance-id" not in late.text
    (rejected,) = [form for form in forms if f'value="{form["title"]}"' in late.text]
    again = {**rejected, "attachments-0-file": "", "csrfmiddlewaretoken": csrf_token(late.text)}
    saved = person.post(path, data=again)
    assert saved.status_code == 302, saved.text
    assert rejected["title"] in person.get(saved.headers["location"]).text


def test_contract_whose_file_was_just_used_is_kept_as_a_form(demo: Demo, person: httpx.Client) -> None:  # noqa: F811
    path = "/contracts/new/"
    key = upload(person, path, "file", "lease.pdf", b"%PDF-1.7\nlease")
    form = {"title": "Lease", "partner": "City", "file": value_of(key, "lease.pdf")}

    _, late = submit_together(demo, person, path, form, form)

    assert USED in late.text
