"""Rate limits with the mistakes in them."""

from contextlib import contextmanager
from unittest.mock import patch

from fastroute.engine import admission
from fastroute.policy.limits import Ceiling


def whole_seconds(headers, now_wall_s=None):
    """25: Retry-After is a whole number of seconds."""
    return float(int(headers["retry-after"]))


def as_it_says(headers, now_wall_s=None):
    """25: whatever number is there is waited for."""
    return float(headers.get("retry-after", "0"))


@contextmanager
def all_at_once():
    """25: all who were told the same come back at the same instant."""
    with patch.object(admission, "GATE_SPREAD", 0.0):
        yield


class FixedMinute:
    """30: the minute begins at :00."""

    def __init__(self, per_minute: float) -> None:
        self._limit, self._minute, self._taken = per_minute, -1, 0.0

    def wait_s(self, amount: float, now_s: float) -> float:
        minute = int(now_s // 60)
        taken = self._taken if minute == self._minute else 0.0
        return 0.0 if taken + amount <= self._limit else 60.0 * (minute + 1) - now_s

    def take(self, amount: float, now_s: float) -> None:
        minute = int(now_s // 60)
        if minute != self._minute:
            self._minute, self._taken = minute, 0.0
        self._taken += amount


class FullBucket(FixedMinute):
    """30: a bucket as large as the minute's limit: its content and a minute's filling are twice the limit."""

    def __init__(self, per_minute: float) -> None:
        self._limit, self._level, self._at_s = per_minute, per_minute, 0.0

    def wait_s(self, amount: float, now_s: float) -> float:
        level = min(self._limit, self._level + (now_s - self._at_s) * self._limit / 60.0)
        return max(0.0, (amount - level) * 60.0 / self._limit)

    def take(self, amount: float, now_s: float) -> None:
        self._level = min(self._limit, self._level + (now_s - self._at_s) * self._limit / 60.0) - amount
        self._at_s = now_s


class AlwaysAdjusting(Ceiling):
    """37: the limit is always in force; it grows with every good answer, used or not, and whatever is slow shrinks it."""

    __slots__ = ()

    def __init__(self) -> None:
        super().__init__()
        self.most = 8.0

    def good(self, in_flight: int, now_s: float) -> None:
        self.most += 1.0 / self.most

    def rest(self, now_s: float) -> None:
        pass


class ByWholeTime(AlwaysAdjusting):
    """37: an answer that takes longer in all is slow."""

    __slots__ = ()

    def good(self, in_flight: int, now_s: float) -> None:
        pass


@contextmanager
def ceiling(kind: type[Ceiling]):
    """`ByWholeTime` is told how long each answer took in all, before the production code judges its first content."""
    well = admission.Admission._well

    def by_whole_time(self, flight):
        ceiling = flight.keeper.ceiling
        took_s = self._clock.now_s() - flight.sample.started_s
        if isinstance(ceiling, ByWholeTime) and took_s > 2.0:
            ceiling.most = max(1.0, 0.7 * ceiling.most)
        return well(self, flight)

    with patch.object(admission, "Ceiling", kind), patch.object(admission.Admission, "_well", by_whole_time):
        yield
