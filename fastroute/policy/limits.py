"""How many requests an endpoint should have in flight, learned from how it fares: additive increase, multiplicative decrease.

Rules. There is no limit until there is a reason: the endpoint says that it is overloaded (503, 529, or 429 without a hint), or
first content takes more than twice what it does in the long run while a crowd is in flight. Then the limit is 0.7 of what is in
flight, at least one; once per time to first content, since all of a crowd tell the same. Each good answer adds 1 / limit, but
only while at least half of the limit is used: an idle endpoint proves nothing. A limit that nobody has come near for a
minute is forgotten.

Theory of operation. Waiting at a crowded endpoint is what misses objectives at high rates: predicted latency follows the crowd
only after the fact, and sends everybody elsewhere at once. Only time to first content counts: longer answers are no slowness.

What can go wrong. A limit never refuses a request by itself: where all endpoints of a tier are at theirs, none counts. Workers
learn their own limits, of everybody's requests in flight.

Source: selection notes 2.9; pitfalls 10, 37; Netflix concurrency-limits (no growth when under-used).
"""

import math

CUT_RATIO = 0.7
CROWD = 4  # with fewer in flight, slowness has other reasons
SLOW_RATIO = 2.0
REST_S = 60.0


class Ceiling:
    """One endpoint's limit. Mutable; touched by the loop's thread only."""

    __slots__ = ("_cut_s", "_used_s", "most")

    def __init__(self) -> None:
        self.most = math.inf  # in flight
        self._cut_s = self._used_s = -math.inf

    def good(self, in_flight: int, now_s: float) -> None:
        """An answer came well, with so many in flight, itself included."""
        if self.most < math.inf and in_flight >= 0.5 * self.most:
            self.most += 1.0 / self.most
            self._used_s = now_s

    def slow(self, in_flight: int, now_s: float, ttft_s: float) -> None:
        """First content took too long, with so many in flight. `ttft_s`: usual time to first content."""
        if in_flight >= CROWD and (self.most == math.inf or in_flight >= CUT_RATIO * self.most):
            self.cut(in_flight, now_s, ttft_s)

    def cut(self, in_flight: int, now_s: float, ttft_s: float) -> None:
        """The endpoint said that it is overloaded."""
        if now_s - self._cut_s >= ttft_s:
            self.most = max(1.0, CUT_RATIO * min(self.most, float(in_flight)))
            self._cut_s = self._used_s = now_s

    def rest(self, now_s: float) -> None:
        """Call now and then: forgets a limit that has not been used."""
        if now_s - self._used_s > REST_S:
            self.most = math.inf
