"""The browsable API of the demo: DRF's pages, with the upload widget in their forms."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.complaints import Complaints
from tests.browser.connection import Connection
from tests.browser.file_field import SLOW_FILE, FileField, payload
from tests.browser.test_admin import KINDS, audit


class ApiPage:
    def __init__(self, page: Page) -> None:
        self.page = page
        self.response = page.locator(".response-info")
        self.file = FileField(page, "file")
        self.cover = FileField(page, "cover")

    def form(self, method: str) -> Locator:
        return self.page.locator(f"#{method.lower()}-object-form")

    def fill_in(self, method: str, title: str) -> None:
        self.form(method).locator("[name=title]").fill(title)

    def send(self, method: str, status: str) -> None:
        """Until the answer has taken the place of the page, and its scripts are at work."""
        self.page.evaluate("document.body.dataset.sent = ''")
        self.form(method).get_by_role("button", name=method).click()
        expect(self.page.locator("body:not([data-sent])")).to_be_attached()
        self.page.wait_for_function("document.readyState === 'complete'")
        expect(self.response).to_contain_text(f"HTTP {status}")

    @property
    def shown(self) -> dict[str, Any]:
        """The JSON that the page shows."""
        text = self.response.inner_text()
        return dict(json.loads(text[text.index("{") :]))


@pytest.fixture
def api(page: Page) -> ApiPage:
    page.goto("/")
    page.get_by_role("link", name="API", exact=True).click()
    page.get_by_role("link", name="/api/documents/").click()
    page.wait_for_url("**/api/documents/")
    return ApiPage(page)


def add_document(api: ApiPage) -> None:
    """And open its page."""
    api.fill_in("POST", "From the API")
    api.file.pick(payload("report.txt", b"The first."))
    api.file.expect_uploaded("report.txt")
    api.send("POST", "201 Created")
    api.page.goto(api.shown["url"])


def content_of(api: ApiPage) -> bytes:
    return api.page.request.get(api.shown["file"]["url"]).body()


def test_form_waits_for_its_files_and_creates_a_document(
    api: ApiPage, connection: Connection, photo: Path
) -> None:
    api.fill_in("POST", "From the API")
    api.cover.pick(photo)
    api.cover.expect_uploaded("photo.png")
    connection.slow_down(api.page)
    api.file.pick(SLOW_FILE)
    api.file.expect_under_way()

    api.form("POST").get_by_role("button", name="POST").click()
    expect(api.page.locator(".async-uploads-submitting")).to_be_visible()
    connection.speed_up(api.page)

    expect(api.response).to_contain_text("HTTP 201 Created")
    assert api.shown["title"] == "From the API"
    assert api.shown["owner"] is None
    assert content_of(api) == SLOW_FILE["buffer"]


def test_form_of_a_document_shows_its_files_and_replaces_them(api: ApiPage) -> None:
    add_document(api)
    stored = api.shown["file"]
    expect(api.file.link).to_have_attribute("href", stored["url"])
    expect(api.file.link).to_contain_text(stored["name"])

    api.fill_in("PUT", "Renamed")
    api.send("PUT", "200 OK")
    expect(api.response).to_contain_text("Renamed")
    assert api.shown["file"] == stored

    # The answer was put into the place of the page; its fields are at work, too.
    api.file.pick(payload("better.txt", b"The second."))
    api.file.expect_uploaded("better.txt")
    api.send("PUT", "200 OK")
    expect(api.response).to_contain_text("better")
    assert content_of(api) == b"The second."


def test_error_in_another_field_keeps_the_file(api: ApiPage, complaints: Complaints) -> None:
    complaints.expect("status of 400")
    api.file.pick(payload("report.txt"))
    api.file.expect_uploaded("report.txt")

    api.send("POST", "400 Bad Request")
    api.file.expect_uploaded("report.txt")
    api.fill_in("POST", "At last")

    api.send("POST", "201 Created")


def test_what_is_wrong_with_a_file_is_told_beside_it(api: ApiPage, complaints: Complaints) -> None:
    complaints.expect("status of 400")
    api.fill_in("POST", "Without a file")

    api.send("POST", "400 Bad Request")

    group = api.form("POST").locator(".form-group", has=api.file.element)
    expect(group).to_contain_text("This field may not be null.")
    expect(api.file.input).to_have_attribute("aria-invalid", "true")


def test_raw_data_is_what_can_be_sent_back(api: ApiPage) -> None:
    add_document(api)
    api.page.get_by_role("link", name="Raw data").click()
    raw = api.page.locator("#put-generic-content-form")
    content = raw.get_by_label("Content")
    sent = {**json.loads(content.input_value()), "title": "Raw"}

    content.fill(json.dumps(sent))
    raw.get_by_role("button", name="PUT").click()

    expect(api.response).to_contain_text('"title": "Raw"')
    assert api.shown["file"] == sent["file"]


@pytest.mark.usefixtures("log_in")
def test_document_of_an_account_is_added_changed_and_deleted_with_its_session(api: ApiPage) -> None:
    add_document(api)
    assert api.shown["owner"] == "demo"
    api.file.pick(payload("better.txt", b"The second."))
    api.file.expect_uploaded("better.txt")
    api.send("PUT", "200 OK")

    api.page.get_by_role("button", name="DELETE", exact=True).click()
    api.page.locator("#deleteModal").get_by_text("Delete", exact=True).click()

    expect(api.response).to_contain_text("HTTP 204 No Content")


def test_keyboard_and_label_reach_the_field(api: ApiPage) -> None:
    page = api.page
    page.on("filechooser", lambda chooser: None)  # catches choosers from now on, not from the key press
    expect(api.file.input).to_have_accessible_name("File")
    with page.expect_file_chooser():
        api.form("POST").get_by_text("Cover", exact=True).click()

    api.form("POST").locator("[name=description]").focus()
    page.keyboard.press("Tab")
    expect(api.file.input).to_be_focused()
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    chooser.value.set_files(payload("report.txt"))

    api.file.expect_uploaded("report.txt")
    expect(api.file.card).to_be_focused()


@pytest.mark.parametrize("context_options", KINDS.values(), ids=KINDS)
def test_field_passes_the_audit_is_legible_and_fits(page: Page, axe_script: Path, photo: Path) -> None:
    page.goto("/api/documents/")
    api = ApiPage(page)
    audit(page, axe_script, "#post-object-form async-file-input")

    api.cover.pick(photo)
    api.cover.expect_uploaded("photo.png")
    api.file.pick(payload("empty.txt", b""))
    api.file.expect_state("failed")

    for field in (api.cover, api.file):
        audit(page, axe_script, f"[name={field.hidden.get_attribute('name')}] ~ .async-upload-view")
        # As large as the text beside it: the page's rem is smaller than most.
        size = "element => parseFloat(getComputedStyle(element).fontSize)"
        assert field.element.evaluate(size) >= api.form("POST").locator("label").first.evaluate(size)
    width = page.evaluate("document.documentElement.clientWidth")
    expect(page.locator("html")).to_have_js_property("scrollWidth", width)


def test_pages_keep_a_strict_policy(page: Page) -> None:
    answer = page.goto("/api/documents/")

    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
