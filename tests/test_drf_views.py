"""The API's views: uploads of clients that bring a token."""

from __future__ import annotations

from typing import Any

import pytest
from asgiref.sync import sync_to_async
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.test import AsyncClient, AsyncRequestFactory, override_settings
from django.urls import include, path
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.throttling import UserRateThrottle

from async_uploads.drf import views
from async_uploads.drf.serializer import AsyncUploadsModelSerializer
from async_uploads.models import AsyncTempFile
from tests.cloud import PDF, direct_uploads
from tests.conftest import field_id_of
from tests.drfapp import urls
from tests.drfapp.asking import JSON, UPLOADS, TokenClient, ask_for_ticket, client_of, upload_by_api
from tests.drfapp.models import Note, Volume
from tests.testapp.models import Album, Elsewhere

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.drfapp.urls")]


async def aallow(name: str, *codenames: str) -> None:
    user = await User.objects.aget(username=name)
    await user.user_permissions.aadd(
        *[permission async for permission in Permission.objects.filter(codename__in=codenames)]
    )


async def ask(client: AsyncClient, view: str, key: str) -> Any:
    return await client.post(f"{UPLOADS}{view}/", {"key": key}, content_type=JSON)


def urls_of(*patterns: Any) -> Any:
    class URLConf:
        urlpatterns = [*patterns, *urls.urlpatterns]

    return override_settings(ROOT_URLCONF=URLConf)


####################################
# The way through
####################################


async def test_a_client_with_a_token_uploads_saves_and_reads_its_file() -> None:
    ada = await client_of("ada")
    await aallow("ada", "add_note", "view_note")

    key = await upload_by_api(ada, b"my words", model=Note)
    created = await ada.post("/api/notes/", {"text": {"key": key, "name": "x"}}, content_type=JSON)
    assert created.status_code == 201, created.content
    url = created.json()["text"]["url"]
    redirect = await ada.get(url)
    read: Any = await AsyncClient().get(redirect["Location"])

    assert url.startswith(f"http://testserver{UPLOADS}download-file/?")
    assert redirect.status_code == 302
    assert b"".join([chunk async for chunk in read]) == b"my words"


async def test_the_ticket_tells_everything_with_absolute_urls() -> None:
    ada = await client_of("ada")

    answer = await ask_for_ticket(ada, "report.pdf", size=5, contentType="application/pdf")

    ticket = answer.json()
    assert answer.status_code == 200
    assert "no-store" in answer["Cache-Control"]
    assert ticket["key"].endswith("-report.pdf")
    how = ticket["uploadUrl"]
    assert how["url"].startswith("http://testserver/async-uploads/upload-file-direct/?token=")
    assert (how["method"], how["provider"], how["headers"]["Content-Type"]) == (
        "PUT",
        "filesystem",
        "application/pdf",
    )
    assert (ticket["completeUrl"], ticket["statusUrl"], ticket["cancelUrl"]) == (
        "http://testserver/api/uploads/complete-upload/",
        "http://testserver/api/uploads/upload-status/",
        "http://testserver/api/uploads/cancel-upload/",
    )
    row = await AsyncTempFile.objects.aget()
    assert ticket["expiresAt"].endswith("Z")
    assert (row.total, row.owner) == (5, f"user:{(await User.objects.aget()).pk}")


@pytest.mark.parametrize("prefix", ["v2/", "<str:tenant>/"])
async def test_the_urls_of_the_ticket_stay_under_their_prefix(prefix: str) -> None:
    ada = await client_of("ada")
    body = {"fieldId": field_id_of(Volume, "text"), "filename": "x"}

    with urls_of(path(prefix, include((urls.urlpatterns, "outer"), namespace="inner"))):
        answer = await ada.post("/v2/api/uploads/generate-upload-url/?format=json", body, content_type=JSON)

    assert answer.json()["completeUrl"] == "http://testserver/v2/api/uploads/complete-upload/"


async def test_a_view_that_is_called_past_the_urlconf_tells_the_usual_urls() -> None:
    request = AsyncRequestFactory().post(
        "/", {"fieldId": field_id_of(Volume, "text"), "filename": "x"}, content_type=JSON
    )
    view: Any = views.GenerateUploadUrlView.as_view()

    answer = await view(request)

    assert answer.data["completeUrl"] == f"http://testserver{UPLOADS}complete-upload/"


