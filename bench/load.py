"""Load shapes over targets: open loop (shots that are due), closed loop (connections), and what each brought back.

Rules. Open loop: a shot is sent when it is due, whatever is still open. Closed loop: a connection sends its next request when
its last answer is complete; it measures CPU per request at full load, and says nothing about latency (a stall makes it
send less, and so hides itself).
"""

import asyncio
import gc
from array import array
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from time import perf_counter
from typing import NamedTuple

from bench.alarm import Alarm
from bench.arrivals import Shot
from bench.client import Call, Client
from bench.request import PATH, Kind, request_bytes, sized

GRACE_S = 10.0
PREWARMED = 16


class Target(NamedTuple):
    """Something that answers chat requests."""

    name: str
    port: int
    host: str = "127.0.0.1"
    path: str = PATH
    headers: tuple[tuple[str, str], ...] = ()

    def request(self, kind: Kind) -> bytes:
        return request_bytes(kind, self.path, self.headers)


class Sample:
    """What one run of load brought back. `failures` says why calls failed; those `unanswered` at the end are among them."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self.latencies_s = array("d")  # closed loop only: a list of calls would cost too much
        self.done = 0
        self.failures: Counter[str] = Counter()
        self.seconds = 0.0
        self.overflowed_s: float | None = None  # the intended instant at which too many calls were open

    def take(self, call: Call) -> None:
        self.calls.append(call)
        self.count(call)

    def count(self, call: Call) -> None:
        """Without keeping it."""
        if call.ok:
            self.done += 1
        else:
            self.failures[call.failure] += 1

    @property
    def errors(self) -> int:
        return self.failures.total()


@contextmanager
def quiet() -> Iterator[None]:
    """No garbage collection of the driver while it measures."""
    gc.collect()
    gc.freeze()
    gc.disable()
    try:
        yield
    finally:
        gc.enable()
        gc.unfreeze()


class OpenLoop:
    """Sends `shots` at `targets` when they are due. With more than `max_open` calls open it stops, and says when."""

    def __init__(self, targets: Sequence[Target], shots: Sequence[Shot], kind: Kind, max_open: int = 10_000) -> None:
        self._targets, self._shots, self._max_open = targets, shots, max_open
        self._stamp = kind.stamp and kind.stream
        self._requests = [self._request(shot, kind) for shot in shots]
        self._next = self._open = 0
        self.start_s = 0.0  # the instant that shots count from
        self.sample = Sample()

    def _request(self, shot: Shot, kind: Kind) -> bytes:
        return self._targets[shot.target].request(sized(kind, shot.arrival.input_tokens, shot.arrival.output_tokens))

    async def run(self) -> Sample:
        """All shots, then up to GRACE_S for what is still open."""
        self._clients = [Client(t.port, t.host) for t in self._targets]
        self._ended = asyncio.Event()
        alarm = self._alarm = Alarm(self._ring)
        try:
            for client in self._clients:
                await client.open(PREWARMED)
            with quiet():
                self.start_s = perf_counter() + 0.01
                alarm.set(self.start_s)
                await self._wait()
        finally:
            alarm.close()
            for client in self._clients:
                await client.close()
        return self.sample

    async def _wait(self) -> None:
        due_s = (self._shots[-1].at_s if self._shots else 0.0) + GRACE_S
        try:
            await asyncio.wait_for(self._ended.wait(), due_s)
        except TimeoutError:
            self.sample.failures["unanswered"] = self._open
            self._ended.set()  # what ends from here on is counted already
        self.sample.seconds = perf_counter() - self.start_s

    def _ring(self) -> None:
        """Sends everything that is due; sets the alarm for what is next."""
        shots, start_s, now_s = self._shots, self.start_s, perf_counter()
        while self._next < len(shots):
            shot = shots[self._next]
            if start_s + shot.at_s > now_s:
                self._alarm.set(start_s + shot.at_s)
                return
            if self._open >= self._max_open:
                self.sample.overflowed_s = shot.at_s
                self._next = len(shots)
                break
            self._send(shot, start_s + shot.at_s)
        if not self._open:
            self._ended.set()

    def _send(self, shot: Shot, intended_s: float) -> None:
        call = Call(shot.target, shot.block, intended_s, self._took)
        if self._stamp:
            call.chunks_ns = []
        self._open += 1
        self._clients[shot.target].start(self._requests[self._next], call)
        self._next += 1

    def _took(self, call: Call) -> None:
        self._open -= 1
        if not self._ended.is_set():
            self.sample.take(call)
            if not self._open and self._next == len(self._shots):
                self._ended.set()


class ClosedLoop:
    """`connections` connections to one target, each busy for `seconds`; they begin spread over `spread_s`."""

    def __init__(self, target: Target, kind: Kind, connections: int, spread_s: float = 0.0) -> None:
        self._target, self._connections, self._spread_s = target, connections, spread_s
        self._bytes = target.request(kind)
        self.sample = Sample()

    async def run(self, seconds: float) -> Sample:
        """Ends when every connection's last answer is complete, or GRACE_S later."""
        self._client = Client(self._target.port, self._target.host)
        self._ended = asyncio.Event()
        self._open = 0
        try:
            await self._client.open(1 if self._spread_s else self._connections)
            with quiet():
                started_s = perf_counter()
                self._until_s = started_s + seconds
                await self._begin()
                await self._wait(seconds)
                self.sample.seconds = perf_counter() - started_s
        finally:
            await self._client.close()
        return self.sample

    async def _begin(self) -> None:
        for i in range(self._connections):
            self._open += 1
            self._send(Call(0, i, 0.0, self._took))
            if self._spread_s and i % 50 == 49:
                await asyncio.sleep(self._spread_s * 50 / self._connections)

    async def _wait(self, seconds: float) -> None:
        try:
            await asyncio.wait_for(self._ended.wait(), seconds + GRACE_S + self._spread_s)
        except TimeoutError:
            self.sample.failures["unanswered"] = self._open
            self._ended.set()  # what ends from here on is counted already

    def _send(self, call: Call) -> None:
        call.intended_s = perf_counter()
        call.first_s = 0.0
        self._client.start(self._bytes, call)

    def _took(self, call: Call) -> None:
        sample = self.sample
        if self._ended.is_set():
            return
        sample.count(call)
        sample.latencies_s.append(call.end_s - call.intended_s)
        if call.end_s < self._until_s and call.first_s:  # without first_s there was no connection
            self._send(call)
            return
        self._open -= 1
        if not self._open:
            self._ended.set()
