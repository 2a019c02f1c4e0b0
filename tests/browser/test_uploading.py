"""One field: progress, cancel, retry, replace, remove, and what is refused before a byte is sent."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, Request, expect

from tests.browser.complaints import SERVER_AWAY, Complaints
from tests.browser.connection import Connection
from tests.browser.demo_server import DemoServer
from tests.browser.file_field import SLOW_FILE, FileField, payload

RECORD_EVENTS = """
window.uploadEvents = [];
for (const name of ["start", "progress", "done", "error", "cancel"])
  addEventListener(`async-upload-${name}`, ({ type, detail }) => uploadEvents.push({ type, ...detail }));
"""


def save(page: Page, title: str) -> None:
    page.get_by_label("Title").fill(title)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(title)


def requests_that_send(page: Page) -> list[str]:
    sent: list[str] = []

    def note(request: Request) -> None:
        if request.method != "GET":
            sent.append(request.url)

    page.on("request", note)
    return sent


def test_upload_shows_progress_and_is_saved(document_form: Page, connection: Connection) -> None:
    field = FileField(document_form, "file")
    document_form.evaluate(RECORD_EVENTS)
    connection.slow_down(document_form)

    field.pick(SLOW_FILE)
    field.expect_under_way()
    expect(field.detail).to_have_text(re.compile(r"\d+.*%.*MB.*3.8.MB"))
    connection.speed_up(document_form)
    field.expect_uploaded("slow.bin")
    expect(field.live).to_contain_text("uploaded", ignore_case=True)
    save(document_form, "A slow one")

    expect(document_form.get_by_role("link", name="Download BIN · 3.8 MB")).to_be_visible()


def test_upload_tells_the_page_by_events(document_form: Page, connection: Connection) -> None:
    field = FileField(document_form, "file")
    document_form.evaluate(RECORD_EVENTS)
    connection.slow_down(document_form)

    field.pick(SLOW_FILE)
    field.expect_under_way()
    connection.speed_up(document_form)
    field.expect_uploaded("slow.bin")

    events = document_form.evaluate("uploadEvents")
    assert [events[0]["type"], events[-1]["type"]] == ["async-upload-start", "async-upload-done"]
    received = [event["received"] for event in events if event["type"] == "async-upload-progress"]
    assert received == sorted(received)
    assert any(0 < part < 4_000_000 for part in received)
    assert field.value is not None
    assert {event["key"] for event in events} == {field.value["key"]}


def test_cancelled_upload_leaves_an_empty_field(document_form: Page, connection: Connection) -> None:
    field = FileField(document_form, "file")
    connection.slow_down(document_form)
    field.pick(SLOW_FILE)
    field.expect_under_way()

    with document_form.expect_response("**/cancel-upload/") as answer:
        field.click("cancel")

    assert answer.value.status == 204
    field.expect_state("empty")
    assert field.value is None
    expect(field.input).to_be_focused()
    expect(field.live).to_contain_text("cancelled")
    document_form.goto("/uploads/")
    expect(document_form.locator("tr", has_text="slow.bin")).to_have_attribute("data-state", "cancelled")


def test_cancelled_replacement_leaves_the_first_file(document_form: Page, connection: Connection) -> None:
    field = FileField(document_form, "file")
    field.pick(payload("first.txt"))
    field.expect_uploaded("first.txt")
    connection.slow_down(document_form)

    field.pick(SLOW_FILE)
    field.expect_under_way()
    field.click("cancel")

    field.expect_uploaded("first.txt")


def test_replaced_upload_is_given_up(document_form: Page) -> None:
    field = FileField(document_form, "file")
    field.pick(payload("first.txt"))
    field.expect_uploaded("first.txt")

    with document_form.expect_file_chooser() as chooser:
        field.click("replace")
    with document_form.expect_response("**/cancel-upload/"):
        chooser.value.set_files(payload("second.txt"))

    field.expect_uploaded("second.txt")


def test_removed_upload_leaves_an_empty_field(document_form: Page) -> None:
    field = FileField(document_form, "file")
    field.pick(payload("first.txt"))
    field.expect_uploaded("first.txt")

    with document_form.expect_response("**/cancel-upload/"):
        field.click("remove")

    field.expect_state("empty")
    assert field.value is None
    expect(field.input).to_be_focused()


def test_same_file_can_be_picked_again_after_it_was_removed(document_form: Page) -> None:
    field = FileField(document_form, "file")
    for _ in range(2):
        field.pick(payload("same.txt"))
        field.expect_uploaded("same.txt")
        field.click("remove")
        field.expect_state("empty")


def test_upload_whose_server_died_can_be_retried(
    document_form: Page, demo: DemoServer, connection: Connection, complaints: Complaints
) -> None:
    complaints.expect(SERVER_AWAY)
    field = FileField(document_form, "file")
    connection.slow_down(document_form)
    field.pick(SLOW_FILE)
    field.expect_under_way()

    demo.kill()
    field.expect_failed("connection was lost")
    field.click("retry")
    field.expect_failed("connection was lost")
    demo.start()
    connection.speed_up(document_form)
    field.click("retry")

    field.expect_uploaded("slow.bin")
    save(document_form, "Survived its server")


def test_image_is_previewed_and_measured(document_form: Page, photo: Path) -> None:
    field = FileField(document_form, "cover")

    field.pick(photo)

    field.expect_uploaded("photo.png")
    preview = field.element.get_by_role("img", name="Preview of")
    expect(preview).to_have_js_property("naturalWidth", 320)
    assert field.value is not None
    assert (field.value["width"], field.value["height"]) == (320, 200)


def test_image_that_the_browser_cannot_show_is_uploaded_without_a_preview(document_form: Page) -> None:
    field = FileField(document_form, "file")

    field.pick(payload("photo.heic", b"\0\0\0\x18ftypheic", "image/heic"))

    field.expect_uploaded("photo.heic")
    expect(field.element.locator("img")).to_have_count(0)


@pytest.mark.parametrize(
    ("file", "words"),
    [
        (payload("page.html", b"<h1>", "text/html"), "allowed"),
        (payload("empty.png", b"", "image/png"), "empty"),
    ],
    ids=["wrong type", "empty"],
)
def test_file_that_will_be_refused_is_not_sent(document_form: Page, file: FilePayload, words: str) -> None:
    field = FileField(document_form, "cover")
    sent = requests_that_send(document_form)

    field.pick(file)

    field.expect_failed(words)
    expect(field.button("retry")).to_have_count(0)
    expect(field.button("replace")).to_be_visible()
    assert sent == []


def test_file_that_is_too_large_is_not_sent(document_form: Page, tmp_path: Path) -> None:
    field = FileField(document_form, "cover")
    sent = requests_that_send(document_form)
    huge = tmp_path / "huge.png"
    with huge.open("wb") as file:
        file.truncate(20 * 1024 * 1024 + 1)

    field.pick(huge)

    field.expect_failed("20 MB")
    expect(field.button("retry")).to_have_count(0)
    assert sent == []


def test_refusal_of_the_server_is_shown_in_its_words(document_form: Page, complaints: Complaints) -> None:
    complaints.expect("status of 415")
    field = FileField(document_form, "cover")

    field.pick(payload("photo.png", b"<!doctype html><script>alert(1)</script>", "image/png"))

    field.expect_state("failed")
    expect(field.detail).not_to_be_empty()
    expect(field.button("retry")).to_have_count(0)
    field.click("remove")
    field.expect_state("empty")


def test_tickets_of_one_page_are_asked_for_one_after_the_other(document_form: Page) -> None:
    log: list[str] = []

    def note(event: str, request: Request) -> None:
        if "generate-upload-url" in request.url:
            log.append(event)

    document_form.on("request", lambda request: note("asked", request))
    document_form.on("requestfinished", lambda request: note("answered", request))

    document_form.evaluate(
        """() => {
          const file = new File(["x"], "a.txt");
          document.querySelector("[name=file]").closest("async-file-input").take(file);
          document.querySelector("async-file-formset").add([file]);
        }"""
    )
    FileField(document_form, "file").expect_uploaded("a.txt")
    FileField(document_form, "attachments-0-file").expect_uploaded("a.txt")

    assert log == ["asked", "answered"] * 2
    names = [cookie["name"] for cookie in document_form.context.cookies()]
    assert names.count("sessionid") == 1
