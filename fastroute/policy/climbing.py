"""When a tier cannot meet the objective but a higher one can: start there. Pure.

Tiers are rungs of quality, so whatever a lower rung may serve, a higher one may serve too, for more money. A climb must be worth
it: at least `WORTH` less likely to miss, and the money it costs less than the miss it avoids.
"""

import math

from fastroute.core.types import Candidate, Decision

WORTH = 0.05  # a smaller difference in P(miss) is noise
HOPELESS = 0.5  # so much less likely to miss that no price speaks against it
MISS_VALUE = 30.0  # a miss is worth this many requests at the geometric mean of the two prices; Source: selection notes 2.3


def at_ease(decision: Decision, target: float) -> bool:
    """Whether the tier's best endpoint is good enough that higher tiers need not be looked at."""
    return bool(decision.ranked) and decision.ranked[0].p_miss <= max(WORTH, 2.0 * (1.0 - target))


def start_tier(decisions: list[Decision]) -> int:
    """Index of the tier to start with: the first usable one, unless climbing pays. -1: no tier has a usable endpoint."""
    start = -1
    for i, decision in enumerate(decisions):
        if not decision.ranked:
            continue
        if start < 0 or _pays(decisions[start].ranked[0], decision.ranked[0]):
            start = i
    return start


def _pays(here: Candidate, above: Candidate) -> bool:
    gain = here.p_miss - above.p_miss
    if gain < WORTH:
        return False
    if gain >= HOPELESS or here.cost_pusd is None or above.cost_pusd is None:
        return True
    return gain * MISS_VALUE * math.sqrt(here.cost_pusd * above.cost_pusd) >= above.cost_pusd - here.cost_pusd
