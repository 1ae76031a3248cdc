"""The clairvoyant: knows how each attempt would go. A lower bound on cost that nothing can reach."""

import math
from collections.abc import Callable, Mapping

from fastroute.core.ports import Rng
from fastroute.core.types import Candidate, Decision, EndpointView, Situation
from fastroute.policy.risk import limits_s
from fastroute.sim.oracle import current_job
from fastroute.sim.world import Job, Provider

MISSED_PUSD = 1e14  # any miss is worse than any price
FAILED_PUSD = 1e15


class Clairvoyant:
    """The cheapest endpoint that will meet the objective; else the cheapest that will answer; else the soonest to fail."""

    name = "clairvoyant"

    def __init__(self, providers: Mapping[str, Provider], now_s: Callable[[], float]) -> None:
        self._providers, self._now_s = providers, now_s

    def decide(self, situation: Situation, rng: Rng) -> Decision:
        job, now_s, limits = current_job.get(), self._now_s(), limits_s(situation)
        candidates = [self._judged(view, job, now_s, limits) for view in situation.views]
        order = tuple(sorted(candidates, key=lambda c: c.score))
        return Decision(self.name, order, (), "knows")

    def _judged(self, view: EndpointView, job: Job, now_s: float, limits: tuple[float, float]) -> Candidate:
        provider = self._providers[view.endpoint.name]
        course = provider.plan(job, now_s)
        cost = provider.price_pusd(job.input_tokens, job.output_tokens, course)
        if course.status != 200 or course.refused or course.cut_s is not None or course.end_s == math.inf:
            return Candidate(view, 1.0, cost, FAILED_PUSD + (course.ttft_s or 1e9))
        first_s = course.end_s if course.ttft_s is None else course.ttft_s
        missed = first_s > limits[0] or course.end_s > limits[1]
        return Candidate(view, float(missed), cost, cost + (MISSED_PUSD if missed else 0.0))
