"""Of ASYNC_UPLOADS: names that there are, functions that can be imported, numbers that are some."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

from django.core import checks
from django.utils.module_loading import import_string

from async_uploads.checks.options import is_positive_number
from async_uploads.conf import SETTINGS_NAME, Setting, UploadSettings, configured
from async_uploads.inspection import NEVER_INLINE

MAY_BE_ZERO = ("MAX_PENDING_PER_OWNER", "PROGRESS_INTERVAL")
"""None at all, and no pause at all."""

MAY_BE_NONE = ("MAX_IMAGE_PIXELS", "MAX_PENDING_PER_ADDRESS", "UPLOAD_TIMEOUT")
"""No limit of ours."""

NUMBERS_WITHOUT_DEFAULT = ("MAX_IMAGE_PIXELS",)

FUNCTIONS = ("CLIENT_ADDRESS", "PROMOTION_DISPATCHER", "RESOLVE_PERM_NAME", "THROTTLE")


def check_settings(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    known = UploadSettings.names()
    for name in configured():
        if name in known:
            continue
        near = difflib.get_close_matches(name.upper(), known, n=1)
        hint = f"Did you mean {near[0]!r}?" if near else f"The known ones are {', '.join(known)}."
        yield checks.Error(
            f"{SETTINGS_NAME} has no setting {name!r}.", hint=hint, obj=SETTINGS_NAME, id="async_uploads.E001"
        )


def check_functions(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    for name in FUNCTIONS:
        path = configured().get(name)
        if path is None:
            continue
        problem = _problem_with(path)
        if problem:
            yield checks.Error(
                f"{SETTINGS_NAME}[{name!r}] = {path!r} can't be used: {problem}",
                hint="Name a function by its dotted path: 'project.uploads.function'.",
                obj=SETTINGS_NAME,
                id="async_uploads.E008",
            )


def check_numbers(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    for name, value in configured().items():
        setting = vars(UploadSettings).get(name)
        if not isinstance(setting, Setting):
            continue
        if not is_positive_number(setting.default) and name not in NUMBERS_WITHOUT_DEFAULT:
            continue
        if (name in MAY_BE_ZERO and value == 0) or (name in MAY_BE_NONE and value is None):
            continue
        if not is_positive_number(value):
            yield checks.Error(
                f"{SETTINGS_NAME}[{name!r}] = {value!r} is not a number above 0.",
                hint=f"The default is {setting.default}.",
                obj=SETTINGS_NAME,
                id="async_uploads.E009",
            )


def check_inline_types(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    for name in configured().get("INLINE_TYPES", ()):
        if str(name).lower() in NEVER_INLINE:
            yield checks.Warning(
                f"{SETTINGS_NAME}['INLINE_TYPES'] has {name!r}, which is never shown inline.",
                hint="Its scripts would run in the site's own name. It goes on being downloaded: take it out.",
                obj=SETTINGS_NAME,
                id="async_uploads.W020",
            )


def _problem_with(path: object) -> str | None:
    if not isinstance(path, str):
        return "it is no string."
    try:
        function = import_string(path)
    except Exception as error:  # noqa: BLE001  # whatever a module of the project raises while it is imported
        return f"{type(error).__name__}: {error}"
    return None if callable(function) else "it is no function."
