"""AsyncUploadsModelSerializer for adrf: validated, saved and shown by ``await``."""

from __future__ import annotations

from typing import Any, ClassVar

from adrf.serializers import ModelSerializer
from asgiref.sync import sync_to_async

from async_uploads.drf import serializer
from async_uploads.drf.serializer import FIELD_MAPPING, key_errors_told


# As the one of ``async_uploads.drf.serializer``, with ``ais_valid`` beside adrf's ``asave`` and ``adata``.
# (A comment, as there.)
class AsyncUploadsModelSerializer(ModelSerializer, serializer.AsyncUploadsModelSerializer):
    serializer_field_mapping: ClassVar = {**ModelSerializer.serializer_field_mapping, **FIELD_MAPPING}

    async def ais_valid(self, *, raise_exception: bool = False) -> bool:
        """``is_valid`` in one hop to the thread of the database connection."""
        return await sync_to_async(self.is_valid)(raise_exception=raise_exception)

    async def asave(self, **kwargs: Any) -> Any:
        with key_errors_told(self.validated_data):
            return await super().asave(**kwargs)  # type: ignore[no-untyped-call]  # adrf's

    async def acreate(self, validated_data: Any) -> Any:
        with key_errors_told(validated_data):
            return await super().acreate(validated_data)  # type: ignore[no-untyped-call]  # adrf's

    async def aupdate(self, instance: Any, validated_data: Any) -> Any:
        with key_errors_told(validated_data):
            return await super().aupdate(instance, validated_data)  # type: ignore[no-untyped-call]  # adrf's
