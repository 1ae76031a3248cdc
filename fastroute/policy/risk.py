"""How likely a request is to miss its objective at an endpoint, and how long it will take there.

Theory of operation. A request of prompt size x misses when TTFT exceeds what is left of the TTFT objective, or TTFT and
answer together what is left of the total objective or the deadline. Answer lengths come as five weighted points; for each,
both limits become one limit on TTFT, and the tail table gives the share beyond it. No independence between the two limits
is assumed. The time per token is taken 15 % longer than measured.

Source: selection notes 2.3; pitfalls 2, 22.
"""

from fastroute.core.types import EndpointView, Situation
from fastroute.policy.cost import expected_output_tokens, output_points

PACE_MARGIN = 1.15
NEVER = float("inf")
SUSPECT_RISK = 0.3  # three of its last eight were bad; its table, which leans on the long run, says so late
SOONEST_S = 1e-9  # a prediction of 0 is none


def p_miss(view: EndpointView, situation: Situation, limits: tuple[float, float]) -> float:
    """P(this request misses its objective or its deadline there), 0 to 1. `limits`: what `limits_s` says of the situation."""
    first_s, total_s = limits
    if first_s <= 0.0 or total_s <= 0.0:
        return 1.0
    missed = _late(view, situation, first_s, total_s)
    return max(missed, SUSPECT_RISK) if view.suspect else missed


def _late(view: EndpointView, situation: Situation, first_s: float, total_s: float) -> float:
    """P(too late) by the tables."""
    predicted_s, tail = max(view.predicted_ttft_s(situation.input_tokens), SOONEST_S), view.ttft_tail
    pace_s, most = PACE_MARGIN * view.tpot_s, situation.max_output_tokens or NEVER
    missed, shorter = 0.0, 1.0
    for tokens, weight in reversed(output_points(view)):  # from the longest answer down to where TTFT alone decides
        left_s = total_s - pace_s * (tokens if tokens < most else most)
        if left_s >= first_s:
            break
        missed += weight * (tail.p_over(left_s / predicted_s) if left_s > 0.0 else 1.0)
        shorter -= weight
    if first_s < NEVER and shorter > 0.0:
        missed += shorter * tail.p_over(first_s / predicted_s)
    return missed if missed < 1.0 else 1.0


def limits_s(situation: Situation) -> tuple[float, float]:
    """(until first content is late, until the whole reply is late), in seconds from now; infinite where nothing limits it."""
    objective, elapsed_s = situation.objective, situation.elapsed_s
    first_s = NEVER if objective.ttft_s is None else objective.ttft_s - elapsed_s
    total_s = NEVER if objective.total_s is None else objective.total_s - elapsed_s
    if situation.deadline_covers_reply:
        return first_s, min(total_s, situation.left_s)
    return min(first_s, situation.left_s), total_s


def lost(situation: Situation) -> bool:
    """Whether the objective cannot be met any more, whoever serves."""
    objective, elapsed_s = situation.objective, situation.elapsed_s
    return any(limit_s is not None and elapsed_s >= limit_s for limit_s in (objective.ttft_s, objective.total_s))


def expected_total_s(view: EndpointView, situation: Situation) -> float:
    """Median TTFT for this prompt plus the expected answer at the measured pace."""
    output = expected_output_tokens(view, situation.max_output_tokens)
    return view.ttft_quantile_s(0.5, situation.input_tokens) + output * view.tpot_s
