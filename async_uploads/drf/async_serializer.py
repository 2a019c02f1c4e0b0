"""AsyncUploadsModelSerializer for adrf: validated, saved and shown by ``await``."""

from __future__ import annotations

from collections.abc import Awaitable
from typing import TYPE_CHECKING, Any, ClassVar

from asgiref.sync import sync_to_async
from rest_framework import serializers

from async_uploads.drf import serializer
from async_uploads.drf.serializer import FIELD_MAPPING, FieldMapping, key_errors_told

if TYPE_CHECKING:

    class ModelSerializer(serializers.ModelSerializer[Any]):  # adrf's has no types
        @property
        def adata(self) -> Awaitable[Any]: ...
        async def asave(self, **kwargs: Any) -> Any: ...
        async def acreate(self, validated_data: Any) -> Any: ...
        async def aupdate(self, instance: Any, validated_data: Any) -> Any: ...
        async def ato_representation(self, instance: Any) -> Any: ...

else:
    from adrf.serializers import ModelSerializer


# As the one of ``async_uploads.drf.serializer``, with ``ais_valid`` beside adrf's ``asave`` and ``adata``.
# (A comment, as there.)
class AsyncUploadsModelSerializer(ModelSerializer, serializer.AsyncUploadsModelSerializer):
    serializer_field_mapping: ClassVar[FieldMapping] = {
        **ModelSerializer.serializer_field_mapping,
        **FIELD_MAPPING,
    }

    async def ais_valid(self, *, raise_exception: bool = False) -> bool:
        """``is_valid`` in one hop to the thread of the database connection."""
        return await sync_to_async(self.is_valid)(raise_exception=raise_exception)

    async def asave(self, **kwargs: Any) -> Any:
        with key_errors_told(self.validated_data):
            return await super().asave(**kwargs)

    async def acreate(self, validated_data: Any) -> Any:
        with key_errors_told(validated_data):
            return await super().acreate(validated_data)

    async def aupdate(self, instance: Any, validated_data: Any) -> Any:
        with key_errors_told(validated_data):
            return await super().aupdate(instance, validated_data)
