"""Permissions of Django's own backend, asked for by as few queries as there can be."""

from __future__ import annotations

import pytest
from django.contrib.auth.models import AnonymousUser, Group, Permission, User
from django.contrib.contenttypes.models import ContentType
from django.db import connection
from django.test.utils import CaptureQueriesContext
from pytest_django import Settings

from async_uploads.permissions import allows
from tests.testapp.models import Document, Letter

ADD = "testapp.add_letter"

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.on_postgresql]


@pytest.fixture(autouse=True)
def djangos_backend(settings: Settings) -> None:
    settings.AUTHENTICATION_BACKENDS = ["django.contrib.auth.backends.ModelBackend"]


def permission_to_add(codename: str = "add_letter") -> Permission:
    return Permission.objects.get(content_type__app_label="testapp", codename=codename)


def user(*permissions: Permission, **options: object) -> User:
    made = User.objects.create(username="ada", **options)
    made.user_permissions.set(permissions)
    return User.objects.get(pk=made.pk)


def test_who_has_it_by_themselves_costs_one_query() -> None:
    ada = user(permission_to_add())

    with CaptureQueriesContext(connection) as queries:
        assert allows(ADD, ada, None)

    assert len(queries) == 1


def test_who_has_it_by_a_group_has_it() -> None:
    ada = user()
    group = Group.objects.create(name="secretaries")
    group.permissions.add(permission_to_add())
    ada.groups.add(group)

    assert allows(ADD, ada, None)


def test_who_has_another_one_does_not_have_it() -> None:
    somewhere_else = Permission.objects.create(
        codename="add_letter", name="Can add", content_type=ContentType.objects.get_for_model(User)
    )

    assert not allows(ADD, user(permission_to_add("add_document"), somewhere_else), None)
    assert not allows("add_letter", User.objects.get(), None)


def test_what_others_have_does_not_count() -> None:
    bob = User.objects.create(username="bob")
    bob.user_permissions.add(permission_to_add())

    assert not allows(ADD, user(), None)
    assert not allows(ADD, AnonymousUser(), None)


def test_who_is_not_active_has_none() -> None:
    assert not allows(ADD, user(permission_to_add(), is_active=False), None)


def test_a_superuser_is_not_asked_about() -> None:
    root = user(is_superuser=True)

    with CaptureQueriesContext(connection) as queries:
        assert allows(ADD, root, None)

    assert len(queries) == 0


def test_whose_permissions_are_at_hand_is_not_asked_about_again() -> None:
    ada = user(permission_to_add())
    assert ada.has_perm(ADD)

    with CaptureQueriesContext(connection) as queries:
        assert allows(ADD, ada, None)
        assert not allows("testapp.add_document", ada, None)

    assert len(queries) == 0


def test_a_record_counts_as_its_model_does() -> None:
    letter = Letter.objects.create()

    assert allows(ADD, user(permission_to_add()), letter)
    assert not allows("testapp.change_letter", User.objects.get(), letter)
    assert not allows(ADD.replace("letter", Document._meta.model_name or ""), User.objects.get(), None)
