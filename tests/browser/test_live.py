"""An upload seen from elsewhere: other tabs, a broken socket, no socket at all."""

import json
from typing import Any

import pytest
from playwright.sync_api import Page, WebSocketRoute, expect

from tests.browser.complaints import SERVER_AWAY, Complaints
from tests.browser.connection import Connection
from tests.browser.file_field import SLOW_FILE, FileField, payload

LAST_SEQ = 2**53 - 1
SOCKET = "**/ws/async-uploads/"

WATCH = """async ({ socketUrl, statusUrl }) => {
  const { watchUploads } = await import("/static/async_uploads/status.js");
  window.seen = [];
  watchUploads({ socketUrl, statusUrl }).subscribe("a", (event) => seen.push(event.seq ?? event.code));
}"""


def status(seq: int, **changes: Any) -> dict[str, Any]:
    return {
        "type": "status",
        "key": "a",
        "state": "uploading",
        "received": seq,
        "total": 100,
        "name": "a.txt",
        "url": None,
        "error": None,
        "seq": seq,
        "at": "2026-11-22T12:00:00Z",
        **changes,
    }


def test_upload_in_one_tab_is_seen_in_another(document_form: Page, connection: Connection) -> None:
    watching = document_form.context.new_page()
    watching.goto("/uploads/")
    field = FileField(document_form, "file")
    connection.slow_down(document_form)

    field.pick(SLOW_FILE)

    row = watching.locator("tr", has_text="slow.bin")
    expect(row).to_have_attribute("data-state", "uploading")
    watching.wait_for_function(
        """() => {
          const bar = document.querySelector("tr[data-key] progress");
          return bar.position > 0 && bar.position < 1;
        }"""
    )
    connection.speed_up(document_form)
    expect(row).to_have_attribute("data-state", "uploaded", timeout=20_000)
    field.expect_uploaded("slow.bin")


def test_upload_cancelled_elsewhere_stops_here(document_form: Page, connection: Connection) -> None:
    field = FileField(document_form, "file")
    connection.slow_down(document_form)
    with document_form.expect_response("**/generate-upload-url/") as answer:
        field.pick(SLOW_FILE)
    ticket = answer.value.json()
    field.expect_under_way()
    other = document_form.context.new_page()
    other.goto("/documents/new/")

    other.evaluate(
        """({ cancelUrl, key }) => fetch(cancelUrl, {
          method: "POST",
          headers: {
            "Content-Type": "application/json",
            "X-CSRFToken": document.querySelector("[name=csrfmiddlewaretoken]").value,
          },
          body: JSON.stringify({ key }),
        })""",
        ticket,
    )

    field.expect_failed("cancelled")
    expect(field.button("retry")).to_be_visible()


def test_upload_that_expires_while_the_form_is_open_says_so(page: Page) -> None:
    """The socket is ours here: waiting for a real expiry takes days."""
    sockets: list[WebSocketRoute] = []

    def pass_on(socket: WebSocketRoute) -> None:
        socket.connect_to_server()
        sockets.append(socket)

    page.route_web_socket(SOCKET, pass_on)
    page.goto("/documents/new/")
    field = FileField(page, "file")
    field.pick(payload("report.txt"))
    field.expect_uploaded("report.txt")
    assert field.value is not None

    sockets[-1].send(json.dumps(status(LAST_SEQ, key=field.value["key"], state="expired")))

    field.expect_failed("choose the file again")
    field.click("retry")
    field.expect_uploaded("report.txt")


def test_events_that_come_late_are_dropped(page: Page) -> None:
    def answer(socket: WebSocketRoute) -> None:
        def send(_: str | bytes) -> None:
            for seq in (3, 1, 3, 2, 5, 4):
                socket.send(json.dumps(status(seq)))

        socket.on_message(send)

    page.route_web_socket(SOCKET, answer)
    page.route("**/nowhere/**", lambda route: None)  # HTTP never answers: what is seen came by the socket
    page.goto("/")

    page.evaluate(WATCH, {"socketUrl": "/ws/async-uploads/", "statusUrl": "/nowhere/"})

    page.wait_for_function("() => seen.length === 2")
    assert page.evaluate("seen") == [3, 5]


