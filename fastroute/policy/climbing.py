"""When a tier cannot meet the objective but a higher one can: start there. Pure.

Tiers are rungs of quality, so whatever a lower rung may serve, a higher one may serve too, for more money. A climb must be
worth it: at least `WORTH` less at risk, and the money it costs less than the miss it avoids. Risk is that of `cost_slo`: a
young endpoint has the benefit of the doubt here too, or a new first tier would never be tried.
"""

import math

from fastroute.core.types import Candidate, Decision
from fastroute.policy.cost_slo import risk

WORTH = 0.05  # a smaller difference in risk is noise
HOPELESS = 0.5  # so much less at risk that no price speaks against it
MISS_VALUE = 30.0  # a miss is worth this many requests at the geometric mean of the two prices; Source: selection notes 2.3


def at_ease(decision: Decision, target: float) -> bool:
    """Whether the tier's best endpoint is good enough that higher tiers need not be looked at."""
    return bool(decision.ranked) and risk(decision.ranked[0], 1.0 - target) < WORTH


def start_tier(decisions: list[Decision], target: float) -> int:
    """Index of the tier to start with: the first usable one, unless climbing pays. -1: no tier has a usable endpoint."""
    start = -1
    for i, decision in enumerate(decisions):
        if not decision.ranked:
            continue
        if start < 0 or _pays(decisions[start].ranked[0], decision.ranked[0], 1.0 - target):
            start = i
    return start


def _pays(here: Candidate, above: Candidate, allowed: float) -> bool:
    gain = risk(here, allowed) - risk(above, allowed)
    if gain < WORTH:
        return False
    if gain >= HOPELESS or here.cost_pusd is None or above.cost_pusd is None:
        return True
    return gain * MISS_VALUE * math.sqrt(here.cost_pusd * above.cost_pusd) >= above.cost_pusd - here.cost_pusd
