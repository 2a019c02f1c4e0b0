"""Free memory that costs nothing to use: that of a virtual machine may have been taken back by its host.

A guest that reports its free pages loses them after two seconds, and whoever writes then waits for the host at each of
them: the page cache of one such machine took 0.7 to 6 GB/s, as it happened. What has been written just before, and
deleted, is at hand for the next who writes.
"""

from __future__ import annotations

from pathlib import Path

BLOCK = bytes(1024 * 1024)


def have_at_hand(size: int, folder: Path) -> None:
    """Write so many bytes to a file in ``folder``, and delete it."""
    path = folder / "to-have-memory-at-hand"
    with path.open("wb", buffering=0) as file:
        for _ in range(size // len(BLOCK)):
            file.write(BLOCK)
    path.unlink()
