"""Whom the project asks about permissions: Django's backends and what is made of them, guardian, rules, its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import rules
from asgiref.sync import sync_to_async
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, Group, User
from django.core.exceptions import PermissionDenied
from django.test import AsyncClient
from guardian.conf import settings as guardian_settings
from guardian.management import create_anonymous_user
from guardian.shortcuts import assign_perm
from guardian.utils import get_anonymous_user

from async_uploads.permissions import aallows, auser_of_request
from tests.permission_asking import MODEL_BACKEND, ask, ask_file, client_of, signed_in, user_with
from tests.testapp.models import Guarded

pytestmark = pytest.mark.django_db(transaction=True)

GUARDIAN = "guardian.backends.ObjectPermissionBackend"
RULES = "rules.permissions.ObjectPermissionBackend"
CHANGE, VIEW = "testapp.change_guarded", "testapp.view_guarded"


def backends(*classes: type) -> list[str]:
    return [f"{cls.__module__}.{cls.__qualname__}" for cls in classes]


# Django's own, and what a project or package derives from them


class SignInByEmail(ModelBackend):
    """As most that a project writes: about who somebody is, not about what they may."""

    def authenticate(
        self, request: Any, username: str | None = None, password: str | None = None, **kwargs: Any
    ) -> User | None:
        return None


class GroupsOfTheDirectory(ModelBackend):
    """Permissions from elsewhere, in the form that Django prepares for it. They are on models."""

    def _get_group_permissions(self, user_obj: Any) -> Any:
        return Group.objects.get(name="directory").permissions.all()


class SignInOnly:
    """Without a word about permissions."""

    def authenticate(self, request: Any, **credentials: Any) -> Any:
        return None

    def get_user(self, pk: Any) -> Any:
        return User.objects.filter(pk=pk).first()


class NoOneOnHoliday(ModelBackend):
    """Has a method of its own, and says that it is not about objects."""

    supports_object_permissions = False

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        return not user_obj.last_name and super().has_perm(user_obj, perm, obj)


class TheirOwn(ModelBackend):
    """In sync form alone, beside async forms that it inherits and that know nothing of it."""

    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        return obj is not None and obj.title == user_obj.get_username()


class BothForms(ModelBackend):
    """Whose permissions are on models, too, and which must not be asked in a thread for them."""

    supports_object_permissions = False

    def _get_permissions(self, user_obj: Any, obj: Any, from_name: str) -> set[str]:
        raise AssertionError("asked in its sync form")

    async def _aget_permissions(self, user_obj: Any, obj: Any, from_name: str) -> set[str]:
        return {CHANGE}


class GroupsInSyncForm(ModelBackend):
    """As one for a directory server: overrides the outer method, in its sync form."""

    supports_object_permissions = False

    def get_group_permissions(self, user_obj: Any, obj: Any = None) -> set[str]:
        return {CHANGE}


class Veto(ModelBackend):
    def has_perm(self, user_obj: Any, perm: str, obj: Any = None) -> bool:
        if user_obj.last_name == "suspended":
            raise PermissionDenied
        return False


@pytest.mark.parametrize(
    "configured",
    [
        [MODEL_BACKEND],
        ["django.contrib.auth.backends.AllowAllUsersModelBackend"],
        ["django.contrib.auth.backends.RemoteUserBackend", MODEL_BACKEND],
        backends(SignInByEmail),
        [MODEL_BACKEND, *backends(SignInByEmail, SignInOnly)],
        backends(SignInOnly, ModelBackend),
    ],
    ids=lambda configured: ", ".join(path.rpartition(".")[2] for path in configured),
)
async def test_permission_on_the_model_opens_its_records(settings: Any, configured: list[str]) -> None:
    settings.AUTHENTICATION_BACKENDS = configured
    record = await Guarded.objects.acreate()
    ada, bob = await user_with("ada", "change_guarded"), await user_with("bob")

    assert await aallows(CHANGE, ada, record)
    assert not await aallows(CHANGE, bob, record)
    assert not await aallows(VIEW, ada, record)
    assert not await aallows(CHANGE, AnonymousUser(), record)


async def test_permissions_that_a_backend_takes_from_elsewhere_open_records(settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = backends(GroupsOfTheDirectory)
    record = await Guarded.objects.acreate()
    ada = await user_with("ada")
    directory = await Group.objects.acreate(name="directory")
    assert not await aallows(CHANGE, await User.objects.aget(pk=ada.pk), record)

    await sync_to_async(assign_perm)(CHANGE, directory)

    assert await aallows(CHANGE, await User.objects.aget(pk=ada.pk), record)


async def test_backend_that_says_so_is_asked_about_the_model(settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = backends(NoOneOnHoliday)
    record = await Guarded.objects.acreate()
    here = await user_with("ada", "change_guarded")
    away = await user_with("bob", "change_guarded", last_name="away")

    assert await aallows(CHANGE, here, record)
    assert not await aallows(CHANGE, away, record)


async def test_sync_answer_of_a_backend_counts_though_it_inherits_an_async_one(settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = backends(TheirOwn)
    own, other = await Guarded.objects.acreate(title="ada"), await Guarded.objects.acreate(title="bob")
    ada = await user_with("ada", "change_guarded")

    assert await aallows(CHANGE, ada, own)
    assert not await aallows(CHANGE, ada, other)


@pytest.mark.parametrize("backend", [BothForms, GroupsInSyncForm])
async def test_backend_is_asked_in_the_form_that_it_has(settings: Any, backend: type) -> None:
    settings.AUTHENTICATION_BACKENDS = backends(backend)
    record = await Guarded.objects.acreate()
    ada = await user_with("ada")

    assert await aallows(CHANGE, ada, record)
    assert not await aallows(VIEW, ada, record)


async def test_veto_of_a_backend_is_the_last_word(settings: Any) -> None:
    """Though it has only the sync form, which Django's ahas_perm would pass over."""
    settings.AUTHENTICATION_BACKENDS = backends(Veto, TheirOwn)
    record = await Guarded.objects.acreate(title="ada")

    assert await aallows(CHANGE, User(username="ada", is_active=True), record)
    assert not await aallows(CHANGE, User(username="ada", last_name="suspended"), record)


