"""A file field on a page, in the words of the person who uses it."""

import json
import re
from pathlib import Path
from typing import Any

from playwright.sync_api import FilePayload, Locator, Page, expect

UPLOAD_TIMEOUT = 30_000  # ms


def payload(name: str, content: bytes = b"A few bytes.", content_type: str = "text/plain") -> FilePayload:
    return {"name": name, "mimeType": content_type, "buffer": content}


def downloaded(page: Page) -> bytes:
    """What lies behind the download link of a document's page."""
    address = page.get_by_role("link", name="Download").get_attribute("href")
    assert address
    answer = page.request.get(address)
    assert answer.ok
    return answer.body()


def choose_attachments(page: Page, files: list[FilePayload]) -> None:
    """Where many files are chosen at once: each gets a row."""
    page.locator("async-file-formset input[type=file][multiple]").set_input_files(files)


SLOW_FILE = payload("slow.bin", b"\0" * 4_000_000, "application/octet-stream")


class FileField:
    def __init__(self, page: Page, name: str) -> None:
        self.page = page
        hidden = page.locator(f'input[type="hidden"][name="{name}"]')
        self.element = page.locator("async-file-input").filter(has=hidden)
        self.hidden = self.element.locator("input[type=hidden]")
        self.input = self.element.locator("input[type=file]")
        self.card = self.element.get_by_role("group")
        self.progress = self.element.get_by_role("progressbar")
        self.link = self.element.get_by_role("link")
        self.live = self.element.locator("[aria-live=polite]")
        self.detail = self.element.locator(".async-upload-detail")

    def button(self, action: str) -> Locator:
        return self.element.locator(f'button[data-action="{action}"]:visible')

    def pick(self, file: FilePayload | Path) -> None:
        self.input.set_input_files(file)

    def click(self, action: str) -> None:
        self.button(action).click()

    @property
    def value(self) -> dict[str, Any] | None:
        text = self.hidden.input_value()
        return json.loads(text) if text else None

    def expect_state(self, state: str) -> None:
        expect(self.element).to_have_attribute("data-state", state, timeout=UPLOAD_TIMEOUT)

    def expect_uploaded(self, name: str) -> None:
        self.expect_state("stored")
        expect(self.card).to_have_attribute("aria-label", name)
        assert self.value is not None
        assert self.value["name"] == name
        assert self.value["key"].startswith("async-temp-files/")

    def expect_under_way(self) -> None:
        """Some bytes have gone, some are still to go."""
        self.expect_state("busy")
        expect(self.progress).to_have_attribute("value", re.compile(r"^[1-9]\d?$"), timeout=UPLOAD_TIMEOUT)

    def expect_failed(self, words: str | re.Pattern[str]) -> None:
        self.expect_state("failed")
        expect(self.detail).to_contain_text(words)
