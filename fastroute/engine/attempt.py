"""One attempt: one upstream send, from encoding to its classified end.

Rules. Nothing reaches the client before first content: headers, pings and roles commit to nothing, so until then the
attempt can be given up for another endpoint. From first content on, nothing may follow it: a failure becomes an error event
in the client's format, with partial usage, on a connection that does not end as if the answer were whole.
Only content moves the time limit. Whatever happens, the upstream reply is closed: a provider sees at once that we left.

What can go wrong: see `core.failures`. A cancelled attempt (the client left) ends in its `finally` blocks only.
"""

import asyncio
import contextlib
from collections.abc import Callable

import msgspec

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.ports import Clock, Dialect, Translator, Transport, UpstreamReply
from fastroute.core.trail import Attempt
from fastroute.core.types import Endpoint, Outcome, UpstreamRequest
from fastroute.engine.exchange import Exchange
from fastroute.engine.watchdog import Watchdog

MAX_WHOLE_BYTES = 64 << 20
MAX_STREAM_BYTES = 256 << 20
MAX_ERROR_BYTES = 64 << 10
MAX_HELD_BYTES = 4 << 20  # before first content
LAST_WORD_S = 1.0  # how long the client may take to read the error event that ends its stream
DRAIN_S = 0.25  # how long a finished stream may take to end properly, so that its connection can serve again


class Limits(msgspec.Struct, frozen=True):
    """Time limits of one attempt. `first_content_at_s` is a monotonic instant; for whole replies it covers the whole reply."""

    first_content_at_s: float
    stall_s: float


