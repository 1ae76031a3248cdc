"""Choosing with the mistakes in it."""

import math
from collections import deque
from contextlib import contextmanager
from unittest.mock import patch

from hdrh.histogram import HdrHistogram

from fastroute.core.types import Candidate, Decision
from fastroute.policy import cost, cost_slo, picking, probing, risk
from fastroute.policy.cost_slo import CostSlo
from fastroute.stats.board import Scoreboard
from fastroute.stats.scale import Scale


def decision(name, ranked):
    return Decision(name, tuple(Candidate(v, 0.0, None, 0.0) for v in ranked), (), f"{ranked[0].endpoint.name}: by rule")


class TablePerView(Scoreboard):
    """1: each view makes its percentiles anew."""

    def view(self, endpoint, now_s, **standing):
        record = self._records[endpoint.name]
        record.first.window._made_s = None
        record.refresh(now_s)
        return super().view(endpoint, now_s, **standing)


class HistogramPerView(Scoreboard):
    """1: each view asks an HdrHistogram."""

    def __init__(self) -> None:
        super().__init__()
        self.histogram = HdrHistogram(1, 3_600_000, 2)
        self.histogram.record_value(300)

    def view(self, endpoint, now_s, **standing):
        self.histogram.get_value_at_percentile(99)
        return super().view(endpoint, now_s, **standing)


class LastTen:
    """9, 11: the lowest mean of the last ten latencies; a timeout counts as a thousand seconds, nothing seen as none at all."""

    name = "last_ten"
    TIMEOUT_S = 1000.0

    def __init__(self) -> None:
        self.seen: dict[str, deque[float]] = {}

    def mean_s(self, name: str) -> float:
        seen = self.seen.get(name)
        return sum(seen) / len(seen) if seen else 0.0

    def decide(self, situation, rng):
        usable = [v for v in situation.views if v.admits and not v.gate_left_s]
        return decision(self.name, sorted(usable, key=lambda v: self.mean_s(v.endpoint.name)))

    def emit(self, trail) -> None:
        for attempt in trail.attempts:
            if attempt.failure is not None:
                value_s = self.TIMEOUT_S
            elif attempt.first_content_s is not None:
                value_s = attempt.first_content_s - attempt.started_s
            else:
                continue
            self.seen.setdefault(attempt.endpoint, deque(maxlen=10)).append(value_s)


@contextmanager
def estimates_stand():
    """10: an estimate is what the last samples made it, however old; and nobody asks for new ones."""
    with (
        patch.object(Scale, "_log_now", lambda self, now_s: self._short),
        patch.object(probing, "probe", lambda ranked, situation, rng: None),
        patch.object(probing, "may_probe", lambda ranked, situation: False),
        patch("fastroute.stats.outcomes.OutcomeRing._turn", lambda self, now_s: self._slot % 20),
    ):
        yield


@contextmanager
def the_new_one_takes_all():
    """11: no limit on what an unknown endpoint may hold."""
    with patch.object(cost_slo, "COLD_IN_FLIGHT", 10**6):
        yield


@contextmanager
def first_content_only():
    """22: an endpoint that begins in time is in time."""
    with patch.object(picking, "limits_s", lambda s: (min(risk.limits_s(s)), risk.NEVER)):
        yield


class Greedy:
    """32: the lowest expected latency by figures that everyone shares, whoever else looks at them."""

    name = "greedy"

    def decide(self, situation, rng):
        def wait_s(view):
            return view.predicted_ttft_s(situation.input_tokens) * (1 + view.in_flight)

        return decision(self.name, sorted(situation.views, key=wait_s))


class Ratchet(CostSlo):
    """38: the worth of a miss rises with each miss and falls with each hit, whoever is to blame for it."""

    name = "ratchet"

    def __init__(self) -> None:
        self.log_factor = 0.0

    def decide(self, situation, rng):
        worth = cost_slo.miss_worth
        with patch.object(cost_slo, "miss_worth", lambda cs, target: worth(cs, target) * math.exp(self.log_factor)):
            found = super().decide(situation, rng)
        return Decision(self.name, found.ranked, found.excluded, found.why)

    def emit(self, trail) -> None:
        self.log_factor += 0.03 * ((trail.objective_met is False) - 0.01)


@contextmanager
def free_is_unknown():
    """39: a price of 0 is no price (`price or infinity`)."""
    priced = cost.expected_cost_pusd

    def falsy(view, situation):
        return priced(view, situation) or None

    with patch.object(picking, "expected_cost_pusd", falsy):
        yield


@contextmanager
def one_price():
    """39: one price for any token."""

    def mixed(view, situation):
        price = view.endpoint.price
        tokens = situation.input_tokens + view.output_tokens
        return round(tokens * (price.input_pusd + price.output_pusd) / 2)

    with patch.object(picking, "expected_cost_pusd", mixed):
        yield


@contextmanager
def probes_with_anything():
    """40: whatever comes is good enough for a probe, and as often as one is due."""
    with (
        patch.object(probing, "_chance", lambda view, situation, rate_per_s: 1.0),
        patch.object(probing, "REST_S", 0.5),
        patch.object(probing, "_due", probing._rested),
    ):
        yield


class NoBand(CostSlo):
    """41: the best score, by whatever little."""

    name = "cost_slo"

    def decide(self, situation, rng):
        with patch.object(cost_slo, "BAND", 0.0):
            return super().decide(situation, rng)
