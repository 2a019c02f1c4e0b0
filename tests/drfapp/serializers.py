"""Serializers of every kind, as projects write them: the ready base class, a mapping of one's own, nested ones."""

from __future__ import annotations

from typing import Any

from rest_framework import serializers

from async_uploads import models
from async_uploads.drf import async_serializer
from async_uploads.drf.serializer import AsyncFileField, AsyncImageField, AsyncUploadsModelSerializer
from tests.drfapp.models import Cover, Note, Page, Shelf, Volume


class ShelfSerializer(AsyncUploadsModelSerializer):
    class Meta:
        model = Shelf
        fields = ["id", "title", "plan"]


class VolumeSerializer(AsyncUploadsModelSerializer):
    class Meta:
        model = Volume
        fields = ["id", "title", "text"]


class MappedVolumeSerializer(serializers.ModelSerializer):
    serializer_field_mapping = {
        **serializers.ModelSerializer.serializer_field_mapping,
        models.AsyncFileField: AsyncFileField,
        models.AsyncImageField: AsyncImageField,
    }

    class Meta:
        model = Volume
        fields = ["id", "title", "text"]


class PageSerializer(AsyncUploadsModelSerializer):
    class Meta:
        model = Page
        fields = ["id", "scan"]


class NoteSerializer(AsyncUploadsModelSerializer):
    class Meta:
        model = Note
        fields = ["id", "text"]


class CoverSerializer(AsyncUploadsModelSerializer):
    class Meta:
        model = Cover
        fields = ["picture", "width", "height"]
        read_only_fields = ["width", "height"]


class VolumeWithPagesSerializer(serializers.ModelSerializer):
    """Has no file of its own; ``pages`` under another name."""

    sheets = PageSerializer(many=True, source="pages")

    class Meta:
        model = Volume
        fields = ["id", "sheets"]


class FullShelfSerializer(AsyncUploadsModelSerializer):
    """A shelf with all that stands on it, saved together."""

    cover = CoverSerializer(required=False, allow_null=True)
    volumes = VolumeSerializer(many=True, required=False)

    class Meta:
        model = Shelf
        fields = ["id", "title", "plan", "cover", "volumes"]

    def update(self, instance: Any, validated_data: Any) -> Any:
        volumes: Any = self.fields["volumes"]
        for sent, validated in zip(
            self.initial_data.get("volumes", []), validated_data.pop("volumes", []), strict=True
        ):
            known = instance.volumes.filter(pk=sent.get("id")).first()
            if known is None:
                volumes.child.create({**validated, "shelf": instance})
            else:
                volumes.child.update(known, validated)
        return super().update(instance, validated_data)


class DeepShelfSerializer(serializers.ModelSerializer):
    volumes = VolumeWithPagesSerializer(many=True)

    class Meta:
        model = Shelf
        fields = ["id", "volumes"]


class PageOfVolumeSerializer(AsyncUploadsModelSerializer):
    """The file of the volume that the page is in, by a chain of sources."""

    text = AsyncFileField(source="volume.text")

    class Meta:
        model = Page
        fields = ["id", "text"]


class AsyncVolumeSerializer(async_serializer.AsyncUploadsModelSerializer):
    class Meta:
        model = Volume
        fields = ["id", "title", "text"]


class AsyncShelfSerializer(async_serializer.AsyncUploadsModelSerializer):
    volumes = AsyncVolumeSerializer(many=True, read_only=True)

    class Meta:
        model = Shelf
        fields = ["id", "title", "plan", "volumes"]
