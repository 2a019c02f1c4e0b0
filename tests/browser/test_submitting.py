"""A form and its uploads: nothing is lost, nothing goes without its file unless the person says so."""

import re
from pathlib import Path

import pytest
from playwright.sync_api import Dialog, Page, expect

from tests.browser.complaints import SERVER_AWAY, Complaints
from tests.browser.connection import Connection
from tests.browser.demo_server import DemoServer
from tests.browser.file_field import SLOW_FILE, FileField, choose_attachments, downloaded, payload

ADD_SECOND_BUTTON = """
const button = document.createElement("button");
Object.assign(button, { name: "again", value: "yes", textContent: "Save and add another" });
document.querySelector("form.sheet .actions").append(button);
"""


def test_error_in_another_field_keeps_the_files(document_form: Page, photo: Path) -> None:
    file = FileField(document_form, "file")
    cover = FileField(document_form, "cover")
    file.pick(payload("report.txt"))
    cover.pick(photo)
    file.expect_uploaded("report.txt")
    cover.expect_uploaded("photo.png")

    document_form.get_by_role("button", name="Save").click()

    expect(document_form.get_by_role("alert")).to_be_visible()
    file.expect_uploaded("report.txt")
    cover.expect_uploaded("photo.png")
    expect(cover.element.get_by_role("img", name="Preview of")).to_have_js_property("naturalWidth", 320)
    document_form.get_by_label("Title").fill("Kept")
    document_form.get_by_role("button", name="Save").click()
    expect(document_form.get_by_role("heading", level=1)).to_have_text("Kept")
    expect(document_form.get_by_role("img", name="Cover of Kept")).to_have_js_property("naturalWidth", 320)


def test_submitted_while_uploading_waits_visibly_and_goes_with_its_button(
    document_form: Page, connection: Connection
) -> None:
    field = FileField(document_form, "file")
    document_form.evaluate(ADD_SECOND_BUTTON)
    document_form.get_by_label("Title").fill("Waited for")
    connection.slow_down(document_form)
    field.pick(SLOW_FILE)
    field.expect_under_way()

    document_form.get_by_role("button", name="Save and add another").click()
    expect(document_form.locator(".async-uploads-submitting")).to_be_visible()
    expect(field.live).to_contain_text("sent as soon as")
    with document_form.expect_request(lambda request: request.is_navigation_request()) as sent:
        connection.speed_up(document_form)

    body = sent.value.post_data or ""
    assert 'name="again"\r\n\r\nyes\r\n' in body
    assert re.search(r'name="file"\r\n\r\n\{[^\r]*slow\.bin', body)
    expect(document_form.get_by_role("heading", level=1)).to_have_text("Waited for")


def test_form_waits_for_all_of_its_fields(document_form: Page, connection: Connection) -> None:
    fields = [FileField(document_form, "file"), FileField(document_form, "attachments-0-file")]
    document_form.get_by_label("Title").fill("Both")
    connection.slow_down(document_form)
    fields[0].pick(SLOW_FILE)
    choose_attachments(document_form, [SLOW_FILE])
    for field in fields:
        field.expect_under_way()

    document_form.get_by_role("button", name="Save").click()
    connection.speed_up(document_form)

    expect(document_form.get_by_role("heading", level=1)).to_have_text("Both")
    expect(document_form.get_by_role("heading", name="Attachments")).to_be_visible()


def test_cancelling_while_the_form_waits_keeps_the_form(document_form: Page, connection: Connection) -> None:
    field = FileField(document_form, "file")
    connection.slow_down(document_form)
    field.pick(SLOW_FILE)
    field.expect_under_way()
    document_form.get_by_role("button", name="Save").click()
    note = document_form.locator(".async-uploads-submitting")
    expect(note).to_be_visible()

    field.click("cancel")

    expect(note).to_have_count(0)
    field.expect_state("empty")


