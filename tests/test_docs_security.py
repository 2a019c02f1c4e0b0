"""What SECURITY.md promises: each threat that we know of is in its table, and each test that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SECURITY = (ROOT / "SECURITY.md").read_text()
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in SECURITY.partition("## What we defend against")[2].splitlines()
    if line.startswith("| ") and not line.startswith("| threat")
]
NAMED = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", SECURITY)

# In the words of the list that the package was designed by.
THREATS = [
    "forged or traversing key",
    "another person's key",
    "key used twice",
    "key of another field or storage",
    "download token used to upload",
    "upload token used to download",
    "token signed elsewhere",
    "replayed upload url",
    "more bytes than allowed, announced",
    "more bytes than allowed, without content-length",
    "html named `.png`",
    "image bomb",
    "directories",
    "nul",
    "newlines",
    "right-to-left marks",
    "10,000 characters",
    "swapped between check and promotion",
    "`${filename}`",
    "trickles",
    "a thousand urls asked and never used",
    "sniffed by the browser",
    "socket from another origin",
    "keys guessed over the socket",
    "polyglot",
    "symlink",
    "smuggled lengths",
    "an upload that is run",
]


@pytest.mark.parametrize("threat", THREATS)
def test_each_threat_that_we_know_of_is_in_the_table(threat: str) -> None:
    assert any(threat in row[0].lower() for row in ROWS)


def test_each_row_has_a_guard_and_a_test() -> None:
    assert len(ROWS) > len(THREATS)
    for row in ROWS:
        assert len(row) == 3, row
        assert row[1], row
        assert re.search(r"`tests/[\w/]+\.py::\w+`", row[2]), row


@pytest.mark.parametrize(("file", "test"), sorted(set(NAMED)))
def test_each_test_that_is_named_is_there(file: str, test: str) -> None:
    tree = ast.parse((ROOT / file).read_text())

    assert test in {
        node.name for node in tree.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }


def test_modules_that_are_named_are_there() -> None:
    for row in ROWS:
        for listed in re.findall(r"\(((?:`[a-z_0-9/.A-Z]+`(?:, )?)+)\)", row[1]):
            for name in re.findall(r"`([\w/.]+)`", listed):
                module = name.partition(".")[0].rstrip("/")
                if name.isupper():
                    continue  # a setting
                found = ROOT / "async_uploads" / module
                assert found.is_dir() or found.with_suffix(".py").is_file(), name
