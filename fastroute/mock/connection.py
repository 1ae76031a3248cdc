"""One client connection: bytes to requests, responses to bytes, and the prompt news that the client has gone.

Theory of operation. A `Protocol`, so a client's close is seen in the loop turn in which it arrives, before the first token as
well as in mid-stream. Requests on one connection are served one after another. Whoever serves a request calls `done` once, or
`reset`; until then `on_lost` is called if the client goes away.
"""

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable
from typing import Protocol, cast

from fastroute.mock.http1 import MAX_BODY_BYTES, BadRequest, Request, RequestReader, head

_RESET_ON_CLOSE = struct.pack("ii", 1, 0)  # SO_LINGER on, 0 s: close sends RST


class Service(Protocol):
    """What answers the requests of a connection."""

    def admits(self) -> bool:
        """Whether a new connection may stay; False drops it without a word."""

    def serve(self, request: Request, connection: "Connection") -> None:
        """Answers, now or later, and then calls `connection.done`."""


class Connection(asyncio.Protocol):
    """A client connection. `open_connections` holds it while it is open."""

    def __init__(self, service: Service, open_connections: "set[Connection]") -> None:
        self._service, self._open = service, open_connections
        self._reader = RequestReader()
        self._transport: asyncio.Transport | None = None
        self._serving = self._pumping = False
        self.served = 0  # requests begun
        self.paused = False  # the client reads more slowly than we write
        self.leaving = False  # to be closed once its response is complete
        self.lost = asyncio.Event()  # the connection is gone
        self.on_lost: Callable[[], None] | None = None
        self.on_resumed: Callable[[], None] | None = None

    @property
    def closed(self) -> bool:
        return self._transport is None or self._transport.is_closing()

    @property
    def idle(self) -> bool:
        return not self._serving

    def send(self, data: bytes) -> None:
        """Writes; after the client has gone, does nothing."""
        if self._transport is not None and data:
            self._transport.write(data)

    def done(self, keep_alive: bool) -> None:
        """The response is complete: goes on to the next request, or closes after what was written."""
        self.on_lost = self.on_resumed = None
        self._serving = False
        if not keep_alive or self.leaving:
            self.close()
        elif not self._pumping:
            self._pump()

    def close(self) -> None:
        """Closes in good order: what was written still goes out."""
        if self._transport is not None:
            self._transport.close()

    def reset(self) -> None:
        """Closes with a TCP reset: unsent bytes are lost, the client sees an error."""
        if self._transport is None:
            return
        sock = cast("socket.socket | None", self._transport.get_extra_info("socket"))
        if sock is not None:
            with contextlib.suppress(OSError):
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self._transport.abort()

    # --- asyncio.Protocol ---

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._open.add(self)
        if not self._service.admits():
            self.close()

    def data_received(self, data: bytes) -> None:
        self._reader.feed(data)
        if self._reader.pending_bytes > 2 * MAX_BODY_BYTES:  # pipelines without waiting for answers
            self.reset()
        elif not self._serving and not self.closed:
            self._pump()

    def pause_writing(self) -> None:
        self.paused = True

    def resume_writing(self) -> None:
        self.paused = False
        if self.on_resumed is not None:
            self.on_resumed()

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        self._open.discard(self)
        self.lost.set()
        if (lost := self.on_lost) is not None:
            self.on_lost = self.on_resumed = None
            lost()

    # --- the requests ---

    def _pump(self) -> None:
        """Serves the complete requests in the buffer, until one takes time."""
        self._pumping = True
        try:
            while not self._serving and not self.closed and (request := self._reader.next()) is not None:
                self._serving = True
                self.served += 1
                self._service.serve(request, self)
        except BadRequest as error:
            self._refuse(error)
        finally:
            self._pumping = False
        if self._reader.wants_continue:
            self._reader.wants_continue = False
            self.send(b"HTTP/1.1 100 Continue\r\n\r\n")

    def _refuse(self, error: BadRequest) -> None:
        body = str(error).encode()
        headers = (("content-type", "text/plain"), ("content-length", str(len(body))))
        self.send(head(error.status, headers, keep_alive=False) + body)
        self.close()
