"""What all baselines share: whom they may use, and a decision from scores."""

from collections.abc import Callable, Sequence

from fastroute.core.types import BreakerState, Decision, EndpointView, Exclusion, Situation
from fastroute.policy.eligible import unfit
from fastroute.policy.picking import appraise, by_score, with_score


def usable(situation: Situation) -> tuple[list[EndpointView], tuple[Exclusion, ...]]:
    """Views that may serve. Breakers, gates and limits count, for rivals have such; suspicion does not."""
    found, excluded = [], []
    for view in situation.views:
        reason = unfit(view, situation) or _closed(view)
        if reason is None:
            found.append(view)
        else:
            excluded.append(Exclusion(view.endpoint, reason, view.gate_left_s or None))
    return found, tuple(excluded)


def _closed(view: EndpointView) -> str | None:
    if view.gate_left_s > 0.0:
        return "rate limited"
    if view.breaker is BreakerState.OPEN or (view.breaker is BreakerState.HALF_OPEN and not view.admits):
        return "its breaker is open"
    limit = view.endpoint.max_in_flight
    return "at its limit in flight" if limit is not None and view.in_flight >= limit else None


def ranked(name: str, situation: Situation, scores: Callable[[Sequence[EndpointView]], Sequence[float]]) -> Decision:
    """The usable views, lowest score first. Never lasts: these rules decide every request anew."""
    views, excluded = usable(situation)
    if not views:
        return Decision(name, (), excluded, "no endpoint may serve")
    candidates = [with_score(c, s) for c, s in zip(appraise(views, situation), scores(views), strict=True)]
    order = tuple(by_score(candidates))
    return Decision(name, order, excluded, f"{order[0].endpoint.name}: {name}")
