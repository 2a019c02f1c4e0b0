"""The receiving end of SeaweedFS's audit log, which speaks Fluentd's forward protocol, here with JSON inside."""

from __future__ import annotations

import json
import socketserver
import threading
from typing import Any

from tests.servers.requests import Request


class AuditLog:
    """Collects what the S3 gateway says it was asked, in the order of its answers."""

    def __init__(self) -> None:
        self._requests: list[Request] = []
        self._arrived = threading.Condition()
        self._server = _Receiver(self)
        self._thread = threading.Thread(target=self._server.serve_forever, name="audit log", daemon=True)
        self._thread.start()

    @property
    def port(self) -> int:
        return int(self._server.server_address[1])

    def add(self, record: dict[str, Any]) -> None:
        with self._arrived:
            self._requests.append(_request(record))
            self._arrived.notify_all()

    def until(self, path: str, timeout: float) -> list[Request]:
        """What was asked before the first request for ``path``, which is waited for."""
        with self._arrived:
            assert self._arrived.wait_for(lambda: self._position(path) is not None, timeout), (
                f"{path} never came into the audit log."
            )
            return self._requests[: self._position(path)]

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _position(self, path: str) -> int | None:
        return next((at for at, request in enumerate(self._requests) if request.path == path), None)


class _Receiver(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, log: AuditLog) -> None:
        self.log = log
        super().__init__(("127.0.0.1", 0), _Connection)


class _Connection(socketserver.StreamRequestHandler):
    server: _Receiver

    def handle(self) -> None:
        """Messages ``[tag, time, record, options]`` follow each other without anything between them."""
        decoder = json.JSONDecoder()
        pending = b""
        while received := self.request.recv(65536):
            pending += received
            while pending:
                try:
                    message, end = decoder.raw_decode(pending.decode())
                except (json.JSONDecodeError, UnicodeDecodeError):
                    break  # Its rest is on the way.
                pending = pending.decode()[end:].lstrip().encode()
                self.server.log.add(message[2])


def _request(record: dict[str, Any]) -> Request:
    """``operation`` is REST.PUT.OBJECT and the like; deleting many at once, BATCH.DELETE.OBJECT, is a POST."""
    words = str(record.get("operation", "")).split(".")
    return Request(
        method="POST" if words[0] == "BATCH" else words[1] if len(words) > 1 else "",
        path=f"/{record.get('bucket', '')}{_with_slash(str(record.get('key', '')))}",
        status=int(record.get("status", 0)),
        agent=str(record.get("user_agent", "")),
    )


def _with_slash(key: str) -> str:
    return key if not key or key.startswith("/") else f"/{key}"
