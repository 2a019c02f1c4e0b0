"""The views, all async. ``registry`` comes from the URLconf."""

from async_uploads.views.api import (
    CancelUploadView,
    CompleteUploadView,
    DownloadRedirectView,
    GenerateUploadUrlView,
    UploadStatusView,
)
from async_uploads.views.filesystem import DownloadDirectView, UploadDirectView

__all__ = [
    "CancelUploadView",
    "CompleteUploadView",
    "DownloadDirectView",
    "DownloadRedirectView",
    "GenerateUploadUrlView",
    "UploadDirectView",
    "UploadStatusView",
]
