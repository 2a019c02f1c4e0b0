"""Rows that come and go: a formset's template, the admin's inlines, copies of an enhanced element."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.connection import Connection
from tests.browser.file_field import SLOW_FILE, FileField, choose_attachments, payload


def test_added_rows_upload_and_are_saved(document_form: Page) -> None:
    rows = document_form.locator(".async-file-row:visible")
    expect(document_form.locator("async-file-formset .async-upload-zone:visible")).to_have_count(1)
    document_form.get_by_label("Title").fill("With attachments")
    FileField(document_form, "file").pick(payload("report.txt"))
    FileField(document_form, "file").expect_uploaded("report.txt")

    choose_attachments(document_form, [payload(f"{number}.txt") for number in range(3)])
    expect(rows).to_have_count(3)
    for number in range(3):
        FileField(document_form, f"attachments-{number}-file").expect_uploaded(f"{number}.txt")
    FileField(document_form, "attachments-1-file").click("remove")
    expect(rows).to_have_count(2)

    document_form.get_by_role("button", name="Save").click()

    expect(document_form.get_by_role("heading", level=1)).to_have_text("With attachments")
    expect(document_form.locator("article ul a")).to_have_count(2)


def test_copy_of_a_field_begins_empty_and_uploads_by_itself(document_form: Page) -> None:
    original = FileField(document_form, "attachments-0-file")
    choose_attachments(document_form, [payload("original.txt")])
    original.expect_uploaded("original.txt")

    document_form.evaluate(
        """() => {
          const original = document.querySelector('[name="attachments-0-file"]').parentElement;
          const copy = original.cloneNode(true);
          for (const input of copy.querySelectorAll("input")) {
            if (input.name) input.name = "copied";
            if (input.id) input.id = "id_copied";
          }
          original.after(copy);
        }"""
    )

    copy = FileField(document_form, "copied")
    copy.expect_state("empty")
    assert copy.value is None
    expect(copy.element.locator(".async-upload-view")).to_have_count(1)
    copy.pick(payload("copy.txt"))
    copy.expect_uploaded("copy.txt")
    original.expect_uploaded("original.txt")


def test_field_moved_within_the_page_goes_on_uploading(document_form: Page, connection: Connection) -> None:
    field = FileField(document_form, "file")
    connection.slow_down(document_form)
    field.pick(SLOW_FILE)
    field.expect_under_way()

    document_form.evaluate(
        "document.querySelector('form.sheet').prepend(document.querySelector('async-file-input'))"
    )
    connection.speed_up(document_form)

    field.expect_uploaded("slow.bin")


def test_field_taken_off_the_page_gives_up_its_upload(document_form: Page, connection: Connection) -> None:
    field = FileField(document_form, "file")
    connection.slow_down(document_form)
    field.pick(SLOW_FILE)
    field.expect_under_way()

    with document_form.expect_response("**/cancel-upload/"):
        document_form.evaluate("document.querySelector('async-file-input').remove()")

    document_form.on("dialog", lambda dialog: pytest.fail(dialog.type))
    document_form.get_by_role("link", name="Back without saving").click()
    document_form.wait_for_url("**/")


@pytest.mark.usefixtures("log_in")
def test_admin_inlines_upload(page: Page, connection: Connection) -> None:
    page.goto("/admin/library/document/add/")
    page.locator("[name=title]").fill("From the admin")
    empty_row = page.locator("#attachments-empty async-file-input")
    expect(empty_row).not_to_have_attribute("data-state", "empty")
    add = page.get_by_role("button", name="Add another Attachment")
    add.click()
    add.click()
    rows = [FileField(page, f"attachments-{number}-file") for number in (0, 1)]
    for number, row in enumerate(rows):
        row.pick(payload(f"{number}.txt"))
        row.expect_uploaded(f"{number}.txt")

    # The admin numbers the rows that are left anew.
    page.locator("#attachments-0 .inline-deletelink").click()
    rows[0].expect_uploaded("1.txt")
    file = FileField(page, "file")
    connection.slow_down(page)
    file.pick(SLOW_FILE)
    file.expect_under_way()
    page.get_by_role("button", name="Save and continue editing").click()
    connection.speed_up(page)

    page.wait_for_url("**/change/")
    expect(page.locator("[name=title]")).to_have_value("From the admin")
    expect(FileField(page, "file").link).to_contain_text("slow")
    expect(FileField(page, "attachments-0-file").link).to_contain_text("1")