def test_lost_socket_is_opened_again_and_subscribes_again(page: Page) -> None:
    messages: list[str | bytes] = []

    def answer(socket: WebSocketRoute) -> None:
        def receive(message: str | bytes) -> None:
            messages.append(message)
            socket.send(json.dumps(status(len(messages))))
            if len(messages) < 3:
                socket.close(code=1011)

        socket.on_message(receive)

    page.route_web_socket(SOCKET, answer)
    page.route("**/nowhere/**", lambda route: None)  # HTTP never answers: what is seen came by the socket
    page.goto("/")

    page.evaluate(WATCH, {"socketUrl": "/ws/async-uploads/", "statusUrl": "/nowhere/"})

    page.wait_for_function("() => seen.length === 3")
    assert messages == ['{"action":"subscribe","keys":["a"]}'] * 3


def test_keys_of_one_moment_are_subscribed_by_one_message(page: Page) -> None:
    messages: list[str | bytes] = []

    def answer(socket: WebSocketRoute) -> None:
        def receive(message: str | bytes) -> None:
            messages.append(message)
            socket.send(json.dumps(status(1)))

        socket.on_message(receive)

    page.route_web_socket(SOCKET, answer)
    page.route("**/nowhere/**", lambda route: None)  # HTTP never answers: what is seen came by the socket
    page.goto("/")

    page.evaluate(
        """async () => {
          const { watchUploads } = await import("/static/async_uploads/status.js");
          const watcher = watchUploads({ socketUrl: "/ws/async-uploads/", statusUrl: "/nowhere/" });
          await new Promise((resolve) => ["a", "b", "c"].map((key) => watcher.subscribe(key, resolve)));
        }"""
    )

    assert messages == ['{"action":"subscribe","keys":["a","b","c"]}']


def test_without_a_socket_the_state_comes_by_http(
    document_form: Page, connection: Connection, complaints: Complaints
) -> None:
    complaints.expect(SERVER_AWAY)
    watching = document_form.context.new_page()
    watching.route_web_socket(SOCKET, lambda socket: socket.close())
    watching.goto("/uploads/")
    field = FileField(document_form, "file")
    connection.slow_down(document_form)

    field.pick(SLOW_FILE)

    row = watching.locator("tr", has_text="slow.bin")
    expect(row).to_have_attribute("data-state", "uploading")
    connection.speed_up(document_form)
    expect(row).to_have_attribute("data-state", "uploaded", timeout=30_000)


@pytest.mark.parametrize("socket_url", [None, "/ws/async-uploads/"])
def test_upload_that_does_not_exist_is_reported_once(
    page: Page, complaints: Complaints, socket_url: str | None
) -> None:
    complaints.expect("status of 404")
    page.goto("/")

    page.evaluate(WATCH, {"socketUrl": socket_url, "statusUrl": "/async-uploads/upload-status/"})

    page.wait_for_function("() => seen.length === 1")
    assert page.evaluate("seen") == ["not_found"]


@pytest.mark.parametrize("unsubscribes", [True, False], ids=["one after the other", "at once"])
def test_many_uploads_do_not_hammer_a_server_without_sockets(
    page: Page, complaints: Complaints, unsubscribes: bool
) -> None:
    complaints.expect(SERVER_AWAY)
    sockets: list[str] = []
    page.on("websocket", lambda socket: sockets.append(socket.url))
    page.route("**/no-status/**", lambda route: None)
    page.goto("/")

    page.evaluate(
        """async (unsubscribes) => {
          const { watchUploads } = await import("/static/async_uploads/status.js");
          const watcher = watchUploads({ socketUrl: "/no-sockets/", statusUrl: "/no-status/" });
          for (let number = 0; number < 12; number += 1) {
            const unsubscribe = watcher.subscribe(`key ${number}`, () => {});
            await new Promise((resolve) => setTimeout(resolve, 100));
            if (unsubscribes) unsubscribe();
          }
        }""",
        unsubscribes,
    )

    assert 1 <= len(sockets) <= 4  # after 0, 250 to 500, and as much as twice that again
