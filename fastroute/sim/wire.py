"""The ports of the engine over a simulated world: transport, dialect, translator, client.

Theory of operation. Everything that the engine does with a provider is done here too (open, headers, pieces as they come, the
end, close on every path), only the bytes say nothing but how many tokens they are: a piece is a decimal number, `!` ends the
reply. A request's body is its number in the run. Pieces arrive in the loop's callbacks, as in the real client; tokens that
come within `PIECE_S` share a piece, so that a long answer costs a few callbacks.

What can go wrong. Cancelling any await tells the provider at once that the caller has left: that is when a bill stops, where
it does.
"""

import asyncio
import math
from collections import deque
from collections.abc import Callable, Mapping

from fastroute.core.failures import Failure, Fault, FaultError, classify
from fastroute.core.trail import Trail
from fastroute.core.types import ChatRequest, Endpoint, UpstreamRequest, Usage
from fastroute.sim.world import Course, Job, Provider

NAME = "simulated"
PIECE_S = 1.0
END = b"!"


class SimulatedDialect:
    """Requests are their number; errors are their status."""

    name = NAME

    def encode(self, request: ChatRequest, endpoint: Endpoint) -> UpstreamRequest:
        return UpstreamRequest(endpoint.name, (), request.id.encode())

    def fault(self, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
        hint = headers.get("retry-after")
        return Fault(classify(status), "simulated", status, retry_after_s=None if hint is None else float(hint))

    def translator(self, request: ChatRequest, endpoint: Endpoint) -> "SimulatedTranslator":
        return SimulatedTranslator(request.input_tokens)


class SimulatedTranslator:
    """Counts the tokens of one reply."""

    __slots__ = ("_input_tokens", "content_started", "fault", "finished", "output_tokens_seen", "usage")

    def __init__(self, input_tokens: int) -> None:
        self._input_tokens = input_tokens
        self.content_started = self.finished = False
        self.fault: Fault | None = None
        self.usage: Usage | None = None
        self.output_tokens_seen = 0

    def feed(self, data: bytes) -> bytes:
        ends = data.endswith(END)
        tokens = int(data[:-1] if ends else data)
        if tokens:
            self.content_started = True
            self.output_tokens_seen += tokens
        if ends:
            self.finished = True
            self.usage = Usage(self._input_tokens, self.output_tokens_seen)
        return data

    def end(self) -> bytes:
        if not self.finished and self.fault is None:
            self.fault = Fault(Failure.TRUNCATED, "the reply was cut short")
        return b""

    def whole(self, body: bytes) -> bytes:
        self.feed(body)
        return body

    def interrupted(self, fault: Fault) -> bytes:
        return b""


class SimulatedTransport:
    """Sends to one provider. `jobs` by number."""

    def __init__(self, provider: Provider, jobs: Mapping[int, Job], loop: asyncio.AbstractEventLoop) -> None:
        self._provider, self._jobs, self._loop = provider, jobs, loop

    async def open(self, request: UpstreamRequest) -> "SimulatedReply":
        number, whole = request.body[:-1], request.body.endswith(b"w")
        job, provider, now_s = self._jobs[int(number)], self._provider, self._loop.time()
        call = Call(provider, job, provider.receive(job, now_s), self._loop)
        course = call.course
        try:
            await call.until(course.end_s if whole and course.cut_s is None else _headers_s(course))
        except asyncio.CancelledError:
            call.end()
            raise
        if course.refused:
            call.end()
            raise FaultError(Fault(Failure.CONNECT, "connection refused"))
        if course.status != 200:
            return SimulatedReply(call, deque([(course.ttft_s or 0.0, b"{}")]))
        if course.cut_s is not None and course.cut_s <= (course.ttft_s or math.inf):
            call.end()
            raise FaultError(Fault(Failure.RESET, "connection lost"))
        return SimulatedReply(call, _whole(course) if whole else _pieces(course))

    async def aclose(self) -> None:
        """Nothing is kept open."""


class Call:
    """One attempt at its provider: in flight there, and billed once, when it ends."""

    __slots__ = ("_ended", "_loop", "_place", "course", "job", "provider", "started_s")

    def __init__(self, provider: Provider, job: Job, course: Course, loop: asyncio.AbstractEventLoop) -> None:
        self.provider, self.job, self.course, self._loop = provider, job, course, loop
        self.started_s = loop.time()
        self._ended = False
        self._place = len(job.bills_pusd)
        job.bills_pusd.append(0)
        provider.in_flight += 1

    async def until(self, elapsed_s: float) -> None:
        """Waits until so long after the start; for ever where that is infinite."""
        done = self._loop.create_future()
        timer = None if elapsed_s == math.inf else self._loop.call_at(self.started_s + elapsed_s, _wake, done)
        try:
            await done
        finally:
            if timer is not None:
                timer.cancel()

    def end(self) -> None:
        """The caller is done, or gone. A provider that does not notice goes on until it has finished."""
        if self._ended:
            return
        self._ended = True
        elapsed_s = self._loop.time() - self.started_s
        provider, course = self.provider, self.course
        self.job.bills_pusd[self._place] = provider.bill_pusd(self.job, course, elapsed_s)
        if provider.spec.cancel_stops_billing or not elapsed_s < course.end_s < math.inf:
            provider.in_flight -= 1
        else:
            self._loop.call_at(self.started_s + course.end_s, self._free)

    def _free(self) -> None:
        self.provider.in_flight -= 1


class SimulatedReply:
    """A reply whose pieces arrive on time: (seconds after the start, bytes); None in place of bytes is a lost connection."""

    __slots__ = ("_call", "_loop", "_pieces", "_take", "_timer", "_waiter", "headers", "status")

    def __init__(self, call: Call, pieces: "deque[tuple[float, bytes | None]]") -> None:
        self._call, self._pieces, self._loop = call, pieces, call._loop
        self.status = call.course.status
        hint_s = call.course.retry_after_s
        self.headers: Mapping[str, str] = call.provider.told(call._loop.time())
        if hint_s is not None:
            self.headers = {**self.headers, "retry-after": f"{hint_s:g}"}
        self._timer: asyncio.TimerHandle | None = None
        self._waiter: asyncio.Future[bool] | None = None

    async def read(self) -> bytes:
        if not self._pieces:
            return b""
        await self._call.until(self._pieces[0][0])
        data = self._pieces.popleft()[1]
        if data is None:
            raise FaultError(Fault(Failure.RESET, "connection lost"))
        return data

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        self._take, self._waiter = take, self._loop.create_future()
        self._next()
        try:
            return await self._waiter
        finally:
            if self._timer is not None:
                self._timer.cancel()

    def _next(self) -> None:
        """Hands over what is due, then sets the timer for what comes after it."""
        waiter, pieces = self._waiter, self._pieces
        assert waiter is not None
        now_s = self._loop.time() - self._call.started_s + 1e-9
        try:
            while pieces and pieces[0][0] <= now_s:
                data = pieces.popleft()[1]
                if data is None:
                    raise FaultError(Fault(Failure.RESET, "connection lost"))
                if not self._take(data):
                    waiter.set_result(False)
                    return
        except FaultError as error:
            waiter.set_exception(error)
            return
        if pieces:
            self._timer = self._loop.call_at(self._call.started_s + pieces[0][0], self._next)
        else:
            waiter.set_result(True)

    def close(self) -> None:
        self._call.end()


class SimulatedClient:
    """A client that reads at once and keeps nothing."""

    async def whole(self, trail: Trail, status: int, body: bytes) -> None:
        """Takes a whole answer."""

    def open_stream(self, trail: Trail) -> None:
        """Takes the headers."""

    async def write(self, data: bytes) -> None:
        """Takes a piece."""

    def push(self, data: bytes) -> bool:
        return True

    async def drain(self) -> None:
        """Never waits."""

    async def close_stream(self, complete: bool) -> None:
        """Notes nothing."""


class SimulatedApi:
    """The client's API: nobody reads its errors."""

    name = NAME

    def decode(self, body: bytes, request_id: str, accepted_s: float) -> ChatRequest:
        raise NotImplementedError("simulated requests are made, not decoded")

    def error(self, fault: Fault, status: int) -> bytes:
        return b""


def _headers_s(course: Course) -> float:
    """Headers come with first content, or with what comes in its place."""
    first_s = math.inf if course.ttft_s is None else course.ttft_s
    return first_s if course.cut_s is None else min(first_s, course.cut_s)


def _wake(done: "asyncio.Future[None]") -> None:
    if not done.done():
        done.set_result(None)


def _whole(course: Course) -> "deque[tuple[float, bytes | None]]":
    if course.cut_s is not None:
        return deque([(course.cut_s, None)])
    return deque([(course.end_s, b"%d!" % course.output_tokens)])


def _pieces(course: Course) -> "deque[tuple[float, bytes | None]]":
    """First content alone, then what comes within each `PIECE_S`."""
    first_s, total = course.ttft_s or 0.0, course.output_tokens
    pieces: deque[tuple[float, bytes | None]] = deque([(first_s, b"1" if total > 1 else b"1!")])
    each = max(1, int(PIECE_S / course.tpot_s)) if course.tpot_s > 0.0 else total
    sent = 1
    while sent < total:
        tokens = min(each, total - sent)
        sent += tokens
        at_s = first_s + (sent - 1) * course.tpot_s
        if course.cut_s is not None and at_s > course.cut_s:
            break
        pieces.append((at_s, b"%d" % tokens if sent < total else b"%d!" % tokens))
    if course.cut_s is not None:
        pieces.append((course.cut_s, None))
    return pieces
