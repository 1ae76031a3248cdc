"""The tier's endpoints in turn.

The turn comes in with the situation, counted per route by whoever asks: the strategy keeps nothing, so the same situation
gives the same decision. Endpoints that may not serve pass their turn to the next in the tier's order.
"""

from fastroute.core.ports import Rng
from fastroute.core.types import Decision, Situation
from fastroute.policy import eligible
from fastroute.policy.picking import appraise, by_score, exclusions_say, with_score


class RoundRobin:
    """Scores are places after the one whose turn it is."""

    name = "round_robin"

    def decide(self, situation: Situation, rng: Rng) -> Decision:
        usable, excluded = eligible.split(situation)
        if not usable:
            return Decision(self.name, (), tuple(excluded), exclusions_say(excluded))
        seats = len(situation.views)
        turn = situation.turn % seats
        place = {id(view): (i - turn) % seats for i, view in enumerate(situation.views)}
        appraised = [with_score(c, float(place[id(c.view)])) for c in appraise(usable, situation)]
        ranked = by_score(appraised)
        return Decision(self.name, tuple(ranked), tuple(excluded), f"{ranked[0].endpoint.name}: turn {situation.turn}")
