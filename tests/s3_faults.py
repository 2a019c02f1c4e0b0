"""Each verb of the storage on an S3 that does not let it: what it tells, and what it must not tell."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from botocore.config import Config
from django.core.files.base import ContentFile

from async_uploads.exceptions import StorageUnavailable
from async_uploads.storage.s3 import S3AsyncUploadStorage
from tests.s3_storage import (
    CONTENT,
    FIELD_ID,
    all_said_by,
    ticket_for,
)
from tests.servers.proxy import Proxy
from tests.servers.seaweedfs import S3Server

NAME = "documents/report.pdf"
TARGET = "documents/copy.pdf"
SECRETS = (
    "app-secret",
    "wrong-secret",
    "admin-secret",
    "a-session-token",
    "Signature=",
    "AWS4-HMAC",
    "app-key",
)
Verb = Callable[[S3AsyncUploadStorage], Coroutine[Any, Any, Any]]
READING: dict[str, Verb] = {
    "stat": lambda storage: storage.astat(NAME),
    "read": lambda storage: storage.aread_range(NAME, 0, 4),
    "copy": lambda storage: storage.acopy_file(NAME, TARGET),
}
WRITING: dict[str, Verb] = {
    "save": lambda storage: storage.asave(TARGET, ContentFile(CONTENT)),
    "delete": lambda storage: storage.adelete(NAME),
}
EVERY = {**READING, **WRITING}
SIGNING: dict[str, Verb] = {
    "upload": lambda storage: ticket_for(storage, NAME),
    "download": lambda storage: storage.agenerate_download_url(NAME, FIELD_ID),
}
every_verb = pytest.mark.parametrize("verb", EVERY.values(), ids=EVERY)
impatient = Config(connect_timeout=1, read_timeout=1, retries={"total_max_attempts": 1})


async def refusal(verb: Verb, storage: S3AsyncUploadStorage) -> str:
    """Why a verb fails; nothing that a log could make of the error tells a secret."""
    with pytest.raises(StorageUnavailable) as unavailable:
        await verb(storage)
    told = all_said_by(unavailable.value)
    assert not [secret for secret in SECRETS if secret in told], told
    assert unavailable.value.__cause__ is None
    assert unavailable.value.__context__ is None
    return unavailable.value.reason


def host_of(server: S3Server | Proxy) -> str:
    url = server.endpoint_url if isinstance(server, S3Server) else server.url
    return url.removeprefix("http://")