async def test_a_direct_upload_is_completed() -> None:
    ada = await client_of("ada")
    with direct_uploads() as cloud:
        key = (await ask_for_ticket(ada, "booklet.pdf", model=Album, field="booklet")).json()["key"]
        early = await ask(ada, "complete-upload", key)
        await sync_to_async(cloud.receive)(key, PDF)
        done = await ask(ada, "complete-upload", key)

    assert (early.status_code, early.json()["code"]) == (409, "incomplete")
    assert (done.status_code, done.json()["state"], done.json()["received"]) == (200, "uploaded", len(PDF))


async def test_an_upload_is_cancelled() -> None:
    ada = await client_of("ada")
    key = await upload_by_api(ada)

    answer = await ask(ada, "cancel-upload", key)

    assert (answer.status_code, answer.content) == (204, b"")
    assert (await AsyncTempFile.objects.aget()).state == "cancelled"


async def test_the_status_tells_where_the_file_can_be_read() -> None:
    ada = await client_of("ada")
    key = await upload_by_api(ada)

    waiting = (await ada.get(f"{UPLOADS}upload-status/", {"key": key})).json()
    await Volume.objects.acreate(text=key)
    promoted = (await ada.get(f"{UPLOADS}upload-status/", {"key": key})).json()

    assert waiting["state"] == "uploaded"
    assert waiting["url"].startswith("http://testserver/async-uploads/download-file-direct/?token=")
    assert promoted["state"] == "promoted"
    assert promoted["url"].startswith(f"http://testserver{UPLOADS}download-file/?")
    assert (await ada.get(promoted["url"])).status_code == 302


async def test_a_form_is_taken_as_well_as_json_and_snake_case_as_well_as_camel_case() -> None:
    ada = await client_of("ada")

    answer = await ada.post(
        f"{UPLOADS}generate-upload-url/", {"field_id": field_id_of(Volume, "text"), "filename": "x.txt"}
    )

    assert answer.status_code == 200, answer.content


####################################
# Who is asking, and who may
####################################


async def test_the_owner_is_the_tokens_user_even_where_somebody_else_is_signed_in_by_cookie() -> None:
    ada = await client_of("ada")
    await ada.aforce_login(await User.objects.acreate(username="bob"))

    key = await upload_by_api(ada)

    assert (
        await AsyncTempFile.objects.aget(key=key)
    ).owner == f"user:{(await User.objects.aget(username='ada')).pk}"


async def test_permissions_are_the_tokens_users_even_where_somebody_else_is_signed_in_by_cookie() -> None:
    ada = await client_of("ada")
    await ada.aforce_login(await User.objects.acreate(username="root", is_superuser=True))

    answer = await ask_for_ticket(ada, model=Note)

    assert (answer.status_code, answer.json()["code"]) == (403, "permission_denied")


async def test_what_belongs_to_somebody_else_is_not_there() -> None:
    ada, bob = await client_of("ada"), await client_of("bob")
    key = await upload_by_api(ada)

    status = await bob.get(f"{UPLOADS}upload-status/", {"key": key})
    saved = await bob.post("/api/volumes/", {"text": {"key": key}}, content_type=JSON)

    assert (status.status_code, status.json()["code"]) == (404, "not_found")
    for view in ("complete-upload", "cancel-upload"):
        assert (await ask(bob, view, key)).status_code == 404
    assert (saved.status_code, list(saved.json())) == (400, ["text"])
    assert (await AsyncTempFile.objects.aget()).state == "uploaded"


async def test_without_a_token_a_guarded_field_asks_for_one() -> None:
    anonymous = AsyncClient()

    answer = await ask_for_ticket(anonymous, model=Note)

    assert (answer.status_code, answer.json()["code"]) == (401, "not_authenticated")
    assert answer["WWW-Authenticate"] == "Token"


async def test_a_wrong_token_is_refused() -> None:
    answer = await ask_for_ticket(TokenClient("wrong"))

    assert (answer.status_code, answer.json()["code"]) == (401, "authentication_failed")


