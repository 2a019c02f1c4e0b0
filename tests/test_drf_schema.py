"""OpenAPI: what drf-spectacular tells of the fields and views is what they do."""

from __future__ import annotations

import json
from typing import Any

import pytest
import schemathesis
from django.contrib.auth.models import User
from django.core.files.base import ContentFile
from django.test import Client
from drf_spectacular.drainage import GENERATOR_STATS
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.settings import patched_settings
from drf_spectacular.validation import validate_schema
from hypothesis import HealthCheck, assume, given, settings
from rest_framework.authtoken.models import Token
from schemathesis.checks import CHECKS, load_all_checks

from async_uploads.models import AsyncTempFile
from async_uploads.owners import Owner
from tests.arrivals import arrived, begun
from tests.asgi import application
from tests.conftest import field_id_of
from tests.drfapp.models import Volume

pytestmark = [pytest.mark.django_db(transaction=True), pytest.mark.urls("tests.drfapp.urls")]


def described(**spectacular: Any) -> Any:
    with patched_settings(spectacular), GENERATOR_STATS.silence():
        return SchemaGenerator().get_schema(request=None, public=True)


####################################
# What is told
####################################


@pytest.mark.parametrize("version", ["3.0.3", "3.1.0"])
@pytest.mark.parametrize("split", [False, True])
def test_the_schema_is_valid_and_nothing_in_it_was_guessed(version: str, split: bool) -> None:
    GENERATOR_STATS.reset()

    validate_schema(described(OAS_VERSION=version, COMPONENT_SPLIT_REQUEST=split))

    assert (dict(GENERATOR_STATS._warn_cache), dict(GENERATOR_STATS._error_cache)) == ({}, {})


