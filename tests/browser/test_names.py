"""File names as people have them."""

import pytest
from playwright.sync_api import Page, expect

from tests.browser.file_field import FileField, downloaded, payload

NAMES = {
    "Arabic": "تقرير سنوي ٢٠٢٦.txt",
    "Chinese": "年度报告「最终版」.txt",
    "emoji": "📊 family 👩\u200d👩\u200d👧.txt",
    "spaces": "two  spaces (1).txt",
    "percent": "100% of %2F and %00.txt",
    "plus": "a+b=c&d;e#f?g.txt",
    "quotes": 'it\'s "quoted" `twice`.txt',
    "markup": "<img src=x onerror=alert(1)>.txt",
    "255 bytes": "n" * 251 + ".txt",
    "255 bytes of Chinese": "报" * 83 + "ab.txt",
}


@pytest.mark.parametrize("name", NAMES.values(), ids=NAMES)
def test_file_of_any_name_is_uploaded_shown_and_saved(document_form: Page, name: str) -> None:
    field = FileField(document_form, "file")
    document_form.get_by_label("Title").fill("Named")

    field.pick(payload(name, name.encode()))
    field.expect_uploaded(name)
    expect(field.element.locator("bdi")).to_have_attribute("title", name)
    document_form.get_by_role("button", name="Save").click()

    expect(document_form.get_by_role("heading", level=1)).to_have_text("Named")
    assert downloaded(document_form) == name.encode()
    document_form.goto("/uploads/")
    expect(document_form.get_by_role("rowheader").filter(has_text=name).first).to_be_visible()
