"""OpenAPI through drf-spectacular: what the fields take and answer, and what the views do.

Registers itself when it is imported, as the app ``async_uploads.drf`` does.
"""

from __future__ import annotations

from typing import Any

from drf_spectacular.extensions import OpenApiSerializerFieldExtension, OpenApiViewExtension
from drf_spectacular.plumbing import append_meta
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema, extend_schema_view
from rest_framework import serializers

from async_uploads.temp_files import State

TEXT = r"^[^\x00]*$"
HEADER = r"^[\x20-\x7e]*$"
PIXELS: dict[str, Any] = {"type": "integer", "minimum": 0, "maximum": 2**31 - 1}


class AsyncFileExtension(OpenApiSerializerFieldExtension):
    """One object for both ways: ``url`` is only answered, ``width`` and ``height`` are only taken."""

    target_class: str | type[object] | None = "async_uploads.drf.serializer.AsyncFileField"
    match_subclasses = True

    def get_name(self) -> str:
        return type(self.target).__name__.removesuffix("Field")

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        return {
            "type": "object",
            "properties": {
                "key": {
                    "type": "string",
                    "minLength": 1,
                    "description": "Of an upload, or of the record's own file",
                },
                "name": {"type": "string"},
                "url": append_meta({"type": "string", "format": "uri"}, {"nullable": True, "readOnly": True}),
                "width": append_meta(PIXELS, {"nullable": True, "writeOnly": True}),
                "height": append_meta(PIXELS, {"nullable": True, "writeOnly": True}),
            },
            "required": ["key", "name", "url"],
            "additionalProperties": False,
        }


####################################
# Shapes of the views
####################################


class UploadRequestSerializer(serializers.Serializer[Any]):
    fieldId: serializers.RegexField = serializers.RegexField(TEXT, min_length=1)  # noqa: N815  # as clients send it
    filename: serializers.RegexField = serializers.RegexField(TEXT, min_length=1)
    instanceId: serializers.RegexField = serializers.RegexField(  # noqa: N815
        TEXT, required=False, help_text="Of the record to be changed"
    )
    contentType: serializers.RegexField = serializers.RegexField(HEADER, required=False, max_length=255)  # noqa: N815
    size: serializers.IntegerField = serializers.IntegerField(
        required=False, min_value=0, max_value=2**63 - 1, help_text="Bytes"
    )


class UploadUrlSerializer(serializers.Serializer[Any]):
    url: serializers.URLField = serializers.URLField()
    method: serializers.CharField = serializers.CharField(
        help_text="PUT with the bytes as body, or POST of a form"
    )
    fields: serializers.DictField = serializers.DictField(  # type: ignore[assignment]  # DRF takes it out of the class
        child=serializers.CharField(), help_text="Go into the form, before the file"
    )
    headers: serializers.DictField = serializers.DictField(child=serializers.CharField())
    provider: serializers.CharField = serializers.CharField(help_text="filesystem, s3 or azure")
    fileFieldName: serializers.CharField = serializers.CharField(  # noqa: N815
        required=False, help_text="Of the file in the form"
    )


class UploadTicketSerializer(serializers.Serializer[Any]):
    key: serializers.CharField = serializers.CharField()
    uploadUrl: UploadUrlSerializer = UploadUrlSerializer()  # noqa: N815
    completeUrl: serializers.URLField = serializers.URLField()  # noqa: N815
    statusUrl: serializers.URLField = serializers.URLField()  # noqa: N815
    cancelUrl: serializers.URLField = serializers.URLField()  # noqa: N815
    expiresAt: serializers.DateTimeField = serializers.DateTimeField(allow_null=True)  # noqa: N815


class UploadKeySerializer(serializers.Serializer[Any]):
    key: serializers.RegexField = serializers.RegexField(TEXT, min_length=1)


class UploadFailureSerializer(serializers.Serializer[Any]):
    code: serializers.CharField = serializers.CharField()
    message: serializers.CharField = serializers.CharField()


class UploadStateField(serializers.ChoiceField):
    """Has a component of its own, so that drf-spectacular gives no general name such as StateEnum away for it."""


