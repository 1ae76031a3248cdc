"""The lean upstream client: HTTP/1.1 over asyncio Protocols, parsed by httptools, one pool per origin.

Rules. No time limit of its own: the engine's deadline cancels. A reply's connection goes back to the pool only when its body
was read to the end, the peer allows it and nothing of our request is still unsent; in every other case the socket is closed
at once, which is how a provider learns that we left. Nothing is sent twice: a kept connection that the peer had just closed
is a RESET, and the engine decides who is asked next.

Theory of operation. `data_received` feeds the parser; the parser's callbacks fill `Reply`. `read` takes what is there, or
waits on one future. When more than `HIGH_WATER_BYTES` lie unread, the socket is paused, so a slow client slows the
provider and fills no memory. Interim replies (100, 103) are skipped. Heads are built once per (URL, headers) and kept.

What can go wrong: refused, unresolvable or untrusted (CONNECT); closed before a complete reply (RESET); heads or
encodings beyond reason (TOO_LARGE, MALFORMED). Proxies and odd TLS: `aiohttp_client.py`.
"""

import asyncio
import ssl
import zlib
from collections.abc import Mapping
from time import monotonic
from urllib.parse import urlsplit

import httptools
import msgspec

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.types import UpstreamRequest

HIGH_WATER_BYTES = 256 << 10
MAX_HEAD_BYTES = 64 << 10
MAX_IDLE_S = 50.0  # providers and their load balancers keep connections for 60 s and more
MAX_AGE_S = 600.0  # so that a changed DNS answer is noticed
MAX_IDLE_PER_ORIGIN = 256
MAX_KEPT_HEADS = 4096


class Origin(msgspec.Struct, frozen=True):
    """Where connections of one pool go."""

    host: str
    port: int
    tls: bool


def _fault(failure: Failure, message: str) -> FaultError:
    return FaultError(Fault(failure, message))


class Connection(asyncio.Protocol):
    """One socket and the reply that is being read from it; between replies it lies in the pool."""

    def __init__(self, pool: "Pool") -> None:
        self.pool, self.born_s, self.idle_since_s = pool, monotonic(), 0.0
        self.transport: asyncio.Transport | None = None
        self.reply: Reply | None = None
        self.lost = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # uvloop's own class

    def start(self, head: bytes, body: bytes) -> "Reply":
        """Sends one request; gives the reply to wait on."""
        assert self.transport is not None
        self.reply = reply = Reply(self)
        self.transport.writelines((head, b"%d\r\n\r\n" % len(body), body))
        return reply

    def data_received(self, data: bytes) -> None:
        if self.reply is None:  # an idle peer has nothing to say
            self.abort()
            return
        self.reply.received(data)

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, error: Exception | None) -> None:
        self.lost = True
        self.pool.forget(self)
        if self.reply is not None:
            self.reply.ended_by_peer()

    def usable(self, now_s: float) -> bool:
        fresh = now_s - self.idle_since_s < MAX_IDLE_S and now_s - self.born_s < MAX_AGE_S
        return fresh and not self.lost and self.transport is not None and not self.transport.is_closing()

    def abort(self) -> None:
        self.lost = True
        if self.transport is not None:
            self.transport.abort()


