"""The project's own look at the bytes: what it refuses, and what happens where it can't tell."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from asgiref.sync import async_to_sync, sync_to_async
from django.core.exceptions import ValidationError
from django.core.files.uploadedfile import SimpleUploadedFile
from django.core.management import call_command
from django.db import connection, connections, transaction
from django.forms import modelform_factory
from django.test import AsyncClient
from pytest_django import Settings
from rest_framework import serializers

from async_uploads.drf import serializer as drf
from async_uploads.exceptions import UploadRefused
from async_uploads.models import AsyncFileField, AsyncTempFile
from async_uploads.storage.validation import ArrivedFile
from async_uploads.testing import amake_upload, send
from async_uploads.uploads import acomplete, areceive
from tests.arrivals import abegun, begun, row_of, state_of, stored_names
from tests.asking import ask_ticket, url_of
from tests.asking import send as put
from tests.cloud import PDF, Cloud, booklet_ticket, complete, direct_uploads
from tests.clouds import RealCloud, cloud_in_use
from tests.conftest import field_id_of
from tests.servers.clamd import EICAR, Scanner, listening_scanner
from tests.testapp.models import Album, Document
from tests.watching import eventually

pytestmark = pytest.mark.django_db(transaction=True)

FIELD = Document._meta.get_field("file")
BOOKLET = Album._meta.get_field("booklet")
INFECTED_PDF = PDF + EICAR
DOCS = (Path(__file__).parents[1] / "docs/scanning.md").read_text()

Validate = Callable[..., None]


@pytest.fixture
def validated(monkeypatch: pytest.MonkeyPatch) -> Validate:
    """Gives both fields the validators."""

    def use(*validators: Any) -> None:
        for field in (FIELD, BOOKLET):
            monkeypatch.setattr(field, "upload_validators", validators)

    return use


@pytest.fixture
def scanner(settings: Settings, validated: Validate) -> Iterator[Scanner]:
    """A scanner that listens, and the validator that docs/scanning.md has for it."""
    names: dict[str, Any] = {}
    (code,) = [block for block in re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL) if "INSTREAM" in block]
    exec(code, names)
    with listening_scanner() as scanner:
        settings.CLAMD_ADDRESS = scanner.address
        validated(names["scan"])
        yield scanner
        assert [said for said in scanner.misspoken if scanner.mode == "scan"] == []


@pytest.fixture
def direct() -> Iterator[Cloud]:
    with direct_uploads() as cloud:
        yield cloud


def refuse(file: ArrivedFile) -> None:
    raise ValidationError("Not this one.")


def break_down(file: ArrivedFile) -> None:
    raise RuntimeError("broken")


async def chunks(content: bytes) -> AsyncIterator[bytes]:
    yield content


async def status_of(client: AsyncClient, key: str) -> Any:
    return (await client.get(url_of("upload-status", key=key))).json()


def with_file(files: Any) -> Any:
    """A form as it comes from a page without a script."""
    return modelform_factory(Document, fields=["file"])({}, files)


# A file that comes through Django


async def test_a_clean_file_is_scanned_whole_and_accepted(
    async_client: AsyncClient, scanner: Scanner, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"clean " * 400_000  # more than one chunk
    monkeypatch.setattr(FIELD, "max_size", 5)
    answer = await put(async_client, await ask_ticket(async_client, "a.txt"), content)

    assert (answer.status_code, answer.json()["state"]) == (201, "uploaded")
    assert scanner.scanned == [content]


async def test_an_infected_file_is_refused_at_once_and_deleted(
    async_client: AsyncClient, scanner: Scanner
) -> None:
    ticket = await ask_ticket(async_client, "a.txt")
    answer = await put(async_client, ticket, EICAR)

    assert answer.status_code == 422
    assert answer.json() == {"code": "infected", "detail": "This file contains malware."}
    status = await status_of(async_client, ticket["key"])
    assert status["state"] == "failed"
    assert status["error"] == {"code": "infected", "message": "This file contains malware."}
    assert await sync_to_async(stored_names)() == set()


async def test_nobody_can_read_a_file_that_is_being_looked_at(
    async_client: AsyncClient, validated: Validate
) -> None:
    seen: list[tuple[str, int]] = []
    document = await Document.objects.acreate()

    async def look(file: ArrivedFile) -> None:
        await Document.objects.filter(pk=document.pk).aupdate(file=file.key)
        redirect = await async_client.get(
            url_of("download-file", field_id=field_id_of(), instance_id=document.pk)
        )
        seen.append((await sync_to_async(state_of)(file.key), redirect.status_code))
        if redirect.status_code == 302:
            seen.append(("served", (await async_client.get(redirect["Location"])).status_code))

    validated(look)
    await put(async_client, await ask_ticket(async_client, "a.txt"), b"some bytes")

    assert seen[0][0] == "uploading"
    assert all(status in (302, 404) for _state, status in seen)
    assert ("served", 200) not in seen


@pytest.mark.parametrize("mode", ["error", "reset", "hang", "gone"])
async def test_what_could_not_be_scanned_is_kept_and_scanned_again(
    async_client: AsyncClient,
    scanner: Scanner,
    settings: Settings,
    caplog: pytest.LogCaptureFixture,
    mode: str,
) -> None:
    address = scanner.address
    scanner.mode = mode
    if mode == "gone":
        settings.CLAMD_ADDRESS = ("127.0.0.1", 9)
    settings.ASYNC_UPLOADS = {"VALIDATION_TIMEOUT": 0.5 if mode == "hang" else 20}
    ticket = await ask_ticket(async_client, "a.txt")
    with caplog.at_level(logging.ERROR, "async_uploads"):
        refused = await put(async_client, ticket, b"some bytes")

    assert (refused.status_code, refused.json()["code"]) == (503, "validation_unavailable")
    (record,) = [each for each in caplog.records if each.name == "async_uploads"]
    assert record.exc_info is None
    status = await status_of(async_client, ticket["key"])
    assert (status["state"], status["error"]["code"]) == ("pending", "validation_unavailable")
    assert await sync_to_async(stored_names)() == {ticket["key"]}

    scanner.mode, settings.CLAMD_ADDRESS = "scan", address
    settings.ASYNC_UPLOADS = {}
    done = await complete(async_client, ticket["key"])

    assert (done.status_code, done.json()["state"], done.json()["error"]) == (200, "uploaded", None)
    assert scanner.scanned[-1] == b"some bytes"


async def test_what_could_not_be_scanned_may_be_sent_again(
    async_client: AsyncClient, validated: Validate
) -> None:
    validated(break_down)
    ticket = await ask_ticket(async_client, "a.txt")
    assert (await put(async_client, ticket, b"some bytes")).status_code == 503
    validated()

    again = await put(async_client, ticket, b"other bytes")

    assert (again.status_code, again.json()["total"]) == (201, len(b"other bytes"))
    document = await Document.objects.acreate(file=ticket["key"])
    assert await document.file.aread() == b"other bytes"


def test_what_could_not_be_scanned_is_scanned_as_the_form_is_submitted(validated: Validate) -> None:
    validated(break_down)
    key = async_to_sync(interrupted)()
    value = f'{{"key": "{key}", "name": "a.txt"}}'
    form_class = modelform_factory(Document, fields=["file"])
    unsure = form_class({"file": value})
    assert [error.code for error in unsure.errors.as_data()["file"]] == ["validation_unavailable"]

    validated(refuse)
    refused = form_class({"file": value})

    assert refused.errors["file"] == ["Not this one."]
    assert (state_of(key), stored_names()) == ("failed", set())


async def interrupted() -> str:
    temp_file = await abegun("a.txt")
    with pytest.raises(Exception, match="could not be checked"):
        await areceive(temp_file, chunks(b"some bytes"), max_size=None)
    return temp_file.key


def test_kept_bytes_go_when_nobody_comes_back(validated: Validate) -> None:
    validated(break_down)
    key = async_to_sync(interrupted)()

    call_command("cleanup_async_temp_files", age=0, quiet=True)

    assert (stored_names(), AsyncTempFile.objects.filter(key=key, state="pending").exists()) == (set(), False)


async def test_who_goes_away_in_the_middle_leaves_no_lease_behind(validated: Validate) -> None:
    started = asyncio.Event()

    async def hang(file: ArrivedFile) -> None:
        started.set()
        await asyncio.Event().wait()

    validated(hang)
    temp_file = await abegun("a.txt")
    transfer = asyncio.create_task(areceive(temp_file, chunks(b"some bytes"), max_size=None))
    await started.wait()
    held = await AsyncTempFile.objects.aget()
    transfer.cancel()
    await asyncio.gather(transfer, return_exceptions=True)

    row = await AsyncTempFile.objects.aget()
    assert held.lease_until is not None
    assert (row.state, row.lease_until, await sync_to_async(stored_names)()) == ("pending", None, set())


# A file that goes straight to a cloud


@pytest.mark.on_postgresql
async def test_two_completions_at_once_have_it_looked_at_once(
    async_client: AsyncClient, direct: Cloud, validated: Validate
) -> None:
    looks: list[str] = []
    both = asyncio.Event()

    async def look(file: ArrivedFile) -> None:
        looks.append(file.key)
        await both.wait()

    validated(look)
    key = await booklet_ticket(async_client)
    direct.receive(key, PDF)
    completions = [asyncio.create_task(complete(async_client, key)) for _twice in range(5)]
    await eventually(lambda: looks)
    await asyncio.sleep(0.5)  # room for the others to go wrong; they wait, whatever they do
    both.set()
    answers = await asyncio.gather(*completions)

    assert looks == [key]
    assert {(answer.status_code, answer.json()["state"]) for answer in answers} == {(200, "uploaded")}


@pytest.mark.on_postgresql
async def test_all_who_wait_are_told_that_nobody_could_tell(
    async_client: AsyncClient, direct: Cloud, validated: Validate
) -> None:
    looks: list[str] = []
    go_on = asyncio.Event()

    async def look(file: ArrivedFile) -> None:
        looks.append(file.key)
        await go_on.wait()
        raise OSError("no scanner")

    validated(look)
    key = await booklet_ticket(async_client)
    direct.receive(key, PDF)
    first = asyncio.create_task(complete(async_client, key))
    await eventually(lambda: looks)
    second = asyncio.create_task(complete(async_client, key))
    await asyncio.sleep(0.3)  # room to go wrong
    go_on.set()
    answers = [await first, await second]

    assert looks == [key]
    assert [answer.status_code for answer in answers] == [503, 503]
    validated()
    assert (await complete(async_client, key)).json()["state"] == "uploaded"


@pytest.mark.parametrize("blocking", [True, False])
async def test_bytes_swapped_under_the_validator_count_as_not_arrived(
    async_client: AsyncClient, direct: Cloud, validated: Validate, blocking: bool
) -> None:
    def look(file: ArrivedFile) -> None:
        direct.receive(file.key, INFECTED_PDF)
        with file.open() as opened:
            opened.read()

    async def alook(file: ArrivedFile) -> None:
        direct.receive(file.key, INFECTED_PDF)
        async for _chunk in file:
            pass

    validated(look if blocking else alook)
    key = await booklet_ticket(async_client)
    direct.receive(key, PDF)

    answer = await complete(async_client, key)

    assert (answer.status_code, answer.json()["code"]) == (409, "incomplete")
    assert await sync_to_async(state_of)(key) == "pending"


def test_a_key_saved_past_the_form_is_looked_at_before_it_is_promoted(
    direct: Cloud, validated: Validate
) -> None:
    validated(refuse)
    key = begun("booklet.pdf", model=Album, field="booklet").key
    direct.receive(key, PDF)
    album = Album.objects.create(booklet=key)

    album.refresh_from_db()
    assert (state_of(key), album.booklet.name, direct.holds(key)) == ("failed", key, False)
    assert row_of(key).error == "Not this one."


def test_a_key_saved_while_the_scanner_is_down_is_promoted_later(
    direct: Cloud, validated: Validate, caplog: pytest.LogCaptureFixture
) -> None:
    validated(break_down)
    key = begun("booklet.pdf", model=Album, field="booklet").key
    direct.receive(key, PDF)
    album = Album.objects.create(booklet=key)
    assert [record.levelname for record in caplog.records if record.name == "async_uploads"] == ["ERROR"]
    assert state_of(key) == "pending"

    validated()
    AsyncTempFile.objects.update(updated_at="2026-01-01T00:00:00Z")
    call_command("cleanup_async_temp_files", quiet=True)

    album.refresh_from_db()
    assert (state_of(key), album.booklet.name) == ("promoted", "booklets/booklet.pdf")


@pytest.mark.parametrize("cloud_name", ["s3", "azure"])
async def test_on_real_clouds(
    async_client: AsyncClient,
    scanner: Scanner,
    settings: Settings,
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    cloud_name: str,
) -> None:
    monkeypatch.setattr(request, "param", cloud_name, raising=False)
    cloud: RealCloud = cloud_in_use(request, monkeypatch, max_size=1)

    async def sent(content: bytes) -> str:
        ticket = await ask_ticket(async_client, "booklet.pdf", model=Album, field="booklet")
        assert 200 <= await send(ticket["uploadUrl"], content, "booklet.pdf") < 300
        return str(ticket["key"])

    infected = await sent(INFECTED_PDF)
    refused = await complete(async_client, infected)
    assert (refused.status_code, refused.json()["code"]) == (422, "infected")
    assert not await cloud.storage.aexists(infected)

    clean = await sent(PDF)
    settings.CLAMD_ADDRESS, address = ("127.0.0.1", 9), scanner.address
    assert (await complete(async_client, clean)).status_code == 503
    settings.CLAMD_ADDRESS = address
    assert (await complete(async_client, clean)).json()["state"] == "uploaded"
    assert scanner.scanned == [INFECTED_PDF, PDF]

    def look(file: ArrivedFile) -> None:  # in a thread, by the client of the loop
        assert [*file] == [PDF]

    monkeypatch.setattr(BOOKLET, "upload_validators", (look,))
    assert (await complete(async_client, await sent(PDF))).json()["state"] == "uploaded"


# Other ways in


def test_a_file_that_comes_with_the_form_is_scanned(scanner: Scanner) -> None:
    infected = with_file({"file": SimpleUploadedFile("a.txt", EICAR)})
    assert infected.errors["file"] == ["This file contains malware."]
    assert stored_names() == set()

    scanner.mode = "error"
    unsure = with_file({"file": SimpleUploadedFile("a.txt", b"some bytes")})
    assert [error.code for error in unsure.errors.as_data()["file"]] == ["validation_unavailable"]
    assert stored_names() == set()

    scanner.mode = "scan"
    clean = with_file({"file": SimpleUploadedFile("a.txt", b"some bytes")})
    assert clean.is_valid(), clean.errors
    with clean.save().file as file:
        assert file.read() == b"some bytes"


def test_an_api_is_told_what_a_form_is_told(direct: Cloud, validated: Validate) -> None:
    class AlbumSerializer(serializers.ModelSerializer):
        booklet = drf.AsyncFileField()

        class Meta:
            model = Album
            fields = ["booklet"]

    validated(refuse)
    key = begun("booklet.pdf", model=Album, field="booklet").key
    direct.receive(key, PDF)
    serializer = AlbumSerializer(data={"booklet": {"key": key, "name": "booklet.pdf"}})

    assert not serializer.is_valid()
    assert serializer.errors["booklet"] == ["Not this one."]
    assert serializer.errors["booklet"][0].code == "refused"


async def test_tests_of_a_project_meet_its_validators(validated: Validate) -> None:
    validated(refuse)
    with pytest.raises(UploadRefused):
        await amake_upload(FIELD)


# What a validator may be and do


async def test_a_sync_validator_has_a_thread_of_its_own_and_no_connection_is_held(
    validated: Validate,
) -> None:
    threads: list[str] = []
    usable: list[bool] = []
    loop_ran = threading.Event()

    def look(file: ArrivedFile) -> None:
        threads.append(threading.current_thread().name)
        assert loop_ran.wait(20)  # the loop goes on meanwhile
        usable.append(Document.objects.exists())  # with a connection of this thread's own
        assert b"".join(file) == b"some bytes"

    async def release() -> None:
        await eventually(lambda: threads)
        assert await sync_to_async(_no_connection_open)()
        loop_ran.set()

    validated(look)
    temp_file = await abegun("a.txt")
    await asyncio.gather(release(), areceive(temp_file, chunks(b"some bytes"), max_size=None))

    assert threads[0].startswith("async-uploads-validate")
    assert usable == [False]
    assert temp_file.state == "uploaded"


def _no_connection_open() -> bool:
    return all(each.connection is None for each in connections.all(initialized_only=True))


def test_a_transaction_around_the_form_stays_whole(validated: Validate) -> None:
    validated(lambda file: None)
    with transaction.atomic():
        form = with_file({"file": SimpleUploadedFile("a.txt", b"bytes")})
        assert form.is_valid(), form.errors
        form.save()
        assert connection.in_atomic_block
    with Document.objects.get().file as file:
        assert file.read() == b"bytes"


class AsyncCallable:
    async def __call__(self, file: ArrivedFile) -> None:
        raise ValidationError("Not this one.")


async def refuse_later(file: ArrivedFile) -> None:
    raise ValidationError("Not this one.")


@pytest.mark.parametrize(
    "validator",
    [refuse, refuse_later, AsyncCallable(), lambda file: refuse_later(file)],  # noqa: PLW0108  # the lambda is what is tried
    ids=["sync", "async", "an object", "a lambda around an async one"],
)
async def test_validators_of_every_kind_are_heard(validated: Validate, validator: Any) -> None:
    validated(validator)
    temp_file = await abegun("a.txt")
    with pytest.raises(UploadRefused, match="Not this one"):
        await areceive(temp_file, chunks(b"some bytes"), max_size=None)

    assert (temp_file.state, temp_file.error_code) == ("failed", "refused")


@pytest.mark.parametrize(
    ("code", "told"),
    [
        ("pages", "pages"),
        ("promotion_failed", "refused"),
        ("validation_unavailable", "refused"),
        ("file_changed", "refused"),
        ("x" * 51, "refused"),
        (7, "refused"),
        (None, "refused"),
    ],
)
async def test_no_code_of_a_validators_makes_refused_bytes_readable(
    validated: Validate, code: Any, told: str
) -> None:
    def look(file: ArrivedFile) -> None:
        raise ValidationError([ValidationError("Too long.", code=code), ValidationError("Too old.")])

    validated(look)
    temp_file = await abegun("a.txt")
    with pytest.raises(UploadRefused):
        await areceive(temp_file, chunks(b"some bytes"), max_size=None)

    assert (temp_file.error_code, temp_file.error) == (told, "Too long. Too old.")
    assert not temp_file.is_readable
    assert await sync_to_async(stored_names)() == set()


@pytest.mark.parametrize("raised", [RuntimeError("x"), StopIteration(), KeyError("x"), TimeoutError()])
async def test_a_validator_that_breaks_accepts_nothing(
    validated: Validate, raised: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    def look(file: ArrivedFile) -> None:
        raise raised

    validated(look)
    temp_file = await abegun("a.txt")
    with pytest.raises(Exception, match="could not be checked"):
        await areceive(temp_file, chunks(b"some bytes"), max_size=None)

    assert temp_file.awaits_validation
    assert len([record for record in caplog.records if record.levelname == "ERROR"]) == 1


async def test_the_second_validator_is_not_asked_of_what_the_first_refused(validated: Validate) -> None:
    validated(refuse, break_down)
    temp_file = await abegun("a.txt")
    with pytest.raises(UploadRefused):
        await areceive(temp_file, chunks(b"some bytes"), max_size=None)


async def test_a_validator_is_told_what_the_bytes_are(direct: Cloud, validated: Validate) -> None:
    seen: list[Any] = []

    async def look(file: ArrivedFile) -> None:
        opened = await file.aopen()
        await opened.seek(1)
        seen.extend((file.name, file.size, file.content_type, file.field, file.key, await opened.read(3)))

    validated(look)
    temp_file = await abegun("booklet.pdf", model=Album, field="booklet")
    direct.receive(temp_file.key, PDF)
    await acomplete(temp_file)

    assert seen == ["booklet.pdf", len(PDF), "application/pdf", BOOKLET, temp_file.key, b"PDF"]


def test_they_are_no_part_of_migrations_but_of_clones() -> None:
    field: Any = AsyncFileField(upload_validators=[refuse])
    field.set_attributes_from_name("file")

    assert "upload_validators" not in field.deconstruct()[3]
    assert field.clone().upload_validators == (refuse,)


def test_what_cannot_be_called_is_found_by_the_check(validated: Validate) -> None:
    wrong: Any = ["scan"]
    field = AsyncFileField(upload_validators=wrong)
    field.set_attributes_from_name("file")
    field.model = Document

    assert [message.id for message in field.check() if message.id == "async_uploads.E010"] == [
        "async_uploads.E010"
    ]
