"""The recipes of docs/forms.md, as they are written there, in a real browser."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest
from playwright.sync_api import Page, expect

from tests.browser.file_field import FileField, choose_attachments, payload
from tests.forms_project import documented_project, served, with_own_rows


@dataclass
class Documented:
    """The project under a server, as the fixtures of the demo know one."""

    url: str

    def ensure_running(self) -> None: ...


@pytest.fixture(scope="module", params=["rows of the formset", "own rows"])
def running_demo(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Documented]:
    folder = tmp_path_factory.mktemp("docs")
    project = documented_project(folder / "base", folder / "project", "The form", "Async views", "Many files")
    if request.param == "own rows":
        with_own_rows(project)
    with served(project) as address:
        yield Documented(address)


def test_book_is_added_and_gets_many_files_at_once(page: Page) -> None:
    page.context.route("**/favicon.ico", lambda route: route.fulfill(status=204))
    page.goto("/admin/login/?next=/books/add/")
    page.locator("[name=username]").fill("ada")
    page.locator("[name=password]").fill("secret")
    page.locator("[type=submit]").click()
    page.locator("[name=title]").fill("Notes")
    FileField(page, "text").pick(payload("notes.pdf", b"%PDF-1.7 ..."))
    FileField(page, "text").expect_uploaded("notes.pdf")
    save(page)
    page.wait_for_url("**/download-file-direct/**")

    page.goto("/books/1/")
    choose_attachments(page, [payload(f"{number}.txt") for number in range(3)])
    for number in range(3):
        FileField(page, f"attachments-{number}-file").expect_uploaded(f"{number}.txt")
    save(page)
    expect_saved(page, ["0.txt", "1.txt", "2.txt"])

    page.locator("[name=attachments-1-DELETE]").check()
    save(page)
    expect_saved(page, ["0.txt", "2.txt"])


def save(page: Page) -> None:
    page.get_by_role("button", name="Save").click()


def expect_saved(page: Page, names: list[str]) -> None:
    expect(page.locator("[name=attachments-INITIAL_FORMS]")).to_have_value(str(len(names)))
    for number, name in enumerate(names):
        expect(FileField(page, f"attachments-{number}-file").card).to_have_attribute("aria-label", name)
