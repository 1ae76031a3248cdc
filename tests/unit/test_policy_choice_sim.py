"""Does the default strategy find the cheapest endpoint that meets the objective? A discrete-event simulation from a cold start.

Three endpoints, the cheapest of which is too slow for the objective. Arrivals are Poisson, TTFT log-normal with stragglers, answers
log-normal in length. Time is virtual: a heap of events, no asyncio, no threads.
"""

import heapq
import itertools
import math
import random
from collections import Counter

import msgspec
import pytest

from fastroute.core.types import Endpoint, Objective, Price, Profile, Situation
from fastroute.policy.cost_slo import CostSlo
from fastroute.stats.board import Scoreboard

PROFILE = Profile("fake", "fake", "/chat")
PRICES = {"steep": (1, 5, 25), "flat": (1, 1.5, 2), "gap": (1, 20, 30)}
SLOW = (3.0, 0.4, 0.3)
SLOWISH = (1.6, 0.5, 0.4)
TIGHT = Objective(ttft_s=1.0)


class World(msgspec.Struct, frozen=True):
    """What is simulated."""

    prices: tuple[float, ...]
    ttft_s: tuple[float, ...]
    objective: Objective
    rate_per_s: float
    stream: bool = True
    requests: int = 400
    sigma: float = 0.3
    stragglers: float = 0.02
    tpot_s: float = 0.012
    output_tokens: float = 120.0
    output_sigma: float = 0.7
    input_tokens: int = 300
    usd_per_mtok: float = 0.2
    deadline_s: float = 10.0


def endpoints(world: World) -> list[Endpoint]:
    unit = world.usd_per_mtok * 1e6
    return [
        Endpoint(f"e{i}", "fake", PROFILE, f"http://e{i}", "m", price=Price(int(p * unit), int(4 * p * unit)))
        for i, p in enumerate(world.prices)
    ]


class Simulation:
    """One run. `chosen` counts requests by endpoint, `met` those within the objective."""

    def __init__(self, world: World, seed: int) -> None:
        self.world, self.rng = world, random.Random(seed)
        self.board, self.strategy = Scoreboard(), CostSlo()
        self.endpoints = endpoints(world)
        for endpoint in self.endpoints:
            self.board.add(endpoint)
        self.order: list[int] = []
        self.met = 0
        self._events: list = []
        self._tie = itertools.count()

    def run(self) -> Counter:
        at_s = 0.0
        for _ in range(self.world.requests):
            at_s += self.rng.expovariate(self.world.rate_per_s)
            self._at(at_s, self._arrive)
        for i in range(int(4 * at_s) + 2):
            self._at(0.25 * i, self.board.tick)
        while self._events:
            now_s, _, event = heapq.heappop(self._events)
            event(now_s)
        return Counter(self.order)

    def _at(self, at_s, event) -> None:
        heapq.heappush(self._events, (at_s, next(self._tie), event))

    def _arrive(self, now_s: float) -> None:
        world = self.world
        tokens = max(1, int(self.rng.lognormvariate(math.log(world.input_tokens), 0.6)))
        views = tuple(self.board.view(e, now_s) for e in self.endpoints)
        decision = self.strategy.decide(
            Situation(views, world.objective, 0.0, world.deadline_s, tokens, stream=world.stream), self.rng
        )
        endpoint = decision.ranked[0].endpoint
        i = int(endpoint.name[1:])
        self.order.append(i)
        ttft_s = self.rng.lognormvariate(math.log(world.ttft_s[i]), world.sigma)
        ttft_s *= 4.0 if self.rng.random() < world.stragglers else 1.0
        length = max(1, int(self.rng.lognormvariate(math.log(world.output_tokens), world.output_sigma)))
        self.met += ttft_s <= world.objective.ttft_s
        patience_s = world.objective.ttft_s if world.stream else None
        flight = self.board.begin(endpoint, now_s, tokens, patience_s, world.stream)
        if world.stream:
            self._at(now_s + ttft_s, lambda at_s: self.board.first_content(flight, at_s))
        end_s = now_s + ttft_s + (length - 1) * world.tpot_s
        self._at(end_s, lambda at_s: self.board.finish(flight, at_s, ok=True, stream=world.stream, output_tokens=length))


def share(world: World, want: int, seeds: range) -> float:
    """The least share of requests, over the seeds, that went to endpoint `want`."""
    return min(Simulation(world, seed).run()[want] / world.requests for seed in seeds)
