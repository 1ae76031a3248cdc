"""Every baseline plays a whole run; the oracles bound what can be had."""

from fractions import Fraction

import pytest
from sim_support import ROUTE, setting, world

from bench.baselines import BASELINES
from bench.baselines.__main__ import options
from fastroute.sim.measures import Numbers, numbers
from fastroute.sim.run import Contender, Setting, play
from fastroute.sim.traces import poisson_trace
from fastroute.sim.worldfile import EndpointWorld, Fault

SLOW = EndpointWorld(ttft_ms=700, sigma=0.5, tpot_ms=10, straggler_ratio=0.02)
FAULTS = (
    Fault("brownout", 60.0, 60.0, ("cheap",), factor=6.0),
    Fault("down", 180.0, 40.0, ("cheap",), how="hang"),
)
STORMY = Setting(world(*FAULTS, cheap=SLOW), poisson_trace(output_median=100.0), 600, 2.0)


def found(name: str | None) -> Numbers:
    return numbers(play(Contender(name or "own", ROUTE, BASELINES[name] if name else None), STORMY, 1))


@pytest.fixture(scope="module")
def played() -> dict[str, Numbers]:
    return {name: found(name) for name in BASELINES} | {"own": found(None)}


@pytest.mark.parametrize("name", sorted(BASELINES))
def test_a_baseline_serves_every_request_and_repeats_exactly(name, played):
    assert played[name].requests == 600
    assert found(name) == played[name]


def test_the_clairvoyant_attains_all_that_can_be_attained_for_the_least(played):
    best = played["clairvoyant"]
    assert best.attainment >= max(n.attainment for n in played.values())
    assert best.attempts_per_request < 1.01
    for name, other in played.items():
        if other.attainment >= best.attainment:
            assert other.cost_usd >= best.cost_usd, name


def test_the_state_oracle_lies_between_the_clairvoyant_and_the_others(played):
    oracle = played["state_oracle"]
    assert oracle.attainment >= played["own"].attainment
    assert oracle.cost_usd >= played["clairvoyant"].cost_usd


def test_lowest_cost_is_cheap_and_misses_and_lowest_latency_is_dear_and_does_not(played):
    assert played["lowest_cost"].attainment < 0.95 < played["last_ten"].attainment
    assert played["last_ten"].cost_usd > 2 * played["lowest_cost"].cost_usd


def test_round_robin_shares_evenly():
    run = play(Contender("it", ROUTE, BASELINES["round_robin"]), setting(requests=100), 1)
    first = [line.tries[0].endpoint for line in run.lines]
    assert Fraction(first.count("cheap"), 100) == Fraction(1, 2)


def test_the_command_knows_its_baselines():
    asked = options().parse_args(["--trace", "poisson", "--only", "last_ten", "--rate", "1", "--rate", "3"])
    assert (asked.only, asked.rate, asked.seeds) == (["last_ten"], [1.0, 3.0], 3)
