"""The model fields: a file's name in a column, its upload taken by the save, its promotion after the commit."""

from async_uploads.fields.definitions import AsyncFileField, AsyncImageField
from async_uploads.fields.values import AsyncFieldFile, AsyncImageFieldFile

__all__ = ["AsyncFieldFile", "AsyncFileField", "AsyncImageField", "AsyncImageFieldFile"]
