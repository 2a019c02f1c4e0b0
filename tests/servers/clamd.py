"""A scanner that speaks clamd's INSTREAM over a real socket, and knows one virus. See clamd(8)."""

from __future__ import annotations

import socket
import socketserver
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# In two parts, so that no scanner takes this file for an infected one.
EICAR = b"X5O!P%@AP[4\\PZX54(P^)7CC)7}$" + b"EICAR-STANDARD-ANTIVIRUS-TEST-FILE!$H+H*"

LONGEST = 16 * 1024 * 1024


class Scanner(socketserver.ThreadingTCPServer):
    """``mode``: ``scan``, ``error``, ``reset`` in the middle of the stream, or ``hang`` in place of an answer."""

    daemon_threads = True
    allow_reuse_address = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.mode = "scan"
        self.scanned: list[bytes] = []
        self.misspoken: list[str] = []
        self.released = threading.Event()
        self.delay = 0.0

    @property
    def address(self) -> tuple[str, int]:
        host, port = self.server_address[:2]
        return str(host), int(port)


class _Handler(socketserver.StreamRequestHandler):
    server: Any

    def handle(self) -> None:
        command = self.rfile.read(len(b"zINSTREAM\0"))
        if command != b"zINSTREAM\0":
            self.server.misspoken.append(f"command {command!r}")
            self.wfile.write(b"UNKNOWN COMMAND\0")
            return
        content = self._stream()
        if content is None:
            return
        self.server.scanned.append(content)
        self._answer(content)

    def _stream(self) -> bytes | None:
        content = b""
        while True:
            prefix = self.rfile.read(4)
            if len(prefix) < 4:
                self.server.misspoken.append("the stream did not end")
                return None
            (size,) = struct.unpack("!L", prefix)
            if size == 0:
                return content
            if size > LONGEST:
                self.server.misspoken.append(f"a chunk of {size} bytes")
                return None
            content += self.rfile.read(size)
            if self.server.mode == "reset":
                # Linger of 0 s: the connection is reset, not closed.
                self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                self.request.close()
                return None

    def _answer(self, content: bytes) -> None:
        if self.server.mode == "hang":
            self.server.released.wait(30)
            return
        time.sleep(self.server.delay)
        if self.server.mode == "error":
            self.wfile.write(b"INSTREAM size limit exceeded. ERROR\0")
        elif EICAR in content:
            self.wfile.write(b"stream: Eicar-Signature FOUND\0")
        else:
            self.wfile.write(b"stream: OK\0")


RESET = struct.pack("ii", 1, 0)


@contextmanager
def listening_scanner() -> Iterator[Scanner]:
    """A scanner that is listening. In a thread of ours: what matters is the socket."""
    with Scanner() as scanner:
        thread = threading.Thread(target=scanner.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield scanner
        finally:
            scanner.released.set()
            scanner.shutdown()
            thread.join()
