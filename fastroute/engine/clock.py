"""The real clock."""

import time


class SystemClock:
    """Monotonic and wall time of this machine. uvloop's `loop.time()` moves in 1 ms steps, so intervals are read here."""

    def now_s(self) -> float:
        return time.monotonic()

    def wall_s(self) -> float:
        return time.time()