class Sending:
    """An attempt under way. `run` once; it returns an Outcome on every path but cancellation and `ClientGone`."""

    def __init__(self, exchange: Exchange, attempt: Attempt, endpoint: Endpoint, dialect: Dialect, transport: Transport) -> None:
        self._x, self._attempt, self._endpoint = exchange, attempt, endpoint
        self._dialect, self._transport = dialect, transport
        self._clock: Clock = exchange.clock
        self._on_content: Callable[[float], None] = lambda now_s: None
        self._stall_s = 0.0
        self._read_at_s = attempt.started_s
        self._client_wait_s = 0.0
        self._writing = self._complete = False
        self.translator: Translator | None = None
        self.committed = False
        self.status: int | None = None

    @property
    def pace_end_s(self) -> float:
        """When the last upstream bytes came, less the time spent waiting for a slow client: for the provider's pace."""
        return self._read_at_s - self._client_wait_s

    async def run(self, limits: Limits, on_content: Callable[[float], None]) -> Outcome:
        """Sends and relays. `on_content` is called once, at first content, with the monotonic instant."""
        self._on_content, self._stall_s = on_content, limits.stall_s
        try:
            upstream = self._dialect.encode(self._x.request, self._endpoint)
            self._attempt.started_s = self._read_at_s = self._clock.now_s()
            return await self._guarded(upstream, limits)
        except FaultError as error:
            return await self._failed(error.fault)
        finally:
            self._attempt.ended_s = self._read_at_s

    async def _guarded(self, upstream: UpstreamRequest, limits: Limits) -> Outcome:
        try:
            async with Watchdog(self._clock, limits.first_content_at_s) as watchdog:
                reply = await self._transport.open(upstream)
                try:
                    return await self._read(reply, watchdog)
                finally:
                    reply.close()
        except TimeoutError:
            if self._complete:
                return self._outcome(None)
            self._read_at_s = self._clock.now_s()
            raise FaultError(self._timed_out()) from None

    async def _read(self, reply: UpstreamReply, watchdog: Watchdog) -> Outcome:
        self.status = reply.status
        if reply.status != 200:
            body = await self._collect(reply, MAX_ERROR_BYTES, cut=True)
            raise FaultError(self._dialect.fault(reply.status, reply.headers, body))
        translator = self.translator = self._dialect.translator(self._x.request, self._endpoint)
        if self._x.request.stream:
            await self._relay(reply, translator, watchdog)
            return self._outcome(None)
        body = translator.whole(await self._collect(reply, MAX_WHOLE_BYTES))
        _raise(translator.fault)
        self._x.trail.winner = self._attempt
        return self._outcome(None, body)

    async def _collect(self, reply: UpstreamReply, limit_bytes: int, cut: bool = False) -> bytes:
        """The whole body; over the limit it is cut short, or a TOO_LARGE fault."""
        pieces, size = [], 0
        while data := await reply.read():
            pieces.append(data)
            size += len(data)
            if size > limit_bytes and cut:
                break
            _limit(size, limit_bytes)
        self._read_at_s = self._clock.now_s()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    async def _relay(self, reply: UpstreamReply, translator: Translator, watchdog: Watchdog) -> None:
        """Upstream bytes to the client, held back until first content."""
        held, size = b"", 0
        while not translator.finished:
            data = await reply.read()
            self._read_at_s = self._clock.now_s()
            size += len(data)
            _limit(size, MAX_STREAM_BYTES)
            seen = translator.output_tokens_seen
            out = translator.feed(data) if data else translator.end()
            if not self.committed:
                _raise(translator.fault)
                if translator.content_started or translator.finished:
                    await self._commit(watchdog)
            if self.committed:
                if translator.output_tokens_seen > seen:
                    watchdog.move(self._limit_s())
                await self._write(held + out)
                held = b""
            else:
                held += out
                _limit(len(held), MAX_HELD_BYTES)
            _raise(translator.fault)
        await self._finish(reply, watchdog)

    async def _finish(self, reply: UpstreamReply, watchdog: Watchdog) -> None:
        """Ends the client's stream, then gives the upstream a moment to end its own, so that the connection can be used again."""
        await self._x.reply.close_stream(complete=True)
        self._complete = True
        watchdog.move(self._clock.now_s() + DRAIN_S)
        with contextlib.suppress(FaultError):
            while await reply.read():
                pass

    async def _commit(self, watchdog: Watchdog) -> None:
        now_s = self._clock.now_s()
        self.committed = True
        self._attempt.first_content_s = self._x.trail.first_content_s = now_s
        self._x.trail.winner = self._attempt
        self._on_content(now_s)
        watchdog.move(self._limit_s())
        await self._x.reply.open_stream(self._x.trail)

    def _limit_s(self) -> float:
        at_s = self._read_at_s + self._stall_s
        return min(at_s, self._x.deadline.at_s) if self._x.route.deadline_covers == "last_byte" else at_s

    async def _write(self, data: bytes) -> None:
        if not data:
            return
        started_s = self._clock.now_s()
        self._writing = True
        await self._x.reply.write(data)
        self._writing = False
        self._client_wait_s += self._clock.now_s() - started_s

    def _timed_out(self) -> Fault:
        late = self._x.deadline.passed(self._clock.now_s() + 0.002)
        if self._writing:
            return Fault(Failure.CLIENT_GONE, "the client did not read its reply in time")
        if late and (not self.committed or self._x.route.deadline_covers == "last_byte"):
            return Fault(Failure.DEADLINE, "the request's deadline passed")
        if self.committed:
            return Fault(Failure.STALL, "the provider stopped in the middle of its reply")
        return Fault(Failure.FIRST_CONTENT_TIMEOUT, "no content in time")

    async def _failed(self, fault: Fault) -> Outcome:
        if self.committed:
            if not self._writing and self.translator is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._write(self.translator.interrupted(fault)), timeout=LAST_WORD_S)
            await self._x.reply.close_stream(complete=False)
        return self._outcome(fault)

    def _outcome(self, fault: Fault | None, body: bytes = b"") -> Outcome:
        first_s = self._attempt.first_content_s
        return Outcome(
            fault=fault,
            committed=self.committed,
            status=self.status,
            ttft_s=None if first_s is None else first_s - self._attempt.started_s,
            usage=self.translator.usage if self.translator else None,
            body=body,
        )


def _limit(size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        raise FaultError(Fault(Failure.TOO_LARGE, f"the provider's reply is larger than {limit_bytes} bytes"))


def _raise(fault: Fault | None) -> None:
    if fault is not None:
        raise FaultError(fault)
