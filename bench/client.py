"""The driver's HTTP client: raw Protocols over a keep-alive pool, for whole replies and SSE. It measures; it understands nothing.

Rules. A latency counts from the *intended* start, which the caller knows: a call that had to wait for the driver, for a
connection or behind a stall has waited. One call a connection at a time. A failed call is an outcome, never an exception.

Theory of operation. `Client.start` takes an idle connection (the last one used) or opens one, writes, and returns. The
connection notes the arrival of the first content and of each stamped chunk, finds the end by length or by the last chunk, and
calls `call.done` from inside `data_received`: no task and no future for a call. Clocks: `time.perf_counter`, which on Linux
is one clock for all processes, so that a stamp of `bench.canned` can be subtracted from an arrival here.

What can go wrong. A stamp that is split between two reads is not seen: pairs of calls with different counts of stamps give
no differences between chunks. A server's trailers are not understood.
"""

import asyncio
import re
from collections.abc import Callable
from time import perf_counter, perf_counter_ns

from bench.canned import WORD

_EDGE = re.compile(rb"\r\n[0-9a-fA-F]+\r\n")  # between two HTTP chunks
_TAIL_BYTES = 64
STAMPED = re.compile(rb"word @(\d{18})")
_HEAD, _LENGTH, _CHUNKED, _CLOSE = range(4)
_END = b"\r\n0\r\n\r\n"


class Call:
    """One request and what was seen of its answer. Instants are `perf_counter` seconds, 0.0 until they happen.

    `sent_s` is when the driver sent it, or asked for a connection to send it on: a slow accept is the other side's.
    """

    __slots__ = ("block", "chunks_ns", "done", "end_s", "failure", "first_s", "intended_s", "ok", "sent_s", "target")

    def __init__(self, target: int, block: int, intended_s: float, done: Callable[["Call"], None]) -> None:
        self.target, self.block, self.intended_s, self.done = target, block, intended_s, done
        self.sent_s = self.first_s = self.end_s = 0.0
        self.ok = False
        self.failure = ""  # why it is not ok, once it has ended
        self.chunks_ns: list[int] | None = None  # each stamped chunk's way from the upstream's write to here

    @property
    def total_s(self) -> float:
        return self.end_s - self.intended_s

    @property
    def ttft_s(self) -> float:
        return self.first_s - self.intended_s

    @property
    def lag_s(self) -> float:
        """How late the driver sent it."""
        return self.sent_s - self.intended_s


