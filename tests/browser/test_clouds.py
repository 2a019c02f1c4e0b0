"""Files that go from the browser straight to S3 or Azure: the same pages, real servers behind them."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Page, Request, Response, Route, expect

from tests.browser.cloud_demo import CloudDemo, sent_by_a_page
from tests.browser.complaints import SERVER_AWAY, Complaints
from tests.browser.connection import Connection
from tests.browser.demo_server import DemoServer
from tests.browser.file_field import SLOW_FILE, FileField, payload

PATIENCE = 15.0  # seconds
LARGEST = 20 * 1024 * 1024  # bytes, of a cover


@pytest.fixture
def demo(cloud: CloudDemo) -> DemoServer:
    cloud.network.forget()
    cloud.server.ensure_running()
    return cloud.server


class Traffic:
    """What a page sends, and where to."""

    def __init__(self, page: Page, cloud: CloudDemo) -> None:
        self._cloud = cloud
        self._sent: list[Request] = []
        page.on("request", self._note)

    def _note(self, request: Request) -> None:
        if request.method in ("POST", "PUT"):
            self._sent.append(request)

    @property
    def to_storage(self) -> list[Request]:
        return [request for request in self._sent if request.url.startswith(self._cloud.origin)]

    def to_django(self, path: str) -> list[Request]:
        return [request for request in self._sent if path in request.url and request not in self.to_storage]


@pytest.fixture
def traffic(document_form: Page, cloud: CloudDemo) -> Traffic:
    return Traffic(document_form, cloud)


def eventually(condition: Any) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def key_of(answer: Response) -> str:
    return str(answer.json()["key"])


def save(page: Page, title: str) -> None:
    page.get_by_label("Title").fill(title)
    page.get_by_role("button", name="Save").click()
    expect(page.get_by_role("heading", level=1)).to_have_text(title)


def test_bytes_go_to_the_storage_past_django_while_another_tab_watches(
    document_form: Page, connection: Connection, cloud: CloudDemo, demo: DemoServer, traffic: Traffic
) -> None:
    watching = document_form.context.new_page()
    watching.goto("/uploads/")
    row = watching.locator("tr", has_text="slow.bin").first
    field = FileField(document_form, "file")
    log_before, uploads_before = len(demo.log()), len(cloud.uploads())
    connection.slow_down(document_form)

    field.pick(SLOW_FILE)
    field.expect_under_way()
    expect(field.detail).to_have_text(re.compile(r"\d+.*%.*MB.*3.8.MB"))
    expect(row).to_contain_text("uploading")
    watching.wait_for_function(
        """() => {
          const bar = document.querySelector("tr[data-key] progress");
          return bar.position > 0 && bar.position < 1;
        }"""
    )
    connection.speed_up(document_form)
    field.expect_uploaded("slow.bin")
    expect(row).to_have_attribute("data-state", "uploaded")

    assert field.value is not None
    assert field.value["key"] in cloud.names()
    assert len(traffic.to_storage) == 1
    assert len(cloud.uploads()) == uploads_before + 1
    log = demo.log()[log_before:]
    assert re.findall(r'"(?:POST|PUT) (/async-uploads/\S+)', log) == [
        "/async-uploads/generate-upload-url/",
        "/async-uploads/complete-upload/",
    ]


def test_saved_files_are_promoted_shown_and_downloaded(
    document_form: Page, cloud: CloudDemo, photo: Path
) -> None:
    file, cover = FileField(document_form, "file"), FileField(document_form, "cover")
    file.pick(payload("notes & plans.bin", b"What we plan.", "application/octet-stream"))
    cover.pick(photo)
    file.expect_uploaded("notes & plans.bin")
    cover.expect_uploaded("photo.png")
    assert file.value is not None
    assert cover.value is not None
    temporary = {file.value["key"], cover.value["key"]}

    save(document_form, "In the cloud")

    image = document_form.get_by_role("img", name="Cover of")
    expect(image).to_have_js_property("naturalWidth", 320)
    eventually(lambda: not temporary & cloud.names())
    document_form.reload()
    expect(image).to_have_js_property("naturalWidth", 320)
    expect(document_form.get_by_text("320 \N{MULTIPLICATION SIGN} 200")).to_be_visible()
    with document_form.expect_download() as download:
        document_form.get_by_role("link", name="Download").click()
    assert download.value.url.startswith(cloud.origin)
    assert download.value.path().read_bytes() == b"What we plan."
    assert re.fullmatch(r"notes__plans\w*\.bin", download.value.suggested_filename)


def test_error_in_another_field_keeps_the_files(document_form: Page, photo: Path, traffic: Traffic) -> None:
    file, cover = FileField(document_form, "file"), FileField(document_form, "cover")
    file.pick(payload("report.txt"))
    cover.pick(photo)
    file.expect_uploaded("report.txt")
    cover.expect_uploaded("photo.png")

    document_form.get_by_role("button", name="Save").click()

    expect(document_form.get_by_role("alert")).to_be_visible()
    file.expect_uploaded("report.txt")
    cover.expect_uploaded("photo.png")
    expect(cover.element.get_by_role("img", name="Preview of")).to_have_js_property("naturalWidth", 320)
    save(document_form, "Kept")
    assert len(traffic.to_storage) == 2


def test_cancelled_transfer_leaves_nothing(
    document_form: Page, connection: Connection, cloud: CloudDemo
) -> None:
    field = FileField(document_form, "file")
    connection.slow_down(document_form)
    with document_form.expect_response("**/generate-upload-url/") as ticket:
        field.pick(SLOW_FILE)
    field.expect_under_way()

    with document_form.expect_response("**/cancel-upload/") as answer:
        field.click("cancel")

    assert answer.value.status == 204
    field.expect_state("empty")
    expect(field.live).to_contain_text("cancelled")
    assert key_of(ticket.value) not in cloud.names()
    document_form.goto("/uploads/")
    expect(document_form.locator("tr", has_text="slow.bin").first).to_have_attribute(
        "data-state", "cancelled"
    )


def test_upload_cancelled_between_the_last_byte_and_its_completion_leaves_nothing(
    document_form: Page, cloud: CloudDemo
) -> None:
    document_form.route("**/complete-upload/", lambda route: None)  # held back for ever
    field = FileField(document_form, "file")
    with document_form.expect_response("**/generate-upload-url/") as ticket:
        field.pick(payload("report.txt"))
    key = key_of(ticket.value)
    expect(field.detail).to_contain_text("Checking")
    eventually(lambda: key in cloud.names())

    with document_form.expect_response("**/cancel-upload/"):
        field.click("cancel")

    field.expect_state("empty")
    assert key not in cloud.names()


def test_file_that_is_larger_than_the_browser_was_told_is_refused(
    document_form: Page, cloud: CloudDemo, complaints: Complaints, tmp_path: Path
) -> None:
    """S3 holds the bytes against the ticket; with Azure the completion does, and deletes them."""
    complaints.expect("status of (400|413)")

    def ask_without_size(route: Route) -> None:
        asked = {**(route.request.post_data_json or {}), "size": None}
        route.continue_(post_data=json.dumps(asked))

    document_form.route("**/generate-upload-url/", ask_without_size)
    field = FileField(document_form, "cover")
    field.element.evaluate("element => element.setAttribute('max-size', 1e9)")
    huge = tmp_path / "huge.png"
    with huge.open("wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.truncate(LARGEST + 1)

    with document_form.expect_response("**/generate-upload-url/") as ticket:
        field.pick(huge)

    field.expect_state("failed")
    expect(field.detail).to_have_text(re.compile("larger than|largest allowed"))
    expect(field.button("retry")).to_have_count(0)
    expect(field.button("replace")).to_be_visible()
    eventually(lambda: key_of(ticket.value) not in cloud.names())


def test_file_of_a_wrong_type_is_refused_and_deleted(
    document_form: Page, cloud: CloudDemo, complaints: Complaints
) -> None:
    complaints.expect("status of 415")
    field = FileField(document_form, "cover")

    with document_form.expect_response("**/generate-upload-url/") as ticket:
        field.pick(payload("photo.png", b"<!doctype html><script>alert(1)</script>", "image/png"))

    field.expect_failed("types are allowed")
    expect(field.button("retry")).to_have_count(0)
    eventually(lambda: key_of(ticket.value) not in cloud.names())


def test_upload_that_the_storage_refuses_can_be_retried_with_a_new_ticket(
    document_form: Page, complaints: Complaints, traffic: Traffic
) -> None:
    """Its signature is broken on the way: what the storage answers is real."""
    complaints.expect("status of (403|409)")

    def break_signature(route: Route) -> None:
        answer = route.fetch()
        ticket = answer.json()
        how = ticket["uploadUrl"]
        how["fields"] = {name: flaw(name, value) for name, value in how["fields"].items()}
        how["url"] = re.sub(r"sig=[^&]{8}", "sig=AAAAAAAA", how["url"])
        route.fulfill(response=answer, json=ticket)

    def flaw(name: str, value: str) -> str:
        return f"0000{value[4:]}" if name.lower().endswith("signature") else value

    document_form.route("**/generate-upload-url/", break_signature)
    field = FileField(document_form, "file")
    field.pick(payload("report.txt"))
    field.expect_failed("The upload failed.")

    document_form.unroute("**/generate-upload-url/")
    with document_form.expect_response("**/cancel-upload/"):
        field.click("retry")

    field.expect_uploaded("report.txt")
    assert len(traffic.to_storage) == 2


def test_broken_transfer_is_retried_with_a_new_ticket(
    document_form: Page, complaints: Complaints, cloud: CloudDemo, traffic: Traffic
) -> None:
    """Azure's tickets are good for one try only."""
    complaints.expect(SERVER_AWAY)
    # Where the machine had taken all bytes before the connection broke, the widget asks first whether they arrived.
    complaints.expect(r"status of 409 \(Conflict\) \(\S+/complete-upload/\)")
    cloud.network.cut(when=sent_by_a_page)
    field = FileField(document_form, "file")
    field.pick(SLOW_FILE)
    field.expect_failed("connection was lost")

    cloud.network.forget()
    field.click("retry")

    field.expect_uploaded("slow.bin")
    assert len(traffic.to_django("generate-upload-url")) == 2


