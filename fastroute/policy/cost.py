"""What a request is expected to cost at an endpoint, in whole pico-dollars.

A price of 0 is a price: the endpoint is free. No price is None: the endpoint is unpriced.
"""

from fastroute.core.money import Pusd
from fastroute.core.types import EndpointView, Situation

SPREAD: tuple[tuple[float, float], ...] = ((0.436, 0.50), (1.02, 0.30), (1.88, 0.15), (3.37, 0.04), (5.88, 0.01))
"""(length / mean length, weight) of a log-normal with sigma 0.8: for views that say nothing but the mean."""


def output_points(view: EndpointView) -> tuple[tuple[float, float], ...]:
    """Likely answer lengths as (tokens, weight), short to long."""
    return view.output_points or tuple((view.output_tokens * share, weight) for share, weight in SPREAD)


def expected_output_tokens(view: EndpointView, max_output_tokens: int | None) -> float:
    """The mean answer length where answers are cut at `max_output_tokens`."""
    if max_output_tokens is None:
        return view.output_tokens
    points = output_points(view)
    if points[-1][0] <= max_output_tokens:
        return view.output_tokens
    return sum(min(tokens, max_output_tokens) * weight for tokens, weight in points)


def expected_cost_pusd(view: EndpointView, situation: Situation) -> Pusd | None:
    """Input at its price, the expected answer at its price, and the fee per request. None: unpriced."""
    price = view.endpoint.price
    if price is None:
        return None
    output = expected_output_tokens(view, situation.max_output_tokens)
    rates = price.at(situation.input_tokens) if price.tiers else price
    return Pusd(situation.input_tokens * rates.input_pusd + round(output * rates.output_pusd) + price.request_pusd)
