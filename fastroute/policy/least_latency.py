"""The endpoint expected to answer soonest: median TTFT for this prompt plus the expected answer.

Within 5 % of the soonest the one with fewest requests in flight is taken, then chance, so that near-equal endpoints share
the load. An endpoint without samples is as slow as its prior says, not instant.
"""

from fastroute.core.ports import Rng
from fastroute.core.types import Decision, Situation
from fastroute.policy import eligible
from fastroute.policy.picking import appraise, by_score, count_tied, exclusions_say, least_loaded_first, with_score
from fastroute.policy.risk import expected_total_s

BAND = 0.05


class LeastLatency:
    """Scores are predicted seconds."""

    name = "least_latency"

    def decide(self, situation: Situation, rng: Rng) -> Decision:
        usable, excluded = eligible.split(situation)
        if not usable:
            return Decision(self.name, (), tuple(excluded), exclusions_say(excluded))
        appraised = appraise(usable, situation)
        timed = [with_score(c, expected_total_s(c.view, situation)) for c in appraised]
        ranked = by_score(timed)
        tied = count_tied(ranked, BAND)
        ranked = least_loaded_first(ranked, tied, rng)
        why = f"{ranked[0].endpoint.name}: soonest, {ranked[0].score:.2f} s expected"
        return Decision(self.name, tuple(ranked), tuple(excluded), why, True, tied)
