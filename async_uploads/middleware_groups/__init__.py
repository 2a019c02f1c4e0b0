"""Middleware called in groups: one thread hop for all of them where Django's ASGI handler makes one for each hook."""

from async_uploads.middleware_groups.groups import BLOCKING_FORM, HookGroup
from async_uploads.middleware_groups.handler import GroupingASGIHandler, view_for

__all__ = ["BLOCKING_FORM", "GroupingASGIHandler", "HookGroup", "view_for"]
