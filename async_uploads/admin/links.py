"""Where an upload's owner, record and file are found in the admin: for a whole page of uploads, with one query."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from django.contrib.admin import AdminSite
from django.contrib.admin.utils import quote
from django.contrib.auth import get_user_model
from django.core.exceptions import ValidationError
from django.db import models
from django.http import HttpRequest
from django.urls import reverse
from django.utils.html import format_html
from django.utils.translation import gettext as _

from async_uploads.admin.filters import field_label
from async_uploads.owners import SESSION_PREFIX, USER_PREFIX
from async_uploads.temp_files import AsyncTempFile, State

LINKS = "_async_uploads_links"


class Links:
    """What the person behind ``request`` may follow. Made for a request, with the users of all of its rows."""

    def __init__(self, rows: Iterable[AsyncTempFile], request: HttpRequest, site: AdminSite) -> None:
        rows = list(rows)
        self._request = request
        self._site = site
        self._users = _users_by_identity({row.owner for row in rows})
        self._visible: dict[type[models.Model], bool] = {}
        for row in rows:
            row.__dict__[LINKS] = self

    def owner(self, row: AsyncTempFile) -> str:
        """Empty where there is none."""
        if row.owner.startswith(SESSION_PREFIX):  # enough of it to tell visitors apart
            return _("visitor %(token)s") % {"token": row.owner.removeprefix(SESSION_PREFIX)[:6]}
        if not row.owner.startswith(USER_PREFIX):
            return row.owner
        user = self._users.get(row.owner)
        if user is None:
            return _("deleted user %(pk)s") % {"pk": row.owner.removeprefix(USER_PREFIX)}
        return self._linked(type(user), user.pk, str(user))

    def record(self, row: AsyncTempFile) -> str:
        """The field that the upload is for; leads to the record that has taken it."""
        if not row.has_field:
            return f"{row.model}.{row.field_name}"
        label = field_label(row.field)
        return self._linked(row.field.model, row.record_pk, label) if row.record_pk else label

    def file(self, row: AsyncTempFile) -> str:
        """To the file of that record; empty where no record has taken the upload."""
        taken = row.state in (State.PROMOTING, State.PROMOTED) or row.failed_in_promotion
        if not taken or not row.record_pk or not row.has_field:
            return ""
        url = reverse(f"{self._site.name}:async_uploads_asynctempfile_file", args=[row.pk])
        return format_html(' <a class="async-upload-file" href="{}">{}</a>', url, _("Open the file"))

    def _linked(self, model: type[models.Model], pk: Any, text: str) -> str:
        if not self._may_see(model):
            return text
        page = f"{self._site.name}:{model._meta.app_label}_{model._meta.model_name}_change"
        return format_html('<a href="{}">{}</a>', reverse(page, args=[quote(str(pk))]), text)

    def _may_see(self, model: type[models.Model]) -> bool:
        if model not in self._visible:
            self._visible[model] = self._site.is_registered(model) and self._site.get_model_admin(
                model
            ).has_view_or_change_permission(self._request)
        return self._visible[model]


def links_of(row: AsyncTempFile) -> Links:
    links: Links = row.__dict__[LINKS]
    return links


def _users_by_identity(identities: set[str]) -> dict[str, Any]:
    """The users among these owners, by what their uploads call them."""
    users = get_user_model()
    pks = []
    for identity in identities:
        if identity.startswith(USER_PREFIX):
            try:
                pks.append(users._meta.pk.to_python(identity.removeprefix(USER_PREFIX)))
            except ValidationError:
                continue  # of another user model than today's
    return {f"{USER_PREFIX}{user.pk}": user for user in users._base_manager.filter(pk__in=pks)} if pks else {}
