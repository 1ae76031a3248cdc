"""Views and situations for policy tests: everything has a plain default, a test names only what matters to it."""

import random

import msgspec

from fastroute.core.types import Capabilities, Endpoint, EndpointView, Objective, Price, Profile, Situation, TailTable
from fastroute.stats.window import BOUNDS, SHAPES

PROFILE = Profile("fake", "fake", "/chat")
KNOWN = TailTable(BOUNDS, SHAPES[-1])
UNTRIED = TailTable(BOUNDS, SHAPES[0])


def endpoint(name: str = "a", usd_per_mtok: float | None = 1.0, **kwargs: object) -> Endpoint:
    """Input at `usd_per_mtok`, output at four times that; None: unpriced."""
    price = None if usd_per_mtok is None else Price(int(usd_per_mtok * 1e6), int(usd_per_mtok * 4e6))
    return msgspec.structs.replace(Endpoint(name, "fake", PROFILE, f"http://{name}", "m", price=price), **kwargs)


def view(name: str = "a", usd_per_mtok: float | None = 1.0, ttft_s: float = 0.5, **kwargs: object) -> EndpointView:
    """A well-known, healthy endpoint, unless told otherwise."""
    served = kwargs.pop("endpoint", None) or endpoint(name, usd_per_mtok)
    plain = EndpointView(
        served, KNOWN, ttft_s, 0.0, tpot_s=0.01, output_tokens=100.0, p_fail=0.01, samples=500, effective_n=300.0, age_s=1.0
    )
    return msgspec.structs.replace(plain, **kwargs)


def situation(*views: EndpointView, ttft_s: float | None = 2.0, total_s: float | None = None, **kwargs: object) -> Situation:
    target = kwargs.pop("target", 0.99)
    plain = Situation(tuple(views), Objective(ttft_s, total_s, target), elapsed_s=0.0, left_s=30.0, input_tokens=500)
    return msgspec.structs.replace(plain, **kwargs)


def capable(name: str, **capabilities: object) -> EndpointView:
    return view(name, endpoint=endpoint(name, capabilities=Capabilities(**capabilities)))


class Fixed:
    """An rng that gives what it is told, over and over."""

    def __init__(self, *values: float) -> None:
        self.values, self.asked = values, 0

    def random(self) -> float:
        self.asked += 1
        return self.values[(self.asked - 1) % len(self.values)]


NEVER_PROBE = Fixed(0.999)


def rng(seed: int = 1) -> random.Random:
    return random.Random(seed)


def names(decision) -> list[str]:
    return [c.endpoint.name for c in decision.ranked]


def reasons(decision) -> dict[str, str]:
    return {e.endpoint.name: e.reason for e in decision.excluded}
