"""Permissions that Django's own backend has given to a user, by one plain statement.

``ModelBackend`` reads all permissions of the user, and all of their groups, and looks for one among them. Who has it by
themselves is told here by an index; who has it by a group, or not at all, the backend tells.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from django.contrib.auth.models import Permission, PermissionsMixin
from django.contrib.contenttypes.models import ContentType
from django.db import connections, router


def is_granted_to(user: Any, name: str) -> bool:
    """Has the user the permission ``app_label.codename`` by themselves? Blocking."""
    model = user.__class__  # of a lazy one, too
    if not issubclass(model, PermissionsMixin) or not user.is_active:
        return False
    field: Any = model._meta.get_field("user_permissions")
    through = field.remote_field.through
    alias = router.db_for_read(through, instance=user)
    connection = connections[alias]
    pk = through._meta.get_field(field.m2m_field_name()).get_db_prep_save(user.pk, connection)
    app_label, _dot, codename = name.partition(".")
    with connection.cursor() as cursor:
        cursor.execute(_statement(model, alias), [pk, app_label, codename])
        return cursor.fetchone() is not None


@cache
def _statement(user_model: type[Any], alias: str) -> str:
    quote = connections[alias].ops.quote_name
    field: Any = user_model._meta.get_field("user_permissions")
    given, whose, what = map(
        quote,
        (field.remote_field.through._meta.db_table, field.m2m_column_name(), field.m2m_reverse_name()),
    )
    permission, of, code = map(quote, (Permission._meta.db_table, "content_type_id", "codename"))
    content_type, label, pk = map(quote, (ContentType._meta.db_table, "app_label", "id"))
    return (
        f"SELECT 1 FROM {given}"  # noqa: S608  # nosec B608  # names of Django's own tables
        f" INNER JOIN {permission} ON {permission}.{pk} = {given}.{what}"
        f" INNER JOIN {content_type} ON {content_type}.{pk} = {permission}.{of}"
        f" WHERE {given}.{whose} = %s AND {content_type}.{label} = %s AND {permission}.{code} = %s"
    )