async def test_an_open_field_takes_the_upload_of_an_anonymous_visitor_with_a_session() -> None:
    visitor = AsyncClient()

    key = await upload_by_api(visitor)

    assert (await ask(visitor, "cancel-upload", key)).status_code == 204
    assert (await ask(AsyncClient(), "cancel-upload", key)).status_code == 404


async def test_the_file_of_a_guarded_record_is_for_those_who_may_see_it() -> None:
    ada, bob = await client_of("ada"), await client_of("bob")
    await aallow("ada", "view_note")
    note = await sync_to_async(Note.objects.create)(text=ContentFile(b"x", name="n.txt"))
    url = f"{UPLOADS}download-file/?field_id={field_id_of(Note, 'text')}&instance_id={note.pk}"

    assert (await ada.get(url)).status_code == 302
    assert (await bob.get(url)).status_code == 403
    assert (await AsyncClient().get(url)).status_code == 401
    missing = await ada.get(url.replace(f"instance_id={note.pk}", "instance_id=0"))
    assert (missing.status_code, missing.json()["code"]) == (404, "not_found")


class OnTuesdays(BasePermission):
    message = "Only on Tuesdays."
    code = "not_today"

    def has_permission(self, request: Any, view: Any) -> bool:
        return False


class Twice(UserRateThrottle):
    rate = "2/day"


async def test_permission_classes_of_a_view_apply() -> None:
    ada = await client_of("ada")
    view = views.GenerateUploadUrlView.as_view(permission_classes=[IsAuthenticated, OnTuesdays])

    with urls_of(path("api/uploads/generate-upload-url/", view)):
        answer = await ask_for_ticket(ada)

    assert (answer.status_code, answer.json()) == (403, {"code": "not_today", "detail": "Only on Tuesdays."})


async def test_throttle_classes_of_a_view_apply() -> None:
    ada = await client_of("ada")
    view = views.UploadStatusView.as_view(throttle_classes=[Twice])

    with urls_of(path("api/uploads/upload-status/", view)):
        answers = [await ada.get(f"{UPLOADS}upload-status/?key=x") for _thrice in range(3)]

    assert [answer.status_code for answer in answers] == [404, 404, 429]
    assert answers[-1].json()["code"] == "throttled"
    assert int(answers[-1]["Retry-After"]) > 0


async def test_the_limit_of_unfinished_uploads_holds() -> None:
    ada = await client_of("ada")

    with override_settings(ASYNC_UPLOADS={"MAX_PENDING_PER_OWNER": 1}):
        answers = [await ask_for_ticket(ada) for _twice in range(2)]

    assert [answer.status_code for answer in answers] == [200, 429]
    assert answers[1].json()["code"] == "too_many_uploads"


async def test_each_registry_has_views_of_its_own() -> None:
    ada = await client_of("ada")
    body = {"fieldId": field_id_of(Elsewhere), "filename": "x.txt"}

    here = await ada.post("/api/elsewhere/generate-upload-url/", body, content_type=JSON)
    there = await ada.post(f"{UPLOADS}generate-upload-url/", body, content_type=JSON)

    assert here.status_code == 200
    assert here.json()["statusUrl"] == "http://testserver/api/elsewhere/upload-status/"
    assert there.status_code == 404


async def test_the_address_of_a_file_is_djangos_where_its_registry_has_no_api() -> None:
    class ElsewhereSerializer(AsyncUploadsModelSerializer):
        class Meta:
            model = Elsewhere
            fields = ["file"]

    record = await sync_to_async(Elsewhere.objects.create)(file=ContentFile(b"x", name="x.txt"))
    with override_settings(ROOT_URLCONF="tests.urls"):
        without = ElsewhereSerializer(record).data["file"]["url"]
    with_api = ElsewhereSerializer(record).data["file"]["url"]

    assert without.startswith("/elsewhere/download-file/?")
    assert with_api.startswith("/api/elsewhere/download-file/?")


async def test_requests_in_a_transaction_do_not_reach_these_views(settings: Any) -> None:
    from django.db import connections

    ada = await client_of("ada")
    settings.DATABASES["default"]["ATOMIC_REQUESTS"] = True
    connections["default"].settings_dict["ATOMIC_REQUESTS"] = True
    try:
        answer = await ask_for_ticket(ada)
    finally:
        connections["default"].settings_dict["ATOMIC_REQUESTS"] = False

    assert answer.status_code == 200


