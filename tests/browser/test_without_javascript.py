"""The form before its script has come, and where it never comes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import FilePayload, Page, Request, Route, expect

from tests.browser.complaints import Complaints
from tests.browser.file_field import FileField, payload
from tests.browser.pages_server import PagesServer, serving_pages
from tests.browser.test_accessibility import audit
from tests.conftest import image_bytes

SCRIPT = "**/async-file-input.js"
NO_SCRIPT = {"java_script_enabled": False}


@pytest.fixture(scope="module")
def running_demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[PagesServer]:
    yield from serving_pages(tmp_path_factory.mktemp("pages"))


class LateScript:
    """Holds the widget's script back until the test lets it come."""

    def __init__(self, page: Page) -> None:
        self._held: list[Route] = []
        page.route(SCRIPT, self._hold)

    def _hold(self, route: Route) -> None:
        self._held.append(route)

    def come(self) -> None:
        for route in self._held:
            route.continue_()


def keep_script_away(page: Page, complaints: Complaints) -> None:
    complaints.expect("net::ERR_FAILED")
    page.route(SCRIPT, lambda route: route.abort())


def save(page: Page) -> None:
    page.get_by_role("button", name="Save").click()


def expect_saved(page: Page, text: str, picture: str = "") -> None:
    page.wait_for_url(re.compile(r"/stories/\d+/$"))
    expect(page.locator("#text")).to_have_text(re.compile(rf"^stories/{text}"))
    expect(page.locator("#picture")).to_have_text(picture)


def saved_story(page: Page) -> str:
    """A story with text and picture; returns the address of its form."""
    page.goto("/stories/new/")
    page.locator("[name=title]").fill("A story")
    page.locator("[name=text-plain]").set_input_files(payload("story.txt"))
    page.locator("[name=picture-plain]").set_input_files(photo_payload())
    save(page)
    page.wait_for_url(re.compile(r"/stories/\d+/$"))
    return f"{page.url}edit/"


def photo_payload() -> FilePayload:
    return payload("photo.png", image_bytes(), "image/png")


@pytest.mark.parametrize("context_options", [NO_SCRIPT], ids=["no script"])
def test_file_goes_with_the_form(page: Page) -> None:
    page.goto("/stories/new/")
    page.locator("[name=title]").fill("By hand")
    page.get_by_label("Text").set_input_files(payload("story.txt"))

    save(page)

    expect_saved(page, "story")


@pytest.mark.parametrize("context_options", [NO_SCRIPT], ids=["no script"])
def test_file_need_not_be_picked_again_after_an_error_elsewhere(page: Page) -> None:
    page.goto("/stories/new/")
    page.locator("[name=title]").fill("An error")
    page.get_by_label("Text").set_input_files(payload("kept.txt"))
    page.get_by_label("Picture").set_input_files(payload("no-picture.png", b"not one", "image/png"))
    save(page)
    expect(page.locator(".errorlist")).to_have_count(1)
    expect(page.get_by_text("Currently: kept.txt")).to_be_visible()

    save(page)

    expect_saved(page, "kept")


@pytest.mark.parametrize("context_options", [NO_SCRIPT], ids=["no script"])
def test_box_clears_the_picture_and_the_text_has_none(page: Page) -> None:
    page.goto(saved_story(page))
    expect(page.get_by_role("checkbox", name="Clear")).to_have_count(1)

    page.get_by_role("checkbox", name="Clear").check()
    save(page)

    expect_saved(page, "story", picture="")


@pytest.mark.parametrize("context_options", [NO_SCRIPT], ids=["no script"])
def test_form_without_enctype_says_so(page: Page) -> None:
    page.goto("/without-enctype/")
    page.locator("[name=title]").fill("x")
    page.get_by_label("Text").set_input_files(payload("story.txt"))

    save(page)

    expect(page.locator(".errorlist")).to_contain_text("The name of the file arrived, but not the file.")


def test_file_picked_before_the_script_came_is_uploaded_by_it_and_sent_once(page: Page) -> None:
    script = LateScript(page)
    page.goto("/stories/new/", wait_until="commit")
    page.get_by_label("Text").set_input_files(payload("early.txt", b"early bird"))
    page.locator("[name=title]").fill("Early")

    script.come()

    field = FileField(page, "text")
    field.expect_uploaded("early.txt")
    assert page.locator("[name=text-plain]").count() == 0
    with page.expect_request(lambda request: request.method == "POST" and "/stories/" in request.url) as sent:
        save(page)
    assert b"early bird" not in body_of(sent.value)
    expect_saved(page, "early")


def body_of(request: Request) -> bytes:
    return request.post_data_buffer or b""


def test_form_that_is_sent_before_the_script_came_has_its_file(page: Page) -> None:
    LateScript(page)
    page.goto("/stories/new/", wait_until="commit")
    page.get_by_label("Text").set_input_files(payload("early.txt"))
    page.locator("[name=title]").fill("Early")

    page.unroute(SCRIPT)
    page.get_by_role("button", name="Save").click(no_wait_after=True)

    expect_saved(page, "early")


def test_form_works_where_the_script_cannot_be_loaded(page: Page, complaints: Complaints) -> None:
    keep_script_away(page, complaints)
    page.goto("/stories/new/")
    page.locator("[name=title]").fill("Offline")
    page.get_by_label("Text").set_input_files(payload("story.txt"))

    save(page)

    expect_saved(page, "story")


def test_box_ticked_before_the_script_came_clears(page: Page) -> None:
    page.goto("/stories/new/")
    page.locator("[name=title]").fill("With a picture")
    FileField(page, "text").pick(payload("story.txt"))
    FileField(page, "picture").pick(photo_payload())
    save(page)
    page.wait_for_url(re.compile(r"/stories/\d+/$"))
    script = LateScript(page)
    page.goto(f"{page.url}edit/", wait_until="commit")
    page.get_by_role("checkbox", name="Clear").check()

    script.come()

    FileField(page, "picture").expect_state("empty")
    save(page)
    expect_saved(page, "story", picture="")


def test_staged_file_is_a_card_once_the_script_is_there(page: Page, complaints: Complaints) -> None:
    keep_script_away(page, complaints)
    page.goto("/stories/new/")
    page.locator("[name=title]").fill("An error")
    page.get_by_label("Text").set_input_files(payload("kept.txt"))
    page.get_by_label("Picture").set_input_files(payload("no-picture.png", b"not one", "image/png"))
    page.unroute(SCRIPT)

    save(page)

    field = FileField(page, "text")
    field.expect_uploaded("kept.txt")
    expect(field.element.locator(".async-upload-plain")).to_have_count(0)
    field.click("remove")
    expect(field.input).to_have_js_property("required", True)


@pytest.mark.parametrize("address", ["/stories/new/", "/as-p/", "/tweaks/"])
def test_pages_pass_the_audit_with_the_script_and_without(
    page: Page, complaints: Complaints, axe_script: Path, address: str
) -> None:
    keep_script_away(page, complaints)
    page.goto(address)
    audit(page, axe_script)
    page.unroute(SCRIPT)
    page.goto(address)
    FileField(page, "text").expect_state("empty")
    audit(page, axe_script)


@pytest.mark.parametrize("address", ["/crispy/", "/tweaks/", "/as-p/"])
def test_form_in_other_packages_dress_uploads_and_saves(page: Page, address: str) -> None:
    page.goto(address)
    page.locator("[name=title]").fill("Dressed")
    field = FileField(page, "text")
    field.pick(payload("story.txt"))
    field.expect_uploaded("story.txt")

    save(page)

    expect_saved(page, "story")
