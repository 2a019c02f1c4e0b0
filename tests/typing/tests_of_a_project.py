"""``async_uploads.testing`` in a project's own tests."""

from __future__ import annotations

from typing import Any, assert_type

import pytest

from async_uploads import testing
from async_uploads.storage.base import AsyncUploadStorage
from async_uploads.storage.memory import MemoryAsyncUploadStorage
from async_uploads.testing import MadeUpload, StatusRecorder, StorageContract, make_upload, memory_uploads
from tests.typing.models import Letter


def uploads(letter: Letter) -> None:
    upload = make_upload(Letter.scan, b"%PDF-1.7", "scan.pdf", user=None)
    assert_type(upload, MadeUpload)
    assert_type(upload.key, str)
    letter.scan = upload.key
    make_upload(Letter._meta.get_field("scan"))
    make_upload(Letter.scan, "text")  # type: ignore[arg-type]  # pyright: ignore[reportArgumentType]
    testing.make_uplaod(Letter.scan)  # type: ignore[attr-defined]  # pyright: ignore[reportAttributeAccessIssue]


async def uploads_on_the_loop() -> None:
    assert_type(await testing.amake_upload(Letter.stamp, b"GIF89a", "stamp.gif"), MadeUpload)


def in_memory() -> None:
    with memory_uploads() as storage, StatusRecorder() as statuses:
        assert_type(storage, MemoryAsyncUploadStorage)
        assert_type(statuses, StatusRecorder)
        assert_type(statuses.states("key"), list[str])
        assert_type(statuses.statuses, list[dict[str, Any]])


class TestOwnStorage(StorageContract):
    @pytest.fixture
    def storage(self) -> AsyncUploadStorage:
        return MemoryAsyncUploadStorage()
