"""The HTTP side of a port: aiohttp's parser and connection, with our limits and our error shape.

Rules. A client that sends half a request head, or nothing, is cut off after a few seconds; so is one that idles too long
between requests, or does not read its answer. What the parser refuses is answered in OpenAI's error shape, without a word
of what was received, and the connection ends: after a parse error nobody can say where the next request starts.

Theory of operation. `web.Server` makes one `Connection` per socket; aiohttp's own keep-alive timer closes idle ones. The
head timer runs from the first byte of a head (or from the accept) until the head is complete, the send timer while the
socket's buffer is full.

The fast lane. aiohttp's own parser reads everything. Where the connection is between two requests and what came is one
complete request, a `Lane` may answer it: its coroutine runs in a second task of the connection, made for the first of them
and kept for the next (`_drive`), and writes to the socket; neither aiohttp's task is woken nor a request object made. The
message is taken out of aiohttp's queue before its task looks there; while the lane answers (`_running`), that task sleeps,
or goes to sleep, as between any two requests: so nothing may wake it, the connection is not idle, and what is pipelined
behind waits in aiohttp's queue. A head that comes again, byte for byte, need not be parsed again (`known.py`). Everything
else takes aiohttp's path. `ASSUMPTIONS` names what this leans on; a test fails when aiohttp changes it.

What can go wrong. aiohttp's C parser reports a broken chunk of a body that is being read as a new, broken message, and
leaves the reader waiting: `_break_bodies` wakes it. This file leans on private names of aiohttp 3.14.
"""

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any, NamedTuple, Protocol

import msgspec
from aiohttp import HttpVersion11, web
from aiohttp.http_exceptions import BadHttpMethod, LineTooLong
from aiohttp.http_parser import RawRequestMessage
from aiohttp.streams import StreamReader
from aiohttp.web_protocol import RequestHandler, RequestPayloadError, _ErrInfo

from fastroute.server.headers import request_id
from fastroute.server.known import KnownHead
from fastroute.server.refusal import error_body, respond


class ConnectionLimits(msgspec.Struct, frozen=True):
    """Limits of one client connection."""

    head_timeout_s: float = 5.0  # until a request's head is complete
    idle_timeout_s: float = 75.0  # between requests
    send_timeout_s: float = 30.0  # for a client that does not read, until it takes some of what waits for it
    linger_s: float = 1.0  # how long an unread rest of a refused body is taken in, so that the answer arrives
    max_headers: int = 100
    max_line_bytes: int = 8190
    max_field_bytes: int = 8190


class Taken(NamedTuple):
    """What a lane took."""

    answering: Coroutine[Any, Any, bool]  # whether the connection may go on
    held_bytes: int
    facts: object  # of its head, for `retake`


class Lane(Protocol):
    """Answers requests that came whole on an idle connection."""

    def take(self, connection: "Connection", message: RawRequestMessage, content: StreamReader) -> Taken | None:
        """None: not mine."""

    def retake(self, connection: "Connection", facts: Any, body: bytes) -> Taken | None:
        """As `take`, of a request whose head is known: the same but for its length. None: not now."""

    def left(self, held_bytes: int) -> None:
        """A request that was taken has ended, or was cancelled before it began."""


ASSUMPTIONS = """
    _waiter _messages _parser _current_request _close _force_close _upgraded _payload_parser _request_count
    _next_keepalive_close_time _keepalive_handle _keepalive_timeout _keepalive _process_keepalive _reading_paused
    finish_response _paused _drain_helper _loop _manager transport
""".split()  # noqa: SIM905
"""Names of aiohttp's `RequestHandler` that the fast lane and `Reply` use."""


