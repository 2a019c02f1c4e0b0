"""No framework at all: an ASGI application that writes what arrives to a file, and one that throws it away.

What a server costs by itself.
"""

import os
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["BENCH_DATA"])
_numbers = count()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    _check(scope)
    with (FOLDER / f"bare-{os.getpid()}-{next(_numbers)}").open("wb", buffering=0) as file:
        await _take(receive, send, file.write)


async def dropping(scope: dict[str, Any], receive: Any, send: Any) -> None:
    """With the memory of its chunks kept, as ours does: the most that uvicorn could hand to anybody."""
    _check(scope)
    bytes(4 * 1024 * 1024)  # see async_uploads.streaming.keep_memory_of_chunks
    await _take(receive, send, len)


def _check(scope: dict[str, Any]) -> None:
    if scope["type"] != "http":
        raise NotImplementedError("uvicorn goes on without the lifespan protocol.")


async def _take(receive: Any, send: Any, keep: Callable[[bytes], object]) -> None:
    more = True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        keep(message.get("body", b""))
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 201, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