async def test_superuser_may_whatever_backends_say_unless_inactive(settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = [*backends(Veto), RULES]
    record = await Guarded.objects.acreate()

    assert await aallows(CHANGE, User(username="root", is_superuser=True), record)
    assert not await aallows(CHANGE, User(username="gone", is_superuser=True, is_active=False), record)


class Account:
    """A user as a project makes it without Django's PermissionsMixin, from the days before ``ahas_perm``."""

    is_authenticated = True

    def __init__(self, *, is_admin: bool) -> None:
        self.is_admin = is_admin

    def has_perm(self, perm: str, obj: Any = None) -> bool:
        return self.is_admin


class AsyncAccount(Account):
    async def ahas_perm(self, perm: str, obj: Any = None) -> bool:
        return not self.is_admin


class AccountWithoutPermissions:
    is_authenticated = True


async def test_user_class_of_the_project_decides_itself() -> None:
    record = await Guarded.objects.acreate()

    assert await aallows(CHANGE, Account(is_admin=True), record)
    assert not await aallows(CHANGE, Account(is_admin=False), record)
    assert await aallows(CHANGE, AsyncAccount(is_admin=False), record)
    assert not await aallows(CHANGE, AccountWithoutPermissions(), record)


class Impersonated:
    """Middleware as those for tokens and for looking through another's eyes: it knows ``request.user`` alone."""

    sync_capable, async_capable = True, False

    def __init__(self, get_response: Any) -> None:
        self.get_response = get_response

    def __call__(self, request: Any) -> Any:
        if name := request.COOKIES.get("look_as"):
            request.user = User.objects.get(username=name)
        return self.get_response(request)


async def test_user_that_a_middleware_has_put_in_place_is_the_one_who_asks(settings: Any) -> None:
    settings.MIDDLEWARE = [*settings.MIDDLEWARE, *backends(Impersonated)]
    root = await user_with("root", is_superuser=True)
    await user_with("bob")
    through_bobs_eyes = await client_of(root)
    through_bobs_eyes.cookies["look_as"] = "bob"

    assert await ask(await client_of(root)) == 200
    assert await ask(through_bobs_eyes) == 403


async def test_request_without_authentication_is_anonymous(async_client: AsyncClient, rf: Any) -> None:
    assert (await auser_of_request(rf.get("/"))).is_anonymous


# django-guardian


@pytest.fixture
def guardian(settings: Any) -> None:
    settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND, GUARDIAN]


@pytest.mark.usefixtures("guardian")
async def test_guardian_opens_the_record_that_it_was_told_to_open() -> None:
    own, other = await Guarded.objects.acreate(), await Guarded.objects.acreate()
    ada = await user_with("ada")
    client = await client_of(ada)
    await sync_to_async(assign_perm)(CHANGE, ada, own)

    assert await ask(client, instanceId=own.pk) == 200
    assert await ask(client, instanceId=other.pk) == 403
    assert await ask_file(client, own.pk) == 403  # to change it is not to see it
    await sync_to_async(assign_perm)(VIEW, ada, own)
    assert await ask_file(client, own.pk) == 404  # allowed, and there is no file
    assert await ask_file(client, other.pk) == 403


@pytest.mark.usefixtures("guardian")
async def test_guardian_opens_a_record_to_a_group() -> None:
    record = await Guarded.objects.acreate()
    ada = await user_with("ada")
    editors = await Group.objects.acreate(name="editors")
    await ada.groups.aadd(editors)
    client = await client_of(ada)
    assert await ask(client, instanceId=record.pk) == 403

    await sync_to_async(assign_perm)(CHANGE, editors, record)

    assert await ask(client, instanceId=record.pk) == 200