class Listener(web.Server):
    """A `web.Server` whose connections are ours. `respond` is cancelled when its client goes."""

    def __init__(
        self,
        respond: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
        limits: ConnectionLimits,
        lane: Lane | None = None,
    ) -> None:
        super().__init__(
            respond,
            handler_cancellation=True,
            access_log=None,
            keepalive_timeout=limits.idle_timeout_s,
            lingering_time=limits.linger_s,
            max_headers=limits.max_headers,
            max_line_size=limits.max_line_bytes,
            max_field_size=limits.max_field_bytes,
        )
        self._limits, self._lane = limits, lane
        self._open = 0
        self.on_accept: Callable[[], None] = lambda: None
        self.empty = asyncio.Event()  # no connection is open
        self.empty.set()

    def __call__(self) -> RequestHandler:
        return Connection(self, self._limits, self._lane, loop=self._loop, **self._kwargs)

    def connection_made(self, connection: RequestHandler, transport: asyncio.Transport) -> None:
        super().connection_made(connection, transport)
        self._open += 1
        self.empty.clear()
        self.on_accept()

    def connection_lost(self, connection: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(connection, exc)
        self._open -= 1
        if self._open == 0:
            self.empty.set()

    def close_idle(self) -> None:
        """Closes the connections that are between two requests."""
        for connection in self.connections:
            if isinstance(connection, Connection) and connection.idle:
                connection.force_close()  # `close` would leave the socket open, and read nothing from it any more

    def close(self) -> None:
        """Closes every connection after what it has still to send."""
        for connection in self.connections:
            connection.force_close()

    def abort(self) -> None:
        """Drops every connection at once; what it serves is cancelled."""
        for transport in list(self._connections.values()):
            transport.abort()


class Connection(RequestHandler):
    """One client connection."""

    __slots__ = (
        "_answering",
        "_between",
        "_driver",
        "_driver_waits",
        "_head_timer",
        "_held_bytes",
        "_known",
        "_lane",
        "_limits",
        "_running",
        "_send_timer",
    )

    def __init__(self, server: web.Server, limits: ConnectionLimits, lane: Lane | None, **options: Any) -> None:
        super().__init__(server, **options)
        self._limits, self._lane = limits, lane
        self._held_bytes: int | None = None  # by the request in the fast lane
        self._answering: Coroutine[Any, Any, bool] | None = None  # taken, and not begun
        self._known: KnownHead[object] = KnownHead()
        self._driver: asyncio.Task[None] | None = None
        self._driver_waits: asyncio.Future[None] | None = None
        self._between = True  # aiohttp has nothing to do: its task waits for a request, or is about to
        self._running = False  # the fast lane answers
        self._head_timer: asyncio.TimerHandle | None = None
        self._send_timer: asyncio.TimerHandle | None = None

    @property
    def idle(self) -> bool:
        """Between requests: waiting for the next one, or about to."""
        return self._between and not self._running and not self._messages

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        if self.transport is not None:
            self.transport.set_write_buffer_limits(high=0)  # uvloop then writes at once, not after the rest of its turn
        self._arm()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._disarm()
        self._stop_send_timer()
        if self._driver is not None:
            self._driver.cancel()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self.transport is not None:
            self._send_timer = self._loop.call_later(self._limits.send_timeout_s, self.transport.abort)

    def resume_writing(self) -> None:
        super().resume_writing()
        self._stop_send_timer()

    def data_received(self, data: bytes) -> None:
        if self._known.facts is not None and self._retake(data):
            return
        waiter, served = self._waiter, self._request_count
        self._waiter = None  # aiohttp wakes nobody
        super().data_received(data)
        self._waiter = waiter
        if self._request_count == served:
            if self._head_timer is None and self.idle and data.strip(b"\r\n"):
                self._arm()
            return
        if self._head_timer is not None:
            self._disarm()
        if self._messages and type(self._messages[-1][0]) is _ErrInfo:
            self._break_bodies()
        if self._between and not self._running:
            facts = self._take_fast_lane()
            if facts is None:
                self._leave_to_aiohttp()
            elif not self._messages and self._held_bytes is not None:
                self._known.learn(data, self._held_bytes, facts)

    # --- the fast lane ---

    def _take_fast_lane(self) -> object:
        """The facts of the one request that came, where the lane has taken it."""
        if self._lane is None or len(self._messages) != 1 or self._close or self._upgraded or self._reading_paused:
            return None
        message, body = self._messages[0]
        taken = None if type(message) is _ErrInfo else self._lane.take(self, message, body)  # type: ignore[arg-type]
        if taken is None or self._parser is None:
            return None
        self._messages.popleft()
        self._parser.message_consumed()
        self._run(taken)
        return taken.facts

    def _retake(self, data: bytes) -> bool:
        """Whether the lane has taken `data`: one whole request, with the head that is known. What the parser holds is nothing."""
        known = self._known
        if self._lane is not None and self.idle and not (self._close or self._force_close or self._reading_paused):
            body = known.body(data)
            taken = None if body is None else self._lane.retake(self, known.facts, body)
            if taken is not None:
                self._run(taken)
                return True
        known.forget()
        return False

    def _run(self, taken: Taken) -> None:
        self._answering, self._held_bytes, _ = taken
        self._running = True
        if self._driver is None:
            self._driver = self._loop.create_task(self._drive())
            self._driver.add_done_callback(self._driven)
        elif self._driver_waits is not None:  # else it is about to look for more
            waits, self._driver_waits = self._driver_waits, None
            waits.set_result(None)

    async def _drive(self) -> None:
        """Runs what the lane took, one after the other, for as long as the connection may go on."""
        while self._answering is not None:
            answering, self._answering = self._answering, None
            keeps = await answering
            self._release()
            if not self._answered(keeps):
                return
            if self._answering is None:
                self._driver_waits = waits = self._loop.create_future()
                await waits

    def _driven(self, driver: "asyncio.Task[None]") -> None:
        """The driver has ended, or was cancelled, perhaps before it began what was taken."""
        self._release()
        if self._answering is not None:
            self._answering.close()
        if not driver.cancelled() and (error := driver.exception()) is not None:
            self.log_exception("a request failed unexpectedly", exc_info=error)
            self._end()

    def _release(self) -> None:
        held_bytes, self._held_bytes = self._held_bytes, None
        if held_bytes is not None and self._lane is not None:
            self._running = False
            self._lane.left(held_bytes)

    def _answered(self, keeps: bool) -> bool:
        """The request in the fast lane has been answered. Whether another may follow."""
        if self._manager is None:  # the connection is lost
            return False
        self._manager.requests_count += 1
        if not keeps or self._close or self._force_close:
            self._end()
            return False
        self._next_keepalive_close_time = at_s = self._loop.time() + self._keepalive_timeout
        if self._keepalive_handle is None:
            self._keepalive_handle = self._loop.call_at(at_s, self._process_keepalive)
        if self._messages and self._take_fast_lane() is None:
            self._leave_to_aiohttp()
        return True

    def _end(self) -> None:
        self.close()
        if self.transport is not None:
            self.transport.close()

    def _leave_to_aiohttp(self) -> None:
        """What is in the queue is for aiohttp's task, until it has answered it all."""
        self._between = False
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def finish_response(self, *args: Any) -> tuple[web.StreamResponse, bool]:
        """aiohttp has answered; with nothing else in the queue its task is about to wait."""
        response, reset = await super().finish_response(*args)
        self._between = bool(response.keep_alive) and not reset and not self._messages
        return response, reset

    def _process_keepalive(self) -> None:
        if not self._running:
            super()._process_keepalive()
        else:
            self._keepalive_handle = None  # set again when it has been answered

    def handle_error(
        self, request: web.BaseRequest, status: int = 500, exc: BaseException | None = None, message: str | None = None
    ) -> web.StreamResponse:
        """The answer to what the parser refused, or to a failure behind the outer wall."""
        if request.writer.output_size > 0:
            raise ConnectionError("a response has begun already")
        speak_http11(request)
        status, text, code = _explain(status, exc)
        if status >= 500:
            self.log_exception("a request failed unexpectedly", exc_info=exc)
        return respond(status, error_body(status, text, code), {"x-request-id": request_id(None)}, close=True)

    def log_exception(self, *args: Any, **kw: Any) -> None:
        """A broken body is the client's fault and has been answered; aiohttp would log a traceback for each."""
        if not isinstance(kw.get("exc_info"), RequestPayloadError):
            super().log_exception(*args, **kw)

    def _break_bodies(self) -> None:
        """The parser is lost: bodies that have not ended never will."""
        bodies: list[StreamReader] = [body for _, body in self._messages]
        if self._current_request is not None:
            bodies.append(self._current_request.content)
        for body in bodies:
            if not body.is_eof():
                body.set_exception(RequestPayloadError("the request body is malformed"))

    def _arm(self) -> None:
        self._head_timer = self._loop.call_later(self._limits.head_timeout_s, self._head_late)

    def _stop_send_timer(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    def _disarm(self) -> None:
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_late(self) -> None:
        self._head_timer = None
        if self.idle:
            self.force_close()


def speak_http11(request: web.BaseRequest) -> None:
    """Answers in HTTP/1.1 whatever version the client claimed; aiohttp would echo it."""
    request._version = HttpVersion11
    request._cache.pop("version", None)


def _explain(status: int, exc: BaseException | None) -> tuple[int, str, str]:
    if isinstance(exc, LineTooLong) or (status == 400 and "Too many headers" in str(exc)):
        return 431, "the request line or its headers are too large", "headers_too_large"
    if isinstance(exc, BadHttpMethod):
        return 400, "this is not an HTTP/1 request", "malformed_request"
    if status == 400:
        return 400, "malformed HTTP request", "malformed_request"
    return 500, "internal error", "internal_error"
