"""The list and the page of uploads. Rows are read-only: their moves belong to the state machine."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar

from django.contrib import admin, messages
from django.contrib.admin.utils import display_for_value, quote, unquote
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied, ValidationError
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.defaultfilters import filesizeformat
from django.urls import URLPattern, path, reverse
from django.utils.connection import ConnectionDoesNotExist
from django.utils.decorators import method_decorator
from django.utils.html import format_html
from django.utils.text import Truncator
from django.utils.timesince import timesince
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from async_uploads.admin.actions import LOGGED, TOLD, expire_now
from async_uploads.admin.filters import AgeFilter, FieldFilter
from async_uploads.admin.links import Links, links_of
from async_uploads.events import download_url
from async_uploads.promotion import Outcome, outcomes_of, retry_promotion
from async_uploads.temp_files import AsyncTempFile, State
from async_uploads.views.base import outside_of_transactions

if TYPE_CHECKING:
    from django_stubs_ext import StrOrPromise

    ModelAdmin = admin.ModelAdmin[AsyncTempFile]
else:
    ModelAdmin = admin.ModelAdmin  # generic in the stubs only

LONGEST_ERROR = 90


class UploadChangeList(ChangeList):
    """Finds out about the owners of the whole page at once."""

    def get_results(self, request: HttpRequest) -> None:
        super().get_results(request)
        Links(self.result_list, request, self.model_admin.admin_site)


# The promotion that an action does must not be inside a transaction that can still be rolled back.
@method_decorator(outside_of_transactions, name="changelist_view")
@admin.register(AsyncTempFile)
class AsyncTempFileAdmin(ModelAdmin):
    list_display: tuple[str, ...] = (
        "name",
        "state_and_error",
        "age",
        "size_shown",
        "for_field",
        "owner_link",
    )
    list_filter: ClassVar[tuple[Any, ...]] = ("state", AgeFilter, FieldFilter)
    list_per_page = 50
    show_full_result_count = False
    search_fields: ClassVar[tuple[str, ...]] = ("name", "key")
    search_help_text: ClassVar[StrOrPromise | None] = gettext_lazy("File name or key")
    date_hierarchy: ClassVar[str | None] = "created_at"
    actions: tuple[str, ...] = ("retry_promotion", "expire_now")
    fieldsets: ClassVar[Any] = (
        (None, {"fields": ("name", "state_badge", "size_shown", "for_field", "owner_link", "error")}),
        (gettext_lazy("What arrived"), {"fields": ("key", "content_type", "dimensions", "etag")}),
        (
            gettext_lazy("Promotion"),
            {"fields": ("record_pk", "record_db", "final_name", "attempts", "lease_until", "error_code")},
        ),
        (gettext_lazy("Times"), {"fields": ("created_at", "updated_at", "expires_at")}),
    )

    class Media:
        css: ClassVar[dict[str, list[str]]] = {"all": ["async_uploads/admin.css"]}

    # Who may what

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AsyncTempFile | None = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: AsyncTempFile | None = None) -> bool:
        """Deleting a row would orphan its bytes: the sweep expires uploads."""
        return False

    def has_retry_permission(self, request: HttpRequest) -> bool:
        return super().has_change_permission(request)

    def has_expire_permission(self, request: HttpRequest) -> bool:
        return super().has_delete_permission(request)

    # Actions

    @admin.action(description=gettext_lazy("Retry the promotion of selected uploads"), permissions=["retry"])
    def retry_promotion(self, request: HttpRequest, queryset: QuerySet[AsyncTempFile]) -> None:
        self._act(request, queryset, retry_promotion)

    @admin.action(description=gettext_lazy("Expire selected uploads now"), permissions=["expire"])
    def expire_now(self, request: HttpRequest, queryset: QuerySet[AsyncTempFile]) -> None:
        self._act(request, queryset, expire_now)

    def _act(
        self,
        request: HttpRequest,
        queryset: QuerySet[AsyncTempFile],
        act: Callable[[AsyncTempFile], Outcome],
    ) -> None:
        outcomes: Counter[Outcome] = Counter()
        for row, outcome in outcomes_of(act, list(queryset)):
            outcomes[outcome] += 1
            if outcome in LOGGED:
                self.log_change(request, row, f"{act.__name__}: {outcome.name.lower()}")
        for outcome, (level, words) in TOLD.items():
            if outcomes[outcome]:
                self.message_user(request, words % {"count": outcomes[outcome]}, level)

    # Pages

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        return UploadChangeList

    def get_object(
        self, request: HttpRequest, object_id: str, from_field: str | None = None
    ) -> AsyncTempFile | None:
        found = super().get_object(request, object_id, from_field)
        if found is not None:
            Links([found], request, self.admin_site)
        return found

    def get_urls(self) -> list[URLPattern]:
        file = path(
            "<path:object_id>/file/",
            self.admin_site.admin_view(self.file_view),
            name="async_uploads_asynctempfile_file",
        )
        return [file, *super().get_urls()]

    def file_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """To the file, if the record still has it; whether the person may read it, the download view decides."""
        row = self.get_object(request, unquote(object_id))
        if not self.has_view_permission(request, row):
            raise PermissionDenied
        name = _name_in_record(row) if row is not None else None
        if row is not None and name is not None and name in (row.key, row.final_name):
            return HttpResponseRedirect(download_url(row.field, row.record_pk, name))
        self.message_user(request, _("The record no longer has this file."), messages.WARNING)
        page = f"{self.admin_site.name}:async_uploads_asynctempfile_change"
        return HttpResponseRedirect(reverse(page, args=[quote(object_id)]))

    # Columns

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def state_badge(self, row: AsyncTempFile) -> str:
        return format_html(
            '<span class="async-upload-state" data-state="{}">{}</span>', row.state, row.get_state_display()
        )

    @admin.display(description=gettext_lazy("state"), ordering="state")
    def state_and_error(self, row: AsyncTempFile) -> str:
        """Together, so that the reason is in sight wherever the state is."""
        badge = self.state_badge(row)
        error = Truncator(row.error or row.error_code).chars(LONGEST_ERROR)
        return format_html('{}<span class="async-upload-error">{}</span>', badge, error) if error else badge

    @admin.display(description=gettext_lazy("size"), ordering="size")
    def size_shown(self, row: AsyncTempFile) -> str:
        if row.size is not None:
            return filesizeformat(row.size)
        if row.state == State.UPLOADING and row.total is not None:
            sizes = {"received": filesizeformat(row.received), "total": filesizeformat(row.total)}
            return _("%(received)s of %(total)s") % sizes
        return self._empty() if row.total is None else filesizeformat(row.total)

    @admin.display(description=gettext_lazy("dimensions"))
    def dimensions(self, row: AsyncTempFile) -> str:
        return f"{row.width} \N{MULTIPLICATION SIGN} {row.height}" if row.width else self._empty()

    @admin.display(description=gettext_lazy("for"), ordering="model")
    def for_field(self, row: AsyncTempFile) -> str:
        links = links_of(row)
        return format_html("{}{}", links.record(row), links.file(row))

    @admin.display(description=gettext_lazy("owner"), ordering="owner")
    def owner_link(self, row: AsyncTempFile) -> str:
        return links_of(row).owner(row) or self._empty()

    @admin.display(description=gettext_lazy("age"), ordering="-created_at")
    def age(self, row: AsyncTempFile) -> str:
        return format_html(
            '<time datetime="{}" title="{}">{}</time>',
            row.created_at.isoformat(),
            display_for_value(row.created_at, ""),
            timesince(row.created_at, depth=1),
        )

    def _empty(self) -> str:
        return self.get_empty_value_display()


def _name_in_record(row: AsyncTempFile) -> str | None:
    """What the record that took the upload has in its column; None where it is gone."""
    if not row.record_pk or not row.has_field:
        return None
    field = row.field
    try:
        pk = field.model._meta.pk.to_python(row.record_pk)
        records = field.model._base_manager.using(row.record_db or None).filter(pk=pk)
        name: str | None = records.values_list(field.attname, flat=True).first()
    except (ConnectionDoesNotExist, ValidationError, ValueError):
        return None  # of a database or a primary key that the project no longer has
    return name or None