def test_file_of_which_only_the_answer_was_lost_is_not_sent_again(
    document_form: Page, complaints: Complaints, cloud: CloudDemo, traffic: Traffic
) -> None:
    complaints.expect(SERVER_AWAY)
    cloud.network.lose_answer(when=sent_by_a_page)
    field = FileField(document_form, "file")

    field.pick(payload("report.txt"))

    field.expect_uploaded("report.txt")
    assert len(traffic.to_storage) == 1


def test_storage_away_at_completion_is_told_and_the_retry_does_not_send_again(
    document_form: Page, complaints: Complaints, traffic: Traffic, cloud: CloudDemo
) -> None:
    complaints.expect("status of 503")

    def complete_without_storage(route: Route) -> None:
        cloud.storage.stop()
        route.continue_()

    document_form.route("**/complete-upload/", complete_without_storage, times=1)
    field = FileField(document_form, "file")

    field.pick(payload("report.txt"))
    field.expect_failed("storage cannot be reached")
    tries = len(traffic.to_django("complete-upload"))
    cloud.storage.start()
    field.click("retry")

    field.expect_uploaded("report.txt")
    assert tries == 3
    assert len(traffic.to_storage) == 1
    assert len(traffic.to_django("generate-upload-url")) == 1
    save(document_form, "Waited for its storage")


def test_storage_back_soon_is_found_without_asking_the_person(
    document_form: Page, complaints: Complaints, traffic: Traffic
) -> None:
    complaints.expect("status of 503")
    answer = {"code": "storage_unavailable", "detail": "Later."}
    document_form.route("**/complete-upload/", lambda route: route.fulfill(status=503, json=answer), times=1)
    field = FileField(document_form, "file")

    field.pick(payload("report.txt"))

    field.expect_uploaded("report.txt")
    assert len(traffic.to_django("complete-upload")) == 2
    assert len(traffic.to_storage) == 1