class UploadStateExtension(OpenApiSerializerFieldExtension):
    target_class: str | type[object] | None = UploadStateField

    def get_name(self) -> str:
        return "UploadState"

    def map_serializer_field(self, auto_schema: Any, direction: Any) -> dict[str, Any]:
        return {"type": "string", "enum": State.values}


class UploadStatusSerializer(serializers.Serializer[Any]):
    type: serializers.CharField = serializers.CharField(help_text="status")
    key: serializers.CharField = serializers.CharField()
    state: UploadStateField = UploadStateField(choices=State.choices)
    received: serializers.IntegerField = serializers.IntegerField(help_text="Bytes")
    total: serializers.IntegerField = serializers.IntegerField(allow_null=True, help_text="Bytes")
    name: serializers.CharField = serializers.CharField()
    url: serializers.URLField = serializers.URLField(allow_null=True)
    error: UploadFailureSerializer = UploadFailureSerializer(allow_null=True)
    seq: serializers.IntegerField = serializers.IntegerField(help_text="Grows with each change of the upload")
    at: serializers.DateTimeField = serializers.DateTimeField()


class UploadErrorSerializer(serializers.Serializer[Any]):
    code: serializers.CharField = serializers.CharField()
    detail: serializers.CharField = serializers.CharField()


INVALID: dict[str, Any] = {
    "type": "object",
    "additionalProperties": {
        "oneOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
    },
    "description": "What is wrong with each parameter; code and detail where the request can't be read at all.",
}
ERRORS = {
    401: "not_authenticated, authentication_failed",
    403: "permission_denied",
    404: "not_found",
    429: "throttled, too_many_uploads",
}
OF_BODIES = {
    413: "file_too_large: the body, or the size that was told",
    415: "unsupported_media_type: of the body",
}


def answers(success: dict[int, Any], errors: dict[int, str]) -> dict[int, Any]:
    told = {
        status: OpenApiResponse(UploadErrorSerializer, description=description)
        for status, description in sorted({**ERRORS, **errors}.items())
    }
    return {**success, 400: INVALID, **told}


def required(name: str) -> OpenApiParameter:
    return OpenApiParameter(name, {"type": "string", "minLength": 1, "pattern": TEXT}, required=True)


OPERATIONS: dict[str, dict[str, Any]] = {
    "GenerateUploadUrlView": {
        "post": extend_schema(
            summary="Ask for an upload URL",
            request=UploadRequestSerializer,
            responses=answers(
                {200: UploadTicketSerializer},
                {
                    **OF_BODIES,
                    415: "type_not_allowed, unsupported_media_type",
                    503: "storage_unavailable",
                },
            ),
        )
    },
    "CompleteUploadView": {
        "post": extend_schema(
            summary="Tell that the bytes have been sent to the cloud",
            request=UploadKeySerializer,
            responses=answers(
                {200: UploadStatusSerializer},
                {
                    **OF_BODIES,
                    409: "incomplete",
                    410: "expired",
                    415: "type_not_allowed, unsupported_media_type",
                    503: "storage_unavailable",
                },
            ),
        )
    },
    "CancelUploadView": {
        "post": extend_schema(
            summary="Give an upload up",
            request=UploadKeySerializer,
            responses=answers({204: None}, {**OF_BODIES, 409: "already_used"}),
        )
    },
    "UploadStatusView": {
        "get": extend_schema(
            summary="How far an upload is",
            parameters=[required("key")],
            responses=answers({200: UploadStatusSerializer}, {}),
        )
    },
    "DownloadRedirectView": {
        "get": extend_schema(
            summary="Read the file of a record",
            parameters=[required("field_id"), required("instance_id")],
            responses=answers(
                {302: OpenApiResponse(description="The file is where Location says")},
                {503: "storage_unavailable"},
            ),
        )
    },
}


def _describe(view: str, operations: dict[str, Any]) -> type[OpenApiViewExtension]:
    """The extension for one of the views and for what inherits from it; it registers itself."""

    class Extension(OpenApiViewExtension):
        target_class = f"async_uploads.drf.views.{view}"
        match_subclasses = True

        def view_replacement(self) -> Any:
            return extend_schema_view(**operations)(type(view, (self.target,), {}))

    return Extension


EXTENSIONS = [_describe(view, operations) for view, operations in OPERATIONS.items()]
