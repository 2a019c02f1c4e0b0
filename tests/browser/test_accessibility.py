"""For everyone: audited by axe-core, by keyboard alone, narrow, right to left, dark, strict policy."""

import re
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.connection import Connection
from tests.browser.file_field import SLOW_FILE, FileField, choose_attachments, payload

LONG_NAME = "An exceedingly long name " * 9 + ".txt"

KINDS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "right to left": {"locale": "ar"},
    "forced colours": {"forced_colors": "active"},
    "reduced motion": {"reduced_motion": "reduce"},
    "narrow": {"viewport": {"width": 320, "height": 700}},
}


def audit(page: Page, axe_script: Path) -> None:
    # Evaluated, not added as a tag: the page's policy forbids foreign scripts.
    page.evaluate(axe_script.read_text())
    found = page.evaluate("axe.run(document, { resultTypes: ['violations'] })")
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]] == []


def fill_in_every_state(page: Page, connection: Connection, photo: Path) -> None:
    cover = FileField(page, "cover")
    cover.pick(photo)
    cover.expect_uploaded("photo.png")
    choose_attachments(page, [payload("errata.txt"), payload(LONG_NAME, b"")])
    FileField(page, "attachments-0-file").expect_uploaded("errata.txt")
    refused = FileField(page, "attachments-1-file")
    refused.expect_state("failed")
    connection.slow_down(page)
    file = FileField(page, "file")
    file.pick(SLOW_FILE)
    file.expect_under_way()


@pytest.mark.parametrize("context_options", KINDS.values(), ids=KINDS)
def test_every_state_passes_the_audit_and_fits(
    document_form: Page, connection: Connection, photo: Path, axe_script: Path
) -> None:
    audit(document_form, axe_script)

    fill_in_every_state(document_form, connection, photo)

    audit(document_form, axe_script)
    expect(document_form.locator("html")).to_have_js_property(
        "scrollWidth", document_form.evaluate("document.documentElement.clientWidth")
    )
    connection.speed_up(document_form)
    FileField(document_form, "file").expect_uploaded("slow.bin")


@pytest.mark.parametrize("context_options", [KINDS["right to left"]], ids=["right to left"])
def test_right_to_left_puts_actions_on_the_left(document_form: Page) -> None:
    field = FileField(document_form, "file")
    expect(document_form.locator("html")).to_have_attribute("dir", "rtl")

    field.pick(payload("report.txt"))
    field.expect_uploaded("report.txt")

    name = field.element.locator("bdi").bounding_box()
    button = field.button("remove").bounding_box()
    assert name is not None
    assert button is not None
    assert button["x"] < name["x"]


def test_keyboard_alone_is_enough(document_form: Page) -> None:
    field = FileField(document_form, "file")
    keyboard = document_form.keyboard
    document_form.on(
        "filechooser", lambda chooser: None
    )  # catches choosers from now on, not from the key press
    document_form.get_by_label("Title").focus()

    keyboard.press("Tab")
    expect(field.input).to_be_focused()
    with document_form.expect_file_chooser() as chooser:
        keyboard.press("Space")
    chooser.value.set_files(payload("report.txt"))
    field.expect_uploaded("report.txt")
    expect(field.card).to_be_focused()
    keyboard.press("Tab")
    expect(field.link).to_be_focused()
    keyboard.press("Tab")
    expect(field.button("replace")).to_be_focused()
    with document_form.expect_file_chooser() as chooser:
        keyboard.press("Enter")
    chooser.value.set_files(payload("better.txt"))
    field.expect_uploaded("better.txt")
    expect(field.card).to_be_focused()
    for _ in ("link", "replace", "remove"):
        keyboard.press("Tab")
    expect(field.button("remove")).to_be_focused()
    keyboard.press("Enter")

    field.expect_state("empty")
    expect(field.input).to_be_focused()


def test_field_is_named_and_described_for_screen_readers(document_form: Page) -> None:
    field = FileField(document_form, "cover")

    expect(field.input).to_have_accessible_name("Cover:")
    expect(field.input).to_have_accessible_description(re.compile("A picture to recognise it by.*JPG.*20 MB"))
    field.pick(payload("page.html", b"<h1>", "text/html"))

    field.expect_state("failed")
    expect(field.input).to_have_attribute("aria-invalid", "true")
    expect(field.card).to_have_accessible_name("page.html")
    expect(field.button("replace")).to_have_accessible_name("Replace page.html")
    expect(field.live).to_contain_text("page.html")


def test_label_opens_the_file_chooser(document_form: Page) -> None:
    with document_form.expect_file_chooser():
        document_form.get_by_text("File:").click()


def test_pages_keep_a_strict_policy(page: Page) -> None:
    answer = page.goto("/documents/new/")

    assert answer is not None
    policy = answer.headers["content-security-policy"]
    assert "script-src 'self';" in policy
    assert "style-src 'self';" in policy
    assert (
        page.locator("async-file-input [style], async-file-input style, async-file-input script").count() == 0
    )
