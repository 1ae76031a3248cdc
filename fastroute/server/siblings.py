"""One question to another worker's admin port, without blocking the loop."""

import asyncio
import contextlib

PATIENCE_S = 1.0
MAX_ANSWER_BYTES = 8 << 20


async def ask(port: int, token: str, path: str, patience_s: float = PATIENCE_S) -> bytes | None:
    """The body that loopback's `port` gives for `path`; None where it is not there, refuses, or takes too long."""
    try:
        async with asyncio.timeout(patience_s):
            return await _ask(port, f"GET {path} HTTP/1.1\r\nhost: 127.0.0.1\r\nauthorization: Bearer {token}\r\n\r\n".encode())
    except (OSError, EOFError, ValueError, asyncio.LimitOverrunError):  # TimeoutError is an OSError
        return None


async def _ask(port: int, request: bytes) -> bytes | None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(request)
        head = (await reader.readuntil(b"\r\n\r\n")).lower()
        if not head.startswith(b"http/1.1 200 "):
            return None
        size = int(head.partition(b"content-length:")[2].partition(b"\r\n")[0])
        return await reader.readexactly(size) if size <= MAX_ANSWER_BYTES else None
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
