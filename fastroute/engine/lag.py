"""Whether this process itself is late, so that its own slowness is not taken for a provider's.

Theory of operation. Twenty times a second the loop should call `beat`. Where a beat is more than `LATE_S` overdue, the loop was
busy with something else meanwhile: what is read from sockets now may have lain there, and when it came cannot be known. Such
times are not learned: first contents, ends and timeouts noticed while `late`, and the tick that would mark flights as
overdue. Whether timers or sockets come first in a turn of the loop does not matter: an overdue beat is seen by whoever asks,
and once it has come, `AFTER_S` are for what still waits.

What can go wrong. A loop that is late most of the time would learn nothing: its lateness is then part of what its clients
see, and is learned as before. Without beats (simulation, tests) nothing is ever late.

Source: selection notes, pitfall 42.
"""

import asyncio
import math

from fastroute.core.ports import Clock

BEAT_S = 0.05
LATE_S = 0.05
AFTER_S = 0.025
OFTEN = 0.25
OFTEN_GAIN = 0.02


class Lag:
    """One event loop's. Touched by its thread only."""

    __slots__ = ("_due_s", "_often", "_timer", "_until_s")

    def __init__(self) -> None:
        self._due_s, self._until_s = math.inf, -math.inf
        self._often = 0.0  # share of beats that were late, of late
        self._timer: asyncio.TimerHandle | None = None

    def late(self, now_s: float) -> bool:
        """Whether what is noticed now may have happened some time ago."""
        return (now_s - self._due_s > LATE_S or now_s < self._until_s) and self._often < OFTEN

    def beat(self, now_s: float) -> None:
        """Call every `BEAT_S`."""
        was_late = now_s - self._due_s > LATE_S
        if was_late:
            self._until_s = now_s + AFTER_S
        self._often += OFTEN_GAIN * (was_late - self._often)
        self._due_s = now_s + BEAT_S

    def start(self, loop: asyncio.AbstractEventLoop, clock: Clock) -> None:
        """Beats from now on, until `stop`."""
        self.beat(clock.now_s())
        self._timer = loop.call_later(BEAT_S, self.start, loop, clock)

    def stop(self) -> None:
        """Nothing is late any more."""
        if self._timer is not None:
            self._timer.cancel()
        self._timer, self._due_s = None, math.inf
