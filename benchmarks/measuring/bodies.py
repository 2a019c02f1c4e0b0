"""The same file as a raw body and as a form."""

from __future__ import annotations

BOUNDARY = "benchmark"
FORM_HEADERS = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
RAW_HEADERS = {"Content-Type": "application/octet-stream"}


def form(content: bytes, name: str = "slow.bin") -> bytes:
    """``content`` in the field ``file`` (RFC 7578)."""
    disposition = f'Content-Disposition: form-data; name="file"; filename="{name}"'
    head = f"--{BOUNDARY}\r\n{disposition}\r\nContent-Type: application/octet-stream\r\n\r\n"
    return b"".join([head.encode(), content, f"\r\n--{BOUNDARY}--\r\n".encode()])
