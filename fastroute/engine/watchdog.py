"""One timer for every attempt's first content, its stalls and its request's deadline.

Theory of operation. A timer of the loop for each attempt costs more than the rest of its bookkeeping, and nearly all are
cancelled unfired. So `Alarms` keeps the watchdogs in a set behind a single timer, set for the earliest limit given. When it
rings, all are looked through, and it is set for the earliest limit that now stands: that is seldom, since limits lie seconds
ahead and content keeps moving them on. A `Watchdog` only notes a later instant (`at_s`). Cancellation follows
`asyncio.Timeout`: the task is cancelled, and on the way out a cancellation that was ours alone becomes `TimeoutError`,
while one from outside (the client left) passes through. A watchdog may be told to call somebody before its limit, once
(`remind`): that is when a hedge is thought of.
"""

import asyncio
import math
from collections.abc import Callable
from types import TracebackType
from typing import Self

from fastroute.core.ports import Clock

EARLY_S = 0.0005  # the loop's own clock has 1 ms steps


class Alarms:
    """The limits of one event loop. Touched by its thread only."""

    __slots__ = ("_armed_s", "_clock", "_timer", "loop", "watched")

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self.watched: dict[Watchdog, None] = {}  # a set with an order
        self._armed_s = math.inf
        self._timer: asyncio.TimerHandle | None = None
        self.loop: asyncio.AbstractEventLoop | None = None  # known from the first watchdog on: asking costs a system call

    def by(self, at_s: float) -> None:
        """Looks through the watchdogs at a monotonic instant, if not before."""
        if at_s >= self._armed_s:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._armed_s = at_s
        self._timer = asyncio.get_running_loop().call_later(max(0.0, at_s - self._clock.now_s()), self._ring)

    def _ring(self) -> None:
        self._timer, self._armed_s = None, math.inf
        now_s = self._clock.now_s() + EARLY_S
        for watchdog in [w for w in self.watched if w.at_s <= now_s]:
            del self.watched[watchdog]
            watchdog.expire()
        if self.watched:
            self.by(min([w.at_s for w in self.watched]))


class Watchdog:
    """Context that raises `TimeoutError` inside, at an await, when the instant last given has passed."""

    __slots__ = ("_alarms", "_cancelling", "_expired", "_limit_s", "_remind", "_task", "at_s")

    def __init__(self, alarms: Alarms, at_s: float) -> None:
        self._alarms = alarms
        self.at_s = at_s  # may be set to a later instant at any time, at no cost
        self._task: asyncio.Task[object] | None = None
        self._cancelling = 0
        self._expired = False
        self._remind: Callable[[], None] | None = None

    def remind(self, at_s: float, call: Callable[[], None]) -> None:
        """Calls at an instant before the limit, unless it has moved by then. Before the context is entered."""
        if at_s < self.at_s:
            self._remind, self._limit_s, self.at_s = call, self.at_s, at_s

    def move(self, at_s: float) -> None:
        """Sets the limit to another monotonic instant, earlier or later."""
        self._remind = None
        self.at_s = at_s
        if self._task is not None:
            self._alarms.by(at_s)

    def expire(self) -> None:
        """The instant has come."""
        if self._remind is not None:
            call, self._remind = self._remind, None
            self.at_s = self._limit_s
            self._alarms.watched[self] = None
            self._alarms.by(self.at_s)
            call()
            return
        self.stop()

    def stop(self) -> None:
        """Ends what is inside now, with `TimeoutError`, as if the limit had passed."""
        self._expired = True
        if self._task is not None:
            self._task.cancel()

    def __enter__(self) -> Self:
        loop = self._alarms.loop
        if loop is None:
            loop = self._alarms.loop = asyncio.get_running_loop()
        task = asyncio.current_task(loop)
        if task is None:
            raise RuntimeError("a watchdog guards a task")
        self._task, self._cancelling = task, task.cancelling()
        self._alarms.watched[self] = None
        self._alarms.by(self.at_s)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        task, self._task = self._task, None
        if not self._expired or task is None:
            self._alarms.watched.pop(self, None)
            return
        ours = task.uncancel() <= self._cancelling
        if ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error
