"""No framework at all: an ASGI application that writes what arrives to a file. What a server costs by itself."""

import os
from itertools import count
from pathlib import Path
from typing import Any

FOLDER = Path(os.environ["BENCH_DATA"])
_numbers = count()


async def application(scope: dict[str, Any], receive: Any, send: Any) -> None:
    if scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
        return
    with (FOLDER / f"bare-{os.getpid()}-{next(_numbers)}").open("wb", buffering=0) as file:
        more = True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            file.write(message.get("body", b""))
            more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 201, "headers": [(b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})
