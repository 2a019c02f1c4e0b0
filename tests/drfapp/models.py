"""A shelf with volumes, a volume with pages: records that are edited together, two levels deep."""

from __future__ import annotations

from typing import Any, ClassVar

from django.core.validators import FileExtensionValidator
from django.db import models

from async_uploads.models import AsyncFileField, AsyncImageField

OPEN: dict[str, Any] = {"perm_create": None, "perm_update": None, "perm_detail": None}


class Shelf(models.Model):
    title = models.CharField(max_length=100)
    plan = AsyncFileField(upload_to="plans", blank=True, **OPEN)

    def __str__(self) -> str:
        return self.title


class Cover(models.Model):
    shelf = models.OneToOneField(Shelf, on_delete=models.CASCADE)
    picture = AsyncImageField(upload_to="covers", width_field="width", height_field="height", **OPEN)
    width = models.PositiveIntegerField(null=True)
    height = models.PositiveIntegerField(null=True)


class Volume(models.Model):
    shelf = models.ForeignKey(Shelf, on_delete=models.CASCADE, related_name="volumes", null=True)
    title = models.CharField(max_length=100, blank=True)
    text = AsyncFileField(upload_to="volumes", max_length=200, max_size=1, **OPEN)

    class Meta:
        ordering: ClassVar = ["pk"]

    def __str__(self) -> str:
        return self.title


class Page(models.Model):
    volume = models.ForeignKey(Volume, on_delete=models.CASCADE, related_name="pages")
    scan = AsyncFileField(upload_to="pages", validators=[FileExtensionValidator(["txt"])], **OPEN)


class Note(models.Model):
    """For members alone: Django's default permissions."""

    text = AsyncFileField(upload_to="notes", max_size=1)
