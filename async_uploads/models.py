"""The names that people import: the row of an upload, the model fields, and the value a form hands in."""

from async_uploads.fields import AsyncFileField, AsyncImageField
from async_uploads.input import AsyncFileInputData
from async_uploads.promotion import promote_temp_files
from async_uploads.temp_files import AsyncTempFile

__all__ = ["AsyncFileField", "AsyncFileInputData", "AsyncImageField", "AsyncTempFile", "promote_temp_files"]
