"""The options of DRF's fields, as type checkers know them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, TypedDict

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise


class FieldOptions(TypedDict, total=False):
    """Those of ``serializers.Field``."""

    allow_null: bool
    default: Any
    error_messages: dict[str, StrOrPromise] | None
    help_text: StrOrPromise | None
    initial: Any
    label: StrOrPromise | None
    read_only: bool
    required: bool | None
    source: str | None
    style: dict[str, Any] | None
    validators: Sequence[Callable[..., Any]] | None
    write_only: bool
