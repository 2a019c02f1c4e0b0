"""The API of the demo, over real HTTP: visitors, accounts with a session, clients with a token."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.test_demo import (  # noqa: F401  # fixtures
    CREATE_READER,
    Demo,
    csrf_token,
    demo,
    demo_user,
    log_in,
    upload,
    visitor,
    widget_of,
)

# Sends a document in each format, and prints whether it is parsed on the event loop, which runs in the main thread.
SEE_WHERE_BODIES_ARE_PARSED = """
import asyncio, threading
from django.test import AsyncClient
from rest_framework.parsers import JSONParser, MultiPartParser

def noting(parse):
    def parse_and_note(*args, **kwargs):
        print(threading.current_thread() is threading.main_thread())
        return parse(*args, **kwargs)
    return parse_and_note

async def send():
    for content_type in ("application/json", "multipart/form-data; boundary=x"):
        await AsyncClient().generic("POST", "/api/documents/", "{}", content_type)

for parser in (JSONParser, MultiPartParser):
    parser.parse = noting(parser.parse)
asyncio.run(send())
"""
DOCUMENTS = "/api/documents/"
ATTACHMENTS = "/api/attachments/"


@pytest.fixture
def app(demo: Demo) -> Iterator[httpx.Client]:  # noqa: F811  # the fixture
    """A client that knows no cookies: it has signed in with name and password, and brings a token."""
    signed_in = httpx.post(f"{demo.url}/api/token/", data={"username": "demo", "password": "demo"})
    token = signed_in.json()["token"]
    with httpx.Client(base_url=demo.url, headers={"Authorization": f"Token {token}"}) as client:
        yield client


def upload_by_api(client: httpx.Client, filename: str = "notes.txt", content: bytes = b"notes") -> str:
    with httpx.Client(base_url=client.base_url) as anyone:
        field_id, _ = widget_of(anyone.get("/documents/new/").text, "file")
    ask = {"fieldId": field_id, "filename": filename}
    ticket = client.post("/api/uploads/generate-upload-url/", json=ask).raise_for_status().json()
    httpx.put(ticket["uploadUrl"]["url"], content=content).raise_for_status()
    return str(ticket["key"])


def file_by_page(client: httpx.Client, field: str = "file") -> dict[str, str]:
    """What a person's browser uploads, as the API takes it."""
    key = upload(client, "/documents/new/", field, "notes.txt", b"notes")
    return {"key": key, "name": "notes.txt"}


def add(client: httpx.Client, file: Any, **more: Any) -> dict[str, Any]:
    answer = client.post(DOCUMENTS, json={"title": "Notes", "file": file, **more})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


@pytest.fixture
def owned(app: httpx.Client) -> dict[str, Any]:
    """A document of the account `demo`."""
    return add(app, {"key": upload_by_api(app), "name": "notes.txt"})


####################################
# Reading and writing
####################################


def test_visitor_adds_a_document_and_finds_it_in_the_list(visitor: httpx.Client) -> None:  # noqa: F811
    added = add(visitor, file_by_page(visitor))

    listed = visitor.get(DOCUMENTS).json()

    assert added in listed["results"]
    assert added["owner"] is None
    assert visitor.get(added["url"]).json() == added
    assert visitor.get(added["file"]["url"], follow_redirects=True).content == b"notes"


def test_client_with_a_token_goes_all_the_way(app: httpx.Client, owned: dict[str, Any]) -> None:
    assert owned["owner"] == "demo"
    assert owned["file"]["key"].startswith("documents/")
    assert owned["file"]["url"].startswith(f"{app.base_url}/api/uploads/download-file/")
    signed = app.get(owned["file"]["url"]).headers["location"]
    assert httpx.get(f"{app.base_url}{signed}").content == b"notes"


def test_partial_update_leaves_the_rest(app: httpx.Client, owned: dict[str, Any]) -> None:
    renamed = app.patch(owned["url"], json={"title": "Renamed"})
    other = {"key": upload_by_api(app, "other.txt", b"other"), "name": "other.txt"}
    replaced = app.patch(owned["url"], json={"file": other})

    assert renamed.json() == {**owned, "title": "Renamed"}
    assert replaced.json()["title"] == "Renamed"
    assert app.get(replaced.json()["file"]["url"], follow_redirects=True).content == b"other"


def test_what_comes_out_can_be_sent_back(app: httpx.Client, owned: dict[str, Any]) -> None:
    answer = app.put(owned["url"], json={**owned, "description": "As it was."})

    assert answer.json() == {**owned, "description": "As it was."}


def test_attachments_are_shown_with_their_document(visitor: httpx.Client) -> None:  # noqa: F811
    added = add(visitor, file_by_page(visitor))
    file = file_by_page(visitor, "attachments-0-file")

    attached = visitor.post(ATTACHMENTS, json={"document": added["id"], "file": file})

    assert attached.status_code == 201, attached.text
    shown = visitor.get(added["url"]).json()["attachments"]
    assert shown == [attached.json()]
    assert visitor.get(shown[0]["file"]["url"], follow_redirects=True).content == b"notes"
    assert visitor.delete(shown[0]["url"]).status_code == 204
    assert visitor.get(added["url"]).json()["attachments"] == []


