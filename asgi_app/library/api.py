"""The REST API, on the event loop: adrf's generic views, and the package's serializer, which knows the file fields.

A file goes in as `{"key", "name"}` of an upload, and comes out as `{"key", "name", "url"}`.
"""

from typing import Any

from adrf import generics
from adrf.views import APIView
from django.utils.translation import gettext_lazy as _
from drf_spectacular.views import SpectacularAPIView
from rest_framework import serializers
from rest_framework.permissions import SAFE_METHODS, BasePermission
from rest_framework.renderers import BrowsableAPIRenderer
from rest_framework.response import Response
from rest_framework.reverse import reverse

from asgi_app.library.models import Attachment, Document, may_change_document
from async_uploads.drf.async_serializer import AsyncUploadsModelSerializer


class AttachmentSerializer(AsyncUploadsModelSerializer):
    url = serializers.HyperlinkedIdentityField(view_name="api-attachment")

    class Meta:
        model = Attachment
        fields = ["id", "url", "document", "file"]

    def validate_document(self, document: Document) -> Document:
        if not may_change_document(self.context["request"].user, document):
            raise serializers.ValidationError(_("This document belongs to somebody else."))
        return document


class DocumentSerializer(AsyncUploadsModelSerializer):
    url = serializers.HyperlinkedIdentityField(view_name="api-document")
    owner: Any = serializers.StringRelatedField()
    attachments = AttachmentSerializer(many=True, read_only=True)

    class Meta:
        model = Document
        fields = ["id", "url", "title", "description", "file", "cover", "owner", "created_at", "attachments"]


class MayChangeOrReadOnly(BasePermission):
    """The rule of the pages: what belongs to an account is changed by nobody else."""

    def has_object_permission(self, request: Any, view: Any, obj: Any) -> bool:
        document = obj.document if isinstance(obj, Attachment) else obj
        return request.method in SAFE_METHODS or may_change_document(request.user, document)


class Root(APIView):
    """The document library as an API: with the session of the pages, or with a token."""

    name = "API"
    schema = None

    async def get(self, request: Any) -> Response:
        names = ["documents", "attachments", "schema"]
        return Response({name: reverse(f"api-{name}", request=request) for name in names})


class ParsedInThread(APIView):
    """Reads bodies in the thread in which adrf asks who is there; by itself it would read them on the event loop."""

    def initial(self, request: Any, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        self.request.data  # noqa: B018  # read now, and kept


class Documents(ParsedInThread, generics.ListCreateAPIView):
    """All documents. A new one belongs to whoever is logged in; what a visitor adds, anyone may change."""

    queryset = Document.objects.select_related("owner").prefetch_related("attachments")
    serializer_class = DocumentSerializer

    async def perform_acreate(self, serializer: Any) -> None:
        user = self.request.user
        await serializer.asave(owner=user if user.is_authenticated else None)


class OneDocument(ParsedInThread, generics.RetrieveUpdateDestroyAPIView):
    """A document, its files and its attachments. Deleted, it takes them along."""

    name = "Document"
    queryset = Documents.queryset
    serializer_class = DocumentSerializer
    permission_classes = [MayChangeOrReadOnly]


class Attachments(ParsedInThread, generics.ListCreateAPIView):
    """What is attached to documents, by whoever may change them."""

    queryset = Attachment.objects.all()
    serializer_class = AttachmentSerializer


class OneAttachment(ParsedInThread, generics.RetrieveUpdateDestroyAPIView):
    """A file that is attached to a document."""

    name = "Attachment"
    queryset = Attachment.objects.select_related("document")
    serializer_class = AttachmentSerializer
    permission_classes = [MayChangeOrReadOnly]


class Schema(SpectacularAPIView):
    """The API as OpenAPI describes it; for people, on a page like the others."""

    renderer_classes = [*SpectacularAPIView.renderer_classes, BrowsableAPIRenderer]
