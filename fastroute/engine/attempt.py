"""One attempt: one upstream send, from encoding to its classified end.

Rules. Nothing reaches the client before first content: headers, pings and roles commit to nothing, so until then the
attempt can be given up for another endpoint. From first content on, nothing may follow it: a failure becomes an error event
in the client's format, with partial usage, on a connection that does not end as if the answer were whole.
Only content moves the time limit. Whatever happens, the upstream reply is closed: a provider sees at once that we left.

Theory of operation. A stream is relayed inside the upstream socket's own callback (`_take`): no queue, and no task wakes for
a piece. When the client reads slowly, `_take` stops, the upstream socket is paused, and the task waits for the client.

What can go wrong: see `core.failures`. A cancelled attempt (the client left) ends in its `finally` blocks only.
"""

import asyncio
import contextlib
import math

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.ports import Clock, Dialect, Translator, Transport, UpstreamReply
from fastroute.core.trail import Attempt
from fastroute.core.types import Endpoint, Outcome
from fastroute.engine.admission import Flight
from fastroute.engine.exchange import Exchange
from fastroute.engine.watchdog import Watchdog

MAX_WHOLE_BYTES = 64 << 20
MAX_STREAM_BYTES = 256 << 20
MAX_ERROR_BYTES = 64 << 10
MAX_HELD_BYTES = 4 << 20  # before first content
LOST = Fault(Failure.SUPERSEDED, "another attempt of this request was first")
LAST_WORD_S = 1.0  # how long the client may take to read the error event that ends its stream
DRAIN_S = 0.25  # how long a finished stream may take to end properly, so that its connection can serve again


