"""The storages of the package pass the contract that it offers to everybody's."""

from __future__ import annotations

from pathlib import Path

import pytest

from async_uploads.storage.base import AsyncUploadStorage
from async_uploads.storage.filesystem import FileSystemAsyncUploadStorage
from async_uploads.storage.memory import MemoryAsyncUploadStorage
from async_uploads.testing import StorageContract
from tests.clouds import azure_cloud
from tests.s3_storage import storage_on
from tests.servers.azurite import AzureServer
from tests.servers.seaweedfs import S3Server


class TestMemory(StorageContract):
    @pytest.fixture
    def storage(self) -> AsyncUploadStorage:
        return MemoryAsyncUploadStorage()


class TestFileSystem(StorageContract):
    @pytest.fixture
    def storage(self, tmp_path: Path) -> AsyncUploadStorage:
        return FileSystemAsyncUploadStorage(location=tmp_path)


class TestS3(StorageContract):
    @pytest.fixture
    def storage(self, seaweedfs: S3Server) -> AsyncUploadStorage:
        return storage_on(seaweedfs)  # with the patience of use: of eight at once, some wait for seconds


class TestAzure(StorageContract):
    @pytest.fixture
    def storage(self, azurite: AzureServer) -> AsyncUploadStorage:
        return azure_cloud(azurite).storage
