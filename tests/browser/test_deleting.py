"""Deleting a document while its storage is away: the person's wish is done, the files are left to be looked after."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Page, expect

from tests.browser.cloud_demo import CloudDemo
from tests.browser.complaints import SERVER_AWAY, Complaints
from tests.browser.demo_server import DemoServer
from tests.browser.file_field import FileField, choose_attachments, payload


@pytest.fixture
def demo(cloud: CloudDemo) -> DemoServer:
    cloud.network.forget()
    cloud.server.ensure_running()
    return cloud.server


def test_document_is_deleted_while_the_storage_is_away(
    document_form: Page, cloud: CloudDemo, demo: DemoServer, complaints: Complaints
) -> None:
    complaints.expect(SERVER_AWAY)  # the covers in the list, which lie in the storage
    before = cloud.names()
    document_form.get_by_label("Title").fill("Unwanted")
    FileField(document_form, "file").pick(payload("unwanted.txt"))
    choose_attachments(document_form, [payload("unwanted-too.txt")])
    for name, filename in (("file", "unwanted.txt"), ("attachments-0-file", "unwanted-too.txt")):
        FileField(document_form, name).expect_uploaded(filename)
    document_form.get_by_role("button", name="Save").click()
    expect(document_form.get_by_role("heading", level=1)).to_have_text("Unwanted")
    address = document_form.url
    stored = cloud.names() - before
    assert len(stored) == 2
    log_before = len(demo.log())

    document_form.get_by_role("link", name="Delete").click()
    cloud.network.cut()
    document_form.get_by_role("button", name="Delete").click()

    document_form.wait_for_url("**/", timeout=60_000)
    expect(document_form.get_by_role("status")).to_contain_text("“Unwanted” is deleted.")
    assert document_form.request.get(address).status == 404
    cloud.network.forget()
    assert stored <= cloud.names()
    left_behind = re.findall(
        r"(\S+), of a deleted record's \S+, could not be deleted", demo.log()[log_before:]
    )
    assert set(left_behind) == stored
