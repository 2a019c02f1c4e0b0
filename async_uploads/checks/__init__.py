"""System checks: what is missing from the project, and what to do about it."""

from __future__ import annotations

from django.core import checks
from django.core.checks import Tags

from async_uploads.checks.fields import check_max_length, check_storages, check_urls
from async_uploads.checks.layers import check_channel_layer, check_layer_in_memory, check_layer_of_deployment
from async_uploads.checks.limits import check_body_limit, check_pixels, check_proxies
from async_uploads.checks.options import check_max_size, check_restrictions
from async_uploads.checks.project import (
    OWNER_MIDDLEWARE,
    SESSION_MIDDLEWARE,
    check_asgi,
    check_middleware,
)
from async_uploads.checks.queue import check_tasks
from async_uploads.checks.settings import check_functions, check_inline_types, check_numbers, check_settings
from async_uploads.checks.static import check_modules_are_hashed, check_modules_are_kept

__all__ = ["OWNER_MIDDLEWARE", "SESSION_MIDDLEWARE", "check_storages", "register_checks"]

TAG = "async_uploads"


def register_checks() -> None:
    for check in (
        check_settings,
        check_functions,
        check_numbers,
        check_inline_types,
        check_urls,
        check_channel_layer,
        check_layer_in_memory,
        check_asgi,
        check_middleware,
        check_storages,
        check_max_length,
        check_restrictions,
        check_max_size,
        check_body_limit,
        check_pixels,
        check_tasks,
    ):
        checks.register(check, TAG)
    # With the tag of staticfiles, so that collectstatic tells it.
    checks.register(check_modules_are_kept, TAG, Tags.staticfiles)
    for check in (check_layer_of_deployment, check_proxies, check_modules_are_hashed):
        checks.register(check, TAG, deploy=True)
