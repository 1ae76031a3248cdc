"""When a request that waits for first content should be sent a second time, and where. Pure.

Rules. At most one hedge a request, only before anything reached the client, only to an endpoint that may serve the request and
is healthy: not suspect, breaker closed, no gate. It is sent at the latest useful moment: when another endpoint still has its
90th percentile left until the objective is lost (the latest such moment of all that could serve). Then it must be worth it:

    L x P(the first misses | it has waited so long) x P(the other does not miss) > expected cost of the other

with L, the worth of a miss, as in `cost_slo`; and the first must miss with one chance in five at least (in the simulator,
without that floor, 2.6 times as many hedges for a tenth of a point). A probe of a mistrusted endpoint is hedged earlier, at
1.3 times what was predicted of it. A request without an objective is hedged only where the route asks for it, at the first
endpoint's 95th percentile.

Theory of operation. For an objective it is useless to duplicate what will still be in time, and useless to duplicate when
it is too late; the last moment between is when most slow ones have answered by themselves, so few are sent twice.

Source: selection notes 2.6 and finding 5; Dean & Barroso, "The Tail at Scale", 2013, for hedged requests.
"""

from collections.abc import Sequence

import msgspec

from fastroute.core.types import BreakerState, Candidate, ChatRequest, EndpointView, Objective, Situation, TailTable
from fastroute.policy.cost import expected_cost_pusd, expected_output_tokens
from fastroute.policy.risk import NEVER, PACE_MARGIN, expected_total_s, limits_s, p_miss
from fastroute.policy.timeouts import quantile_s

LEAST_S = 0.1
NEEDS = 0.9
LEAST_LOST = 0.2
PROBE_PATIENCE = 1.3
WITHOUT_OBJECTIVE = 0.95


def moment_s(
    objective: Objective, request: ChatRequest, first: EndpointView, others: Sequence[EndpointView], probe: bool
) -> float | None:
    """Seconds after a request was accepted at which a duplicate should be thought of; None: never.

    `first`: where it is sent now; `others`: who else could serve it; `probe`: sent to find out, not because it is best.
    """
    latest_s = max((_latest_s(objective, request, view) for view in others if healthy(view)), default=0.0)
    if latest_s <= 0.0:
        return None
    if probe or first.suspect:
        latest_s = min(latest_s, PROBE_PATIENCE * first.ttft_long_ratio * first.predicted_ttft_s(request.input_tokens))
    return max(LEAST_S, latest_s)


def moment_without_objective_s(request: ChatRequest, first: EndpointView) -> float:
    """The same, in seconds after it was sent, where nothing is promised: when one of twenty is still waiting."""
    return max(LEAST_S, quantile_s(first, WITHOUT_OBJECTIVE, request))


def healthy(view: EndpointView) -> bool:
    """Whether an endpoint may be sent a duplicate at all."""
    return view.admits and not view.suspect and view.breaker is BreakerState.CLOSED and view.gate_left_s <= 0.0


def chance_lost(view: EndpointView, situation: Situation, sent_s: float) -> float:
    """P(the attempt misses its objective), now that it has waited without first content.

    `situation`: as of now; `sent_s`: when it was sent, in seconds after the request was accepted.
    """
    waited_s = situation.elapsed_s - sent_s
    then = msgspec.structs.replace(situation, elapsed_s=sent_s, left_s=situation.left_s + waited_s)
    if situation.stream:
        return p_miss(having_waited(view, waited_s, situation.input_tokens), then, limits_s(then))
    lost, reached = p_miss(view, then, limits_s(then)), p_miss(view, then, (NEVER, waited_s))
    return min(1.0, lost / reached) if reached > 0.0 else 1.0


def best(first_lost: float, worth_pusd: float, candidates: Sequence[Candidate]) -> Candidate | None:
    """The alternate that is most worth its cost; None: none is. `first_lost`: what `chance_lost` said."""
    if first_lost < LEAST_LOST:
        return None
    values = [(_value(c, first_lost, worth_pusd), -i) for i, c in enumerate(candidates) if healthy(c.view)]
    value, i = max(values, default=(0.0, 0))
    return candidates[-i] if value > 0.0 else None


def soonest(first: EndpointView, situation: Situation, candidates: Sequence[Candidate]) -> Candidate | None:
    """Where nothing is promised: the quickest alternate that costs no more than twice what the first does; None: none."""
    most = 2.0 * (expected_cost_pusd(first, situation) or 0)
    fair = [c for c in candidates if healthy(c.view) and c.cost_pusd is not None and c.cost_pusd <= most]
    return min(fair, key=lambda c: expected_total_s(c.view, situation), default=None)


def having_waited(view: EndpointView, waited_s: float, input_tokens: int) -> EndpointView:
    """The same endpoint for a request of which it is known that it has not answered for so long."""
    predicted_s = max(1e-9, view.predicted_ttft_s(input_tokens))
    reached = view.ttft_tail.p_over(waited_s / predicted_s)
    if reached >= 1.0:
        return view
    tail = view.ttft_tail
    survival = tuple(min(1.0, p / reached) if reached > 0.0 else 1.0 for p in tail.survival)
    return msgspec.structs.replace(view, ttft_tail=TailTable(tail.bounds, survival))


def _latest_s(objective: Objective, request: ChatRequest, view: EndpointView) -> float:
    """The last moment at which this endpoint would still be in time, nine times in ten."""
    needs_s = quantile_s(view, NEEDS, request)
    limits = []
    if request.stream and objective.ttft_s is not None:
        limits.append(objective.ttft_s)
    if objective.total_s is not None:
        answer_s = PACE_MARGIN * view.tpot_s * expected_output_tokens(view, request.max_output_tokens)
        limits.append(objective.total_s - (answer_s if request.stream else 0.0))
    return min(limits) - needs_s if limits else 0.0


def _value(candidate: Candidate, first_lost: float, worth_pusd: float) -> float:
    """What sending there is worth, less what it costs, in pico-dollars. An unpriced endpoint is no bargain."""
    if candidate.cost_pusd is None:
        return 0.0
    serves = (1.0 - candidate.p_miss) * (1.0 - candidate.view.p_fail)
    return worth_pusd * first_lost * serves - candidate.cost_pusd
