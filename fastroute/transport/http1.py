"""The lean upstream client: keep-alive pools per origin over `connection.Connection`.

Rules. No time limit of its own: the engine's deadline cancels. Cancelling closes the socket. Nothing is sent twice: another
connection is taken only while not one byte of the request has been handed to a socket, that is, when a kept connection
turns out closed as it is taken from its pool.

Theory of operation. A kept connection may have been closed by the provider. Mostly the loop has seen it, and the connection has
left its pool. One that lay idle for `LOOK_AFTER_S` is looked at once more with a poll of its socket, since that is where
keep-alive limits of servers begin. What is left is a close that crosses our request on the wire. No sign that TCP gives
tells it from a provider that took the request, began to work (and to bill) and died: not the absence of an
acknowledgement, which may lag by 40 ms. So it is a RESET, and the engine, which knows what a second try may cost, decides
who is asked next. Heads are rendered once per (URL, headers) and found again by the identity of the headers.

What can go wrong: refused, unresolvable or untrusted (CONNECT); else see `connection.py`. Proxies and odd TLS:
`aiohttp_client.py`.
"""

import asyncio
import select
import ssl
from collections.abc import Mapping
from time import monotonic

import msgspec

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.types import UpstreamRequest
from fastroute.transport.connection import Connection, Take
from fastroute.transport.heads import parsed_head, request_head, split_url
from fastroute.transport.tls import ResumingContext

LOOK_AFTER_S = 1.0
MAX_IDLE_S = 50.0  # providers and their load balancers keep connections for 60 s and more
MAX_AGE_S = 600.0  # so that a changed DNS answer is noticed
MAX_IDLE_PER_ORIGIN = 2048  # as many as were in use at once, if there were fewer; they age out
MAX_KEPT_HEADS = 4096


class Origin(msgspec.Struct, frozen=True):
    """Where connections of one pool go."""

    host: str
    port: int
    tls: bool


def _fault(failure: Failure, message: str) -> FaultError:
    return FaultError(Fault(failure, message))


class Reply:
    """A `core.ports.UpstreamReply`. `headers` are taken apart when they are first asked for."""

    __slots__ = ("_connection", "_fields", "_head", "status")

    def __init__(self, connection: Connection) -> None:
        self._connection: Connection | None = connection
        self.status, self._head, self._fields = connection.status, connection.head, connection.fields

    @property
    def headers(self) -> Mapping[str, str]:
        if self._fields is None:
            self._fields = parsed_head(self._head)[0]
        return self._fields

    async def read(self) -> bytes:
        while (connection := self._connection) is not None:
            if connection.pieces:
                return connection.unread()
            if connection.error is not None:
                raise connection.error
            if not connection.awaited:
                return b""
            await self._more(connection, None)
        raise _fault(Failure.RESET, "the reply is closed")

    async def pour(self, take: Take) -> bool:
        connection = self._connection
        if connection is None:
            raise _fault(Failure.RESET, "the reply is closed")
        if connection.pieces and not take(connection.unread()):
            return False
        if connection.error is not None:
            raise connection.error
        return await self._more(connection, take) if connection.awaited else True

    async def _more(self, connection: Connection, take: Take | None) -> bool:
        waiter = connection.wait(take)
        try:
            outcome = await waiter
        except BaseException:
            connection.unwait(waiter)
            raise
        if isinstance(outcome, bool):
            return outcome
        raise outcome

    def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.release()
            connection.error = None  # its traceback leads back to the connection


