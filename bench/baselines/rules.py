"""Baselines that learn nothing: turns, weights, prices."""

import math
from collections.abc import Sequence

from bench.baselines.ranking import ranked
from fastroute.core.ports import Rng
from fastroute.core.types import Decision, Endpoint, EndpointView, Situation


class RoundRobin:
    """Each endpoint in turn."""

    name = "round_robin"

    def decide(self, situation: Situation, rng: Rng) -> Decision:
        seats = len(situation.views)
        place = {view.endpoint.name: (i - situation.turn) % seats for i, view in enumerate(situation.views)}
        return ranked(self.name, situation, lambda views: [float(place[v.endpoint.name]) for v in views])


class WeightedRandom:
    """Chance in proportion to the configured weights; equal where none are given."""

    name = "weighted_random"

    def decide(self, situation: Situation, rng: Rng) -> Decision:
        return ranked(self.name, situation, lambda views: _drawn([v.endpoint.weight for v in views], rng))


class InverseSquare:
    """Chance in proportion to 1 / price squared, among those that work. Source: OpenRouter's documentation, default routing."""

    name = "inverse_square"

    def decide(self, situation: Situation, rng: Rng) -> Decision:
        return ranked(self.name, situation, lambda views: _drawn([list_price(v.endpoint) ** -2 for v in views], rng))


class LowestCost:
    """The lowest input price + output price, whatever the tokens. Source: LiteLLM `lowest_cost` (the sum is unweighted)."""

    name = "lowest_cost"

    def decide(self, situation: Situation, rng: Rng) -> Decision:
        return ranked(self.name, situation, lambda views: [list_price(v.endpoint) for v in views])


def list_price(endpoint: Endpoint) -> float:
    """Input + output price, in pico-dollars per token; unpriced counts as very dear, free as nearly free."""
    price = endpoint.price
    return 1e12 if price is None else max(1.0, float(price.input_pusd + price.output_pusd))


def expected_pusd(view: EndpointView, situation: Situation) -> float:
    """Input and an average answer at their prices."""
    price = view.endpoint.price
    return 1e12 if price is None else situation.input_tokens * price.input_pusd + view.output_tokens * price.output_pusd


def _drawn(weights: Sequence[float], rng: Rng) -> list[float]:
    """Scores whose order is a draw without replacement in proportion to the weights."""
    return [-math.log(1.0 - rng.random()) / w if w > 0.0 else math.inf for w in weights]
