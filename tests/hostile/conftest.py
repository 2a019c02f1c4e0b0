"""A folder for uploads in which everything beside it would be seen."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def alone(tmp_path: Path, settings: Any) -> Path:
    """The folder of the uploads, the only thing in the one above it."""
    settings.MEDIA_ROOT = tmp_path / "above" / "media"
    settings.MEDIA_ROOT.mkdir(parents=True)
    return tmp_path / "above" / "media"
