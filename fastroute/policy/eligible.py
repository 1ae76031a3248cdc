"""Which endpoints may serve a request at all, and why the others may not.

Rules. What cannot change within the request is named first (capability, size, price), then what passes with time (gate,
breaker, limit). What is not known about an endpoint is not held against it, except a price where the client set a cap.
Breakers and suspicion may be overlooked by whoever made the views (a panic); a rate-limit gate never is.
"""

from fastroute.core.money import show_usd
from fastroute.core.types import BreakerState, EndpointView, Exclusion, Situation
from fastroute.policy.cost import expected_cost_pusd


def split(situation: Situation) -> tuple[list[EndpointView], list[Exclusion]]:
    """The views that may serve, in their order, and an exclusion for every other."""
    usable, excluded = [], []
    for view in situation.views:
        never, now = unfit(view, situation), unavailable(view)
        if never is not None:
            excluded.append(Exclusion(view.endpoint, never))
        elif now is not None:
            excluded.append(Exclusion(view.endpoint, now, max(view.gate_left_s, view.paced_s) or None))
        else:
            usable.append(view)
    return usable, excluded


def unfit(view: EndpointView, situation: Situation) -> str | None:
    """Why this endpoint can never serve this request; None: it can."""
    can, needs = view.endpoint.capabilities, situation.needs
    if needs.vision and can.vision is False:
        return "cannot read images"
    if needs.tools and can.tools is False:
        return "cannot call tools"
    if needs.json_schema and can.json_schema is False:
        return "cannot follow a JSON schema"
    if can.context_tokens is not None and situation.input_tokens > can.context_tokens:
        return f"the prompt, about {situation.input_tokens} tokens, exceeds its context of {can.context_tokens}"
    if can.max_output_tokens is not None and (situation.max_output_tokens or 0) > can.max_output_tokens:
        return f"writes at most {can.max_output_tokens} tokens, {situation.max_output_tokens} were asked for"
    return _too_dear(view, situation)


def unavailable(view: EndpointView) -> str | None:
    """Why this endpoint cannot serve right now; None: it can."""
    if view.gate_left_s > 0.0:
        return f"rate limited for another {view.gate_left_s:.1f} s"
    if view.paced_s > 0.0:
        return f"paced: its rate limit has room for the next request in {view.paced_s:.1f} s"
    if view.breaker is BreakerState.OPEN:
        return "its breaker is open"
    limit = view.endpoint.max_in_flight
    if limit is not None and view.in_flight >= limit:
        return f"at its limit of {limit} in flight"
    if view.crowd_limit is not None:
        return f"at {view.crowd_limit} in flight: beyond, it has become slow or refused"
    if view.admits:
        return None
    if view.breaker is BreakerState.HALF_OPEN:
        return "its breaker is half open and a probe is under way"
    return "suspect, and not due for a probe" if view.suspect else "not admitted"


def _too_dear(view: EndpointView, situation: Situation) -> str | None:
    cap = situation.max_cost_pusd
    if cap is None:
        return None
    cost = expected_cost_pusd(view, situation)
    if cost is None:
        return "unpriced, and the request caps its cost"
    return f"expected to cost ${show_usd(cost)}, more than the cap of ${show_usd(cap)}" if cost > cap else None
