"""What a form and a save refuse to take for an upload, and what they let pass."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from asgiref.sync import async_to_sync
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ValidationError
from django.db import transaction
from django.forms import modelform_factory
from django.test import RequestFactory

from async_uploads.middleware import UploadOwnerMiddleware
from async_uploads.models import AsyncFileInputData
from async_uploads.owners import Owner, serving
from async_uploads.temp_files import State
from async_uploads.uploads import acancel, aexpire
from tests.arrivals import arrived, begun, row_of, stored_names
from tests.conftest import image_bytes
from tests.testapp.models import Album, Document, Letter

pytestmark = pytest.mark.django_db

Form = modelform_factory(Document, fields=["title", "file"])
Refusal = Callable[[str], str]


def refusal_of_save(key: str) -> str:
    """The code of the error that saving the key raises; nothing is written."""
    with pytest.raises(ValidationError) as caught:
        Document.objects.create(file=key)
    assert not Document.objects.exists()
    return str(caught.value.code)


def refusal_of_save_from_input(key: str) -> str:
    with pytest.raises(ValidationError) as caught:
        Document.objects.create(file=AsyncFileInputData(key=key))
    assert not Document.objects.exists()
    return str(caught.value.code)


def refusal_of_form(key: str) -> str:
    form = Form({"file": AsyncFileInputData(key=key).as_json()})
    (error,) = form.errors.as_data()["file"]
    return str(error.code)


def refusal_of_bulk_create(key: str) -> str:
    with pytest.raises(ValidationError) as caught, transaction.atomic():
        Document.objects.bulk_create([Document(file=key)])
    return str(caught.value.code)


def request_of(user: Any, session: dict[str, str] | None = None) -> Any:
    request: Any = RequestFactory().get("/")
    request.user, request.session = user, session or {}
    return request


@contextmanager
def serving_request_of(user: Any, session: dict[str, str] | None = None) -> Iterator[None]:
    """As UploadOwnerMiddleware does while a request is served."""
    with serving(request_of(user, session)):
        yield


everywhere = pytest.mark.parametrize(
    "refusal", [refusal_of_save, refusal_of_save_from_input, refusal_of_form, refusal_of_bulk_create]
)


@everywhere
@pytest.mark.parametrize(
    "key",
    [
        "async-temp-files/2026/11/22/AAAAAAAAAAAAAAAAAAAAAA-report.txt",
        "async-temp-files/../secret",
        "async-temp-files/../../etc/passwd",
        "async-temp-files/",
        "async-temp-files/%2e%2e/secret",
    ],
)
def test_a_key_that_nobody_gave_out_is_unknown(refusal: Refusal, key: str) -> None:
    assert refusal(key) == "not_found"


@everywhere
def test_a_key_written_in_another_case_is_unknown(refusal: Refusal) -> None:
    key = arrived()
    token = re.sub(".*/", "", key)

    assert refusal(key.replace(token, token.swapcase())) == "not_found"


@everywhere
def test_a_key_of_another_model_is_unknown(refusal: Refusal) -> None:
    assert refusal(arrived(model=Letter, field="attachment")) == "not_found"


def test_a_key_of_another_field_of_the_same_model_is_unknown() -> None:
    key = arrived(image_bytes(), "cover.png", model=Album, field="cover")

    with pytest.raises(ValidationError, match="no such upload"):
        Album.objects.create(booklet=key)

    assert not Album.objects.exists()


@everywhere
def test_an_upload_that_has_not_begun_is_incomplete(refusal: Refusal) -> None:
    assert refusal(begun().key) == "incomplete"


@everywhere
def test_an_upload_that_is_on_its_way_is_incomplete(refusal: Refusal) -> None:
    temp_file = begun()
    temp_file.move(State.UPLOADING)

    assert refusal(temp_file.key) == "incomplete"


@everywhere
def test_a_failed_upload_says_why(refusal: Refusal) -> None:
    temp_file = begun()
    temp_file.move(State.FAILED, error="The file is too large.")

    assert refusal(temp_file.key) == "upload_failed"
    with pytest.raises(ValidationError, match=r"The upload failed: The file is too large\."):
        Document.objects.create(file=temp_file.key)


@everywhere
@pytest.mark.parametrize("give_up", [acancel, aexpire])
def test_an_upload_that_was_given_up_is_expired(refusal: Refusal, give_up: Any) -> None:
    key = arrived()
    async_to_sync(give_up)(row_of(key))

    assert refusal(key) == "expired"
    assert stored_names() == set()


@everywhere
def test_an_upload_of_somebody_else_is_unknown(refusal: Refusal) -> None:
    key = arrived(owner=Owner(user="user:1"))

    with serving_request_of(User(pk=2)):
        assert refusal(key) == "not_found"
    with serving_request_of(AnonymousUser()):
        assert refusal(key) == "not_found"


def test_an_upload_of_ones_own_is_taken() -> None:
    with serving_request_of(User(pk=1)):
        Document.objects.create(file=arrived(owner=Owner(user="user:1")))


def test_an_upload_begun_before_the_login_is_still_ones_own() -> None:
    key = arrived(owner=Owner(session="session:abc"))

    with serving_request_of(User(pk=1), session={"_async_uploads_owner": "abc"}):
        Document.objects.create(file=key)


def test_an_upload_of_another_session_is_unknown() -> None:
    key = arrived(owner=Owner(session="session:abc"))

    with serving_request_of(AnonymousUser(), session={"_async_uploads_owner": "other"}):
        assert refusal_of_save(key) == "not_found"


def test_outside_a_request_the_owner_is_not_asked() -> None:
    Document.objects.create(file=arrived(owner=Owner(user="user:1")))


def test_the_middleware_forgets_the_request_when_it_is_over() -> None:
    key = arrived(owner=Owner(user="user:1"))
    seen: list[str] = []

    def view(request: Any) -> Any:
        seen.append(refusal_of_save(key))
        raise RuntimeError

    with pytest.raises(RuntimeError):
        UploadOwnerMiddleware(view)(request_of(User(pk=2)))
    assert seen == ["not_found"]

    Document.objects.create(file=key)


@pytest.mark.django_db(transaction=True)
def test_the_middleware_keeps_the_requests_of_one_event_loop_apart() -> None:
    key = arrived(owner=Owner(user="user:1"))
    results: dict[int, str] = {}

    async def view(request: Any) -> Any:
        await asyncio.sleep(0)  # the other request begins meanwhile
        try:
            await Document(file=key).asave()
        except ValidationError as error:
            results[request.user.pk] = str(error.code)
        else:
            results[request.user.pk] = "saved"

    async def serve_both() -> None:
        middleware = UploadOwnerMiddleware(view)
        requests: list[Any] = [middleware(request_of(User(pk=pk))) for pk in (2, 1, 3)]
        await asyncio.gather(*requests)

    async_to_sync(serve_both)()

    assert results == {1: "saved", 2: "not_found", 3: "not_found"}


@pytest.mark.parametrize("refusal", [refusal_of_save_from_input, refusal_of_form])
@pytest.mark.parametrize(
    "path", ["documents/of-somebody-else.txt", "../secret", "/etc/passwd", "xasync-temp-files/x", "http://x/"]
)
def test_a_path_that_is_no_upload_is_not_taken_from_a_browser(refusal: Refusal, path: str) -> None:
    assert refusal(path) == ("not_copied" if refusal is refusal_of_form else "not_found")


def test_the_path_of_another_record_is_not_taken_from_a_browser() -> None:
    Document.objects.create(title="other", file="documents/other.txt")
    mine = Document.objects.create(title="mine", file="documents/mine.txt")

    mine.file = AsyncFileInputData(key="documents/other.txt")
    with pytest.raises(ValidationError):
        mine.save()

    mine.refresh_from_db()
    Form({"file": AsyncFileInputData(key="documents/other.txt").as_json()}, instance=mine).save()
    assert Document.objects.get(pk=mine.pk).file.name == "documents/mine.txt"


def test_code_on_the_server_may_assign_any_name() -> None:
    assert Document.objects.create(file="documents/there.txt").file.name == "documents/there.txt"


def test_a_browser_may_send_back_the_name_that_is_there() -> None:
    document = Document.objects.create(title="before", file="documents/there.txt")

    document.file = AsyncFileInputData(key="documents/there.txt")
    document.title = "after"
    document.save()

    form = Form(
        {"title": "form", "file": AsyncFileInputData(key="documents/there.txt").as_json()}, instance=document
    )
    form.save()

    stored = Document.objects.get()
    assert (stored.title, stored.file.name) == ("form", "documents/there.txt")


def test_a_record_whose_upload_waits_for_promotion_can_be_edited() -> None:
    key = arrived()
    document = Document.objects.create(file=key)  # inside the test's transaction nothing is promoted

    form = Form({"title": "edited", "file": AsyncFileInputData(key=key).as_json()}, instance=document)
    form.save()

    assert Document.objects.get().title == "edited"
    assert row_of(key).record_pk == str(document.pk)


def test_a_temporary_name_that_the_record_has_from_elsewhere_can_be_saved_again() -> None:
    key = "async-temp-files/2026/11/22/AAAAAAAAAAAAAAAAAAAAAA-imported.txt"
    document = Document.objects.create()
    Document.objects.update(file=key)

    document.refresh_from_db()
    document.title = "edited"
    document.save()

    assert Document.objects.get().title == "edited"


def test_two_uploads_of_which_one_is_refused_are_both_left_alone() -> None:
    good = arrived(b"x", "b.txt", model=Album, field="booklet")

    with pytest.raises(ValidationError):
        Album.objects.create(booklet=good, cover="async-temp-files/forged")

    assert (row_of(good).state, row_of(good).record_pk) == ("uploaded", "")
    assert not Album.objects.exists()
