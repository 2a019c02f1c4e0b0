"""Promotion on Django Tasks: django.tasks of Django 6, or the backport django-tasks.

``PROMOTION_DISPATCHER = "async_uploads.tasks.enqueue_promotion"``
"""

from __future__ import annotations

from typing import Any

import django

from async_uploads.promotion import promote_inline
from async_uploads.temp_files import AsyncTempFile, State

if django.VERSION >= (6, 0):
    from django.tasks import task
else:
    from django_tasks import task  # type: ignore[no-redef]  # the other one, as django-stubs know only the first


@task()
def promote(key: str) -> None:
    """Promote the upload. After a failure it is enqueued again for when its back-off is over, where a backend can wait;
    else the sweep tries again."""
    before = AsyncTempFile.with_key(key)
    promote_inline(key)
    temp_file = AsyncTempFile.with_key(key)
    if before is None or temp_file is None or temp_file.state != State.PROMOTING or not temp_file.error_code:
        return
    if (
        temp_file.attempts == before.attempts
    ):  # delivered twice: the other one has made the attempt, and goes on
        return
    again: Any = promote
    if again.get_backend().supports_defer:
        again.using(run_after=temp_file.lease_until).enqueue(key)


def enqueue_promotion(key: str) -> None:
    """A PROMOTION_DISPATCHER; raises what the backend raises."""
    promote.enqueue(key)
