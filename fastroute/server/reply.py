"""The client's side of one exchange: HTTP/1.1 written straight to the socket.

Rules. A reply that is not whole never looks whole: the socket is closed without the final chunk. A client that has left is
`ClientGone`, whichever way the socket says so. A head leaves with the first bytes behind it.

What can go wrong. An HTTP/1.0 client has no chunks: its stream ends with the connection, well or not, and only the error
event tells. A client that does not read keeps a closing socket open: after `LINGER_S` it is dropped with what it has not taken.
"""

import asyncio
from collections.abc import Callable, Mapping

from fastroute.core.ports import ClientGone, Clock
from fastroute.core.trail import Trail
from fastroute.server.headers import failure_headers, own_lines, reply_lines, status_line
from fastroute.server.protocol import Connection

LINGER_S = 5.0
COPY_BYTES = 64 << 10  # a body up to this size is joined to its head; a larger one is sent beside it
JSON_LINES = b"content-type: application/json\r\ncontent-length: "
ARRAY_LINES = b"content-type: application/json; charset=utf-8\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"
STREAM_LINES = b"content-type: text/event-stream; charset=utf-8\r\ncache-control: no-cache\r\nx-accel-buffering: no\r\n"


class Reply:
    """A `core.ports.ReplyPort`. `close`: the client asked for the connection's end, or is HTTP/1.0."""

    __slots__ = ("_chunked", "_clock", "_close", "_connection", "_draining", "_head", "begun")

    def __init__(
        self, connection: Connection, clock: Clock, draining: Callable[[], bool], close: bool = False, chunked: bool = True
    ) -> None:
        self._connection, self._clock, self._draining = connection, clock, draining
        self._close, self._chunked = close, chunked
        self._head = b""
        self.begun = False

    @property
    def keeps_connection(self) -> bool:
        """Whether the connection may serve another request after this one."""
        return not self._close

    @property
    def has_sent(self) -> bool:
        """Whether bytes of it are on their way to the client."""
        return self.begun and not self._head

    async def whole(self, trail: Trail, status: int, body: bytes) -> None:
        lines = reply_lines(trail, self._clock.now_s(), True)
        if status >= 400:
            lines += _lines(failure_headers(status, trail.fault))
        self._begin(status, b"%b%b%d\r\n" % (lines, JSON_LINES, len(body)))
        transport = self._transport()
        if len(body) <= COPY_BYTES:
            transport.write(self._head + body)
        else:
            transport.writelines((self._head, body))
        self._head = b""
        if self._connection._paused:
            await self.drain()

    def refuse(self, status: int, rid: str, body: bytes, headers: Mapping[str, str]) -> None:
        """An error that no Trail knows of."""
        lines = _lines({"x-request-id": rid, **headers})
        self._begin(status, b"%b%b%d\r\n" % (lines, JSON_LINES, len(body)))
        if (transport := self._connection.transport) is not None:
            transport.write(self._head + body)
        self._head = b""

    def drop(self) -> None:
        """Ends the connection at once."""
        self._close = True
        if (transport := self._connection.transport) is not None:
            transport.abort()

    def open_stream(self, trail: Trail) -> None:
        framing = b"transfer-encoding: chunked\r\n" if self._chunked else b""
        lines = STREAM_LINES if "fastroute_framing" not in trail.request.fields else ARRAY_LINES
        self._begin(200, reply_lines(trail, self._clock.now_s(), False) + lines + framing)
        self._transport()

    async def write(self, data: bytes) -> None:
        if not self.push(data):
            await self.drain()

    def push(self, data: bytes) -> bool:
        transport = self._connection.transport
        if transport is None or transport.is_closing():
            raise ClientGone
        if data:
            if self._chunked:
                transport.write(b"%b%x\r\n%b\r\n" % (self._head, len(data), data))
            else:
                transport.write(self._head + data)
            self._head = b""
        return not self._connection._paused

    async def drain(self) -> None:
        try:
            await self._connection._drain_helper()
        except ConnectionError:
            raise ClientGone from None

    async def close_stream(self, complete: bool) -> None:
        if not complete:
            self.hang_up()
            return
        transport = self._transport()
        if self._chunked:
            transport.write(self._head + b"0\r\n\r\n")
        elif self._head:
            transport.write(self._head)
        self._head = b""
        if self._connection._paused:
            await self.drain()

    def hang_up(self) -> None:
        """Closes the socket after what has been written so far, without an end of the message."""
        transport = self._connection.transport
        self._close = True
        if transport is not None and not transport.is_closing():
            transport.close()
            asyncio.get_running_loop().call_later(LINGER_S, transport.abort)

    def _begin(self, status: int, lines: bytes) -> None:
        self.begun = True
        self._close = self._close or self._draining()
        ending = b"connection: close\r\n\r\n" if self._close else b"\r\n"
        self._head = b"%b%b%b%b" % (status_line(status), lines, own_lines(), ending)

    def _transport(self) -> asyncio.Transport:
        transport = self._connection.transport
        if transport is None or transport.is_closing():
            raise ClientGone
        return transport


def _lines(headers: Mapping[str, str]) -> bytes:
    return "".join(f"{name}: {value}\r\n" for name, value in headers.items()).encode("latin-1")
