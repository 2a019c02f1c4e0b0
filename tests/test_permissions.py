"""Who may upload to a field, and who may read from it."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest
from django.contrib.auth.backends import BaseBackend
from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import Http404
from django.test import AsyncClient

from async_uploads.models import AsyncTempFile
from async_uploads.permissions import aallows, resolve_perm_name
from tests.asking import as_json, ask_upload, url_of
from tests.conftest import field_id_of
from tests.permission_asking import MODEL_BACKEND, ask, ask_file, signed_in
from tests.testapp.models import Document, Guarded

pytestmark = pytest.mark.django_db(transaction=True)


class TitleBackend(BaseBackend):
    """Object permissions: a record is its namesake's, and without an object nobody may do anything."""

    async def ahas_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        return obj is not None and perm.startswith("testapp.") and obj.title == user_obj.get_username()


def project_permission(entity: type[Model], action: str, is_global: bool) -> str:
    return f"project.{action}_{entity._meta.model_name}{'' if is_global else '_of_object'}"


@pytest.mark.parametrize(
    ("action", "name"),
    [
        ("create", "testapp.add_guarded"),
        ("update", "testapp.change_guarded"),
        ("detail", "testapp.view_guarded"),
        ("delete", "testapp.delete_guarded"),
    ],
)
def test_permissions_are_named_as_django_names_them(action: str, name: str) -> None:
    assert resolve_perm_name(Guarded, action, is_global=action == "create") == name


def test_project_names_permissions_its_own_way(settings: Any) -> None:
    settings.ASYNC_UPLOADS = {"RESOLVE_PERM_NAME": f"{__name__}.project_permission"}

    field = Guarded._meta.get_field("file")

    assert field.perm_create == "project.create_guarded"
    assert field.perm_update == "project.update_guarded_of_object"
    assert field.perm_detail == "project.detail_guarded_of_object"


async def test_creating_needs_the_add_permission() -> None:
    assert await ask(AsyncClient()) == 403
    assert await ask(await signed_in("no")) == 403
    assert await ask(await signed_in("wrong", "change_guarded", "view_guarded")) == 403
    assert await ask(await signed_in("right", "add_guarded")) == 200
    assert await AsyncTempFile.objects.acount() == 1


async def test_updating_needs_the_change_permission() -> None:
    record = await Guarded.objects.acreate()

    assert await ask(AsyncClient(), instanceId=record.pk) == 403
    assert await ask(await signed_in("wrong", "add_guarded"), instanceId=record.pk) == 403
    assert await ask(await signed_in("right", "change_guarded"), instanceId=record.pk) == 200


async def test_superusers_may_and_inactive_ones_may_not() -> None:
    record = await Guarded.objects.acreate()
    root = await signed_in("root", is_superuser=True)
    gone = await signed_in("gone", is_superuser=True)
    await User.objects.filter(username="gone").aupdate(is_active=False)

    assert [await ask(root), await ask(root, instanceId=record.pk)] == [200, 200]
    assert [await ask(gone), await ask(gone, instanceId=record.pk)] == [403, 403]


async def test_none_is_open_to_anyone() -> None:
    record = await Document.objects.acreate()
    for more in ({}, {"instanceId": record.pk}):
        response = await AsyncClient().post(
            url_of("generate-upload-url"), **as_json(fieldId=field_id_of(), filename="a.txt", **more)
        )
        assert response.status_code == 200


async def test_sync_callable_decides_itself() -> None:
    assert await ask(AsyncClient(), field="for_staff") == 403
    assert await ask(await signed_in("ada", "add_guarded"), field="for_staff") == 403
    assert await ask(await signed_in("bob", is_staff=True), field="for_staff") == 200


async def test_async_callable_is_asked_about_the_record() -> None:
    record = await Guarded.objects.acreate(title="ada")

    assert await ask(await signed_in("bob"), field="for_staff", instanceId=record.pk) == 403
    assert await ask(await signed_in("ada"), field="for_staff", instanceId=record.pk) == 200


async def test_download_needs_the_view_permission(async_client: AsyncClient) -> None:
    key = await ask_upload(
        await signed_in("author", "add_guarded"), b"secret", "a.txt", model=Guarded, field="file"
    )
    record = await Guarded.objects.acreate(file=key)

    async def download(client: AsyncClient) -> int:
        status: int = (await client.get(record.file.url)).status_code
        return status

    assert await download(async_client) == 403
    assert await download(await signed_in("wrong", "add_guarded", "change_guarded")) == 403
    assert await download(await signed_in("right", "view_guarded")) == 302
    assert await download(await signed_in("root", is_superuser=True)) == 302


