"""What the list of uploads is narrowed down by. The choices cost no query."""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib.admin import SimpleListFilter
from django.db.models import Q, QuerySet
from django.http import HttpRequest
from django.utils import timezone
from django.utils.functional import Promise
from django.utils.text import capfirst
from django.utils.translation import gettext_lazy as _

from async_uploads.registry import all_registries
from async_uploads.temp_files import AsyncTempFile

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

Choices = list[tuple[str, str]]


def field_label(field: Any) -> str:
    """``Document · file``"""
    return f"{capfirst(field.model._meta.verbose_name)} · {field.verbose_name}"


class FieldFilter(SimpleListFilter):
    """The fields that the project has now."""

    title: StrOrPromise = _("field")
    parameter_name: str | None = "field"

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        fields = [field for registry in all_registries() for field in registry.fields_by_id.values()]
        named = {f"{field.model._meta.label_lower}.{field.name}": field_label(field) for field in fields}
        return sorted(named.items(), key=lambda choice: choice[1].casefold())

    def queryset(self, request: HttpRequest, queryset: QuerySet[AsyncTempFile]) -> QuerySet[AsyncTempFile]:
        model, _dot, field_name = (self.value() or "").rpartition(".")
        return queryset.filter(model=model, field_name=field_name) if model else queryset


class AgeFilter(SimpleListFilter):
    title: StrOrPromise = _("age")
    parameter_name: str | None = "age"

    choices_by_name: ClassVar[dict[str, tuple[str | Promise, str, timedelta]]] = {
        "hour": (_("Less than an hour"), "gt", timedelta(hours=1)),
        "day": (_("Less than a day"), "gt", timedelta(days=1)),
        "week": (_("Less than a week"), "gt", timedelta(weeks=1)),
        "older": (_("More than a week"), "lte", timedelta(weeks=1)),
    }

    def lookups(self, request: HttpRequest, model_admin: Any) -> Choices:
        return [(name, str(choice[0])) for name, choice in self.choices_by_name.items()]

    def queryset(self, request: HttpRequest, queryset: QuerySet[AsyncTempFile]) -> QuerySet[AsyncTempFile]:
        chosen = self.choices_by_name.get(self.value() or "")
        if chosen is None:
            return queryset
        _label, lookup, age = chosen
        return queryset.filter(Q((f"created_at__{lookup}", timezone.now() - age)))