def test_a_file_is_one_object_with_what_goes_each_way() -> None:
    schema = described()["components"]["schemas"]["AsyncFile"]

    assert schema["required"] == ["key", "name", "url"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["url"] == {
        "type": "string",
        "format": "uri",
        "nullable": True,
        "readOnly": True,
    }
    assert schema["properties"]["width"]["writeOnly"] is True
    assert set(schema["properties"]) == {"key", "name", "url", "width", "height"}


def test_an_optional_file_may_be_null_and_a_required_one_may_not() -> None:
    schemas = described()["components"]["schemas"]

    assert schemas["Volume"]["properties"]["text"] == {"$ref": "#/components/schemas/AsyncFile"}
    assert schemas["AsyncShelf"]["properties"]["plan"] == {
        "allOf": [{"$ref": "#/components/schemas/AsyncFile"}],
        "nullable": True,
    }
    assert schemas["Cover"]["properties"]["picture"] == {"$ref": "#/components/schemas/AsyncImage"}


def test_the_serializers_of_a_project_are_not_described_in_our_words() -> None:
    assert "description" not in described()["components"]["schemas"]["Volume"]


def test_a_view_that_inherits_is_described_as_well() -> None:
    from django.urls import path

    from async_uploads.drf import views

    class MyStatus(views.UploadStatusView):
        pass

    schema = SchemaGenerator(patterns=[path("mine/", MyStatus.as_view())]).get_schema(
        request=None, public=True
    )

    answer = schema["paths"]["/mine/"]["get"]["responses"]["200"]
    assert answer["content"]["application/json"]["schema"] == {"$ref": "#/components/schemas/UploadStatus"}


####################################
# What is done: schemathesis asks as the schema says, and holds the answers against it
####################################

UPLOADS = "/api/uploads/"


@pytest.fixture
def ada() -> User:
    return User.objects.create(username="ada")


@pytest.fixture
def schema() -> Any:
    return schemathesis.openapi.from_asgi("/api/schema/?format=json", application)


load_all_checks()
CHECK = {check.__name__: check for check in CHECKS.get_all()}
# Values that are right in themselves may be refused for what they name: an upload that is over, a size too large.
OF_ANSWERS = [check for name, check in CHECK.items() if name != "positive_data_acceptance"]
# Which statuses a project's own views answer with, is the project's to tell.
OF_SHAPES = [CHECK["not_a_server_error"], CHECK["response_schema_conformance"]]


def exercise(operation: Any, user: User, *, checks: Any = None, **known: Any) -> set[int]:
    """Ask again and again, always the same, with the ``known`` values among what is made up; returns the statuses."""
    headers = {"Authorization": f"Token {Token.objects.get_or_create(user=user)[0].key}"}
    statuses = set()

    @settings(
        max_examples=10 if "key" in known else 25,
        derandomize=True,
        deadline=None,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case: Any) -> None:
        # Objects within a form that is not multipart are nothing that DRF can read.
        assume(case.media_type != "application/x-www-form-urlencoded" or "text" not in known)
        values = case.body if isinstance(case.body, dict) else case.query
        values.update({name: value() if callable(value) else value for name, value in known.items()})
        statuses.add(case.call_and_validate(headers=headers, checks=checks).status_code)

    ask()
    return statuses


@pytest.mark.parametrize(
    ("path", "method"),
    [
        ("generate-upload-url/", "POST"),
        ("complete-upload/", "POST"),
        ("cancel-upload/", "POST"),
        ("upload-status/", "GET"),
        ("download-file/", "GET"),
    ],
)
def test_made_up_requests_are_answered_as_the_schema_says(
    schema: Any, ada: User, path: str, method: str
) -> None:
    assert exercise(schema[f"{UPLOADS}{path}"][method], ada) == {404}


def test_tickets_are_as_the_schema_says(schema: Any, ada: User, settings: Any) -> None:
    settings.ASYNC_UPLOADS = {"MAX_PENDING_PER_OWNER": 10}
    operation = schema[f"{UPLOADS}generate-upload-url/"]["POST"]

    wanted = {"fieldId": field_id_of(Volume, "text"), "filename": "report.pdf", "instanceId": "", "size": 7}
    statuses = exercise(operation, ada, **wanted)

    assert statuses == {200, 429}
    assert AsyncTempFile.objects.count() == 10


def test_tickets_for_names_records_and_sizes_of_any_kind_are_as_the_schema_says(
    schema: Any, ada: User
) -> None:
    operation = schema[f"{UPLOADS}generate-upload-url/"]["POST"]

    statuses = exercise(operation, ada, checks=OF_ANSWERS, fieldId=field_id_of(Volume, "text"))

    assert {200, 404} <= statuses <= {200, 400, 404, 413}


def test_statuses_are_as_the_schema_says(schema: Any, ada: User) -> None:
    owner = Owner(user=f"user:{ada.pk}")
    saved = arrived(model=Volume, field="text", owner=owner)
    Volume.objects.create(text=saved)
    begun_one, arrived_one = begun(owner=owner).key, arrived(owner=owner)

    def answers(view: str, method: str, key: str) -> set[int]:
        return exercise(schema[f"{UPLOADS}{view}/"][method], ada, checks=OF_ANSWERS, key=key)

    for key in (begun_one, arrived_one, saved):
        assert answers("upload-status", "GET", key) == {200}
    assert answers("complete-upload", "POST", begun_one) == {409}
    assert answers("complete-upload", "POST", arrived_one) == {200}
    assert answers("cancel-upload", "POST", arrived_one) == {204}
    assert answers("complete-upload", "POST", arrived_one) == {410}
    assert answers("cancel-upload", "POST", saved) == {409}


def test_redirects_are_as_the_schema_says(schema: Any, ada: User) -> None:
    volume = Volume.objects.create(text=ContentFile(b"x", name="x.txt"))
    operation = schema[f"{UPLOADS}download-file/"]["GET"]

    assert exercise(operation, ada, field_id=field_id_of(Volume, "text"), instance_id=str(volume.pk)) == {302}


@pytest.mark.parametrize("path", ["/api/volumes/", "/api/sync-volumes/", "/api/shelves/"])
def test_made_up_files_are_never_a_failure_of_the_server(schema: Any, ada: User, path: str) -> None:
    assert exercise(schema[path]["POST"], ada, checks=OF_SHAPES) <= {201, 400}


@pytest.mark.parametrize("path", ["/api/volumes/", "/api/sync-volumes/"])
def test_files_are_taken_and_answered_as_the_schema_says(schema: Any, ada: User, path: str) -> None:
    def upload() -> dict[str, Any]:
        return {"key": arrived(model=Volume, field="text"), "name": "report.txt", "width": None, "height": 5}

    assert exercise(schema[path]["POST"], ada, checks=OF_SHAPES, title="x", text=upload) == {201}
    assert exercise(schema[path]["GET"], ada, checks=OF_SHAPES) == {200}


def test_what_is_answered_can_be_sent_back_as_the_schema_says() -> None:
    volume = Volume.objects.create(text=ContentFile(b"x", name="x.txt"))
    client = Client()
    shown = client.get(f"/api/sync-volumes/{volume.pk}/").json()

    answer = client.put(f"/api/sync-volumes/{volume.pk}/", json.dumps(shown), content_type="application/json")

    assert (answer.status_code, answer.json()) == (200, shown)
