"""Azure Blob Storage."""

from async_uploads.storage.azure.backend import AzureAsyncUploadStorage

__all__ = ["AzureAsyncUploadStorage"]
