"""The upload widget in DRF's HTML forms: what it is told of the field, the record and the request."""

from __future__ import annotations

import re
from typing import Any

import pytest
from django.core.files.base import ContentFile
from django.test import RequestFactory
from rest_framework.renderers import HTMLFormRenderer

from tests.conftest import field_id_of
from tests.drfapp.models import Cover, Shelf, Volume
from tests.drfapp.serializers import CoverSerializer, FullShelfSerializer, ShelfSerializer, VolumeSerializer

pytestmark = [pytest.mark.django_db, pytest.mark.urls("tests.drfapp.urls")]


def form_of(serializer: Any) -> str:
    return str(HTMLFormRenderer().render(serializer.data, None, {}))


def elements_in(form: str) -> list[str]:
    return re.findall(r"<async-file-input.*?</async-file-input>", form, re.DOTALL)


def test_widget_uploads_to_the_field() -> None:
    (element,) = elements_in(form_of(VolumeSerializer()))

    assert f'field-id="{field_id_of(Volume, "text")}"' in element
    assert 'generate-url="/async-uploads/generate-upload-url/"' in element
    assert 'name="text" value=""' in element
    assert f'max-size="{1024 * 1024}"' in element
    assert "instance-id" not in element


def test_widget_of_a_record_names_it_and_its_file() -> None:
    volume = Volume.objects.create(text=ContentFile(b"x", name="report.txt"))

    (element,) = elements_in(form_of(VolumeSerializer(volume)))

    assert f'instance-id="{volume.pk}"' in element
    assert f"{{&quot;key&quot;: &quot;{volume.text.name}&quot;" in element
    assert f"instance_id\\u003D{volume.pk}" in element


def test_only_a_file_that_may_be_missing_can_be_cleared() -> None:
    (required,) = elements_in(form_of(VolumeSerializer()))
    (optional,) = elements_in(form_of(ShelfSerializer()))

    assert " clearable" not in required
    assert " clearable" in optional


def test_images_have_a_preview_and_are_all_that_can_be_chosen() -> None:
    (element,) = elements_in(form_of(CoverSerializer()))

    assert 'kind="image"' in element
    assert 'accept="image/*"' in element


def test_child_in_a_form_is_sent_under_its_parent() -> None:
    shelf = Shelf.objects.create(title="x")
    cover = Cover(shelf=shelf)
    Cover.objects.bulk_create([cover])

    plan, picture = elements_in(form_of(FullShelfSerializer(shelf)))

    assert 'name="plan"' in plan
    assert 'name="cover.picture"' in picture
    assert f'instance-id="{cover.pk}"' in picture


@pytest.mark.urls("rest_framework.urls")
def test_where_a_browser_can_upload_to_no_url_the_value_is_written_by_hand() -> None:
    form = form_of(VolumeSerializer())

    assert elements_in(form) == []
    assert 'type="text"' in form


def test_form_brings_the_csrf_token_where_the_request_is_known() -> None:
    request = RequestFactory().get("/")

    known = form_of(VolumeSerializer(context={"request": request}))
    unknown = form_of(VolumeSerializer())

    assert re.search(r'name="csrfmiddlewaretoken" value="\w{64}"', known)
    assert request.META["CSRF_COOKIE_NEEDS_UPDATE"]
    assert "csrfmiddlewaretoken" not in unknown
