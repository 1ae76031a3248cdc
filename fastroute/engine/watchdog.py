"""One timer for every attempt's first content, its stalls and its request's deadline.

Theory of operation. A timer of the loop for each attempt costs more than the rest of its bookkeeping, and nearly all are
cancelled unfired. So `Alarms` keeps the limits in a heap behind a single timer, set for the earliest one that is still
watched; what has ended is dropped when it comes to the top. A `Watchdog` only notes a later instant (`at_s`); when its old
entry comes up, it is put back for the rest. Cancellation follows `asyncio.Timeout`: the task is cancelled, and on the way
out a cancellation that was ours alone becomes `TimeoutError`, while one from outside (the client left) passes through.
"""

import asyncio
import math
from heapq import heapify, heappop, heappush
from types import TracebackType
from typing import Self

from fastroute.core.ports import Clock

EARLY_S = 0.0005  # the loop's own clock has 1 ms steps
SWEEP_EVERY = 4096


class Alarms:
    """The limits of one event loop. Touched by its thread only."""

    __slots__ = ("_armed_s", "_clock", "_heap", "_made", "_timer")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._heap: list[tuple[float, int, Watchdog]] = []
        self._made = 0
        self._armed_s = math.inf
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._heap)

    def put(self, watchdog: "Watchdog", at_s: float) -> None:
        """Rings the watchdog at a monotonic instant, unless it has been moved or has ended by then."""
        self._made += 1
        watchdog.queued_s = at_s
        heappush(self._heap, (at_s, self._made, watchdog))
        if at_s < self._armed_s:
            self._arm(at_s)
        if self._made % SWEEP_EVERY == 0:
            self._sweep()

    def _arm(self, at_s: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._armed_s = at_s
        self._timer = asyncio.get_running_loop().call_later(max(0.0, at_s - self._clock.now_s()), self._ring)

    def _ring(self) -> None:
        self._timer, self._armed_s = None, math.inf
        heap, now_s = self._heap, self._clock.now_s() + EARLY_S
        while heap:
            at_s, _, watchdog = heap[0]
            if watchdog.watching and at_s == watchdog.queued_s:
                if at_s > now_s:
                    break
                if watchdog.at_s <= now_s:
                    watchdog.expire()
                else:
                    heappop(heap)
                    self.put(watchdog, watchdog.at_s)
                    continue
            heappop(heap)
        if heap:
            self._arm(heap[0][0])

    def _sweep(self) -> None:
        """Drops what has ended, lest many short requests with long limits fill the heap."""
        self._heap = [entry for entry in self._heap if entry[2].watching]
        heapify(self._heap)


class Watchdog:
    """Context that raises `TimeoutError` inside, at an await, when the instant last given has passed."""

    __slots__ = ("_alarms", "_cancelling", "_expired", "_task", "at_s", "queued_s")

    def __init__(self, alarms: Alarms, at_s: float) -> None:
        self._alarms = alarms
        self.at_s = at_s  # may be set to a later instant at any time, at no cost
        self.queued_s = math.inf
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._expired = False

    @property
    def watching(self) -> bool:
        return self._task is not None and not self._expired

    def move(self, at_s: float) -> None:
        """Sets the limit to another monotonic instant, earlier or later."""
        self.at_s = at_s
        if self._task is not None and at_s < self.queued_s:
            self._alarms.put(self, at_s)

    def expire(self) -> None:
        """The instant has come."""
        self._expired = True
        if self._task is not None:
            self._task.cancel()

    def __enter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a watchdog guards a task")
        self._task, self._cancelling = task, task.cancelling()
        self._alarms.put(self, self.at_s)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        task, self._task = self._task, None
        if not self._expired or task is None:
            return
        ours = task.uncancel() <= self._cancelling
        if ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error
