"""Request bodies: bounded in size, in time, and all together."""

import asyncio

import msgspec
from aiohttp import web
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestPayloadError

from fastroute.core.ports import ClientGone
from fastroute.server.refusal import Refused

CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


class BodyLimits(msgspec.Struct, frozen=True):
    """Limits of request bodies, after decompression. `max_held_bytes` bounds those of all requests under way together."""

    max_bytes: int = 64 << 20
    max_held_bytes: int = 512 << 20
    total_timeout_s: float = 30.0  # from the head to the end
    stall_timeout_s: float = 5.0  # without a byte


class BodyReader:
    """Reads bodies and counts what they hold in memory. Whoever was given a body releases its length afterwards."""

    def __init__(self, limits: BodyLimits) -> None:
        self._limits = limits
        self.held_bytes = 0

    async def read(self, request: web.BaseRequest) -> bytes:
        """The whole body. Raises `Refused` (400, 408, 413, 417, 503), or `ClientGone`."""
        if (request.content_length or 0) > self._limits.max_bytes:
            raise self._too_large()
        try:
            if request.content.is_eof():  # it came with the head
                return self._hold(request.content.read_nowait())
            await _invite(request)
            return await self._read_slowly(request)
        except RequestPayloadError:
            raise Refused(400, "the request body is malformed", "malformed_body", close=True) from None
        except TimeoutError:
            raise Refused(408, "the request body did not arrive in time", "request_timeout", close=True) from None
        except ConnectionError:
            raise ClientGone from None

    def take(self, content: StreamReader) -> bytes | None:
        """A body that has come whole, of which nothing was read; None, untouched, where it is over a limit."""
        if not self.hold(content.total_bytes):
            return None
        pieces = content._buffer  # reading it would have aiohttp look for more bytes, at the cost of a parser's call
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def hold(self, size_bytes: int) -> bool:
        """Counts a body in, until it is released; False where it is over a limit."""
        if size_bytes > self._limits.max_bytes or self.held_bytes + size_bytes > self._limits.max_held_bytes:
            return False
        self.held_bytes += size_bytes
        return True

    def release(self, size_bytes: int) -> None:
        self.held_bytes -= size_bytes

    async def _read_slowly(self, request: web.BaseRequest) -> bytes:
        pieces: list[bytes] = []
        size, loop = 0, asyncio.get_running_loop()
        end_s = loop.time() + self._limits.total_timeout_s
        try:
            async with asyncio.timeout_at(end_s) as timeout:
                while True:
                    timeout.reschedule(min(end_s, loop.time() + self._limits.stall_timeout_s))
                    piece = await request.content.readany()
                    if not piece and request.content.at_eof():
                        break
                    pieces.append(self._hold(piece))
                    size += len(piece)
                    if size > self._limits.max_bytes:
                        raise self._too_large()
        except BaseException:
            self.release(size)
            raise
        return b"".join(pieces)

    def _hold(self, data: bytes) -> bytes:
        if len(data) > self._limits.max_bytes:
            raise self._too_large()
        if self.held_bytes + len(data) > self._limits.max_held_bytes:
            raise Refused(503, "too many large requests at once", "overloaded", close=True)
        self.held_bytes += len(data)
        return data

    def _too_large(self) -> Refused:
        return Refused(413, f"the request body is larger than {self._limits.max_bytes} bytes", "request_too_large", close=True)


async def _invite(request: web.BaseRequest) -> None:
    """Answers `Expect: 100-continue`; aiohttp's low-level server leaves that to us."""
    expected = request.headers.get("expect")
    if expected is None or request.version < (1, 1):
        return
    if expected.lower() != "100-continue":
        raise Refused(417, "the Expect header can only be 100-continue", "expectation_failed", close=True)
    await request.writer.write(CONTINUE)
    request.writer.output_size = 0  # the response itself has not begun
