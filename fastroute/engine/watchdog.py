"""One timer for an attempt's first content, its stalls and the request's deadline.

Theory of operation. `asyncio.timeout` re-arms the loop's timer at every `reschedule`; a stream that moves its limit with
each chunk would pay for that. A watchdog only notes the new instant; when the timer fires early, it re-arms itself for
the rest. Cancellation follows `asyncio.Timeout`: the task is cancelled, and on the way out a cancellation that was
ours alone becomes `TimeoutError`, while one from outside (the client left) passes through untouched.
"""

import asyncio
from types import TracebackType
from typing import Self

from fastroute.core.ports import Clock


class Watchdog:
    """Async context that raises `TimeoutError` inside when the instant last given to `move` has passed."""

    def __init__(self, clock: Clock, at_s: float) -> None:
        self._clock, self._at_s = clock, at_s
        self._task: asyncio.Task[object] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._armed_for_s = at_s
        self._cancelling = 0
        self._expired = False

    def move(self, at_s: float) -> None:
        """Sets the limit to another monotonic instant, earlier or later. Costs nothing when it is later."""
        self._at_s = at_s
        if self._timer is not None and at_s < self._armed_for_s:
            self._timer.cancel()
            self._arm()

    async def __aenter__(self) -> Self:
        task = asyncio.current_task()
        if task is None:
            raise RuntimeError("a watchdog guards a task")
        self._task, self._cancelling = task, task.cancelling()
        self._arm()
        return self

    async def __aexit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        ours = self._expired and self._task is not None and self._task.uncancel() <= self._cancelling
        self._task = None
        if ours and kind is not None and issubclass(kind, asyncio.CancelledError):
            raise TimeoutError from error

    def _arm(self) -> None:
        self._armed_for_s = self._at_s
        delay_s = max(0.0, self._at_s - self._clock.now_s())
        self._timer = asyncio.get_running_loop().call_later(delay_s, self._fire)

    def _fire(self) -> None:
        if self._clock.now_s() < self._at_s - 0.0005:  # moved meanwhile; the loop's own clock has 1 ms steps
            self._arm()
            return
        self._timer = None
        self._expired = True
        if self._task is not None:
            self._task.cancel()
