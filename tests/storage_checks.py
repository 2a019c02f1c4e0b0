"""The command check_async_storage as a person runs it, and what it told them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import StringIO
from secrets import token_hex
from typing import Any

from azure.storage.blob import CorsRule
from django.core.management import CommandError, call_command

from tests.servers.azurite import AzureServer
from tests.servers.seaweedfs import Credentials, S3Server

S3 = "async_uploads.storage.s3.S3AsyncUploadStorage"
AZURE = "async_uploads.storage.azure.AzureAsyncUploadStorage"
LINE = re.compile(r"^  (ok|wrong|skipped) +([^:\n]+(?:: ?//[^:\n]+(?::\d+)?[^:\n]*)?)", re.MULTILINE)


@dataclass(frozen=True)
class Checked:
    """``code`` is the exit code; ``lines`` what was written for each step."""

    code: int
    out: str
    errors: str

    @property
    def told(self) -> str:
        return self.out + self.errors

    def steps(self, outcome: str) -> list[str]:
        """The steps that went so, in their order: ``ok``, ``wrong`` or ``skipped``."""
        return [step for how, step in LINE.findall(self.told) if how == outcome]

    def line(self, step: str) -> str:
        """The line of one step, or its beginning."""
        found = re.search(rf"^  \w+ +{re.escape(step)}.*$", self.told, re.MULTILINE)
        assert found is not None, self.told
        return found[0].strip()


def check_async_storage(*arguments: str, **options: Any) -> Checked:
    out, errors = StringIO(), StringIO()
    code = 0
    try:
        call_command("check_async_storage", *arguments, stdout=out, stderr=errors, no_color=True, **options)
    except CommandError as error:
        code = error.returncode
        errors.write(str(error))
    return Checked(code, out.getvalue(), errors.getvalue())


def configure(settings: Any, backend: str, **options: Any) -> None:
    """The storage under test is the alias ``tried``."""
    settings.STORAGES = {**settings.STORAGES, "tried": {"BACKEND": backend, "OPTIONS": options}}


def configure_s3(
    settings: Any, server: S3Server, who: Credentials | None = None, *, backend: str = S3, **options: Any
) -> str:
    """Returns the folder that the storage works in."""
    who = who or server.app
    folder = f"site-{token_hex(6)}"
    given = {
        "endpoint_url": server.endpoint_url,
        "addressing_style": "path",
        "access_key": who.access_key,
        "secret_key": who.secret_key,
        "bucket_name": server.bucket,
        "region_name": server.region,
        "location": folder,
    }
    configure(settings, backend, **{**given, **options})
    return folder


def configure_azure(settings: Any, server: AzureServer, **options: Any) -> str:
    """Returns the folder that the storage works in."""
    folder = f"site-{token_hex(6)}"
    given = {
        "connection_string": server.connection_string,
        "azure_container": server.container,
        "location": folder,
        "timeout": 5,
        "client_options": {"retry_total": 0},
        "api_version": "2025-11-05",
    }
    configure(settings, AZURE, **{**given, **options})
    return folder


@contextmanager
def s3_cors_rules(server: S3Server, *rules: dict[str, Any]) -> Iterator[None]:
    client = server.client()
    client.put_bucket_cors(Bucket=server.bucket, CORSConfiguration={"CORSRules": rules})
    try:
        yield
    finally:
        client.delete_bucket_cors(Bucket=server.bucket)
        client.close()


@contextmanager
def azure_cors_rule(server: AzureServer, rule: CorsRule) -> Iterator[None]:
    with server.service() as service:
        service.set_service_properties(cors=[rule])
        try:
            yield
        finally:
            service.set_service_properties(cors=[])
