"""What only django-stubs' plugin for mypy knows."""

from __future__ import annotations

from typing import assert_type

from django.core.files.base import ContentFile

from async_uploads.models import AsyncFileField, AsyncFileInputData, AsyncTempFile
from tests.typing.models import Letter


def build() -> None:
    Letter(author="Ada", scan=AsyncFileInputData(key="async-temp-files/2026/11/22/token-scan.pdf"))
    Letter(author="Ada", scan=ContentFile(b"%PDF-1.7", name="scan.pdf"), draft=None)
    Letter(author="Ada", scan=b"%PDF-1.7")  # type: ignore[misc]


def look_up() -> None:
    assert_type(Letter._meta.get_field("scan"), AsyncFileField)
    Letter.objects.filter(scan="scans/scan.pdf")
    AsyncTempFile.objects.filter(size__gt=3, state="uploaded", owner__startswith="user:")
    AsyncTempFile.objects.filter(sise=3)  # type: ignore[misc]
