"""The status socket: subscribe to keys, get their present status at once and every change after it."""

from async_uploads.consumers.status import UploadStatusConsumer

__all__ = ["UploadStatusConsumer"]