class Pool:
    """Connections to one origin. Idle ones are used last in, first out, so that a quiet pool shrinks.

    Idle connections past their time are closed by a timer that runs only while there are any.
    """

    def __init__(self, origin: Origin, tls: ssl.SSLContext | None) -> None:
        self.origin, self.closed, self._tls = origin, False, tls
        self._idle: dict[Connection, None] = {}  # a set with an order
        self._sweeper: asyncio.TimerHandle | None = None

    def take(self) -> Connection | None:
        """An idle connection that can be used, if there is one."""
        idle = self._idle
        while idle:
            connection = idle.popitem()[0]
            now_s = monotonic()
            rested = now_s - connection.idle_since_s < LOOK_AFTER_S or self._still_good(connection, now_s)
            if rested and not connection.transport.is_closing():
                return connection
            connection.abort()
        return None

    def give_back(self, connection: Connection) -> None:
        now_s = monotonic()
        if self.closed or len(self._idle) >= MAX_IDLE_PER_ORIGIN or now_s - connection.born_s > MAX_AGE_S:
            connection.abort()
            return
        if connection.idle_since_s == 0.0 and isinstance(self._tls, ResumingContext):
            self._tls.remember(self.origin.host, connection.transport)
        connection.idle_since_s = now_s
        self._idle[connection] = None
        if self._sweeper is None:
            self._sweeper = connection.loop.call_later(MAX_IDLE_S / 4, self._sweep, connection.loop)

    def forget(self, connection: Connection) -> None:
        self._idle.pop(connection, None)

    def close(self) -> None:
        """Closes what is idle now, and what is in use when it comes back."""
        self.closed = True
        if self._sweeper is not None:
            self._sweeper.cancel()
            self._sweeper = None
        while self._idle:
            self._idle.popitem()[0].abort()

    def _still_good(self, connection: Connection, now_s: float) -> bool:
        """Of a connection that was idle for a while: within its time, and the provider has neither closed it nor spoken."""
        return not self._expired(connection, now_s) and not _has_input(connection.transport)

    def _expired(self, connection: Connection, now_s: float) -> bool:
        return now_s - connection.idle_since_s > MAX_IDLE_S or now_s - connection.born_s > MAX_AGE_S

    def _sweep(self, loop: asyncio.AbstractEventLoop) -> None:
        now_s = monotonic()
        for connection in [c for c in self._idle if self._expired(c, now_s)]:
            del self._idle[connection]
            connection.abort()
        self._sweeper = loop.call_later(MAX_IDLE_S / 4, self._sweep, loop) if self._idle else None

    async def connect(self) -> Connection:
        origin, loop = self.origin, asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(self, loop, monotonic()),
                origin.host,
                origin.port,
                ssl=self._tls,
                server_hostname=origin.host if self._tls else None,
            )
        except ssl.SSLCertVerificationError as error:
            raise _fault(Failure.CONNECT, f"the certificate of {origin.host} is not trusted: {error.verify_message}") from None
        except (OSError, ValueError) as error:  # UnicodeError: a name that no resolver takes
            raise _fault(Failure.CONNECT, f"cannot connect to {origin.host}:{origin.port}: {_reason(error)}") from None
        return connection


def _has_input(transport: asyncio.Transport) -> bool:
    poll = select.poll()
    poll.register(transport.get_extra_info("socket").fileno(), select.POLLIN)
    return bool(poll.poll(0))


def _reason(error: Exception) -> str:
    return (getattr(error, "strerror", None) or type(error).__name__).lower()


class _Prepared:
    """What does not change between the requests for one (method, URL, headers). It keeps the headers alive, hence their id."""

    __slots__ = ("head", "headers", "method", "pool", "url")

    def __init__(self, request: UpstreamRequest, pool: Pool, head: bytes) -> None:
        self.method, self.url, self.headers, self.pool, self.head = request.method, request.url, request.headers, pool, head


class Http1Transport:
    """A `core.ports.Transport`. `tls` None: verified with the system's roots, sessions resumed."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._pools: dict[Origin, Pool] = {}
        self._by_value: dict[tuple[str, str, tuple[tuple[str, str], ...]], _Prepared] = {}
        self._by_id: dict[int, _Prepared] = {}

    async def open(self, request: UpstreamRequest) -> Reply:
        prepared = self._by_id.get(id(request.headers))
        if prepared is None or prepared.url != request.url or prepared.method != request.method:
            prepared = self._prepared(request)
        pool = prepared.pool
        connection = pool.take() or await pool.connect()
        waiter = connection.send(prepared.head, request.body)
        try:
            outcome = await waiter
        except BaseException:
            connection.abort()
            raise
        if outcome is True:
            return Reply(connection)
        connection.abort()
        connection.error = None  # its traceback will lead back to the connection
        assert isinstance(outcome, BaseException)
        raise outcome

    async def aclose(self) -> None:
        """Closes every idle connection now, the others with their replies. Idempotent; a later `open` starts anew."""
        pools = list(self._pools.values())
        self._pools, self._by_value, self._by_id = {}, {}, {}
        for pool in pools:
            pool.close()
        await asyncio.sleep(0)  # sockets are closed on the loop's next turn

    def _prepared(self, request: UpstreamRequest) -> _Prepared:
        key = (request.method, request.url, request.headers)
        found = self._by_value.get(key)
        if found is None:
            if len(self._by_value) >= MAX_KEPT_HEADS:
                self._by_value.clear()
                self._by_id.clear()
            found = self._by_value[key] = self._prepare(request)
        elif found.headers is not request.headers and self._by_id.get(id(found.headers)) is found:
            del self._by_id[id(found.headers)]
            found.headers = request.headers  # equal, and from now on the ones to expect
        if found.headers is request.headers:
            self._by_id.setdefault(id(found.headers), found)
        return found

    def _prepare(self, request: UpstreamRequest) -> _Prepared:
        url, port = split_url(request.url)
        tls = url.scheme == "https"
        head = request_head(request, url)
        origin = Origin(url.hostname or "", port, tls)
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = Pool(origin, self._context() if tls else None)
        return _Prepared(request, pool, head)

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ResumingContext.verifying()
        return self._tls
