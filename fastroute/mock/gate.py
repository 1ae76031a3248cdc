"""The rate limits of a mock endpoint: what makes it answer 429."""

import math
from collections import deque

from fastroute.mock.schema import LimitsSpec

_WINDOW_S = 60.0


class Gate:
    """Counts admitted requests in a sliding minute. Times are monotonic seconds."""

    def __init__(self, limits: LimitsSpec) -> None:
        self._limits = limits
        self._admitted_s: deque[float] = deque()

    def refuse_for_s(self, now_s: float, in_flight: int) -> float | None:
        """None admits the request, and counts it; else how many seconds the client should wait, at least 1."""
        most = self._limits.max_in_flight
        if most is not None and in_flight >= most:
            return 1.0
        per_minute = self._limits.requests_per_minute
        if per_minute is None:
            return None
        while self._admitted_s and self._admitted_s[0] <= now_s - _WINDOW_S:
            self._admitted_s.popleft()
        if len(self._admitted_s) >= per_minute:
            return float(max(1, math.ceil(self._admitted_s[0] + _WINDOW_S - now_s)))
        self._admitted_s.append(now_s)
        return None