class Sending:
    """An attempt under way. `run` once; it returns an Outcome on every path but cancellation and `ClientGone`."""

    __slots__ = (
        "_client_wait_s",
        "_clock",
        "_complete",
        "_dialect",
        "_endpoint",
        "_flight",
        "_held",
        "_latest_s",
        "_read_at_s",
        "_size",
        "_stall_s",
        "_transport",
        "_watchdog",
        "_writing",
        "_x",
        "attempt",
        "committed",
        "status",
        "translator",
    )

    def __init__(self, exchange: Exchange, attempt: Attempt, endpoint: Endpoint, dialect: Dialect, transport: Transport) -> None:
        self._x, self.attempt, self._endpoint = exchange, attempt, endpoint
        self._dialect, self._transport = dialect, transport
        self._clock: Clock = exchange.clock
        self._read_at_s = attempt.started_s
        self._client_wait_s = 0.0
        self._writing = self._complete = False
        self._held, self._size = b"", 0
        self.translator: Translator | None = None
        self.committed = False
        self.status: int | None = None

    @property
    def pace_end_s(self) -> float:
        """When the last upstream bytes came, less the time spent waiting for a slow client: for the provider's pace."""
        return self._read_at_s - self._client_wait_s

    @property
    def output_tokens_seen(self) -> int:
        """Tokens that have come so far."""
        return self.translator.output_tokens_seen if self.translator is not None else 0

    async def run(self, flight: Flight, watchdog: Watchdog, stall_s: float) -> Outcome:
        """Sends and relays. `flight` is told of first content; until then the watchdog's limit stands, then `stall_s` anew."""
        self._flight, self._watchdog, self._stall_s = flight, watchdog, stall_s
        self._latest_s = self._x.deadline.at_s if self._x.route.deadline_covers == "last_byte" else math.inf
        try:
            upstream = self._dialect.encode(self._x.request, self._endpoint)
            self.attempt.started_s = self._read_at_s = self._clock.now_s()
            with watchdog:
                reply = await self._transport.open(upstream)
                try:
                    return await self._read(reply)
                finally:
                    reply.close()
        except TimeoutError:
            if self._complete:
                return self._outcome(None)
            self._read_at_s = self._clock.now_s()
            return await self._failed(self._timed_out())
        except FaultError as error:
            return await self._failed(error.fault)
        finally:
            self.attempt.ended_s = self._read_at_s

    async def _read(self, reply: UpstreamReply) -> Outcome:
        self.status = status = reply.status
        if self._flight.keeper.pacer.look_s <= self._read_at_s:
            self._flight.heard(reply.headers)
        if status != 200:
            body = await self._collect(reply, MAX_ERROR_BYTES, cut=True)
            raise FaultError(self._dialect.fault(status, reply.headers, body))
        translator = self.translator = self._dialect.translator(self._x.request, self._endpoint)
        if self._x.request.stream:
            await self._relay(reply, translator)
            return self._outcome(None)
        body = translator.whole(await self._collect(reply, MAX_WHOLE_BYTES))
        if translator.fault is not None:
            raise FaultError(translator.fault)
        if not self._x.claim(self.attempt):
            raise FaultError(LOST)
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

    # --- streams ---

    async def _relay(self, reply: UpstreamReply, translator: Translator) -> None:
        """Upstream bytes to the client, held back until first content."""
        while not translator.finished:
            if await reply.pour(self._take):
                self._take(b"")
                break
            if not translator.finished:
                await self._wait_for_client()
        await self._finish(reply)

    def _take(self, data: bytes) -> bool:
        """One piece, as it arrives; b"" at the end of the body. False: pause here."""
        translator = self.translator
        assert translator is not None
        self._read_at_s = now_s = self._clock.now_s()
        self._size += len(data)
        if self._size > MAX_STREAM_BYTES:
            _limit(self._size, MAX_STREAM_BYTES)
        seen = translator.output_tokens_seen
        out = translator.feed(data) if data else translator.end()
        if not self.committed and not self._ready(translator, out):
            return True
        if translator.output_tokens_seen > seen:
            at_s = now_s + self._stall_s
            self._watchdog.at_s = at_s if at_s < self._latest_s else self._latest_s
        if self._held:
            out, self._held = self._held + out, b""
        flows = self._x.reply.push(out)
        if translator.fault is not None:
            raise FaultError(translator.fault)
        return flows and not translator.finished

    def _ready(self, translator: Translator, out: bytes) -> bool:
        """Commits at first content, where it is the first of all attempts; holds bytes back until then."""
        if translator.fault is not None:
            raise FaultError(translator.fault)
        if translator.content_started or translator.finished:
            if not self._x.claim(self.attempt):
                raise FaultError(LOST)
            self._commit()
            return True
        self._held += out
        _limit(len(self._held), MAX_HELD_BYTES)
        return False

    def _commit(self) -> None:
        now_s = self._read_at_s
        self.committed = True
        self.attempt.first_content_s = self._x.trail.first_content_s = now_s
        self._flight.first_content(now_s, self)
        self._watchdog.move(min(now_s + self._stall_s, self._latest_s))
        self._x.reply.open_stream(self._x.trail)

    async def _finish(self, reply: UpstreamReply) -> None:
        """Ends the client's stream, then gives the upstream a moment to end its own, so that the connection can be used again."""
        self._writing = True
        await self._x.reply.close_stream(complete=True)
        self._writing, self._complete = False, True
        self._watchdog.move(self._clock.now_s() + DRAIN_S)
        with contextlib.suppress(FaultError):
            while await reply.read():
                pass

    async def _wait_for_client(self) -> None:
        """Until the client has read what waits for it; the time that takes is not the provider's."""
        started_s = self._clock.now_s()
        self._writing = True
        await self._x.reply.drain()
        self._writing = False
        self._client_wait_s += self._clock.now_s() - started_s

    # --- ends ---

    def _timed_out(self) -> Fault:
        if self._x.is_lost(self.attempt):
            return LOST
        late = self._x.deadline.passed(self._clock.now_s() + 0.002)
        if self._writing:
            return Fault(Failure.CLIENT_GONE, "the client did not read its reply in time")
        if late and (not self.committed or self._latest_s < math.inf):
            return Fault(Failure.DEADLINE, "the request's deadline passed")
        if self.committed:
            return Fault(Failure.STALL, "the provider stopped in the middle of its reply")
        return Fault(Failure.FIRST_CONTENT_TIMEOUT, "no content in time")

    async def _failed(self, fault: Fault) -> Outcome:
        if self.committed:
            if not self._writing and self.translator is not None:
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._x.reply.write(self.translator.interrupted(fault)), timeout=LAST_WORD_S)
            await self._x.reply.close_stream(complete=False)
        return self._outcome(fault)

    def _outcome(self, fault: Fault | None, body: bytes = b"") -> Outcome:
        first_s = self.attempt.first_content_s
        return Outcome(
            fault,
            self.committed,
            self.status,
            None if first_s is None else first_s - self.attempt.started_s,
            self.translator.usage if self.translator else None,
            body,
        )


def _limit(size: int, limit_bytes: int) -> None:
    if size > limit_bytes:
        raise FaultError(Fault(Failure.TOO_LARGE, f"the provider's reply is larger than {limit_bytes} bytes"))
