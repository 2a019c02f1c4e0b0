"""Who may upload to a field and read from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from inspect import isawaitable
from typing import Any, Literal, TypeAlias

from asgiref.sync import iscoroutinefunction, sync_to_async
from django.conf import settings
from django.contrib.auth import get_permission_codename
from django.contrib.auth.models import AnonymousUser
from django.db.models import Model
from django.http import HttpRequest
from django.utils.module_loading import import_string

from async_uploads.conf import upload_settings

Action: TypeAlias = Literal["create", "update", "detail"]
PermissionCheck: TypeAlias = Callable[[Any, Any], bool | Awaitable[bool]]
Permission: TypeAlias = str | PermissionCheck | None

CODENAME_OF_ACTION = {"create": "add", "update": "change", "detail": "view"}
DJANGO_BACKENDS = "django.contrib.auth.backends."


def resolve_perm_name(entity: type[Model], action: str, is_global: bool) -> str:
    """The permission for an action on a model: ``app.add_model``, ``app.change_model`` or ``app.view_model``.

    ``is_global`` tells that no object is involved (``create``). The setting ``RESOLVE_PERM_NAME``, a dotted
    path to a function of the same signature, replaces the default.
    """
    custom = upload_settings.RESOLVE_PERM_NAME
    if custom is not None:
        name: str = import_string(custom)(entity, action, is_global)
        return name
    codename = get_permission_codename(CODENAME_OF_ACTION.get(action, action), entity._meta)
    return f"{entity._meta.app_label}.{codename}"


async def aallows(permission: Permission, user: Any, record: Model | None) -> bool:
    """May ``user`` do what ``permission`` guards, on ``record`` where there is one?"""
    if permission is None:
        return True
    if isinstance(permission, str):
        obj = None if only_model_permissions() else record
        return bool(await user.ahas_perm(permission, obj))
    if iscoroutinefunction(permission):
        return bool(await permission(user, record))
    # An object that is async to call, or a lambda around one, hands on a coroutine, which would count as true.
    answer = await sync_to_async(partial(permission, user, record))()
    return bool(await answer if isawaitable(answer) else answer)


def only_model_permissions() -> bool:
    """Do all backends answer "no" to any question about an object, as Django's own do?"""
    return all(path.startswith(DJANGO_BACKENDS) for path in settings.AUTHENTICATION_BACKENDS)


async def auser_of_request(request: HttpRequest) -> Any:
    """The request's user; without authentication middleware everybody is anonymous."""
    if hasattr(request, "auser"):
        return await request.auser()
    return getattr(request, "user", None) or AnonymousUser()
