"""A dry run: what would be chosen for a request now, and why. Sends nothing."""

from typing import Any

from fastroute.core.ports import Clock
from fastroute.core.trail import Trail, candidate_dict
from fastroute.core.types import ChatRequest, Decision, Route
from fastroute.engine.choice import Choice, Chooser
from fastroute.engine.exchange import Exchange
from fastroute.policy import hedging
from fastroute.policy.budget import budget_of

NOT_NEEDED = "a higher tier: not needed while a lower one is expected to meet the objective"


def explain(request: ChatRequest, route: Route, chooser: Chooser, clock: Clock) -> dict[str, Any]:
    """Candidates with their predictions, exclusions with reasons, the choice: JSON-ready, times in ms, money in USD."""
    trail = Trail(request, started_wall_s=clock.wall_s())
    exchange = Exchange(request, _NoReply(), route, trail, clock, budget_of(route))
    choice = chooser.choose(exchange)
    return {
        "route": route.name,
        "grade": None,
        "input_tokens": request.input_tokens,
        "candidates": [
            {"tier": t, **candidate_dict(c, request.input_tokens)} for t, d in enumerate(trail.decisions) for c in d.ranked
        ],
        "excluded": [
            *({"endpoint": e.endpoint.name, "reason": e.reason} for d in trail.decisions for e in d.excluded),
            *({"endpoint": e.name, "reason": NOT_NEEDED} for tier in route.tiers[len(trail.decisions) :] for e in tier),
        ],
        "hedge": _hedge_plan(choice, trail.decisions, request),
        "chosen": choice.candidate.endpoint.name if choice else None,
        "why": _why(trail.decisions, choice.tier if choice else None),
    }


def _hedge_plan(choice: Choice | None, decisions: list[Decision], request: ChatRequest) -> dict[str, Any] | None:
    """When a duplicate would be thought of, and who could serve it, best first; None: never."""
    if choice is None or choice.hedge_after_s is None:
        return None
    others = [c for d in decisions for c in d.ranked if c.endpoint is not choice.candidate.endpoint and hedging.healthy(c.view)]
    view, after_s = choice.candidate.view, choice.hedge_after_s
    still_waiting = view.ttft_tail.p_over(after_s / max(1e-9, view.predicted_ttft_s(request.input_tokens)))
    return {
        "after_ms": round(after_s * 1e3, 1),
        "p_waiting": round(still_waiting, 4) if request.stream else None,
        "to": [c.endpoint.name for c in others],
        "if": "there is no content by then, and the request is likelier to miss its objective than a duplicate is dear",
    }


def _why(decisions: list[Decision], tier: int | None) -> str:
    if tier is None:
        return "no endpoint may be used: " + "; ".join(d.why for d in decisions if d.why)
    return decisions[tier].why + (f" (tier {tier}: the tiers below cannot meet the objective)" if tier else "")


class _NoReply:
    """Nobody is waiting for an answer."""

    async def whole(self, trail: Trail, status: int, body: bytes) -> None: ...

    def open_stream(self, trail: Trail) -> None: ...

    async def write(self, data: bytes) -> None: ...

    def push(self, data: bytes) -> bool:
        return True

    async def drain(self) -> None: ...

    async def close_stream(self, complete: bool) -> None: ...
