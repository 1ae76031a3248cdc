"""Shared by strategies: appraised candidates, and ties broken by load.

A tie is broken by this process's own, exact in-flight count, then by chance: shared, older readings would send every worker
to the same endpoint at once. Source: selection notes 2.7.
"""

from collections.abc import Sequence

from fastroute.core.ports import Rng
from fastroute.core.types import Candidate, EndpointView, Situation
from fastroute.policy.cost import expected_cost_pusd
from fastroute.policy.risk import limits_s, p_miss


def appraise(views: Sequence[EndpointView], situation: Situation) -> list[Candidate]:
    """What is expected of each view, in their order; scores are 0.0 until a strategy sets them."""
    limits = limits_s(situation)
    return [Candidate(v, p_miss(v, situation, limits), expected_cost_pusd(v, situation), 0.0) for v in views]


def with_score(candidate: Candidate, score: float) -> Candidate:
    """The same candidate, scored."""
    return Candidate(candidate.view, candidate.p_miss, candidate.cost_pusd, score)


def by_score(candidates: Sequence[Candidate]) -> list[Candidate]:
    """Best first; equal ones keep their order."""
    return sorted(candidates, key=lambda c: c.score)


def count_tied(ranked: Sequence[Candidate], band: float) -> int:
    """How many of the first have a score within `band` (a share) of the best."""
    if not ranked:
        return 0
    limit = ranked[0].score + band * abs(ranked[0].score)
    return sum(c.score <= limit for c in ranked)


def least_loaded_first(ranked: list[Candidate], tied: int, rng: Rng) -> list[Candidate]:
    """Of the first `tied`, the one with fewest in flight comes first; then chance."""
    if tied < 2:
        return ranked
    least = min(c.view.in_flight for c in ranked[:tied])
    idle = [c for c in ranked[:tied] if c.view.in_flight == least]
    return promoted(ranked, idle[int(rng.random() * len(idle)) % len(idle)])


def promoted(ranked: list[Candidate], first: Candidate) -> list[Candidate]:
    """The same candidates with `first` at the head."""
    return ranked if ranked[0] is first else [first, *(c for c in ranked if c is not first)]


def exclusions_say(excluded: Sequence[object]) -> str:
    """Why nothing is ranked."""
    return "no endpoint may serve" if excluded else "the tier is empty"
