"""Chance, in proportion to the endpoints' weights. An endpoint of weight 0 or less only serves when all others have been tried.

The whole order is drawn without replacement: each endpoint's key is log(u) / weight, largest first.
Source: Efraimidis and Spirakis, "Weighted random sampling with a reservoir" (2006).
"""

import math

from fastroute.core.ports import Rng
from fastroute.core.types import Decision, Situation
from fastroute.policy import eligible
from fastroute.policy.picking import appraise, by_score, exclusions_say, with_score

LAST_DRAWN, NEVER_DRAWN = -1e300, -1e301  # finite: scores are numbers


class Weighted:
    """Scores are the negated keys of the draw."""

    name = "weighted"

    def decide(self, situation: Situation, rng: Rng) -> Decision:
        usable, excluded = eligible.split(situation)
        if not usable:
            return Decision(self.name, (), tuple(excluded), exclusions_say(excluded))
        appraised = appraise(usable, situation)
        drawn = by_score([with_score(c, -_key(c.endpoint.weight, rng)) for c in appraised])
        why = f"{drawn[0].endpoint.name}: drawn with weight {drawn[0].endpoint.weight:g}"
        return Decision(self.name, tuple(drawn), tuple(excluded), why)


def _key(weight: float, rng: Rng) -> float:
    u = 1.0 - rng.random()  # never 0
    return max(math.log(u) / weight, LAST_DRAWN) if weight > 0.0 else NEVER_DRAWN
