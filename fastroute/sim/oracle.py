"""The state oracle: a strategy that knows the true distributions and the faults in force, but not the luck.

It is the simulator's measuring rod, no part of the product: what it pays for an attainment is what a router could pay if its
statistics were perfect and instant. It ranks by cost + worth x P(miss), with true prices, loads, limits and answer lengths;
`worth_requests` is what a miss is worth, in requests at the median cost. Which worth meets a target is found by trying
several (`WORTHS`): see `frontier.Frontier`.

What can go wrong. It does not hedge, and does not plan ahead: a router that does can beat it.
"""

import contextvars
import math
from collections.abc import Callable, Mapping, Sequence
from statistics import NormalDist

from fastroute.core.money import Pusd
from fastroute.core.ports import Rng
from fastroute.core.types import Candidate, Decision, EndpointView, Situation
from fastroute.policy.risk import NEVER, limits_s
from fastroute.sim.weather import Weather
from fastroute.sim.world import Job, Provider

WORTHS = (5.0, 40.0, 120.0, 300.0, 700.0, 2000.0)
FAILURE_RISK = 0.02  # an error costs time even where the next endpoint is quick

current_job: contextvars.ContextVar[Job] = contextvars.ContextVar("current_job")
"""The request that is being served, for oracles only: set in the task that serves it."""

_CDF = NormalDist().cdf


class StateOracle:
    """See the module's text."""

    def __init__(
        self, providers: Mapping[str, Provider], now_s: Callable[[], float], lengths: Sequence[int], worth_requests: float
    ) -> None:
        self.name = f"state_oracle_{worth_requests:g}"
        self._providers, self._now_s, self._lengths, self._worth = providers, now_s, lengths, worth_requests
        self._mean_tokens = sum(lengths) / len(lengths)

    def decide(self, situation: Situation, rng: Rng) -> Decision:
        job, now_s = current_job.get(), self._now_s()
        limits = limits_s(situation)
        known = [self._known(view, job, now_s, limits) for view in situation.views]
        if not known:
            return Decision(self.name, (), (), "the tier is empty")
        costs = sorted(cost for cost, _, _ in known)
        worth = self._worth * max(1.0, costs[len(costs) // 2])
        scores = _scores(known, worth)
        candidates = [
            Candidate(v, min(1.0, p + f), Pusd(round(c)), s)
            for v, (c, p, f), s in zip(situation.views, known, scores, strict=True)
        ]
        ranked = tuple(sorted(candidates, key=lambda c: c.score))
        return Decision(self.name, ranked, (), f"{ranked[0].endpoint.name}: true P(miss) {ranked[0].p_miss:.3f}")

    def _known(self, view: EndpointView, job: Job, now_s: float, limits: tuple[float, float]) -> tuple[float, float, float]:
        """(expected cost, P(miss), P(fast failure)) at an endpoint."""
        provider = self._providers[view.endpoint.name]
        weather = provider.weather(now_s)
        cost = provider.price_pusd(job.input_tokens, self._mean_tokens) * weather.price_factor
        if weather.down == "hang":
            return cost, 1.0, 0.0
        if weather.down is not None or provider.limited_s(job, now_s) > 0.0:
            return cost, 0.0, 1.0
        miss = self._late(provider, weather, job.input_tokens, limits)
        miss = 1.0 - (1.0 - miss) * (1.0 - weather.cut_ratio)
        hangs = weather.gray_ratio if weather.gray_how == "hang" else 0.0
        return cost, hangs + (1.0 - hangs) * miss, weather.gray_ratio - hangs

    def _late(self, provider: Provider, weather: Weather, input_tokens: int, limits: tuple[float, float]) -> float:
        """P(too late), over the true distributions of first content and answer lengths."""
        first_s, total_s = limits
        load = provider.load()
        median_s = provider.median_ttft_s(input_tokens, weather) * load
        pace_s = provider.spec.tpot_ms / 1000.0 * weather.pace_factor * load
        lates = [_over(provider, weather, median_s, first_s)] * len(self._lengths)
        for i in range(len(lates) - 1, -1, -1):
            left_s = total_s - (self._lengths[i] - 1) * pace_s
            if left_s >= first_s:
                break
            lates[i] = _over(provider, weather, median_s, left_s)
        return sum(lates) / len(lates)


def _scores(known: Sequence[tuple[float, float, float]], worth: float) -> list[float]:
    """Cost and risk of each, with the best other one to follow a failure."""
    alone = [cost + worth * miss for cost, miss, _ in known]
    whole = [a + f * worth for a, (_, _, f) in zip(alone, known, strict=True)]
    order = sorted(range(len(whole)), key=whole.__getitem__)
    scores = []
    for i, (_, _, fails) in enumerate(known):
        other = next((j for j in order if j != i), None)
        follows = worth if other is None else whole[other] + FAILURE_RISK * worth
        scores.append((1.0 - fails) * alone[i] + fails * follows)
    return scores


def _over(provider: Provider, weather: Weather, median_s: float, limit_s: float) -> float:
    """P(first content comes after the limit)."""
    if limit_s <= 0.0:
        return 1.0
    if limit_s == NEVER:
        return 0.0
    spec = provider.spec
    ratio = spec.straggler_ratio if weather.straggler_ratio is None else weather.straggler_ratio
    sigma = max(1e-6, spec.sigma * weather.sigma_factor)
    usual = 1.0 - _CDF(math.log(limit_s / max(1e-9, median_s)) / sigma)
    slow = 1.0 - _CDF(math.log(limit_s / max(1e-9, median_s * max(1e-9, spec.straggler_factor))) / sigma)
    return (1.0 - ratio) * usual + ratio * slow
