"""The admin asks django-guardian about models, our fields ask it about records: what a person meets there."""

from __future__ import annotations

from typing import Any

import pytest
from django.contrib.auth.models import Permission, User
from django.core.files.base import ContentFile
from django.test import Client
from django.urls import reverse
from guardian.shortcuts import assign_perm
from pytest_django import Settings

from tests.asking import as_json, url_of
from tests.conftest import field_id_of
from tests.documented import defined_in
from tests.office.models import Dossier
from tests.permission_asking import MODEL_BACKEND

pytestmark = pytest.mark.django_db(transaction=True)

on_model_or_record = defined_in("Permissions and owners", "on_model_or_record")
DOCUMENTED = f"{__name__}.on_model_or_record"


@pytest.fixture(autouse=True)
def guardian(settings: Settings) -> None:
    settings.AUTHENTICATION_BACKENDS = [MODEL_BACKEND, "guardian.backends.ObjectPermissionBackend"]


@pytest.fixture
def clerk() -> User:
    """Who may see and change all dossiers, by permissions on the model."""
    clerk = User.objects.create_user("clerk", is_staff=True)
    clerk.user_permissions.set(
        Permission.objects.filter(codename__in=["add_dossier", "change_dossier", "view_dossier"])
    )
    return clerk


@pytest.fixture
def dossier() -> Dossier:
    return Dossier.objects.create(title="A case", file=ContentFile(b"brief", name="brief.txt"))


def client_of(user: User) -> Client:
    client = Client()
    client.force_login(user, backend=MODEL_BACKEND)
    return client


def asked(client: Client, **more: Any) -> Any:
    return client.post(
        url_of("generate-upload-url"), **as_json(fieldId=field_id_of(Dossier), filename="a.txt", **more)
    )


def opened(client: Client, dossier: Dossier) -> Any:
    return client.get(dossier.file.url)


def test_person_with_the_permission_on_the_model_alone_is_told_what_is_missing(
    clerk: User, dossier: Dossier
) -> None:
    client = client_of(clerk)
    page = client.get(reverse("admin:office_dossier_change", args=[dossier.pk]))
    assert page.status_code == 200
    assert "async-file-input" in page.content.decode()

    for answer in (asked(client, instanceId=str(dossier.pk)), opened(client, dossier)):
        assert answer.status_code == 403
        assert answer.json() == {
            "code": "permission_denied",
            "detail": "You have permission to do this for records of this kind, but not for this one.",
        }
    assert asked(client).status_code == 200  # a new record is nobody's yet


def test_person_without_any_permission_is_told_no_more_than_that(dossier: Dossier) -> None:
    answer = asked(client_of(User.objects.create_user("visitor")), instanceId=str(dossier.pk))

    assert (answer.status_code, answer.json()["detail"]) == (403, "You do not have permission to do this.")


def test_permission_for_the_record_opens_it(clerk: User, dossier: Dossier) -> None:
    for codename in ("office.change_dossier", "office.view_dossier"):
        assign_perm(codename, clerk, dossier)
    client = client_of(clerk)

    assert asked(client, instanceId=str(dossier.pk)).status_code == 200
    assert opened(client, dossier).status_code == 302


def test_with_the_documented_function_the_permission_on_the_model_opens_records(
    settings: Settings, clerk: User, dossier: Dossier
) -> None:
    settings.ASYNC_UPLOADS = {"RESOLVE_PERM_NAME": DOCUMENTED}
    client = client_of(clerk)

    assert asked(client, instanceId=str(dossier.pk)).status_code == 200
    assert opened(client, dossier).status_code == 302
    assert asked(client).status_code == 200


def test_with_the_documented_function_the_permission_for_a_record_opens_that_one_alone(
    settings: Settings, dossier: Dossier
) -> None:
    settings.ASYNC_UPLOADS = {"RESOLVE_PERM_NAME": DOCUMENTED}
    other = Dossier.objects.create(title="Another case")
    ada = User.objects.create_user("ada")
    assign_perm("office.change_dossier", ada, dossier)
    client = client_of(ada)

    assert asked(client, instanceId=str(dossier.pk)).status_code == 200
    assert asked(client, instanceId=str(other.pk)).status_code == 403
    assert asked(client).status_code == 403
    assert opened(client, dossier).status_code == 403
    assert asked(Client(), instanceId=str(dossier.pk)).status_code == 403


def test_documented_function_answers_for_each_action() -> None:
    seen: list[str] = []

    class Recorded(User):
        class Meta:
            proxy = True
            app_label = "testapp"

        def has_perm(self, perm: str, obj: Any = None) -> bool:
            seen.append(perm)
            return False

    for action in ("create", "update", "detail"):
        assert not on_model_or_record(Dossier, action, action == "create")(Recorded(), None)
    assert seen == ["office.add_dossier", "office.change_dossier", "office.view_dossier"]
