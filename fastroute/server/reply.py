"""The client's side of one exchange, over aiohttp.

Rules. A reply that is not whole never looks whole: the socket is closed without the final chunk. A client that has left is
`ClientGone`, whichever way the socket says so.

What can go wrong. An HTTP/1.0 client has no chunks: its stream ends with the connection, well or not, and only the error
event tells. A client that does not read keeps a closing socket open: after `LINGER_S` it is dropped with what it has not taken.
"""

import asyncio
from collections.abc import Callable

from aiohttp import web

from fastroute.core.ports import ClientGone, Clock
from fastroute.core.trail import Trail
from fastroute.server.headers import failure_headers, reply_headers
from fastroute.server.refusal import SERVER, respond

LINGER_S = 5.0
STREAM_HEADERS = {
    "content-type": "text/event-stream; charset=utf-8",
    "cache-control": "no-cache",
    "x-accel-buffering": "no",
    "server": SERVER,
}


class _Stream(web.StreamResponse):
    _send_headers_immediately = False  # they travel with the first bytes


class HttpReply:
    """A `core.ports.ReplyPort`. `response` is what aiohttp must be given once the router is done."""

    def __init__(self, request: web.BaseRequest, clock: Clock, draining: Callable[[], bool]) -> None:
        self._request, self._clock, self._draining = request, clock, draining
        self.response: web.StreamResponse | None = None

    @property
    def begun(self) -> bool:
        return self.response is not None

    async def whole(self, trail: Trail, status: int, body: bytes) -> None:
        headers = reply_headers(trail, self._clock.now_s(), whole=True)
        if status >= 400:
            headers |= failure_headers(status, trail.fault)
        self.response = response = respond(status, body, headers, close=self._draining())
        try:
            await response.prepare(self._request)
            await response.write_eof()
        except ConnectionError:
            raise ClientGone from None

    async def open_stream(self, trail: Trail) -> None:
        """Readies the headers. They leave with the first `write`, or at the end."""
        headers = reply_headers(trail, self._clock.now_s(), whole=False)
        self.response = response = _Stream(headers={**headers, **STREAM_HEADERS})
        if self._draining() or self._request.version < (1, 1):
            response.force_close()
        try:
            await response.prepare(self._request)
        except ConnectionError:
            raise ClientGone from None

    async def write(self, data: bytes) -> None:
        if not data:
            return
        try:
            await self._stream().write(data)
        except ConnectionError:
            raise ClientGone from None

    async def close_stream(self, complete: bool) -> None:
        response = self._stream()
        if not complete:
            return self.hang_up()
        try:
            await response.write_eof()
        except ConnectionError:
            raise ClientGone from None

    def hang_up(self) -> None:
        """Closes the socket after what has been written so far, without an end of the message."""
        transport = self._request.transport
        if transport is not None and not transport.is_closing():
            transport.close()
            asyncio.get_running_loop().call_later(LINGER_S, transport.abort)

    def _stream(self) -> web.StreamResponse:
        if self.response is None:
            raise RuntimeError("the stream is not open")
        return self.response
