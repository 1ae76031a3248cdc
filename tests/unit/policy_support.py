"""Views and situations made to measure for the tests of `fastroute.policy`. Every number can be worked out by hand.

The usual tail: its median is half of what is predicted, its p90 as predicted, its p99 twice that, and its end four times that.
"""

from typing import Any

import msgspec

from fastroute.core.types import Endpoint, EndpointView, Objective, Price, Profile, Situation, TailTable

PROFILE = Profile("fake", "fake", "/chat")
TAIL = TailTable((0.25, 0.5, 1.0, 2.0, 4.0), (1.0, 0.45, 0.09, 0.009, 0.0))
TWO_SECONDS = Objective(ttft_s=2.0)


class Drawn:
    """An rng that gives the numbers it was told, over and over, and counts how often it was asked."""

    def __init__(self, *values: float) -> None:
        self.values, self.asked = values or (0.999,), 0

    def random(self) -> float:
        self.asked += 1
        return self.values[(self.asked - 1) % len(self.values)]


def an_endpoint(name: str = "a", input_pusd: int | None = 1_000_000, **members: Any) -> Endpoint:
    """Output costs four times what input does; None: unpriced."""
    price = None if input_pusd is None else Price(input_pusd, 4 * input_pusd)
    return msgspec.structs.replace(Endpoint(name, "fake", PROFILE, f"http://{name}", "m", price=price), **members)


def a_view(name: str = "a", input_pusd: int | None = 1_000_000, **members: Any) -> EndpointView:
    """A healthy, well-known, lately measured endpoint that never fails, with a predicted TTFT of 0.5 s."""
    served = members.pop("endpoint", None) or an_endpoint(name, input_pusd)
    known = EndpointView(served, TAIL, 0.5, 0.0, 0.01, 100.0, 0.0, samples=10_000, effective_n=300.0, age_s=1.0)
    return msgspec.structs.replace(known, **members)


def a_situation(*views: EndpointView, objective: Objective = TWO_SECONDS, **members: Any) -> Situation:
    """A stream just accepted, 1,000 tokens of prompt, half a minute left."""
    plain = Situation(tuple(views), objective, elapsed_s=0.0, left_s=30.0, input_tokens=1_000)
    return msgspec.structs.replace(plain, **members)


def order(decision: Any) -> list[str]:
    return [candidate.endpoint.name for candidate in decision.ranked]


def reasons(decision: Any) -> dict[str, str]:
    return {exclusion.endpoint.name: exclusion.reason for exclusion in decision.excluded}