class Reply:
    """A `core.ports.UpstreamReply`. Headers are complete once `headers_arrived` has returned."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self._raw: list[tuple[bytes, bytes]] = []
        self._head_bytes = 0
        self._pieces: list[bytes] = []
        self._unread_bytes = 0
        self._waiter: asyncio.Future[None] | None = None
        self._head_done = self._complete = self._paused = self._closed = False
        self._until_close = self._keep = False
        self._error: FaultError | None = None
        self._inflate: zlib._Decompress | None = None
        self._parser = httptools.HttpResponseParser(self)

    # --- the parser's side ---

    def received(self, data: bytes) -> None:
        if self._complete or self._error is not None:  # bytes after the end: the connection is out of step
            self._keep = False
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._fail(Failure.MALFORMED, "the provider switched protocols unasked")
        except httptools.HttpParserError as error:
            self._fail(Failure.MALFORMED, f"the provider's reply is not HTTP: {error}")
        self._wake()

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._complete:  # a second reply in the same packet: the connection is out of step
            return
        self._head_bytes += len(name) + len(value)
        if self._head_bytes <= MAX_HEAD_BYTES:
            self._raw.append((name, value))

    def on_headers_complete(self) -> None:
        if self._complete:
            self._keep = False
            return
        self.status = self._parser.get_status_code()
        if self._head_bytes > MAX_HEAD_BYTES:
            self._fail(Failure.TOO_LARGE, f"the provider's headers are larger than {MAX_HEAD_BYTES} bytes")
            return
        if self.status < 200:
            return
        headers = {n.decode("latin-1").lower(): v.decode("latin-1") for n, v in self._raw}
        self.headers = headers
        self._keep = self._parser.should_keep_alive()
        self._until_close = "content-length" not in headers and "chunked" not in headers.get("transfer-encoding", "")
        if headers.get("content-encoding", "identity") in ("gzip", "deflate", "x-gzip"):
            self._inflate = zlib.decompressobj(47)
        self._head_done = True

    def on_body(self, data: bytes) -> None:
        if self._complete:
            return
        if self._inflate is not None:
            try:
                data = self._inflate.decompress(data)
            except zlib.error:
                self._fail(Failure.MALFORMED, "the provider's reply is not in the encoding it names")
                return
        if data and self._head_done:
            self._pieces.append(data)
            self._unread_bytes += len(data)
            if self._unread_bytes > HIGH_WATER_BYTES and not self._paused and self._connection.transport is not None:
                self._paused = True
                self._connection.transport.pause_reading()

    def on_message_complete(self) -> None:
        if self._head_done:
            self._complete = True
        else:  # an interim reply: forget it
            self._raw, self._head_bytes = [], 0

    def ended_by_peer(self) -> None:
        if not self._complete and self._error is None:
            if self._head_done and self._until_close:
                self._complete = True
            else:
                where = "in the middle of its reply" if self._head_done else "before replying"
                self._fail(Failure.RESET, f"the provider closed the connection {where}")
        self._wake()

    def _fail(self, failure: Failure, message: str) -> None:
        self._error = self._error or _fault(failure, message)
        self._keep = False

    def _wake(self) -> None:
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # --- the reader's side ---

    async def headers_arrived(self) -> None:
        while not self._head_done:
            if self._error is not None:
                raise self._error
            await self._wait()

    async def read(self) -> bytes:
        while not self._pieces:
            if self._error is not None:
                raise self._error
            if self._complete:
                return b""
            await self._wait()
        data = self._pieces[0] if len(self._pieces) == 1 else b"".join(self._pieces)
        self._pieces, self._unread_bytes = [], 0
        if self._paused and self._connection.transport is not None and not self._connection.lost:
            self._paused = False
            self._connection.transport.resume_reading()
        return data

    async def _wait(self) -> None:
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        connection = self._connection
        connection.reply = None
        sent = connection.transport is not None and connection.transport.get_write_buffer_size() == 0
        if self._complete and self._keep and sent and not self._pieces and not self._until_close and not connection.lost:
            connection.pool.give_back(connection)
        else:
            connection.abort()


class Pool:
    """Connections to one origin. Idle ones are used last in, first out, so that a quiet pool shrinks."""

    def __init__(self, origin: Origin, tls: ssl.SSLContext | None) -> None:
        self.origin, self._tls = origin, tls
        self._idle: list[Connection] = []

    async def take(self) -> Connection:
        now_s = monotonic()
        while self._idle:
            connection = self._idle.pop()
            if connection.usable(now_s):
                return connection
            connection.abort()
        return await self._connect()

    def give_back(self, connection: Connection) -> None:
        connection.idle_since_s = monotonic()
        if len(self._idle) < MAX_IDLE_PER_ORIGIN:
            self._idle.append(connection)
        else:
            connection.abort()

    def forget(self, connection: Connection) -> None:
        if connection in self._idle:
            self._idle.remove(connection)

    def close(self) -> None:
        for connection in list(self._idle):
            connection.abort()
        self._idle.clear()

    async def _connect(self) -> Connection:
        origin, loop = self.origin, asyncio.get_running_loop()
        try:
            _, connection = await loop.create_connection(
                lambda: Connection(self),
                origin.host,
                origin.port,
                ssl=self._tls,
                server_hostname=origin.host if self._tls else None,
            )
        except ssl.SSLCertVerificationError as error:
            raise _fault(Failure.CONNECT, f"the certificate of {origin.host} is not trusted: {error.verify_message}") from None
        except OSError as error:
            raise _fault(Failure.CONNECT, f"cannot connect to {origin.host}:{origin.port}: {_reason(error)}") from None
        return connection


def _reason(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


class Http1Transport:
    """A `core.ports.Transport`: keep-alive pools per origin, TLS verified with the system's roots."""

    def __init__(self, tls: ssl.SSLContext | None = None) -> None:
        self._tls = tls
        self._pools: dict[Origin, Pool] = {}
        self._heads: dict[tuple[str, tuple[tuple[str, str], ...]], tuple[Pool, bytes]] = {}

    async def open(self, request: UpstreamRequest) -> Reply:
        pool, head = self._prepared(request)
        connection = await pool.take()
        reply = connection.start(head, request.body)
        try:
            await reply.headers_arrived()
        except BaseException:
            reply.close()
            raise
        return reply

    async def aclose(self) -> None:
        for pool in self._pools.values():
            pool.close()
        await asyncio.sleep(0)  # sockets are closed on the loop's next turn

    def _prepared(self, request: UpstreamRequest) -> tuple[Pool, bytes]:
        """The pool and the request head up to the length of the body; built once per (URL, headers)."""
        key = (request.url, request.headers)
        found = self._heads.get(key)
        if found is None:
            if len(self._heads) >= MAX_KEPT_HEADS:
                self._heads.clear()
            found = self._heads[key] = self._prepare(request)
        return found

    def _prepare(self, request: UpstreamRequest) -> tuple[Pool, bytes]:
        url = urlsplit(request.url)
        tls = url.scheme == "https"
        origin = Origin(url.hostname or "", url.port or (443 if tls else 80), tls)
        pool = self._pools.get(origin)
        if pool is None:
            pool = self._pools[origin] = Pool(origin, self._context() if tls else None)
        target = (url.path or "/") + (f"?{url.query}" if url.query else "")
        host = url.netloc.rpartition("@")[2]
        lines = [f"{request.method} {target} HTTP/1.1", f"host: {host}", "accept-encoding: identity"]
        lines += [
            f"{name}: {value}"
            for name, value in request.headers
            if name.lower() not in ("host", "accept-encoding", "content-length")
        ]
        if any("\r" in line or "\n" in line for line in lines):
            raise _fault(Failure.UNSUPPORTED, "a header for the provider contains a line break")
        return pool, "\r\n".join([*lines, "content-length: "]).encode("latin-1", "replace")

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = ssl.create_default_context()
            self._tls.set_alpn_protocols(["http/1.1"])
        return self._tls
