"""Statistics with the mistakes in them. Each is as small as the mistake."""

import math
from contextlib import contextmanager
from unittest.mock import patch

from fastroute.core.types import TailTable
from fastroute.stats.board import Flight, Scoreboard
from fastroute.stats.latency import SizeSlope
from fastroute.stats.window import BOUNDS, Horizon, Window


class SortedList:
    """2: a percentile is what `sorted` says, however few there are, and how many there were is not told."""

    def __init__(self) -> None:
        self.values: list[float] = []

    def observe(self, value_s: float) -> None:
        self.values.append(value_s)

    def p99(self) -> tuple[float, float | None]:
        return sorted(self.values)[int(0.99 * len(self.values))], None


class LosersDropped(Scoreboard):
    """3: a hedge that lost is forgotten."""

    def abandon(self, flight: Flight, now_s: float) -> None:
        self._land(flight)


class LosersComplete(Scoreboard):
    """3, 7: the time until it was cancelled is taken for the time it took."""

    def abandon(self, flight: Flight, now_s: float) -> None:
        self.first_content(flight, now_s)
        super().abandon(flight, now_s)


class CountedAtTheEnd(Scoreboard):
    """4: a slow request is slow when it has ended."""

    def tick(self, now_s: float) -> list[Flight]:
        self._waiting.clear()
        return super().tick(now_s)


class LeaversFailed(Scoreboard):
    """7: a client that leaves is a failure of the endpoint."""

    def abandon(self, flight: Flight, now_s: float) -> None:
        flight.record.outcomes.failure(now_s)
        super().abandon(flight, now_s)


class ErrorsAreLatencies(Scoreboard):
    """8: whatever comes back has a latency."""

    def finish(self, flight: Flight, now_s: float, **end: object) -> None:
        self.first_content(flight, now_s)
        super().finish(flight, now_s, **end)


class NeverRescaled(Horizon):
    """35: weights grow for ever."""

    __slots__ = ()

    def weight(self, now_s: float) -> float:
        return 2.0 ** ((now_s - self.landmark_s) / self.half_life_s)


@contextmanager
def never_rescaled():
    with patch("fastroute.stats.window.Horizon", NeverRescaled):
        yield


@contextmanager
def sizes_ignored():
    """36: one latency per endpoint, whatever the prompt."""
    with patch.object(SizeSlope, "observe", lambda self, tokens, ratio: None):
        yield


class RaisesOutOfRange(Window):
    """13: a histogram from 50 ms to 60 s, and what does not fit is an error."""

    def record(self, ratio: float, now_s: float) -> None:
        if not 0.0 < ratio <= BOUNDS[-1]:
            raise ValueError(f"value {ratio} is out of range")
        super().record(ratio, now_s)


class SwitchedOffOutOfRange(Window):
    """13: after a value out of range, percentiles are NaN, and whoever compares with them never acts."""

    _broken = False

    def record(self, ratio: float, now_s: float) -> None:
        self._broken = self._broken or not 0.0 < ratio <= BOUNDS[-1]
        super().record(ratio, now_s)

    def table(self, now_s: float) -> TailTable:
        return TailTable(BOUNDS, (math.nan,) * len(BOUNDS)) if self._broken else super().table(now_s)


def added_as_they_are(one: Horizon, other: Horizon) -> Horizon:
    """34: arrays are added whatever their landmarks."""
    both = one.copy()
    both.events = [a + b for a, b in zip(one.events, other.events, strict=True)]
    both.censored = [a + b for a, b in zip(one.censored, other.censored, strict=True)]
    both.total = one.total + other.total
    return both
