"""Records as offices keep them: known by UUIDs, some of them sealed, with parts that are edited in place."""

from __future__ import annotations

import uuid
from typing import ClassVar

from django.db import models

from async_uploads.models import AsyncFileField, AsyncImageField


class OpenDossiers(models.Manager["Dossier"]):
    def get_queryset(self) -> models.QuerySet[Dossier]:
        return super().get_queryset().filter(sealed=False)


class Dossier(models.Model):
    """Whoever asks the default manager does not learn of the sealed ones."""

    id = models.UUIDField(primary_key=True, default=uuid.uuid4, editable=False)
    title = models.CharField(max_length=100)
    sealed = models.BooleanField(default=False)
    file = AsyncFileField(upload_to="dossiers", blank=True)

    objects: ClassVar[models.Manager[Dossier]] = OpenDossiers()
    all_objects: ClassVar[models.Manager[Dossier]] = models.Manager()

    def __str__(self) -> str:
        return self.title


class Exhibit(models.Model):
    dossier = models.ForeignKey(Dossier, on_delete=models.CASCADE, related_name="exhibits")
    label = models.CharField(max_length=50, blank=True)
    file = AsyncFileField(upload_to="exhibits", max_size=2, file_restrictions=[".txt", ".pdf", "image/*"])

    def __str__(self) -> str:
        return self.label


class Photo(models.Model):
    dossier = models.ForeignKey(Dossier, on_delete=models.CASCADE, related_name="photos")
    caption = models.CharField(max_length=50, blank=True)
    width = models.PositiveIntegerField(null=True, editable=False)
    height = models.PositiveIntegerField(null=True, editable=False)
    image = AsyncImageField(
        upload_to="photos",
        width_field="width",
        height_field="height",
        help_text="As large as you have it, so that it can be printed.",
    )

    def __str__(self) -> str:
        return self.caption
