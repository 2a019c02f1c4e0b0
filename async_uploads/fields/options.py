"""The options of the model fields and what can be assigned to them, as type checkers know them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Mapping
from typing import Any, TypeAlias, TypedDict

from django.core.files.base import File
from django.core.files.storage import Storage
from django.utils.functional import Promise

from async_uploads.fields.replacing import DeleteReplaced
from async_uploads.input import AsyncFileInputData
from async_uploads.permissions import Permission
from async_uploads.registry import AsyncFieldRegistry
from async_uploads.storage.validation import Validator

Assignable: TypeAlias = "AsyncFileInputData | File[Any] | str | None"
"""An upload, a file to be saved, the name of a stored file, or nothing, also where the column is not nullable."""

Text: TypeAlias = str | Promise
StorageOption: TypeAlias = Storage | Callable[[], Storage] | None
UploadTo: TypeAlias = "str | os.PathLike[str] | Callable[[Any, str], str | os.PathLike[str]]"


class FileOptions(TypedDict, total=False):
    """Ours, and those of Django's FileField that are given by keyword."""

    perm_create: Permission
    perm_update: Permission
    perm_detail: Permission
    max_size: float | None
    file_restrictions: Iterable[str]
    async_field_registry: AsyncFieldRegistry
    download_params: dict[str, Any] | None
    delete_replaced: DeleteReplaced
    upload_validators: Iterable[Validator]

    auto_created: bool
    blank: bool
    choices: Any
    db_column: str | None
    db_comment: str | None
    db_default: Any
    db_index: bool
    db_tablespace: str | None
    default: Any
    editable: bool
    error_messages: Mapping[str, Text] | None
    help_text: Text
    max_length: int | None
    null: bool
    serialize: bool
    unique: bool
    unique_for_date: str | None
    unique_for_month: str | None
    unique_for_year: str | None
    validators: Iterable[Callable[[Any], None]]


class ImageOptions(FileOptions, total=False):
    """Beside them, what ImageField takes by keyword only."""

    upload_to: UploadTo
    storage: StorageOption
