"""Who may upload to a field and read from it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import cache
from inspect import isawaitable
from typing import Any, Literal, TypeAlias

from asgiref.sync import async_to_sync, iscoroutinefunction, sync_to_async
from django.contrib.auth import get_backends, get_permission_codename
from django.contrib.auth.backends import ModelBackend
from django.contrib.auth.models import AnonymousUser, PermissionsMixin
from django.core.exceptions import PermissionDenied
from django.db.models import Model
from django.http import HttpRequest
from django.utils.module_loading import import_string
from django.utils.translation import gettext as _

from async_uploads import exceptions
from async_uploads.conf import upload_settings
from async_uploads.granted import is_granted_to

Action: TypeAlias = Literal["create", "update", "detail"]
PermissionCheck: TypeAlias = Callable[[Any, Any], bool | Awaitable[bool]]
Permission: TypeAlias = str | PermissionCheck | None

CODENAME_OF_ACTION = {"create": "add", "update": "change", "detail": "view"}

DJANGOS_OWN = "django.contrib.auth."
DJANGO_BACKENDS = f"{DJANGOS_OWN}backends"
# Ways to answer a question about a permission, each with its async form; the first ones call the later ones.
ANSWERS = (
    ("has_perm", "ahas_perm"),
    ("get_all_permissions", "aget_all_permissions"),
    ("get_user_permissions", "aget_user_permissions"),
    ("get_group_permissions", "aget_group_permissions"),
    ("_get_permissions", "_aget_permissions"),
)
# What both forms of ModelBackend call, made to return a query; what a project puts in its place may run one.
QUERIES = ("_get_user_permissions", "_get_group_permissions")


def resolve_perm_name(entity: type[Model], action: str, is_global: bool) -> Permission:
    """The permission for an action on a model: ``app.add_model``, ``app.change_model`` or ``app.view_model``.

    ``is_global`` tells that no object is involved (``create``). The setting ``RESOLVE_PERM_NAME``, a dotted
    path to a function of the same signature, replaces the default; it may answer whatever a field takes.
    """
    custom = upload_settings.RESOLVE_PERM_NAME
    if custom is not None:
        permission: Permission = import_string(custom)(entity, action, is_global)
        return permission
    codename = get_permission_codename(CODENAME_OF_ACTION.get(action, action), entity._meta)
    return f"{entity._meta.app_label}.{codename}"


async def arequire(permission: Permission, user: Any, record: Model | None) -> None:
    """Raises PermissionDenied where ``aallows`` says no, with words for who would wonder why."""
    if await aallows(permission, user, record):
        return
    # As in the admin, which asks about models alone, and shows a form whose file nobody may then change.
    is_of_kind = record is not None and isinstance(permission, str) and await aallows(permission, user, None)
    raise _denied(user, is_of_kind=is_of_kind)


def require(permission: Permission, user: Any, record: Model | None) -> None:
    """Blocking form of ``arequire``, for a permission that ``is_decided_by_blocking``."""
    if allows(permission, user, record):
        return
    is_of_kind = record is not None and isinstance(permission, str) and allows(permission, user, None)
    raise _denied(user, is_of_kind=is_of_kind)


def _denied(user: Any, *, is_of_kind: bool) -> exceptions.PermissionDenied:
    if not getattr(user, "is_authenticated", True):
        return exceptions.PermissionDenied(_("You are not logged in. Please log in and try again."))
    if is_of_kind:
        return exceptions.PermissionDenied(
            _("You have permission to do this for records of this kind, but not for this one.")
        )
    return exceptions.PermissionDenied()


async def aallows(permission: Permission, user: Any, record: Model | None) -> bool:
    """May ``user`` do what ``permission`` guards, on ``record`` where there is one?

    Raises what a callable raises; Django's PermissionDenied among it, which the views answer with 403.
    """
    if is_decided_by_blocking(permission, user):
        return await sync_to_async(allows)(permission, user, record)
    if isinstance(permission, str):
        return await ahas_perm(user, permission, record)
    check: Any = permission
    return bool(await check(user, record))


def is_decided_by_blocking(permission: Permission, user: Any) -> bool:
    """Is there nothing async in it, so that one call in a thread can tell?"""
    if permission is None:
        return True
    if not isinstance(permission, str):
        return not iscoroutinefunction(permission)
    asked = get_backends() if _asks_its_backends(user) else [user]
    classes: list[Any] = [one.__class__ for one in asked]
    return all(_blocks_as_well(cls) for cls in classes)


def allows(permission: Permission, user: Any, record: Model | None) -> bool:
    """Blocking form of ``aallows``, for a permission that ``is_decided_by_blocking``."""
    if permission is None:
        return True
    if isinstance(permission, str):
        return _has_perm(user, permission, record)
    answer = permission(user, record)
    # An object that is async to call, or a lambda around one, hands on a coroutine, which would count as true.
    return bool(async_to_sync(_awaited)(answer) if isawaitable(answer) else answer)


async def _awaited(answer: Awaitable[bool]) -> bool:
    return await answer


def _has_perm(user: Any, name: str, record: Model | None) -> bool:
    """What ``ahas_perm`` answers."""
    backends = get_backends()
    obj = _asked_about(record, backends)
    if not _asks_its_backends(user):
        return hasattr(user, "has_perm") and bool(user.has_perm(name, obj))
    if user.is_active and user.is_superuser:
        return True
    for backend in backends:
        try:
            if _answers_yes(backend, user, name, obj):
                return True
        except PermissionDenied:  # as in Django: this backend's "no" is the last word
            return False
    return False


def _answers_yes(backend: Any, user: Any, name: str, obj: Model | None) -> bool:
    if not hasattr(backend, "has_perm"):
        return False
    # A user that has been asked about before has all of them at hand.
    asks_anew = type(backend) is ModelBackend and obj is None and not hasattr(user, "_perm_cache")
    if asks_anew and is_granted_to(user, name):
        return True
    return bool(backend.has_perm(user, name, obj))


async def ahas_perm(user: Any, name: str, record: Model | None) -> bool:
    """What ``user.has_perm(name, record)`` answers; on the event loop, as far as the backends can.

    Django's own ``ahas_perm`` passes over backends that have only the sync form, as those of guardian and rules, and
    over a sync form that a subclass has overridden. Where no backend knows object permissions, Django's would
    answer "no" for any record: the permission on the model is what is asked for then.
    """
    backends = get_backends()
    obj = _asked_about(record, backends)
    if not _asks_its_backends(user):
        return await _aasked(user, name, obj)
    if user.is_active and user.is_superuser:
        return True
    for backend in backends:
        try:
            if await _aasked(backend, user, name, obj):
                return True
        except PermissionDenied:  # as in Django: this backend's "no" is the last word
            return False
    return False


def _asked_about(record: Model | None, backends: list[Any]) -> Model | None:
    return record if any(knows_objects(backend) for backend in backends) else None


def knows_objects(backend: Any) -> bool:
    """Does a backend answer for single objects, or, as Django's own and what merely inherits theirs, only for models?

    One that has methods of its own, but asks only about models, says so with ``supports_object_permissions = False``.
    """
    said = getattr(backend, "supports_object_permissions", None)
    if said is not None:
        return bool(said)
    cls = type(backend)
    names = [name for pair in ANSWERS for name in pair if hasattr(cls, name)]
    return any(cls.__mro__[_depth(cls, name)].__module__ != DJANGO_BACKENDS for name in names)


async def auser_of_request(request: HttpRequest) -> Any:
    """The request's user; without authentication middleware everybody is anonymous.

    ``request.user`` and not ``auser()``, of which middleware for tokens and for impersonation knows nothing.
    """
    return await sync_to_async(user_of_request)(request)


def user_of_request(request: HttpRequest) -> Any:
    """Blocking form of ``auser_of_request``."""
    return getattr(request, "user", None) or AnonymousUser()  # asked for its truth, a lazy one loads itself


def _asks_its_backends(user: Any) -> bool:
    """Is it a user as Django makes them? A project's own class may decide by itself."""
    return any(
        all(getattr(user.__class__, name, None) is getattr(djangos, name) for name in ANSWERS[0])
        for djangos in (PermissionsMixin, AnonymousUser)
    )


