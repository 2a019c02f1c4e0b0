"""Fields and their options."""

from __future__ import annotations

from pathlib import Path

from django.contrib.auth.models import AnonymousUser, User
from django.core.exceptions import ValidationError
from django.core.files.storage import storages
from django.db import models
from django.utils.translation import gettext_lazy as _

from async_uploads.models import AsyncFileField, AsyncImageField
from async_uploads.registry import AsyncFieldRegistry
from async_uploads.storage.filesystem import FileSystemAsyncUploadStorage
from async_uploads.storage.validation import ArrivedFile

registry = AsyncFieldRegistry("typed")


def folder_of(letter: Letter, filename: str) -> str:
    return f"letters/{letter.pk}/{filename}"


def is_staff(user: User | AnonymousUser, letter: Letter | None) -> bool:
    return user.is_staff


async def is_author(user: User | AnonymousUser, letter: Letter | None) -> bool:
    return letter is not None and letter.author == user.get_username()


async def refuse_viruses(file: ArrivedFile) -> None:
    async for chunk in file:
        if b"virus" in chunk:
            raise ValidationError("This file is infected.")


def count_pages(file: ArrivedFile) -> int:
    with file.open() as opened:
        return opened.read().count(b"\f") + file.size


def takes_nothing() -> None: ...


class Letter(models.Model):
    author: models.CharField[str, str] = models.CharField(max_length=100)
    scan = AsyncFileField(upload_to="scans")
    draft = AsyncFileField("Draft", None, folder_of, null=True, blank=True, help_text=_("If there is one"))
    stamp = AsyncImageField(upload_to="stamps", width_field="stamp_width", height_field="stamp_height")
    stamp_width: models.IntegerField[int | None, int | None] = models.IntegerField(null=True)
    stamp_height: models.IntegerField[int | None, int | None] = models.IntegerField(null=True)

    everything = AsyncFileField(
        _("everything"),
        upload_to=Path("letters"),
        storage=FileSystemAsyncUploadStorage(),
        perm_create=None,
        perm_update="letters.change_letter",
        perm_detail=is_staff,
        max_size=0.5,
        file_restrictions=["image/*", ".docx"],
        async_field_registry=registry,
        max_length=300,
        download_params={"ResponseCacheControl": "private"},
        delete_replaced="on_commit",
        upload_validators=[refuse_viruses, count_pages],
    )
    elsewhere = AsyncImageField(
        verbose_name=_("elsewhere"),
        storage=lambda: storages["default"],
        perm_detail=is_author,
        max_size=None,
        suppress_pillow_check=True,
    )

    def __str__(self) -> str:
        return self.author


def wrong_options() -> None:
    AsyncFileField(max_sise=3)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncFileField(max_size="3")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncFileField(upload_to=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncFileField(perm_create=False)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncFileField(perm_create=lambda user: True)  # type: ignore[arg-type,misc]  # pyright: ignore[reportArgumentType]
    AsyncFileField(delete_replaced="at_once")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncFileField(upload_validators=refuse_viruses)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncFileField(upload_validators=[takes_nothing])  # type: ignore[list-item]  # pyright: ignore[reportArgumentType]
    AsyncFileField(width_field="width")  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncFileField(suppress_pillow_check=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncFileField(primary_key=True)  # type: ignore[call-arg]  # pyright: ignore[reportCallIssue]
    AsyncImageField(width_field=3)  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    AsyncImageField(storage="default")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
