"""The rate limits of a mock endpoint: what makes it answer 429."""

import math
from collections import deque

from fastroute.mock.schema import LimitsSpec

_WINDOW_S = 60.0


class Gate:
    """Counts admitted requests in a sliding minute, or takes them from a bucket. Times are monotonic seconds."""

    def __init__(self, limits: LimitsSpec) -> None:
        self._limits = limits
        self._admitted_s: deque[float] = deque()
        self._level: float | None = None  # of the bucket; None: full
        self._level_s = 0.0

    def refuse_for_s(self, now_s: float, in_flight: int, left_ratio: float = 1.0) -> float | None:
        """None admits the request, and counts it; else how many seconds the client should wait, at least 1.

        `left_ratio`: what is left of the rate.
        """
        most = self._limits.max_in_flight
        if most is not None and in_flight >= most:
            return 1.0
        per_minute = self._limits.requests_per_minute
        if per_minute is None:
            return None
        if self._limits.burst_s is not None:
            return self._draw(now_s, left_ratio * per_minute / 60.0, self._limits.burst_s)
        while self._admitted_s and self._admitted_s[0] <= now_s - _WINDOW_S:
            self._admitted_s.popleft()
        if self._admitted_s and len(self._admitted_s) >= left_ratio * per_minute:
            return float(max(1, math.ceil(self._admitted_s[0] + _WINDOW_S - now_s)))
        self._admitted_s.append(now_s)
        return None

    def _draw(self, now_s: float, per_s: float, burst_s: float) -> float | None:
        """One request from a bucket that fills at `per_s` and holds `burst_s` of it, one at least."""
        most = max(1.0, per_s * burst_s)
        before = most if self._level is None else self._level
        self._level, self._level_s = min(most, before + (now_s - self._level_s) * per_s), now_s
        lacks = 1.0 - self._level
        if lacks > 1e-9:
            return float(max(1, math.ceil(lacks / max(1e-9, per_s))))
        self._level -= 1.0
        return None
