"""Forms, serializers and views."""

from __future__ import annotations

from typing import Any, assert_type

from django import forms
from django.urls import path

from async_uploads import forms as async_forms
from async_uploads.asgi import get_asgi_application
from async_uploads.drf import serializer
from async_uploads.drf.async_serializer import AsyncUploadsModelSerializer
from async_uploads.exceptions import UploadError
from async_uploads.models import AsyncFileInputData
from async_uploads.storage.filesystem import FileSystemAsyncUploadStorage
from async_uploads.storage.s3 import S3AsyncUploadStorage
from tests.typing.models import Letter, registry

file = async_forms.AsyncFileField(
    async_field_registry=registry,
    async_field_id="0123456789abcdef.scan",
    storage=FileSystemAsyncUploadStorage(),
    max_size=1024,
    file_restrictions=[".pdf"],
    required=False,
    label="Scan",
    help_text="As PDF",
    widget=async_forms.AsyncFileInput(attrs={"class": "wide"}),
)
async_forms.AsyncFileField(
    async_field_registry=registry,
    async_field_id="0123456789abcdef.scan",
    storage=FileSystemAsyncUploadStorage(),
    requierd=False,  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
)


class LetterForm(async_forms.AsyncModelFormMixin, forms.ModelForm[Letter]):
    class Meta:
        model = Letter
        fields = ["scan", "stamp"]


async def saved(form: LetterForm) -> None:
    if await form.ais_valid():
        assert_type(await form.asave(), Letter)


class LetterSerializer(AsyncUploadsModelSerializer):
    scan = serializer.AsyncFileField(required=False, allow_null=True, help_text="As PDF")
    stamp = serializer.AsyncImageField(source="elsewhere", read_only=True)

    class Meta:  # pyright: ignore[reportIncompatibleVariableOverride]  # as with DRF's own, by its stubs
        model = Letter
        fields = ["scan", "stamp"]


serializer.AsyncFileField(requierd=False)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]


async def shown(given: dict[str, Any]) -> Any:
    letter = LetterSerializer(data=given)
    assert_type(await letter.ais_valid(raise_exception=True), bool)
    await letter.asave()
    return await letter.adata


def what_forms_hand_on(submitted: str) -> AsyncFileInputData:
    given = AsyncFileInputData.from_json(submitted)
    assert_type(given.key, str)
    assert_type(given.width, int | None)
    given.key = ""  # type: ignore[misc]  # pyright: ignore[reportAttributeAccessIssue]
    return given


def refused(error: UploadError) -> None:
    assert_type(error.code, str)
    assert_type(error.status, int)
    assert_type(error.detail, str)


class PrivateStorage(S3AsyncUploadStorage):
    default_acl = "private"

    async def aexists(self, name: str) -> bool:
        return await super().aexists(name)


urlpatterns = [path("async-uploads/", registry.get_url_patterns())]
application = get_asgi_application()
