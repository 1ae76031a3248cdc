"""When a tier cannot meet the objective but a higher one can: start there. Pure.

Tiers are rungs of quality, so whatever a lower rung may serve, a higher one may serve too, for more money. A climb must be
worth it: at least `WORTH` less at risk, and the money it costs less than the miss it avoids. Risk is much as in `cost_slo`; a
tier that was hardly measured and is not suspect counts as no risk, so that tiers are tried in their order before any is
passed over. But while it is hardly measured it may hold few in flight: the rest goes one tier up, as in `cost_slo`, and no
further, however new that one is.
"""

import math

from fastroute.core.types import Candidate, Decision
from fastroute.policy.cost_slo import COLD_IN_FLIGHT, DOUBT, DOUBT_WEIGHT

KNOWN_SAMPLES = 3
WORTH = 0.05  # a smaller difference in risk is noise
HOPELESS = 0.5  # so much less at risk that no price speaks against it
MISS_VALUE = 30.0  # a miss is worth this many requests at the geometric mean of the two prices; Source: selection notes 2.3


def at_ease(decision: Decision, target: float) -> bool:
    """Whether the tier's best endpoint is good enough that higher tiers need not be looked at."""
    if not decision.ranked or _full(decision.ranked[0]):
        return False
    return _risk(decision.ranked[0], 1.0 - target) < WORTH


def start_tier(decisions: list[Decision], target: float) -> int:
    """Index of the tier to start with: the first usable one, unless climbing pays. -1: no tier has a usable endpoint."""
    usable = [i for i, decision in enumerate(decisions) if decision.ranked]
    if not usable:
        return -1
    allowed = 1.0 - target
    if len(usable) > 1 and _full(decisions[usable[0]].ranked[0]):
        usable = usable[1:]
    start = usable[0]
    for i in usable[1:]:
        if _pays(decisions[start].ranked[0], decisions[i].ranked[0], allowed):
            start = i
    return start


def _hardly_known(candidate: Candidate) -> bool:
    return candidate.view.samples < KNOWN_SAMPLES and not candidate.view.suspect


def _full(candidate: Candidate) -> bool:
    """New, and with as many in flight as a new endpoint may have."""
    view = candidate.view
    return _hardly_known(candidate) and view.in_flight >= COLD_IN_FLIGHT << view.samples


def _risk(candidate: Candidate, allowed: float) -> float:
    """P(miss) beyond what the target allows and what doubt a young endpoint deserves, as in `cost_slo`."""
    if _hardly_known(candidate):
        return 0.0
    p = candidate.p_miss
    return max(0.0, p - allowed - DOUBT * math.sqrt(p * (1.0 - p) / (DOUBT_WEIGHT + candidate.view.samples)))


def _pays(here: Candidate, above: Candidate, allowed: float) -> bool:
    gain = _risk(here, allowed) - _risk(above, allowed)
    if gain < WORTH:
        return False
    if gain >= HOPELESS or here.cost_pusd is None or above.cost_pusd is None:
        return True
    return gain * MISS_VALUE * math.sqrt(here.cost_pusd * above.cost_pusd) >= above.cost_pusd - here.cost_pusd