async def _aasked(asked: Any, *question: Any) -> bool:
    """Ask a backend or a user, in the form that it has, or that it has overridden last."""
    if _prefers_async(asked.__class__):
        return bool(await asked.ahas_perm(*question))
    if not hasattr(asked, "has_perm"):
        return False
    return bool(await sync_to_async(asked.has_perm)(*question))


@cache
def _prefers_async(cls: type) -> bool:
    """Is the async form as new as the sync one? It is not where a subclass has overridden only the sync form."""
    if not hasattr(cls, "ahas_perm"):
        return False
    (sync_form, async_form), *inner = [(_depth(cls, one), _depth(cls, other)) for one, other in ANSWERS]
    if sync_form != async_form:
        return async_form < sync_form
    inner += [(_depth(cls, name), async_form) for name in QUERIES]
    return all(overridden >= min(twin, async_form) for overridden, twin in inner)


@cache
def _blocks_as_well(cls: Any) -> bool:
    """May the sync form be asked? It is the newer one, or both are Django's own, which do the same."""
    names = [name for pair in ANSWERS for name in pair if hasattr(cls, name)] + list(QUERIES)
    return not _prefers_async(cls) or all(
        _depth(cls, name) == len(cls.__mro__)
        or cls.__mro__[_depth(cls, name)].__module__.startswith(DJANGOS_OWN)
        for name in names
    )


def _depth(cls: type, name: str) -> int:
    """How far up in the inheritance of ``cls`` a method is defined; past its end where it is not."""
    return next((depth for depth, base in enumerate(cls.__mro__) if name in vars(base)), len(cls.__mro__))
