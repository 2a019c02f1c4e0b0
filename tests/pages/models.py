"""A story that must have its text, may have a picture, and any number of attachments."""

from __future__ import annotations

from typing import Any, ClassVar

from django.db import models

from async_uploads.models import AsyncFileField, AsyncImageField

OPEN: dict[str, Any] = {"perm_create": None, "perm_update": None, "perm_detail": None}


class Tag(models.Model):
    name = models.CharField(max_length=50)

    def __str__(self) -> str:
        return self.name


class Story(models.Model):
    title = models.CharField(max_length=20)
    text = AsyncFileField(upload_to="stories", max_size=8, help_text="As you wrote it.", **OPEN)
    picture = AsyncImageField(upload_to="pictures", blank=True, **OPEN)
    tags = models.ManyToManyField(Tag, blank=True)

    def __str__(self) -> str:
        return self.title


class Attachment(models.Model):
    story = models.ForeignKey(Story, on_delete=models.CASCADE, related_name="attachments")
    file = AsyncFileField(upload_to="attachments", max_size=8, file_restrictions=[".txt", "image/*"], **OPEN)

    class Meta:
        ordering: ClassVar = ["pk"]

    def __str__(self) -> str:
        return str(self.file)
