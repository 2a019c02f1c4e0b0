"""The fixtures of the pytest plugin ``async_uploads``.

It is loaded in every run where the package is installed, also before Django is set up and in projects without it: so
what it uses is imported when a test asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from async_uploads.storage.memory import MemoryAsyncUploadStorage
    from async_uploads.testing import MadeUpload, StatusRecorder


@pytest.fixture
def make_upload(db: None) -> Callable[..., MadeUpload]:
    """``make_upload(Document.file, b"content", "report.pdf")``: what the form field submits, and its ``key``."""
    return _testing().make_upload  # type: ignore[no-any-return]  # of a module that is imported late


@pytest.fixture
def amake_upload(db: None) -> Callable[..., Awaitable[MadeUpload]]:
    """``await amake_upload(…)``, for async tests; those that write need ``django_db(transaction=True)``."""
    return _testing().amake_upload  # type: ignore[no-any-return]  # as above


@pytest.fixture
def memory_uploads() -> Iterator[MemoryAsyncUploadStorage]:
    """Files of all async fields are kept in memory; the storage that keeps them."""
    with _testing().memory_uploads() as storage:
        yield storage


@pytest.fixture
def upload_statuses() -> Iterator[StatusRecorder]:
    """Records what watchers are told during the test."""
    with _testing().StatusRecorder() as recorder:
        yield recorder


def _testing() -> Any:
    return import_module("async_uploads.testing")
