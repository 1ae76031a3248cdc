"""Baselines without memory: turns, weights, prices; and whom all baselines may use."""

import random
from collections import Counter

import msgspec
import pytest
from sim_support import CHEAP, DEAR, endpoint

from bench.baselines.ranking import usable
from bench.baselines.rules import InverseSquare, LowestCost, RoundRobin, WeightedRandom, list_price
from fastroute.core.types import BreakerState, Capabilities, EndpointView, Needs, Objective, Price, Situation
from fastroute.stats.board import Scoreboard

MIDDLE = endpoint("middle", 0.2)


def view(of=CHEAP, **changes: object) -> EndpointView:
    board = Scoreboard()
    board.add(of)
    return msgspec.structs.replace(board.view(of, 0.0), **changes)


def situation(*views: EndpointView, **changes: object) -> Situation:
    given = views or (view(CHEAP), view(MIDDLE), view(DEAR))
    return msgspec.structs.replace(Situation(given, Objective(ttft_s=2.0), 0.0, 10.0, 400), **changes)


def order(strategy, at: Situation, rng: random.Random | None = None) -> list[str]:
    return [c.endpoint.name for c in strategy.decide(at, rng or random.Random(1)).ranked]


def firsts(strategy, at: Situation, n: int = 4000) -> Counter:
    rng = random.Random(1)
    return Counter(order(strategy, at, rng)[0] for _ in range(n))


def test_turns_go_round():
    found = [order(RoundRobin(), situation(turn=turn)) for turn in range(4)]
    assert [f[0] for f in found] == ["cheap", "middle", "dear", "cheap"]
    assert found[1] == ["middle", "dear", "cheap"]


def test_weights_are_shares():
    heavy = msgspec.structs.replace(DEAR, weight=3.0)
    found = firsts(WeightedRandom(), situation(view(CHEAP), view(heavy)))
    assert found["dear"] / 4000 == pytest.approx(0.75, abs=0.03)


def test_a_weight_of_nothing_comes_last():
    idle = msgspec.structs.replace(CHEAP, weight=0.0)
    assert order(WeightedRandom(), situation(view(idle), view(DEAR))) == ["dear", "cheap"]


def test_inverse_square_of_the_price():
    found = firsts(InverseSquare(), situation(view(CHEAP), view(MIDDLE)))
    assert found["cheap"] / 4000 == pytest.approx(0.8, abs=0.03)


def test_lowest_cost_is_by_list_price_whatever_the_tokens():
    output_heavy = msgspec.structs.replace(MIDDLE, price=Price(400_000, 10))
    assert order(LowestCost(), situation(view(DEAR), view(CHEAP), view(output_heavy))) == ["middle", "cheap", "dear"]


def test_free_is_cheapest_and_unpriced_dearest():
    free = msgspec.structs.replace(DEAR, price=Price(0, 0))
    bare = msgspec.structs.replace(DEAR, price=None)
    assert list_price(free) < list_price(CHEAP) < list_price(bare)


@pytest.mark.parametrize("strategy", [RoundRobin(), WeightedRandom(), InverseSquare(), LowestCost()], ids=lambda s: s.name)
def test_everyone_is_ranked_or_excluded_and_nothing_lasts(strategy):
    decision = strategy.decide(situation(view(CHEAP, gate_left_s=3.0), view(MIDDLE), view(DEAR)), random.Random(1))
    assert {c.endpoint.name for c in decision.ranked} == {"middle", "dear"}
    assert [(e.endpoint.name, e.gate_left_s) for e in decision.excluded] == [("cheap", 3.0)]
    assert not decision.lasts


def test_nobody_left_is_an_empty_ranking():
    assert LowestCost().decide(situation(view(gate_left_s=3.0)), random.Random(1)).ranked == ()


@pytest.mark.parametrize(
    ("changes", "may"),
    [
        ({}, True),
        ({"gate_left_s": 1.0}, False),
        ({"breaker": BreakerState.OPEN, "admits": False}, False),
        ({"breaker": BreakerState.HALF_OPEN, "admits": True}, True),
        ({"breaker": BreakerState.HALF_OPEN, "admits": False}, False),
        ({"suspect": True, "admits": False}, True),
    ],
)
def test_breakers_and_gates_count_but_suspicion_is_ours_alone(changes, may):
    found, _ = usable(situation(view(**changes)))
    assert bool(found) is may


def test_limits_and_capabilities_count():
    full = msgspec.structs.replace(CHEAP, max_in_flight=2)
    blind = msgspec.structs.replace(DEAR, capabilities=Capabilities(vision=False))
    found, excluded = usable(situation(view(full, in_flight=2), view(blind), needs=Needs(vision=True)))
    assert found == []
    assert len(excluded) == 2
