"""For the tests of projects and of storages: uploads without a browser, recorded statuses, the storage contract.

The fixtures of ``async_uploads.pytest_plugin`` come with pytest by themselves.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

from async_uploads.testing.statuses import StatusRecorder
from async_uploads.testing.uploads import MadeUpload, acommitting, amake_upload, make_upload, memory_uploads

if TYPE_CHECKING:
    from async_uploads.testing.contract import StorageContract, send

__all__ = [
    "MadeUpload",
    "StatusRecorder",
    "StorageContract",
    "acommitting",
    "amake_upload",
    "make_upload",
    "memory_uploads",
    "send",
]


if not TYPE_CHECKING:  # where it would stand for every name

    def __getattr__(name: str) -> Any:
        """The contract is made of pytest's tests; the rest is there for projects that test without pytest, too."""
        if name not in ("StorageContract", "send"):
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module("async_uploads.testing.contract"), name)
