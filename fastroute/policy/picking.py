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


def least_loaded_first(ranked: list[Candidate], band: float, rng: Rng) -> list[Candidate]:
    """Of those whose score is within `band` (a share) of the best, the one with fewest in flight comes first; then chance."""
    if len(ranked) < 2:
        return ranked
    limit = ranked[0].score + band * abs(ranked[0].score)
    tied = [c for c in ranked if c.score <= limit]
    if len(tied) == 1:
        return ranked
    least = min(c.view.in_flight for c in tied)
    tied = [c for c in tied if c.view.in_flight == least]
    return promoted(ranked, tied[int(rng.random() * len(tied)) % len(tied)])


def promoted(ranked: list[Candidate], first: Candidate) -> list[Candidate]:
    """The same candidates with `first` at the head."""
    return ranked if ranked[0] is first else [first, *(c for c in ranked if c is not first)]


def exclusions_say(excluded: Sequence[object]) -> str:
    """Why nothing is ranked."""
    return "no endpoint may serve" if excluded else "the tier is empty"