def test_failed_upload_keeps_the_form_until_it_is_taken_away(document_form: Page) -> None:
    field = FileField(document_form, "cover")
    document = FileField(document_form, "file")
    document_form.get_by_label("Title").fill("Without a cover")
    document.pick(payload("report.txt"))
    document.expect_uploaded("report.txt")
    field.pick(payload("page.html", b"<h1>", "text/html"))
    field.expect_state("failed")
    save = document_form.get_by_role("button", name="Save")

    save.click()
    field.expect_failed("not uploaded")
    expect(field.button("replace")).to_be_focused()
    field.click("remove")
    save.click()

    expect(document_form.get_by_role("heading", level=1)).to_have_text("Without a cover")


def test_upload_that_fails_while_the_form_waits_keeps_the_form(
    document_form: Page, demo: DemoServer, connection: Connection, complaints: Complaints
) -> None:
    complaints.expect(SERVER_AWAY)
    field = FileField(document_form, "file")
    connection.slow_down(document_form)
    field.pick(SLOW_FILE)
    field.expect_under_way()
    document_form.get_by_role("button", name="Save").click()
    expect(document_form.locator(".async-uploads-submitting")).to_be_visible()

    demo.kill()

    field.expect_failed("connection was lost")
    expect(document_form.locator(".async-uploads-submitting")).to_have_count(0)
    expect(field.button("retry")).to_be_focused()


def test_leaving_while_uploading_warns(document_form: Page, connection: Connection) -> None:
    field = FileField(document_form, "file")
    connection.slow_down(document_form)
    document_form.get_by_label("Title").fill("Browsers warn only for those who did something")
    field.pick(SLOW_FILE)
    field.expect_under_way()
    asked: list[str] = []

    def stay(dialog: Dialog) -> None:
        asked.append(dialog.type)
        dialog.dismiss()

    document_form.on("dialog", stay)
    document_form.get_by_role("link", name="Back without saving").click()

    document_form.wait_for_function("() => true")
    assert asked == ["beforeunload"]
    connection.speed_up(document_form)
    field.expect_uploaded("slow.bin")


def test_leaving_without_an_upload_under_way_does_not_warn(document_form: Page) -> None:
    field = FileField(document_form, "file")
    document_form.get_by_label("Title").fill("Nothing to lose")
    field.pick(payload("report.txt"))
    field.expect_uploaded("report.txt")
    document_form.on("dialog", lambda dialog: pytest.fail(dialog.type))

    document_form.get_by_role("link", name="Back without saving").click()

    document_form.wait_for_url("**/")


def test_browser_asks_for_a_required_file_only_where_there_is_none(document_form: Page) -> None:
    field = FileField(document_form, "file")
    expect(field.input).to_have_js_property("required", True)

    field.pick(payload("report.txt"))
    field.expect_uploaded("report.txt")
    expect(field.input).to_have_js_property("required", False)
    field.click("remove")

    expect(field.input).to_have_js_property("required", True)


def test_resetting_the_form_gives_up_the_upload(document_form: Page) -> None:
    field = FileField(document_form, "file")
    field.pick(payload("report.txt"))
    field.expect_uploaded("report.txt")

    document_form.evaluate("document.querySelector('form.sheet').reset()")

    field.expect_state("empty")
    assert field.value is None


def test_file_of_a_record_is_replaced_and_its_optional_cover_removed(
    document_form: Page, photo: Path
) -> None:
    file = FileField(document_form, "file")
    cover = FileField(document_form, "cover")
    document_form.get_by_label("Title").fill("Edited")
    file.pick(payload("first.txt", b"first"))
    cover.pick(photo)
    file.expect_uploaded("first.txt")
    cover.expect_uploaded("photo.png")
    document_form.get_by_role("button", name="Save").click()
    document_form.get_by_role("link", name="Edit", exact=True).click()

    expect(file.link).to_have_attribute("target", "_blank")
    expect(file.button("remove")).to_have_count(0)
    expect(cover.element.get_by_role("img")).to_have_js_property("naturalWidth", 320)
    file.pick(payload("second.txt", b"second"))
    file.expect_uploaded("second.txt")
    cover.click("remove")
    cover.expect_state("empty")
    document_form.get_by_role("button", name="Save").click()

    expect(document_form.get_by_role("heading", level=1)).to_have_text("Edited")
    expect(document_form.get_by_role("img", name="Cover of Edited")).to_have_count(0)
    assert downloaded(document_form) == b"second"