class Connection(asyncio.Protocol):
    """One keep-alive connection of a Client."""

    __slots__ = ("_call", "_client", "_left", "_mode", "_status", "_tail", "_transport", "gone")

    def __init__(self, client: "Client") -> None:
        self._client, self._call = client, None
        self._mode, self._left, self._tail = _HEAD, 0, b""
        self._status = b""
        self.gone = asyncio.Event()

    _call: Call | None
    _transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport  # type: ignore[assignment]  # uvloop's own class

    def send(self, request: bytes, call: Call) -> None:
        self._call, self._mode, self._tail = call, _HEAD, b""
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        now_s = perf_counter()
        call = self._call
        if call is None:  # nothing was asked: what this is cannot be told
            self._transport.close()
            return
        if self._mode == _HEAD:
            data = self._tail + data if self._tail else data
            end = data.find(b"\r\n\r\n")
            if end < 0:
                self._tail = data
                return
            self._read_head(data[:end].lower())
            data = data[end + 4 :]
        if self._mode == _LENGTH:
            call.first_s = call.first_s or now_s
            self._left -= len(data)
            if self._left <= 0:
                self._finish(call, now_s, True)
        elif data:
            self._stream(call, data, now_s)

    def _read_head(self, head: bytes) -> None:
        self._status = head[9:12]
        at = head.find(b"\r\ncontent-length:")
        if at >= 0:
            self._mode, self._left = _LENGTH, int(head[at + 17 :].split(b"\r\n", 1)[0])
        elif b"\r\ntransfer-encoding: chunked" in head:
            self._mode, self._tail = _CHUNKED, b"\r\n"
        else:
            self._mode = _CLOSE
        if b"\r\nconnection: close" in head:
            self._client.spent.add(self)

    def _stream(self, call: Call, data: bytes, now_s: float) -> None:
        if not call.first_s and WORD in data:
            call.first_s = now_s
        if call.chunks_ns is not None:
            now_ns = perf_counter_ns()
            call.chunks_ns += [now_ns - int(digits) for digits in STAMPED.findall(data)]
        self._tail = data[-_TAIL_BYTES:] if len(data) >= _TAIL_BYTES else (self._tail + data)[-_TAIL_BYTES:]
        if self._mode == _CHUNKED and self._tail.endswith(_END):
            call.first_s = call.first_s or now_s
            self._finish(call, now_s, self._complete())

    def _complete(self) -> bool:
        """Whether the stream said that it was at its end. A proxy may have put a chunk's edge anywhere."""
        return b"[DONE]" in _EDGE.sub(b"", self._tail)

    def _finish(self, call: Call, now_s: float, complete: bool) -> None:
        self._call = None
        call.end_s, call.ok = now_s, complete and self._status == b"200"
        if not call.ok:
            call.failure = "incomplete stream" if self._status == b"200" else f"status {self._status.decode(errors='replace')}"
        client = self._client
        if self in client.spent:
            self._transport.close()
        else:
            client.idle.append(self)
        call.done(call)

    def connection_lost(self, error: Exception | None) -> None:
        self._client.forget(self)
        self.gone.set()
        call, self._call = self._call, None
        if call is not None:
            call.end_s = perf_counter()
            call.first_s = call.first_s or call.end_s
            call.ok = self._mode == _CLOSE and self._status == b"200" and error is None and self._complete()
            call.failure = "" if call.ok else "closed early"
            call.done(call)

    def close(self) -> None:
        self._transport.close()


class Client:
    """Connections to one address. `close` ends them all; calls that are open then end as failed."""

    def __init__(self, port: int, host: str = "127.0.0.1") -> None:
        self._host, self._port = host, port
        self.idle: list[Connection] = []
        self.spent: set[Connection] = set()  # must not be used again
        self._all: set[Connection] = set()
        self._opening: set[asyncio.Task[None]] = set()

    @property
    def connections(self) -> int:
        return len(self._all)

    async def open(self, count: int) -> None:
        """Opens connections until `count` are there, so that a run does not begin with them. Raises OSError.

        A few at a time: what a listener's queue drops comes back a second later.
        """
        while (missing := count - len(self._all)) > 0:
            self.idle += await asyncio.gather(*(self._connect() for _ in range(min(missing, 64))))

    async def _connect(self) -> Connection:
        _, connection = await asyncio.get_running_loop().create_connection(lambda: Connection(self), self._host, self._port)
        self._all.add(connection)
        return connection

    def start(self, request: bytes, call: Call) -> None:
        """Sends at once where a connection is idle, else as soon as one is open. `call.done` follows in any case."""
        call.sent_s = perf_counter()
        if self.idle:
            self.idle.pop().send(request, call)
            return
        task = asyncio.get_running_loop().create_task(self._open_and_send(request, call))
        self._opening.add(task)
        task.add_done_callback(self._opening.discard)

    async def _open_and_send(self, request: bytes, call: Call) -> None:
        try:
            connection = await self._connect()
        except OSError:
            call.end_s, call.failure = perf_counter(), "no connection"
            call.done(call)
        else:
            connection.send(request, call)

    async def fetch(self, request: bytes, call: Call) -> Call:
        """One call, awaited. Replaces `call.done`. Cancellation leaves the answer to be read and dropped."""
        ended = asyncio.get_running_loop().create_future()
        call.done = lambda _: None if ended.done() else ended.set_result(None)
        self.start(request, call)
        await ended
        return call

    def forget(self, connection: Connection) -> None:
        """A connection is gone."""
        self._all.discard(connection)
        self.spent.discard(connection)
        if connection in self.idle:
            self.idle.remove(connection)

    async def close(self) -> None:
        for task in self._opening:
            task.cancel()
        for connection in list(self._all):
            connection.close()
        await asyncio.gather(*(connection.gone.wait() for connection in list(self._all)))
