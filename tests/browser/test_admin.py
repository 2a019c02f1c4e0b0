"""Django's admin: the field looks as the admin does, and uploads are listed, opened and expired."""

from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.browser.complaints import Complaints
from tests.browser.connection import Connection
from tests.browser.file_field import SLOW_FILE, FileField, payload

pytestmark = pytest.mark.usefixtures("log_in")

UPLOADS = "/admin/async_uploads/asynctempfile/"

KINDS: dict[str, dict[str, Any]] = {
    "light": {},
    "dark": {"color_scheme": "dark"},
    "right to left": {"locale": "ar"},
    "narrow": {"viewport": {"width": 360, "height": 700}},
}


def audit(page: Page, axe_script: Path, part: str) -> None:
    """Of our part of the page; the rest is Django's, which gives the inputs in its tables no labels."""
    page.evaluate(axe_script.read_text())
    # Without preloading: for the admin's @import it would make style sheets, which the page's policy forbids.
    found = page.evaluate(
        "part => axe.run(part, { preload: false, resultTypes: ['violations'] })",
        part,
    )
    assert [(rule["id"], [node["html"] for node in rule["nodes"]]) for rule in found["violations"]] == []


def colour_of_links(page: Page) -> str:
    """In the admin's present theme."""
    colour: str = page.evaluate(
        """() => {
          const probe = document.body.appendChild(document.createElement("span"));
          probe.style.color = "var(--link-fg)";
          const colour = getComputedStyle(probe).color;
          probe.remove();
          return colour;
        }"""
    )
    return colour


@pytest.mark.parametrize("context_options", KINDS.values(), ids=KINDS)
def test_field_in_the_admin_passes_the_audit_in_every_state(
    page: Page, connection: Connection, photo: Path, axe_script: Path
) -> None:
    page.goto("/admin/library/document/add/")
    page.locator("#attachments-group .add-row :is(a, button)").click()
    cover, file = FileField(page, "cover"), FileField(page, "file")
    in_table = FileField(page, "attachments-0-file")
    audit(page, axe_script, ".form-row.field-file async-file-input")
    audit(page, axe_script, "#attachments-0 async-file-input")

    cover.pick(photo)
    cover.expect_uploaded("photo.png")
    in_table.pick(payload("empty.txt", b""))
    in_table.expect_state("failed")
    connection.slow_down(page)
    file.pick(SLOW_FILE)
    file.expect_under_way()

    audit(page, axe_script, ".field-cover async-file-input")
    audit(page, axe_script, ".form-row.field-file async-file-input")
    audit(page, axe_script, "#attachments-0 async-file-input")
    connection.speed_up(page)
    file.expect_uploaded("slow.bin")


def test_field_in_a_table_is_named_as_its_column(page: Page) -> None:
    page.goto("/admin/library/document/add/")
    for _row in range(2):
        page.locator("#attachments-group .add-row :is(a, button)").click()
    expect(page.locator("#attachments-group th.column-file")).to_have_text("Attachment")

    for row in range(2):
        expect(FileField(page, f"attachments-{row}-file").input).to_have_accessible_name("Attachment")
    expect(FileField(page, "file").input).to_have_accessible_name("File:")  # its own label's


@pytest.mark.parametrize("context_options", [KINDS["light"], KINDS["dark"]], ids=["light", "dark"])
def test_field_wears_the_colours_of_the_admin_in_either_theme(page: Page) -> None:
    page.goto("/admin/library/document/add/")
    seen = set()

    for _theme in ("the system's", "the next", "the one after"):
        colour = colour_of_links(page)
        expect(page.locator(".async-upload-browse").first).to_have_css("color", colour)
        seen.add(colour)
        page.locator("button.theme-toggle").first.click()

    assert len(seen) == 2
    expect(FileField(page, "file").element).to_have_css("font-size", "13px")


def test_upload_is_listed_opened_with_its_record_and_found_by_its_state(page: Page) -> None:
    page.goto("/admin/library/document/add/")
    page.locator("[name=title]").fill("Listed in the admin")
    file = FileField(page, "file")
    file.pick(payload("listed.txt", b"Read me."))
    file.expect_uploaded("listed.txt")
    page.locator("[name=_save]").click()

    page.goto(f"{UPLOADS}?q=listed.txt")
    row = page.locator("#result_list tbody tr").first
    expect(row.locator(".field-state_and_error")).to_have_text("promoted")
    expect(row.locator(".field-size_shown")).to_have_text("8\u00a0bytes")
    expect(row.locator(".field-owner_link")).to_have_text("demo")
    with page.expect_response("**/download-file-direct/**") as served:
        row.get_by_role("link", name="Open the file").click()
    assert served.value.ok
    page.goto(f"{UPLOADS}?q=listed.txt")
    page.locator("#result_list tbody tr").first.locator(".field-for_field a").first.click()

    expect(page.locator("[name=title]")).to_have_value("Listed in the admin")


@pytest.mark.parametrize("context_options", [KINDS["light"], KINDS["dark"]], ids=["light", "dark"])
def test_list_of_uploads_passes_the_audit(page: Page, axe_script: Path) -> None:
    page.goto("/admin/library/document/add/")
    FileField(page, "file").pick(payload("page.txt"))
    FileField(page, "file").expect_uploaded("page.txt")

    page.goto(UPLOADS)

    audit(page, axe_script, "#result_list")


def test_form_learns_at_once_that_its_upload_was_expired_in_the_admin(page: Page) -> None:
    page.goto("/admin/library/document/add/")
    page.locator("[name=title]").fill("Too late")
    file = FileField(page, "file")
    file.pick(payload("forgotten.txt"))
    file.expect_uploaded("forgotten.txt")

    office = page.context.new_page()
    office.goto(f"{UPLOADS}?q=forgotten.txt")
    office.locator("#result_list tbody input[type=checkbox]").first.check()
    office.locator("select[name=action]").select_option("expire_now")
    office.locator("button[name=index]").click()
    expect(office.locator(".messagelist")).to_contain_text("Expired, and their files deleted: 1.")

    file.expect_failed("no longer available")


@pytest.mark.parametrize(
    "context_options",
    [{"viewport": {"width": 1280, "height": 800}}, KINDS["dark"], KINDS["narrow"]],
    ids=["1280 px", "dark", "narrow"],
)
def test_reason_of_a_failure_is_in_sight_beside_the_owner(
    page: Page, complaints: Complaints, axe_script: Path
) -> None:
    complaints.expect("status of 415")
    page.goto("/admin/library/document/add/")
    cover = FileField(page, "cover")
    cover.pick(payload("a-photo-with-a-rather-long-name-from-a-camera.png", b"<!doctype html>", "image/png"))
    cover.expect_state("failed")

    page.goto(f"{UPLOADS}?q=rather-long")

    row = page.locator("#result_list tbody tr").first
    expect(row.locator(".field-state_and_error")).to_contain_text("Only these types are allowed")
    seen = page.evaluate(
        """() => [".async-upload-error", ".field-owner_link"].map((part) => {
          const { right } = document.querySelector(`#result_list ${part}`).getBoundingClientRect();
          return right <= document.querySelector("#result_list").closest(".results").getBoundingClientRect().right;
        })"""
    )
    is_narrow = page.evaluate("innerWidth < 500")
    assert seen == [True, not is_narrow]  # on a phone the owner is a swipe away
    audit(page, axe_script, "#result_list")
