"""An asyncio event loop on virtual time.

Theory of operation. A selector loop asks its selector to wait until the next timer is due; this one's selector does not
wait but moves the loop's clock there. Code that sleeps for an hour runs at once, in the same order as it would have. When
nothing is scheduled and nothing is ready, real code would hang for ever: here that is an error.
"""

import asyncio
import selectors
from collections.abc import Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


class _JumpingSelector(selectors.DefaultSelector):
    """Advances virtual time instead of waiting."""

    now_s = 0.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready: list[tuple[selectors.SelectorKey, int]] = super().select(0)
        if ready:
            return ready
        if timeout is None:
            raise RuntimeError("virtual time stands still: every task waits and no timer is set")
        self.now_s += max(0.0, timeout)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """Starts at time 0; `time()` is virtual."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now_s


class VirtualClock:
    """A `core.ports.Clock` that reads a virtual loop; the wall clock starts at `epoch_s`."""

    def __init__(self, loop: asyncio.AbstractEventLoop, epoch_s: float = 1_700_000_000.0) -> None:
        self._loop, self._epoch_s = loop, epoch_s

    def now_s(self) -> float:
        return self._loop.time()

    def wall_s(self) -> float:
        return self._epoch_s + self._loop.time()


def run_virtual(main: Coroutine[Any, Any, T]) -> T:
    """Runs a coroutine to its end on a fresh virtual loop."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        return runner.run(main)
