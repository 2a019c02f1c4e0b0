"""Many files at once into a formset: a row for each, as many as fit, and none lost."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import FilePayload, Locator, Page, expect

from tests.browser.connection import Connection
from tests.browser.file_field import FileField, payload
from tests.browser.pages_server import PagesServer, serving_pages
from tests.browser.test_accessibility import KINDS, audit

DROP = """
(target, files) => {
  const transfer = new DataTransfer();
  for (const [name, text] of files) transfer.items.add(new File([text], name, { type: "text/plain" }));
  const options = { dataTransfer: transfer, bubbles: true, cancelable: true };
  target.dispatchEvent(new DragEvent("dragover", options));
  target.dispatchEvent(new DragEvent("drop", options));
}
"""


@pytest.fixture(scope="module")
def running_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesServer]:
    yield from serving_pages(tmp_path_factory.mktemp("pages"))


class Attachments:
    def __init__(self, page: Page) -> None:
        self.page = page
        self.formset = page.locator("async-file-formset")
        self.input = self.formset.locator("input[type=file][multiple]")
        self.total = page.locator("[name=attachments-TOTAL_FORMS]")
        self.rows = page.locator(".async-file-row:visible")
        self.hint = self.formset.locator(".async-upload-chooser .async-upload-hint")
        self.live = self.formset.locator(".async-upload-chooser [aria-live=polite]")
        self.queue = self.formset.locator(".async-upload-queue")

    def choose(self, files: list[FilePayload]) -> None:
        self.input.set_input_files(files)

    def drop(self, names: list[str], on: Locator | None = None) -> None:
        (on or self.input).evaluate(DROP, [[name, "text"] for name in names])

    def field(self, number: int) -> FileField:
        return FileField(self.page, f"attachments-{number}-file")

    def expect_uploaded(self, names: list[str]) -> None:
        expect(self.rows).to_have_count(len(names))
        for number, name in enumerate(names):
            self.field(number).expect_uploaded(name)


@pytest.fixture
def attachments(page: Page) -> Attachments:
    page.goto("/stories/new/")
    expect(page.locator(".async-upload-many")).to_be_visible()
    return Attachments(page)


def text_files(count: int) -> list[FilePayload]:
    return [payload(f"{number}.txt") for number in range(count)]


def fill_in_the_rest(page: Page) -> None:
    page.locator("[name=title]").fill("Many")
    FileField(page, "text").pick(payload("story.txt"))


def saved_names(page: Page) -> list[str]:
    """As they were chosen: without what made them unlike those of the tests before."""
    page.get_by_role("button", name="Save").click()
    page.wait_for_url(re.compile(r"/stories/\d+/$"))
    return [re.sub(r"_\w{8}\.", ".", name) for name in page.locator("li").all_text_contents()]


def test_each_chosen_file_gets_a_row_and_is_saved(attachments: Attachments) -> None:
    fill_in_the_rest(attachments.page)

    attachments.choose(text_files(5))

    attachments.expect_uploaded([f"{number}.txt" for number in range(5)])
    expect(attachments.total).to_have_value("5")
    expect(attachments.live).to_contain_text("Files added: \u20685\u2069")
    assert saved_names(attachments.page) == [f"attachments/{number}.txt" for number in range(5)]


def test_script_adds_the_files_of_an_input_as_it_has_them(attachments: Attachments) -> None:
    attachments.formset.evaluate("""(formset) => {
      const transfer = new DataTransfer();
      for (const name of ["0.txt", "1.txt"]) transfer.items.add(new File(["text"], name));
      formset.add(transfer.files);
    }""")

    attachments.expect_uploaded(["0.txt", "1.txt"])


def test_dropped_files_get_rows(attachments: Attachments) -> None:
    attachments.drop(["0.txt", "1.txt", "2.txt"])

    attachments.expect_uploaded(["0.txt", "1.txt", "2.txt"])


def test_files_dropped_on_a_row_replace_its_file_and_the_others_get_rows(attachments: Attachments) -> None:
    attachments.choose(text_files(1))
    attachments.expect_uploaded(["0.txt"])

    attachments.drop(["new.txt", "1.txt", "2.txt"], on=attachments.field(0).card)

    attachments.expect_uploaded(["new.txt", "1.txt", "2.txt"])


def test_rows_that_wait_for_a_file_are_not_shown(attachments: Attachments) -> None:
    expect(attachments.rows).to_have_count(0)
    expect(attachments.total).to_have_value("2")


def test_no_more_files_are_taken_than_fit(attachments: Attachments) -> None:
    attachments.choose(text_files(11))

    attachments.expect_uploaded([f"{number}.txt" for number in range(8)])
    expect(attachments.total).to_have_value("8")
    expect(attachments.live).to_contain_text(
        "Files left out: \u20683\u2069. No more than \u20688\u2069 fit here."
    )
    expect(attachments.input).to_be_disabled()
    expect(attachments.hint).to_have_text("No more than \u20688\u2069 files fit here.")
    fill_in_the_rest(attachments.page)
    assert len(saved_names(attachments.page)) == 8


def test_removed_file_makes_room_for_another(attachments: Attachments) -> None:
    attachments.choose(text_files(8))
    attachments.expect_uploaded([f"{number}.txt" for number in range(8)])

    attachments.field(3).click("remove")

    expect(attachments.rows).to_have_count(7)
    expect(attachments.input).to_be_enabled()
    expect(attachments.input).to_be_focused()
    attachments.choose([payload("other.txt")])
    attachments.field(3).expect_uploaded("other.txt")
    expect(attachments.total).to_have_value("8")


def test_row_of_a_removed_file_is_not_saved(attachments: Attachments) -> None:
    fill_in_the_rest(attachments.page)
    attachments.choose(text_files(3))
    attachments.expect_uploaded(["0.txt", "1.txt", "2.txt"])

    attachments.field(1).click("remove")

    assert saved_names(attachments.page) == ["attachments/0.txt", "attachments/2.txt"]


def test_form_waits_for_files_that_wait_for_their_turn(
    attachments: Attachments, connection: Connection
) -> None:
    fill_in_the_rest(attachments.page)
    connection.slow_down(attachments.page)
    attachments.choose([payload(f"{number}.txt", b"x" * 100_000) for number in range(8)])
    expect(attachments.queue).to_contain_text("Files waiting: \u20682\u2069")

    attachments.page.get_by_role("button", name="Save").click()
    connection.speed_up(attachments.page)

    attachments.page.wait_for_url(re.compile(r"/stories/\d+/$"))
    expect(attachments.page.locator("li")).to_have_count(8)


def test_files_that_wait_can_be_called_off(attachments: Attachments, connection: Connection) -> None:
    connection.slow_down(attachments.page)
    attachments.choose([payload(f"{number}.txt", b"x" * 500_000) for number in range(8)])
    expect(attachments.rows).to_have_count(6)

    attachments.queue.get_by_role("button", name="Cancel").click()

    expect(attachments.queue).to_be_hidden()
    expect(attachments.input).to_be_focused()
    expect(attachments.rows).to_have_count(6)
    attachments.page.on("dialog", lambda dialog: dialog.accept())


def test_file_that_is_not_allowed_is_told_in_its_row(attachments: Attachments) -> None:
    attachments.choose([payload("fine.txt"), payload("page.html", b"<p>", "text/html")])

    attachments.field(0).expect_uploaded("fine.txt")
    attachments.field(1).expect_failed("not allowed")


def test_saved_rows_stay_and_new_ones_come_after_them(attachments: Attachments) -> None:
    page = attachments.page
    fill_in_the_rest(page)
    attachments.choose(text_files(2))
    attachments.expect_uploaded(["0.txt", "1.txt"])
    saved_names(page)

    page.goto(f"{page.url}edit/")
    expect(attachments.rows).to_have_count(2)
    page.locator("[name=attachments-0-DELETE]").check()
    attachments.choose([payload("new.txt")])
    attachments.field(2).expect_uploaded("new.txt")

    assert saved_names(page) == ["attachments/1.txt", "attachments/new.txt"]


def test_keyboard_alone_is_enough(attachments: Attachments) -> None:
    page = attachments.page
    page.on("filechooser", lambda chooser: None)  # catches choosers from now on, not from the key press
    page.locator("[name=tags]").focus()

    page.keyboard.press("Tab")
    expect(attachments.input).to_be_focused()
    expect(attachments.input).to_have_accessible_name("Choose files")
    expect(attachments.input).to_have_accessible_description(re.compile("TXT.*8 MB"))
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Space")
    assert chooser.value.is_multiple()
    chooser.value.set_files(text_files(2))
    attachments.expect_uploaded(["0.txt", "1.txt"])

    expect(attachments.input).to_be_focused()
    for _ in ("link", "replace", "remove"):
        page.keyboard.press("Tab")
    expect(attachments.field(0).button("remove")).to_be_focused()
    page.keyboard.press("Enter")
    expect(attachments.rows).to_have_count(1)
    expect(attachments.input).to_be_focused()


@pytest.mark.parametrize("context_options", KINDS.values(), ids=KINDS)
def test_every_state_passes_the_audit_and_fits(attachments: Attachments, axe_script: Path) -> None:
    audit(attachments.page, axe_script)

    attachments.choose([*text_files(7), payload("page.html", b"<p>", "text/html")])
    for number in range(7):
        attachments.field(number).expect_uploaded(f"{number}.txt")

    audit(attachments.page, axe_script)
    width: Any = attachments.page.evaluate("document.documentElement.clientWidth")
    expect(attachments.page.locator("html")).to_have_js_property("scrollWidth", width)


@pytest.mark.parametrize("context_options", [{"java_script_enabled": False}], ids=["no script"])
def test_without_a_script_the_extra_rows_take_files(page: Page) -> None:
    page.goto("/stories/new/")
    page.locator("[name=title]").fill("By hand")
    page.locator("[name=text-plain]").set_input_files(payload("story.txt"))
    page.locator("[name=attachments-0-file-plain]").set_input_files(payload("0.txt"))
    page.locator("[name=attachments-1-file-plain]").set_input_files(payload("1.txt"))

    assert saved_names(page) == ["attachments/0.txt", "attachments/1.txt"]
