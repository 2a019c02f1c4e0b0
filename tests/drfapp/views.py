"""An API in each style: DRF's viewsets, adrf's viewsets, adrf's generic views."""

from __future__ import annotations

from typing import Any

from adrf import generics, viewsets
from drf_spectacular.utils import extend_schema
from rest_framework import viewsets as sync_viewsets
from rest_framework.permissions import IsAuthenticated

from async_uploads.drf.async_serializer import AsyncUploadsModelSerializer
from tests.drfapp.models import Cover, Note, Shelf, Volume
from tests.drfapp.serializers import (
    AsyncShelfSerializer,
    AsyncVolumeSerializer,
    CoverSerializer,
    NoteSerializer,
    VolumeSerializer,
)
from tests.testapp.models import Album


class AlbumSerializer(AsyncUploadsModelSerializer):
    class Meta:
        model = Album
        fields = ["id", "booklet"]


class VolumeViewSet(viewsets.ModelViewSet):
    queryset = Volume.objects.all()
    serializer_class = AsyncVolumeSerializer

    @extend_schema(
        responses=AsyncVolumeSerializer(many=True)
    )  # drf-spectacular knows "list", not adrf's "alist"
    async def alist(self, *args: Any, **kwargs: Any) -> Any:
        return await super().alist(*args, **kwargs)  # type: ignore[no-untyped-call]  # adrf's


class AlbumViewSet(viewsets.ModelViewSet):
    queryset = Album.objects.order_by("pk")
    serializer_class = AlbumSerializer

    @extend_schema(responses=AlbumSerializer(many=True))
    async def alist(self, *args: Any, **kwargs: Any) -> Any:
        return await super().alist(*args, **kwargs)  # type: ignore[no-untyped-call]  # adrf's


class NoteViewSet(sync_viewsets.ModelViewSet):
    queryset = Note.objects.order_by("pk")
    serializer_class = NoteSerializer
    permission_classes = [IsAuthenticated]


class CoverViewSet(sync_viewsets.ReadOnlyModelViewSet):
    queryset = Cover.objects.order_by("pk")
    serializer_class = CoverSerializer


class SyncVolumeViewSet(sync_viewsets.ModelViewSet):
    queryset = Volume.objects.all()
    serializer_class = VolumeSerializer


class Shelves(generics.ListCreateAPIView):
    queryset = Shelf.objects.order_by("pk")
    serializer_class = AsyncShelfSerializer


class OneShelf(generics.RetrieveUpdateDestroyAPIView):
    queryset = Shelf.objects.all()
    serializer_class = AsyncShelfSerializer