def test_deleted_document_takes_its_files_along(
    demo: Demo,  # noqa: F811
    app: httpx.Client,
    owned: dict[str, Any],
) -> None:
    stored = Path(demo.environment["DEMO_DATA"]) / "media" / owned["file"]["key"]
    assert stored.exists()

    assert app.delete(owned["url"]).status_code == 204

    assert not stored.exists()
    assert app.get(owned["url"]).status_code == 404


####################################
# What is refused
####################################


def errors_of(client: httpx.Client, file: Any) -> list[str]:
    answer = client.post(DOCUMENTS, json={"title": "Notes", "file": file})
    assert (answer.status_code, list(answer.json())) == (400, ["file"]), answer.text
    return list(answer.json()["file"])


@pytest.mark.parametrize("file", [None, "", [], 5, {}, {"key": 5}, {"key": "async-temp-files/../secret-key"}])
def test_malformed_value_is_an_error_of_the_field(visitor: httpx.Client, file: Any) -> None:  # noqa: F811
    assert errors_of(visitor, file)


def test_key_of_somebody_else_is_not_found(visitor: httpx.Client, app: httpx.Client) -> None:  # noqa: F811
    theirs = {"key": upload_by_api(app), "name": "notes.txt"}

    assert errors_of(visitor, theirs) == ["There is no such upload. Please choose the file again."]


def test_key_is_used_once(visitor: httpx.Client) -> None:  # noqa: F811
    file = file_by_page(visitor)
    add(visitor, file)

    assert errors_of(visitor, file) == ["This upload has been used already. Please choose the file again."]


def test_document_of_an_account_is_changed_by_nobody_else(
    demo: Demo,  # noqa: F811
    visitor: httpx.Client,  # noqa: F811
    owned: dict[str, Any],
) -> None:
    demo.manage("shell", "-c", CREATE_READER)
    with httpx.Client(base_url=demo.url) as reader:
        log_in(reader, "reader", "reader")
        token = {"X-CSRFToken": csrf_token(reader.get("/documents/new/").text)}

        assert visitor.get(owned["url"]).status_code == 200
        assert visitor.patch(owned["url"], json={"title": "Mine"}).status_code == 401
        assert visitor.delete(owned["url"]).status_code == 401
        assert reader.patch(owned["url"], json={"title": "Mine"}, headers=token).status_code == 403
    assert visitor.get(owned["url"]).json() == owned


def test_nobody_else_attaches_to_the_document_of_an_account(
    visitor: httpx.Client,  # noqa: F811
    app: httpx.Client,
    owned: dict[str, Any],
) -> None:
    attachment = {"document": owned["id"], "file": file_by_page(visitor, "attachments-0-file")}
    refused = visitor.post(ATTACHMENTS, json=attachment)
    mine = add(visitor, file_by_page(visitor))
    attached = visitor.post(ATTACHMENTS, json={**attachment, "document": mine["id"]}).json()
    moved = visitor.patch(attached["url"], json={"document": owned["id"]})

    for answer in (refused, moved):
        assert answer.status_code == 400
        assert answer.json() == {"document": ["This document belongs to somebody else."]}
    assert app.get(owned["url"]).json()["attachments"] == []


def test_session_of_an_account_needs_its_csrf_token(demo_user: httpx.Client) -> None:  # noqa: F811
    file = file_by_page(demo_user)
    token = {"X-CSRFToken": csrf_token(demo_user.get("/documents/new/").text)}
    document = {"title": "Notes", "file": file}

    forged = demo_user.post(DOCUMENTS, json=document)
    own = demo_user.post(DOCUMENTS, json=document, headers=token)

    assert forged.status_code == 403
    assert (own.status_code, own.json()["owner"]) == (201, "demo")


def test_wrong_token_or_password_is_refused(demo: Demo) -> None:  # noqa: F811
    wrong = {"Authorization": "Token 0123"}

    assert httpx.get(f"{demo.url}{DOCUMENTS}", headers=wrong).status_code == 401
    signed_in = httpx.post(f"{demo.url}/api/token/", data={"username": "demo", "password": "wrong"})
    assert signed_in.status_code == 400


####################################
# Finding one's way
####################################


def test_every_address_of_the_root_answers(visitor: httpx.Client) -> None:  # noqa: F811
    for address in visitor.get("/api/").json().values():
        assert visitor.get(address).status_code == 200


def test_api_describes_itself(demo: Demo) -> None:  # noqa: F811
    told = demo.manage("spectacular", "--validate", "--fail-on-warn")

    for path in ("/api/documents/{id}/:", "/api/attachments/:", "/api/uploads/generate-upload-url/:"):
        assert path in told
    assert "#/components/schemas/AsyncImage" in told


def test_bodies_are_not_parsed_on_the_event_loop(demo: Demo) -> None:  # noqa: F811
    told = demo.manage("shell", "--verbosity", "0", "-c", SEE_WHERE_BODIES_ARE_PARSED)

    assert told.split() == ["False", "False"]