@pytest.mark.usefixtures("guardian")
async def test_with_guardian_a_permission_on_the_model_opens_no_record() -> None:
    """As ``user.has_perm(perm, obj)`` has it: who relies on object permissions must not find all records open."""
    record = await Guarded.objects.acreate()
    client = await signed_in("ada", "add_guarded", "change_guarded", "view_guarded")

    assert await ask(client) == 200  # creating is about no record
    assert await ask(client, instanceId=record.pk) == 403
    assert await ask_file(client, record.pk) == 403


@pytest.mark.usefixtures("guardian")
async def test_with_guardian_superusers_may_and_inactive_and_anonymous_visitors_may_not() -> None:
    record = await Guarded.objects.acreate()
    gone = await user_with("gone")
    await sync_to_async(assign_perm)(CHANGE, gone, record)
    client = await client_of(gone)
    assert await ask(client, instanceId=record.pk) == 200
    await User.objects.filter(pk=gone.pk).aupdate(is_active=False)

    assert await ask(client, instanceId=record.pk) == 403
    assert await ask(AsyncClient(), instanceId=record.pk) == 403
    assert await ask(await signed_in("root", is_superuser=True), instanceId=record.pk) == 200


@pytest.mark.usefixtures("guardian")
async def test_guardian_opens_a_record_to_everyone_through_its_anonymous_user(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(guardian_settings, "ANONYMOUS_USER_NAME", "AnonymousUser")
    await sync_to_async(create_anonymous_user)(sender=None, using="default")
    own, other = await Guarded.objects.acreate(), await Guarded.objects.acreate()
    anonymous = await sync_to_async(get_anonymous_user)()

    await sync_to_async(assign_perm)(CHANGE, anonymous, own)

    assert await ask(AsyncClient(), instanceId=own.pk) == 200
    assert await ask(AsyncClient(), instanceId=other.pk) == 403


# django-rules


def is_theirs(user: Any, record: Guarded | None) -> bool:
    return record is not None and record.title == user.get_username()


def is_trainee(user: Any) -> bool:
    """Asks the database: rules are sync, and must not be asked on the event loop."""
    return user.is_authenticated and Group.objects.filter(user=user, name="trainees").exists()


THEIRS, TRAINEE = rules.predicate(is_theirs), rules.predicate(is_trainee)


@pytest.fixture
def with_rules(settings: Any) -> Iterator[None]:
    settings.AUTHENTICATION_BACKENDS = [RULES, MODEL_BACKEND]
    rules.add_perm(CHANGE, THEIRS & ~TRAINEE)
    rules.add_perm("testapp.add_guarded", ~TRAINEE & rules.is_authenticated)
    rules.add_perm(VIEW, rules.always_allow)
    yield
    for name in (CHANGE, VIEW, "testapp.add_guarded"):
        rules.remove_perm(name)


@pytest.mark.usefixtures("with_rules")
async def test_rules_are_asked_about_user_and_record() -> None:
    own, other = await Guarded.objects.acreate(title="ada"), await Guarded.objects.acreate(title="bob")
    ada = await user_with("ada")
    client = await client_of(ada)

    assert await ask(client, instanceId=own.pk) == 200
    assert await ask(client, instanceId=other.pk) == 403
    assert await ask(AsyncClient(), instanceId=own.pk) == 403
    trainees = await Group.objects.acreate(name="trainees")
    await ada.groups.aadd(trainees)
    assert await ask(client, instanceId=own.pk) == 403


@pytest.mark.usefixtures("with_rules")
async def test_rules_are_asked_where_there_is_no_record() -> None:
    assert await ask(await signed_in("ada")) == 200
    assert await ask(AsyncClient()) == 403


@pytest.mark.usefixtures("with_rules")
async def test_rule_may_open_a_record_to_anonymous_visitors() -> None:
    record = await Guarded.objects.acreate()

    assert await ask_file(AsyncClient(), record.pk) == 404  # allowed, and there is no file


@pytest.mark.usefixtures("with_rules")
async def test_permission_without_a_rule_is_denied() -> None:
    rules.remove_perm(CHANGE)
    record = await Guarded.objects.acreate(title="ada")
    client = await signed_in("ada")

    assert await ask(client, instanceId=record.pk) == 403
    rules.add_perm(CHANGE, THEIRS)


async def test_guardian_and_rules_complete_each_other(settings: Any, with_rules: None) -> None:
    settings.AUTHENTICATION_BACKENDS = [RULES, MODEL_BACKEND, GUARDIAN]
    by_rule, by_grant = await Guarded.objects.acreate(title="ada"), await Guarded.objects.acreate()
    neither = await Guarded.objects.acreate()
    ada = await user_with("ada")
    await sync_to_async(assign_perm)(CHANGE, ada, by_grant)
    client = await client_of(ada)

    answers = [await ask(client, instanceId=record.pk) for record in (by_rule, by_grant, neither)]

    assert answers == [200, 200, 403]
