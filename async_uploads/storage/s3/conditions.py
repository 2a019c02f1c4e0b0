"""Does the server refuse to overwrite, as If-None-Match asks it to? Some take the header and do nothing about it.

Where it surely refuses, a copy need not look first whether its name is free: two requests less for each.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from botocore.exceptions import ClientError

from async_uploads.storage.s3.errors import FAULTS, REFUSED_CONDITION, code_of

TRIED_AFTER = 3
"""Copies: a process that makes fewer has nothing to gain."""


class Conditions:
    """What one process has found out about its server. ``are_kept``: it has been seen to refuse."""

    def __init__(self) -> None:
        self.are_kept: bool = False
        self._copies = 0

    async def try_once(self, copy_again: Callable[[], Awaitable[object]]) -> None:
        """After a copy to a free name: one of the first is made again, over itself, which harms nothing if it works."""
        self._copies += 1
        if self._copies != TRIED_AFTER:
            return
        try:
            await copy_again()
        except ClientError as error:
            self.are_kept = code_of(error) in REFUSED_CONDITION
        except FAULTS:
            return  # the copy is made, and that was all that anybody wanted
