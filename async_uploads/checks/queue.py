"""Of the task queue that promotions are handed to."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from django.conf import settings
from django.core import checks

from async_uploads.conf import upload_settings

TASKS_DISPATCHER = "async_uploads.tasks.enqueue_promotion"
WITHOUT_WORKERS = {
    "DummyBackend": "keeps tasks and runs none: only the sweep promotes",
    "ImmediateBackend": "runs each task at once: promotion is done by the process that saves, as without it",
}


def check_tasks(**kwargs: Any) -> Iterator[checks.CheckMessage]:
    if upload_settings.PROMOTION_DISPATCHER != TASKS_DISPATCHER:
        return
    tasks: Any = getattr(settings, "TASKS", {}).get("default", {})
    backend = str(tasks.get("BACKEND", "ImmediateBackend"))  # Django's own default
    what = WITHOUT_WORKERS.get(backend.rpartition(".")[2])
    if what:
        yield checks.Warning(
            f"Promotions are handed to Django Tasks, whose backend {backend.rpartition('.')[2]} {what}.",
            hint="Use a backend that has workers, such as django_tasks_db.DatabaseBackend, in TASKS.",
            id="async_uploads.W012",
        )