####################################
# Errors
####################################


async def test_what_is_missing_is_told_by_name() -> None:
    ada = await client_of("ada")

    answer = await ada.post(f"{UPLOADS}generate-upload-url/", {"size": "big"}, content_type=JSON)

    assert answer.status_code == 400
    assert answer.json() == {
        "fieldId": ["This field is required."],
        "filename": ["This field is required."],
        "size": ["Enter a whole number of bytes."],
    }


async def test_a_file_that_would_be_too_large_is_refused_at_once() -> None:
    answer = await ask_for_ticket(await client_of("ada"), size=2 * 1024**2)

    assert (answer.status_code, answer.json()["code"]) == (413, "file_too_large")


async def test_a_used_upload_is_not_cancelled() -> None:
    ada = await client_of("ada")
    key = await upload_by_api(ada)
    await Volume.objects.acreate(text=key)

    answer = await ask(ada, "cancel-upload", key)

    assert (answer.status_code, answer.json()["code"]) == (409, "already_used")


BAD_BODIES: list[tuple[bytes, str]] = [
    (b"", JSON),
    (b"{", JSON),
    (b"[]", JSON),
    (b'"x"', JSON),
    (b"null", JSON),
    (b"\xff", JSON),
    (b"[" * 200_000, JSON),
    (b'{"key": "\\u0000"}', JSON),
    (b'{"key": "\\ud800"}', JSON),
    (b'{"key": {"a": []}}', JSON),
    (b'{"key": ' + b"9" * 5000 + b"}", JSON),
    (b"{}", f"{JSON}; charset=zlib_codec"),
    (b"key=x", "application/x-www-form-urlencoded; charset=zlib_codec"),
    (b"&".join(b"a=%d" % number for number in range(2000)), "application/x-www-form-urlencoded"),
    (b"nonsense", "multipart/form-data; boundary=x"),
    (b"nonsense", "multipart/form-data"),
]


@pytest.mark.parametrize("view", ["generate-upload-url", "complete-upload", "cancel-upload"])
@pytest.mark.parametrize(("body", "content_type"), BAD_BODIES, ids=range(len(BAD_BODIES)))
async def test_no_body_makes_it_fail(view: str, body: bytes, content_type: str) -> None:
    ada = await client_of("ada")

    answer = await ada.generic("POST", f"{UPLOADS}{view}/", body, content_type=content_type)

    assert answer.status_code in (400, 404), answer.content
    assert answer["Content-Type"] == JSON
    answer.json()


async def test_a_body_of_another_type_and_a_method_that_is_not_there_are_errors_of_the_same_shape() -> None:
    ada = await client_of("ada")

    xml = await ada.post(f"{UPLOADS}cancel-upload/", b"<key/>", content_type="application/xml")
    get = await ada.get(f"{UPLOADS}cancel-upload/")

    assert (xml.status_code, xml.json()["code"]) == (415, "unsupported_media_type")
    assert (get.status_code, get.json()["code"]) == (405, "method_not_allowed")


async def test_a_body_larger_than_the_project_allows_is_not_parsed() -> None:
    ada = await client_of("ada")

    with override_settings(DATA_UPLOAD_MAX_MEMORY_SIZE=100):
        answer = await ask(ada, "cancel-upload", "x" * 200)

    assert (answer.status_code, answer.json()["code"]) == (413, "file_too_large")


def own_shape(exc: Exception, context: Any) -> Any:
    from rest_framework.views import exception_handler

    response = exception_handler(exc, context)
    assert response is not None
    response.data = {"errors": [str(exc)]}
    return response


async def test_a_projects_own_exception_handler_has_the_last_word() -> None:
    ada = await client_of("ada")

    with override_settings(REST_FRAMEWORK={"EXCEPTION_HANDLER": "tests.test_drf_views.own_shape"}):
        answer = await ask(ada, "cancel-upload", "x")

    assert (answer.status_code, answer.json()) == (404, {"errors": ["There is no such upload."]})
