"""Does the default strategy find the cheapest endpoint that meets the objective? A discrete-event simulation from a cold start.

Three endpoints, the cheapest of which is too slow for the objective. Arrivals are Poisson, TTFT log-normal with stragglers,
answers log-normal in length. Time is virtual: a heap of events, no asyncio, no threads.
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
        self.met += world.objective.ttft_s is None or ttft_s <= world.objective.ttft_s
        patience_s = world.objective.ttft_s if world.stream else None
        flight = self.board.begin(endpoint, now_s, tokens, patience_s, world.stream)
        if world.stream:
            self._at(now_s + ttft_s, lambda at_s: self.board.first_content(flight, at_s))
        end_s = now_s + ttft_s + (length - 1) * world.tpot_s
        self._at(end_s, lambda at_s: self.board.finish(flight, at_s, ok=True, stream=world.stream, output_tokens=length))


def shares(world: World, want: int, seeds: range) -> list[float]:
    """The share of requests that went to endpoint `want`, one per seed, least first."""
    return sorted(Simulation(world, seed).run()[want] / world.requests for seed in seeds)


RATES = [(2.0, 300), (10.0, 300), (50.0, 600)]
SEEDS = range(300, 304)
KINDS = pytest.mark.parametrize("stream", [True, False], ids=["stream", "whole"])


@KINDS
@pytest.mark.parametrize(("rate", "requests"), RATES)
@pytest.mark.parametrize("ttft_s", [SLOW, SLOWISH], ids=["3s", "1.6s"])
@pytest.mark.parametrize("prices", PRICES.values(), ids=PRICES)
def test_a_tight_objective_takes_the_cheaper_of_the_two_that_meet_it(prices, ttft_s, rate, requests, stream):
    world = World(prices, ttft_s, TIGHT, rate, stream, requests)
    assert shares(world, 1, SEEDS)[0] >= 0.95


@KINDS
@pytest.mark.parametrize(("rate", "requests"), RATES)
@pytest.mark.parametrize("prices", PRICES.values(), ids=PRICES)
def test_a_loose_objective_takes_the_cheapest(prices, rate, requests, stream):
    """Stragglers are few: they miss even 5 s, and were they more than the target allows a slightly dearer one were worth it."""
    world = World(prices, SLOWISH, Objective(ttft_s=5.0), rate, stream, requests, stragglers=0.005)
    assert shares(world, 0, SEEDS)[0] >= 0.90


@KINDS
@pytest.mark.parametrize(("rate", "requests"), RATES)
def test_what_is_loose_depends_on_the_target(rate, requests, stream):
    """A 3 s median with this spread misses 5 s in six of a hundred: good enough for nine in ten, not for 99 in 100."""
    world = World(PRICES["steep"], SLOW, Objective(ttft_s=5.0, target=0.9), rate, stream, requests)
    assert shares(world, 0, SEEDS)[0] >= 0.90


@KINDS
def test_without_an_objective_the_cheapest_takes_all(stream):
    world = World(PRICES["steep"], SLOW, Objective(), 10.0, stream, deadline_s=60.0)
    assert shares(world, 0, range(2))[0] >= 0.98


def test_the_objective_is_then_met():
    """98 % of TTFTs of the endpoint chosen are in time by construction (2 % stragglers); learning costs a little."""
    for seed in SEEDS:
        simulation = Simulation(World(PRICES["steep"], SLOW, TIGHT, 10.0, requests=600), seed)
        simulation.run()
        assert simulation.met / 600 > 0.95


@pytest.mark.parametrize("stragglers", [0.0, 0.01, 0.02])
def test_rare_stragglers_do_not_drive_traffic_away(stragglers):
    world = World(PRICES["steep"], SLOW, TIGHT, 5.0, requests=400, stragglers=stragglers)
    assert shares(world, 1, range(400, 406))[0] >= 0.95


@pytest.mark.parametrize("tpot_s", [0.006, 0.012, 0.02])
def test_whole_replies_are_judged_by_a_ttft_that_nobody_saw(tpot_s):
    """Whatever the pace: the prior is only right for the one in the middle. One unlucky run in eight may fall short."""
    world = World(PRICES["steep"], SLOW, TIGHT, 10.0, stream=False, tpot_s=tpot_s, deadline_s=60.0)
    assert shares(world, 1, range(300, 308))[1] >= 0.95


@KINDS
def test_a_new_endpoint_is_not_stampeded(stream):
    """Pitfall 11: 20 requests a second; two in flight until the first answers, and never more than doubled by each."""
    simulation = Simulation(World(PRICES["steep"], SLOWISH, TIGHT, 20.0, stream), 1)
    most = 0
    begin = simulation.board.begin

    def counted(endpoint, now_s, *args):
        nonlocal most
        flight = begin(endpoint, now_s, *args)
        if endpoint.name == "e0" and not simulation.board.view(endpoint, now_s).samples:
            most = max(most, simulation.board.view(endpoint, now_s).in_flight)
        return flight

    simulation.board.begin = counted
    simulation.run()
    assert most == 2


def test_the_same_seed_gives_the_same_run():
    world = World(PRICES["flat"], SLOWISH, TIGHT, 10.0, requests=150)
    assert Simulation(world, 5).run() == Simulation(world, 5).run()
    runs = [Simulation(world, 5), Simulation(world, 5)]
    for run in runs:
        run.run()
    assert runs[0].order == runs[1].order
