"""The real clock."""

import time


class SystemClock:
    """Monotonic and wall time of this machine. uvloop's `loop.time()` moves in 1 ms steps, so intervals are read here."""

    now_s = staticmethod(time.monotonic)
    wall_s = staticmethod(time.time)
