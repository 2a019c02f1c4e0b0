"""Uploads in Django's admin: to look at, to promote again, to expire."""

from async_uploads.admin.temp_files import AsyncTempFileAdmin

__all__ = ["AsyncTempFileAdmin"]
