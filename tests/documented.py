"""What stands in docs/reference.md."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

REFERENCE = Path(__file__).parents[1] / "docs/reference.md"


def section(title: str) -> str:
    return REFERENCE.read_text().split(f"\n## {title}\n")[1].split("\n## ")[0]


def defined_in(title: str, name: str, **replaced: str) -> Any:
    """What the section's block of Python defines as ``name``, with other words in the place of some."""
    (code,) = [
        block for block in re.findall(r"```python\n(.*?)```", section(title), re.DOTALL) if name in block
    ]
    for word, other in replaced.items():
        code = code.replace(word, other)
    names: dict[str, Any] = {"__name__": __name__}
    exec(code, names)
    return names[name]