async def test_backend_with_object_permissions_is_asked_about_the_object(settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND, f"{__name__}.TitleBackend"]
    own = await Guarded.objects.acreate(title="ada")
    other = await Guarded.objects.acreate(title="bob")
    ada = await signed_in("ada")

    assert await ask(ada, instanceId=own.pk) == 200
    assert await ask(ada, instanceId=other.pk) == 403
    assert await ask(ada) == 403
    assert await ask_file(ada, own.pk) == 404  # allowed, and there is no file
    assert await ask_file(ada, other.pk) == 403


async def test_callable_that_returns_something_true_counts_as_yes() -> None:
    assert await aallows(lambda user, obj: "yes", AnonymousUser(), None) is True  # type: ignore[arg-type,return-value]
    assert await aallows(lambda user, obj: None, AnonymousUser(), None) is False  # type: ignore[arg-type,return-value]


class AsyncDecision:
    async def __call__(self, user: Any, obj: Any) -> bool:
        return False


async def test_object_with_an_async_call_is_awaited() -> None:
    """Its coroutine, which is true, must not be taken for the answer."""
    assert await aallows(AsyncDecision(), AnonymousUser(), None) is False


async def test_sync_callable_that_hands_on_a_coroutine_is_awaited() -> None:
    async def no(user: Any, obj: Any) -> bool:
        return False

    assert await aallows(lambda user, obj: no(user, None), AnonymousUser(), None) is False


class SyncDecision:
    def __call__(self, user: Any, obj: Any) -> bool:
        return bool(Guarded.objects.filter(pk=obj.pk, title=user.get_username()).exists())


async def is_namesake(user: Any, obj: Any, *, allowed: bool = True) -> bool:
    return allowed and await Guarded.objects.filter(pk=obj.pk, title=user.get_username()).aexists()


def is_namesake_sync(user: Any, obj: Any, *, allowed: bool = True) -> bool:
    return allowed and SyncDecision()(user, obj)


@pytest.mark.parametrize(
    "permission",
    [
        SyncDecision(),
        is_namesake,
        is_namesake_sync,
        partial(is_namesake),
        partial(is_namesake_sync, allowed=True),
    ],
    ids=["object", "async function", "function", "partial of an async function", "partial of a function"],
)
async def test_callable_of_any_kind_may_ask_the_database(permission: Any) -> None:
    record = await Guarded.objects.acreate(title="ada")

    assert await aallows(permission, User(username="ada"), record) is True
    assert await aallows(permission, User(username="bob"), record) is False


@pytest.mark.parametrize(
    "decide", [partial(is_namesake, allowed=False), partial(is_namesake_sync, allowed=False)]
)
async def test_partial_keeps_what_it_was_given(decide: Any) -> None:
    record = await Guarded.objects.acreate(title="ada")

    assert await aallows(decide, User(username="ada"), record) is False


async def test_callable_is_asked_about_anonymous_inactive_and_super_users_too(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It decides itself: nobody is let in or kept out before it."""
    asked = []

    def note(user: Any, obj: Any) -> bool:
        asked.append((user.is_anonymous, user.is_active, user.is_superuser))
        return True

    for user in (AnonymousUser(), User(is_active=False), User(is_superuser=True)):
        assert await aallows(note, user, None)

    assert asked == [(True, False, False), (False, False, False), (False, True, True)]


def refuse(user: Any, obj: Any) -> bool:
    raise PermissionDenied("Not before noon.")


async def arefuse(user: Any, obj: Any) -> bool:
    raise PermissionDenied


def deny_all_knowledge(user: Any, obj: Any) -> bool:
    raise Http404("No Guarded matches the given query.")


@pytest.mark.parametrize(
    ("permission", "status", "answer"),
    [
        (refuse, 403, {"code": "permission_denied", "detail": "Not before noon."}),
        (arefuse, 403, {"code": "permission_denied", "detail": "You do not have permission to do this."}),
        (deny_all_knowledge, 404, {"code": "not_found", "detail": "No Guarded matches the given query."}),
    ],
)
async def test_refusal_that_a_callable_raises_is_answered_as_any_other(
    monkeypatch: pytest.MonkeyPatch, permission: Any, status: int, answer: dict[str, str]
) -> None:
    field: Any = Guarded._meta.get_field("file")
    for name in ("_perm_create", "_perm_detail"):
        monkeypatch.setattr(field, name, permission)
    record = await Guarded.objects.acreate()
    given = as_json(fieldId=field_id_of(Guarded), filename="a.txt")

    ticket = await AsyncClient().post(url_of("generate-upload-url"), **given)
    file = await AsyncClient().get(
        url_of("download-file", field_id=field_id_of(Guarded), instance_id=record.pk)
    )

    for response in (ticket, file):
        assert response.status_code == status
        assert response.json() == answer
