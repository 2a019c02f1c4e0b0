"""Begin, upload, complete, cancel, save, delete and sweep in any order: no state, file or answer that nobody knows."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.conf import settings as project
from django.core.exceptions import ValidationError
from django.test import Client
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from async_uploads.models import AsyncTempFile
from async_uploads.sweeping import asweep
from async_uploads.temp_files import MOVES, State
from tests.asking import as_json, url_of
from tests.conftest import field_id_of
from tests.hostile.profile import bounded
from tests.testapp.models import Document

pytestmark = pytest.mark.django_db(transaction=True)


def reachable(state: State) -> set[State]:
    """Where a row may be after any number of moves."""
    found, left = {state}, [state]
    while left:
        for after in MOVES[left.pop()] - found:
            found.add(after)
            left.append(after)
    return found


class Uploads(RuleBasedStateMachine):
    """One visitor with all the time in the world. Each rule checks its answer; the invariants look at rows and disk."""

    keys = Bundle("keys")
    records = Bundle("records")

    def __init__(self) -> None:
        super().__init__()
        self.client = Client(raise_request_exception=False)
        self.urls: dict[str, str] = {}
        self.states: dict[str, State] = {}
        AsyncTempFile.objects.all().delete()
        Document.objects.all().delete()
        shutil.rmtree(project.MEDIA_ROOT, ignore_errors=True)

    def answered(self, response: Any) -> Any:
        assert response.status_code < 500, response.content
        return response

    @rule(target=keys, name=st.sampled_from(["a.txt", "../b.txt", "c\u202e.html", "d" * 300, "e.png"]))
    def begin(self, name: str) -> str:
        asked = as_json(fieldId=field_id_of(), filename=name)
        ticket = self.answered(self.client.post(url_of("generate-upload-url"), **asked)).json()
        self.urls[ticket["key"]] = ticket["uploadUrl"]["url"]
        return str(ticket["key"])

    @rule(key=keys, content=st.sampled_from([b"", b"x", b"<html>", bytes(1024**2 + 1)]))
    def upload(self, key: str, content: bytes) -> None:
        self.answered(self.client.put(self.urls[key], content, content_type="application/octet-stream"))

    @rule(
        key=keys,
        body=st.sampled_from(
            [
                b"",
                b"--b--",
                b"--b\r\n\r\n",
                b'--b\r\nContent-Disposition: form-data; name="file"; filename="x"\r\n\r\nx\r\n--b--',
            ]
        ),
    )
    def upload_form(self, key: str, body: bytes) -> None:
        self.answered(
            self.client.generic("POST", self.urls[key], body, content_type="multipart/form-data; boundary=b")
        )

    @rule(key=keys, view=st.sampled_from(["complete-upload", "cancel-upload"]))
    def end(self, key: str, view: str) -> None:
        self.answered(self.client.post(url_of(view), **as_json(key=key)))

    @rule(key=keys)
    def look(self, key: str) -> None:
        response = self.answered(self.client.get(url_of("upload-status", key=key)))
        assert response.status_code == 404 or response.json()["state"] in State.values

    @rule(target=records, key=keys)
    def save(self, key: str) -> int:
        try:
            return int(Document.objects.create(file=key).pk)
        except ValidationError:
            return 0

    @rule(pk=records, key=keys)
    def replace(self, pk: int, key: str) -> None:
        document = Document.objects.filter(pk=pk).first()
        if document is not None:
            document.file = key
            try:
                document.save()
            except ValidationError:
                return

    @rule(pk=records)
    def delete(self, pk: int) -> None:
        Document.objects.filter(pk=pk).delete()

    @rule(pk=records)
    def download(self, pk: int) -> None:
        asked = url_of("download-file", field_id=field_id_of(), instance_id=pk)
        response = self.answered(self.client.get(asked, follow=True))
        if response.streaming:
            b"".join(response)

    @rule(age=st.sampled_from([timedelta(0), timedelta(hours=48)]), expired=st.booleans())
    def sweep(self, age: timedelta, expired: bool) -> None:
        if expired:
            AsyncTempFile.objects.update(expires_at="2020-01-01T00:00Z")
        report = async_to_sync(asweep)(age=age)
        assert report.errors == []

    @invariant()
    def every_row_is_in_a_state_that_its_last_one_leads_to(self) -> None:
        for key, state in AsyncTempFile.objects.values_list("key", "state"):
            now = State(state)
            assert now in reachable(self.states.get(key, State.PENDING)), (key, self.states.get(key), now)
            self.states[key] = now

    @invariant()
    def every_record_names_a_file_that_is_there(self) -> None:
        for document in Document.objects.exclude(file=""):
            assert document.file.storage.exists(str(document.file.name))

    @invariant()
    def every_temporary_file_has_its_row(self) -> None:
        root = Path(project.MEDIA_ROOT)
        for path in (root / "async-temp-files").rglob("*"):
            if path.is_file():
                assert AsyncTempFile.objects.filter(key=path.relative_to(root).as_posix()).exists(), path

    @invariant()
    def nothing_lies_outside(self) -> None:
        root = Path(project.MEDIA_ROOT)
        assert {path.name for path in root.glob("*")} <= {"async-temp-files", "documents"}
        assert {path.name for path in root.parent.iterdir()} <= {root.name}


@pytest.mark.usefixtures("alone", "many_uploads")
def test_no_order_of_events_leads_where_nobody_knows() -> None:
    run_state_machine_as_test(Uploads, settings=MACHINE)


# Twenty steps can be read as they are: to find the fewest would take longer than a test may.
MACHINE = settings(
    bounded,
    max_examples=max(bounded.max_examples // 2, 1),
    stateful_step_count=20,
    phases=[Phase.reuse, Phase.generate],
)


@pytest.fixture
def many_uploads(settings: Any) -> None:
    """As many that are pending as the machine likes."""
    settings.ASYNC_UPLOADS = {"MAX_PENDING_PER_OWNER": 1000}
