"""How long one attempt may take before it is given up.

Theory of operation. An attempt waits for first content as long as it can while still leaving the fastest endpoint that
could follow it the time it needs: what is left, less the 90th percentile of that endpoint, less 0.3 s; never under 1 s; all
that is left where nobody could follow. An endpoint that is known (20 samples) is given up sooner: at four times its own
99th percentile, and 2 s at least, something is wrong with this attempt, not with the estimate. A stream from one that is
not known may use half of what is left. A suspect is given up while the next one can still keep the promise: what is sent
there to find out whether it has recovered need not be late. Whole replies have no first
token to wait for: their whole time takes its place.

What can go wrong. Where less is left than the next endpoint needs, waiting longer beats starting anew: an attempt is then
left all the time there is.

Source: selection notes 2.9; pitfalls 9, 20.
"""

from collections.abc import Sequence

from fastroute.core.types import ChatRequest, EndpointView, Route
from fastroute.policy.cost import output_points
from fastroute.policy.risk import PACE_MARGIN

HANDOVER_S = 0.3
RESCUE_S = 0.05
LEAST_S = 1.0
KNOWN_SAMPLES = 20
FAR_BEYOND = 4.0
FAR_LEAST_S = 2.0
STALL_LEAST_S = 3.0
STALL_TOKENS = 20.0


def first_content_timeout_s(
    route: Route, view: EndpointView, others: Sequence[EndpointView], left_s: float, request: ChatRequest, attempts_left: int
) -> float:
    """Seconds this attempt may go without first content (a whole reply: without its end), at most `left_s`.

    `others`: who could follow; `attempts_left`: how many attempts may follow this one.
    """
    if route.first_content_timeout_s is not None:
        return min(route.first_content_timeout_s, left_s)
    if not others or attempts_left <= 0:
        return left_s
    next_s = min(_needs_s(other, request, left_s) for other in others)
    if left_s - LEAST_S < next_s:
        return left_s
    patience_s = left_s - next_s
    if view.suspect and request.stream:
        patience_s = min(patience_s, _rescue_s(route, left_s, next_s, request))
    elif view.samples >= KNOWN_SAMPLES:
        patience_s = min(patience_s, max(FAR_LEAST_S, FAR_BEYOND * quantile_s(view, 0.99, request)))
    elif request.stream:
        patience_s = min(patience_s, left_s / 2)
    return max(LEAST_S, patience_s)


def _rescue_s(route: Route, left_s: float, next_s: float, request: ChatRequest) -> float:
    """How long may be waited if the next one is still to have first content in time."""
    asked = request.overrides
    promised_s = route.objective.ttft_s if asked.ttft_s is None else asked.ttft_s
    if promised_s is None:
        return left_s
    return promised_s - ((asked.deadline_s or route.deadline_s) - left_s) - next_s + HANDOVER_S - RESCUE_S


def _needs_s(other: EndpointView, request: ChatRequest, left_s: float) -> float:
    """What must be left for an endpoint to take over; half of all there is where nothing is known of it."""
    needs_s = quantile_s(other, 0.9, request) + HANDOVER_S
    return min(needs_s, left_s / 2) if other.samples == 0 else needs_s


def quantile_s(view: EndpointView, q: float, request: ChatRequest) -> float:
    """A quantile of the time to first content, or of the whole time where the reply comes whole."""
    first_s = view.ttft_quantile_s(q, request.input_tokens)
    return first_s if request.stream else first_s + _length(view, q, request.max_output_tokens) * PACE_MARGIN * view.tpot_s


def stall_timeout_s(view: EndpointView) -> float:
    """Seconds without content, once it has begun, after which a stream has stalled."""
    return max(STALL_LEAST_S, STALL_TOKENS * view.tpot_s)


def _length(view: EndpointView, q: float, max_output_tokens: int | None) -> float:
    """The answer length that a share `q` of answers does not exceed."""
    points = output_points(view)
    beyond, cut = 1.0, points[-1][0]
    for tokens, weight in reversed(points):
        beyond -= weight
        if beyond < q - 1e-9:
            cut = tokens
            break
    return cut if max_output_tokens is None else min(cut, max_output_tokens)
