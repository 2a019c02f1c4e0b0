"""Answers that are not our views': the CSRF check's, a login page's, a proxy's. And how a person goes on from there."""

from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Page, Route, expect

from tests.browser.complaints import Complaints
from tests.browser.file_field import FileField, payload
from tests.browser.pages_server import PagesServer, serving_pages

TICKETS = "**/generate-upload-url/"
BYTES = "**/upload-file-direct/*"


@pytest.fixture(scope="module")
def running_pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesServer]:
    """A project whose CSRF cookie scripts can read, as it is without further settings."""
    yield from serving_pages(tmp_path_factory.mktemp("pages"))


@pytest.fixture
def story_form(page: Page, running_pages: PagesServer) -> Page:
    page.goto(f"{running_pages.url}/stories/new/")
    return page


def csrf_cookie(page: Page) -> str:
    cookies = page.context.cookies(page.url)
    return next(cookie.get("value", "") for cookie in cookies if cookie.get("name") == "csrftoken")


def get_a_new_token_elsewhere(page: Page) -> None:
    """In another tab, as by a login there."""
    before = csrf_cookie(page) if page.context.cookies(page.url) else ""
    page.context.clear_cookies(name="csrftoken")
    other = page.context.new_page()
    other.goto(page.url)
    other.close()
    assert csrf_cookie(page) != before


def test_login_in_another_tab_does_not_stop_an_upload(story_form: Page) -> None:
    field = FileField(story_form, "text")
    get_a_new_token_elsewhere(story_form)

    field.pick(payload("report.txt"))

    field.expect_uploaded("report.txt")


def test_who_was_logged_out_logs_in_elsewhere_and_tries_again(
    story_form: Page, complaints: Complaints
) -> None:
    complaints.expect("status of 403")
    field = FileField(story_form, "text")
    story_form.context.clear_cookies()

    field.pick(payload("report.txt"))
    field.expect_failed("logged out")
    get_a_new_token_elsewhere(story_form)
    field.click("retry")

    field.expect_uploaded("report.txt")


def test_bytes_that_have_arrived_are_not_sent_again_after_a_login(
    document_form: Page, complaints: Complaints
) -> None:
    """As with a cloud storage, whose uploads are completed by a request of their own."""
    complaints.expect("status of 403")
    sent: list[str] = []
    document_form.on(
        "request", lambda request: sent.append(request.method) if "direct" in request.url else None
    )

    def pretend_to_be_s3(route: Route) -> None:
        answer = route.fetch()
        ticket = answer.json()
        ticket["uploadUrl"]["provider"] = "s3"
        route.fulfill(response=answer, json=ticket)

    document_form.route(TICKETS, pretend_to_be_s3)
    document_form.route(
        "**/complete-upload/", lambda route: route.fulfill(status=403, body="<h1>CSRF</h1>"), times=1
    )
    field = FileField(document_form, "file")

    field.pick(payload("report.txt"))
    field.expect_failed("logged out")
    field.click("retry")

    field.expect_uploaded("report.txt")
    assert sent == ["PUT"]


@pytest.mark.parametrize("pattern", [TICKETS, BYTES], ids=["ticket", "bytes"])
def test_login_page_is_no_answer(document_form: Page, complaints: Complaints, pattern: str) -> None:
    """A middleware of the project sends whoever is not logged in there."""
    complaints.expect("status of 4")
    document_form.route(
        pattern, lambda route: route.fulfill(status=302, headers={"Location": "/accounts/login/"})
    )
    field = FileField(document_form, "file")

    field.pick(payload("report.txt"))

    field.expect_failed("logged out")
    expect(field.button("retry")).to_be_visible()


@pytest.mark.parametrize(
    ("answer", "words", "retries"),
    [
        (
            {"status": 413, "body": "<h1>413 Request Entity Too Large</h1>"},
            "This file is too large for the server.",
            0,
        ),
        ({"status": 403, "body": "<h1>Forbidden</h1>"}, "logged out", 1),
        (
            {"status": 413, "json": {"code": "file_too_large", "detail": "More than 5 MiB."}},
            "More than 5 MiB.",
            0,
        ),
    ],
)
def test_answer_to_the_bytes_that_a_proxy_gives(
    document_form: Page, complaints: Complaints, answer: dict[str, Any], words: str, retries: int
) -> None:
    complaints.expect(f"status of {answer['status']}")
    document_form.route(BYTES, lambda route: route.fulfill(**answer))
    field = FileField(document_form, "file")

    field.pick(payload("report.txt"))

    field.expect_failed(words)
    expect(field.button("retry")).to_have_count(retries)
