"""The browser does what the ticket says, so that other storages need no new JavaScript: here a storage of our own."""

import json
from html import escape
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Route, expect

from tests.browser.complaints import Complaints
from tests.browser.connection import Connection
from tests.browser.file_field import SLOW_FILE, FileField, payload

KEY = "async-temp-files/2026/11/22/token-report.txt"


def ticket(method: str) -> dict[str, Any]:
    return {
        "key": KEY,
        "uploadUrl": {
            "url": "/elsewhere/bucket",
            "method": method,
            "fields": {"policy": "signed", "key": KEY} if method == "POST" else {},
            "headers": {"x-blob-type": "BlockBlob"},
            "provider": "s3",
            "fileFieldName": "upload",
        },
        "completeUrl": "/elsewhere/complete/",
        "statusUrl": "/elsewhere/status/",
        "cancelUrl": "/elsewhere/cancel/",
        "expiresAt": "2026-11-22T13:00:00Z",
    }


def status(state: str, error: dict[str, str] | None = None) -> dict[str, Any]:
    return {
        "type": "status",
        "key": KEY,
        "state": state,
        "received": 12,
        "total": 12,
        "name": "report.txt",
        "url": None,
        "error": error,
        "seq": 1,
        "at": "2026-11-22T12:00:00Z",
    }


class Elsewhere:
    """Answers in the place of the server, and keeps what it was sent."""

    def __init__(self, page: Page, method: str, completed: dict[str, Any]) -> None:
        self.requests: list[Request] = []
        self._answer(page, "**/generate-upload-url/", json=ticket(method))
        self._answer(page, "**/elsewhere/bucket", status=204)
        self._answer(page, "**/elsewhere/complete/", json=completed)
        self._answer(page, "**/elsewhere/status/*", json=completed)
        self._answer(page, "**/elsewhere/cancel/", status=204)
        page.route_web_socket("**/ws/async-uploads/", lambda socket: None)
        page.goto("/documents/new/")

    def sent_to(self, path: str) -> Request:
        return next(request for request in self.requests if path in request.url)

    def _answer(self, page: Page, pattern: str, **answer: Any) -> None:
        def handle(route: Route) -> None:
            self.requests.append(route.request)
            route.fulfill(**answer)

        page.route(pattern, handle)


def pretend_to_be_s3(route: Route) -> None:
    answer = route.fetch()
    ticket = answer.json()
    ticket["uploadUrl"]["provider"] = "s3"
    route.fulfill(response=answer, json=ticket)


def test_post_sends_a_form_with_the_file_last(page: Page) -> None:
    elsewhere = Elsewhere(page, "POST", status("uploaded"))
    field = FileField(page, "file")

    field.pick(payload("report.txt"))

    field.expect_uploaded("report.txt")
    sent = elsewhere.sent_to("bucket")
    body = sent.post_data or ""
    assert sent.headers["content-type"].startswith("multipart/form-data")
    assert body.index('name="policy"') < body.index('name="key"') < body.index('name="upload"')
    assert sent.headers["x-blob-type"] == "BlockBlob"


def test_put_sends_the_bytes_with_the_headers(page: Page) -> None:
    elsewhere = Elsewhere(page, "PUT", status("uploaded"))
    field = FileField(page, "file")

    field.pick(payload("report.txt"))

    field.expect_uploaded("report.txt")
    sent = elsewhere.sent_to("bucket")
    assert sent.method == "PUT"
    assert sent.headers["x-blob-type"] == "BlockBlob"
    assert "x-csrftoken" not in sent.headers


def test_upload_past_the_server_is_completed_and_its_progress_reported(
    page: Page, connection: Connection
) -> None:
    """The ticket is the demo's own but for its provider: only a real connection has progress to report."""
    sent: list[dict[str, Any]] = []
    page.on("websocket", lambda socket: socket.on("framesent", lambda frame: sent.append(json.loads(frame))))
    page.route("**/generate-upload-url/", pretend_to_be_s3)
    page.goto("/documents/new/")
    field = FileField(page, "file")
    connection.slow_down(page)

    field.pick(SLOW_FILE)
    field.expect_under_way()
    with page.expect_request("**/complete-upload/") as completion:
        connection.speed_up(page)

    field.expect_uploaded("slow.bin")
    assert field.value is not None
    assert completion.value.post_data_json == {"key": field.value["key"]}
    assert completion.value.headers["x-csrftoken"]
    reports = [message for message in sent if message["action"] == "progress"]
    assert reports
    assert {(report["key"], report["total"]) for report in reports} == {(field.value["key"], 4_000_000)}
    received = [report["received"] for report in reports]
    assert received == sorted(received)


def test_upload_that_the_server_finds_wrong_on_completion_says_why(page: Page) -> None:
    error = {"code": "type_not_allowed", "message": "These bytes are no picture."}
    Elsewhere(page, "POST", status("failed", error))
    field = FileField(page, "file")

    field.pick(payload("report.txt"))

    field.expect_failed("These bytes are no picture.")
    expect(field.button("retry")).to_have_count(0)


def test_upload_of_which_only_the_answer_was_lost_counts(page: Page, complaints: Complaints) -> None:
    complaints.expect("net::ERR_FAILED")
    Elsewhere(page, "PUT", status("uploaded"))
    page.route("**/elsewhere/bucket", lambda route: route.abort())
    field = FileField(page, "file")

    field.pick(payload("report.txt"))

    field.expect_uploaded("report.txt")


@pytest.mark.parametrize(
    ("code", "answer", "words"),
    [
        (400, {"filename": ["This name is too odd."]}, "This name is too odd."),
        (403, {"code": "permission_denied", "detail": "You may not."}, "You may not."),
        (429, {"code": "too_many_uploads", "detail": "Too many."}, "Too many."),
        (401, None, "logged out"),
        (403, None, "logged out"),
        (413, None, "too large for the server."),
        (500, None, "failed"),
    ],
)
def test_refused_ticket_says_why(
    document_form: Page, complaints: Complaints, code: int, answer: dict[str, Any] | None, words: str
) -> None:
    complaints.expect(f"status of {code}")
    body = json.dumps(answer) if answer else "<h1>Server Error</h1>"
    document_form.route("**/generate-upload-url/", lambda route: route.fulfill(status=code, body=body))
    field = FileField(document_form, "file")

    field.pick(payload("report.txt"))

    field.expect_failed(words)
    expect(field.button("retry")).to_have_count(0 if code in (400, 413) else 1)


@pytest.mark.parametrize(("prefix", "asked"), [("incoming/", True), ("async-temp-files/", False)])
def test_upload_of_a_storage_with_a_prefix_of_its_own_is_followed(
    page: Page, prefix: str, asked: bool
) -> None:
    """A form that is shown again with an upload in it: what became of that meanwhile?"""
    value = {"key": "incoming/2026/11/22/token-report.txt", "name": "report.txt"}
    expired = {**status("expired"), "key": value["key"]}
    page.route("**/upload-status/*", lambda route: route.fulfill(json=expired))
    page.route_web_socket("**/ws/async-uploads/", lambda socket: None)

    def show_again(route: Route) -> None:
        answer = route.fetch()
        html = answer.text().replace('temporary-prefix="async-temp-files/"', f'temporary-prefix="{prefix}"')
        shown = html.replace('name="file" value=""', f'name="file" value="{escape(json.dumps(value))}"')
        route.fulfill(response=answer, body=shown)

    page.route("**/documents/new/", show_again)
    page.goto("/documents/new/")

    FileField(page, "file").expect_state("failed" if asked else "stored")
