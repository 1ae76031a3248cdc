"""Baselines with statistics of their own: they are shown every Trail when its request has ended, and nothing earlier."""

import math
from collections import deque
from collections.abc import Callable, Sequence

from bench.baselines.ranking import ranked
from bench.baselines.rules import expected_pusd
from fastroute.core.ports import Rng
from fastroute.core.trail import Attempt, Trail
from fastroute.core.types import Decision, EndpointView, Situation

Now = Callable[[], float]


class LastTen:
    """The lowest mean TTFT of the last ten good answers; unseen counts as 0. Source: LiteLLM `lowest_latency`.

    As there, a timeout leaves no trace in TTFT, a loser is never measured again, and nothing ages.
    """

    name = "last_ten"

    def __init__(self, now_s: Now) -> None:
        self._seen: dict[str, deque[float]] = {}

    def emit(self, trail: Trail) -> None:
        for attempt in trail.attempts:
            if attempt.failure is None and (value_s := waited_s(attempt)) is not None:
                self._seen.setdefault(attempt.endpoint, deque(maxlen=10)).append(value_s)

    def decide(self, situation: Situation, rng: Rng) -> Decision:
        return ranked(self.name, situation, lambda views: [self._mean_s(v) + 1e-9 * rng.random() for v in views])

    def _mean_s(self, view: EndpointView) -> float:
        seen = self._seen.get(view.endpoint.name)
        return sum(seen) / len(seen) if seen else 0.0


class PeakEwma:
    """The better of two drawn by chance: peak-sensitive average x (in flight + 1). Source: Finagle, tower `peak_ewma`."""

    name = "peak_ewma"
    TAU_S = 10.0
    UNSEEN_S = 1.0

    def __init__(self, now_s: Now) -> None:
        self._now_s = now_s
        self._average: dict[str, tuple[float, float]] = {}  # seconds, as of

    def emit(self, trail: Trail) -> None:
        now_s = self._now_s()
        for attempt in trail.attempts:
            value_s = waited_s(attempt)
            if value_s is not None:
                self._average[attempt.endpoint] = (self._next(attempt.endpoint, value_s, now_s), now_s)

    def _next(self, endpoint: str, value_s: float, now_s: float) -> float:
        """Jumps up to a peak, and decays toward anything lower."""
        average_s, at_s = self._average.get(endpoint, (value_s, now_s))
        if value_s >= average_s:
            return value_s
        keep = math.exp(-(now_s - at_s) / self.TAU_S)
        return average_s * keep + value_s * (1.0 - keep)

    def decide(self, situation: Situation, rng: Rng) -> Decision:
        return ranked(self.name, situation, lambda views: self._scores(views, rng))

    def _scores(self, views: Sequence[EndpointView], rng: Rng) -> list[float]:
        loads = [self._load(view) for view in views]
        if len(views) > 2:
            first = int(rng.random() * len(views)) % len(views)
            second = (first + 1 + int(rng.random() * (len(views) - 1)) % (len(views) - 1)) % len(views)
            for i in (first, second):
                loads[i] -= 1e6
        return loads

    def _load(self, view: EndpointView) -> float:
        """The average decays toward nothing while nobody looks: that is how it explores."""
        known = self._average.get(view.endpoint.name)
        average_s = self.UNSEEN_S if known is None else known[0] * math.exp(-(self._now_s() - known[1]) / self.TAU_S)
        return average_s * (view.in_flight + 1)


class CheapestUnderP99:
    """The cheapest endpoint whose recent p99 TTFT is under the objective; where none is, the lowest p99.

    The p99 is that of the last five minutes, of 100 samples at most, by rank; unseen counts as good.
    """

    name = "cheapest_p99"
    SAMPLES, KEEP_S = 100, 300.0

    def __init__(self, now_s: Now) -> None:
        self._now_s = now_s
        self._seen: dict[str, deque[tuple[float, float]]] = {}

    def emit(self, trail: Trail) -> None:
        for attempt in trail.attempts:
            value_s = waited_s(attempt)
            if value_s is not None:
                self._seen.setdefault(attempt.endpoint, deque(maxlen=self.SAMPLES)).append((self._now_s(), value_s))

    def decide(self, situation: Situation, rng: Rng) -> Decision:
        limit_s = situation.objective.ttft_s or situation.objective.total_s or math.inf

        def score(view: EndpointView) -> float:
            p99_s = self._p99_s(view.endpoint.name)
            return expected_pusd(view, situation) if p99_s <= limit_s else 1e15 * p99_s

        return ranked(self.name, situation, lambda views: [score(v) for v in views])

    def _p99_s(self, endpoint: str) -> float:
        seen, oldest_s = self._seen.get(endpoint), self._now_s() - self.KEEP_S
        while seen and seen[0][0] < oldest_s:
            seen.popleft()
        if not seen:
            return 0.0
        ordered = sorted(value_s for _, value_s in seen)
        return ordered[min(len(ordered) - 1, math.ceil(0.99 * len(ordered)) - 1)]


def waited_s(attempt: Attempt) -> float | None:
    """TTFT, or the whole wait of one that was given up or came whole; None where it failed at once."""
    if attempt.first_content_s is not None:
        return attempt.first_content_s - attempt.started_s
    given_up = attempt.failure is not None and attempt.failure.value in ("first_content_timeout", "deadline")
    whole = attempt.failure is None and attempt.ended_s is not None
    return (attempt.ended_s or attempt.started_s) - attempt.started_s if given_up or whole else None
