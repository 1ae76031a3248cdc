"""In turn, without memory."""

from collections import Counter

import pytest
from policy_cases import Fixed, names, situation, view

from fastroute.policy.round_robin import RoundRobin

TIER = tuple(view(n) for n in "abc")


def order(*views, turn: int) -> list[str]:
    return names(RoundRobin().decide(situation(*views, turn=turn), Fixed(0.5)))


@pytest.mark.parametrize(("turn", "expected"), [(0, "abc"), (1, "bca"), (2, "cab"), (3, "abc"), (301, "bca")])
def test_the_turn_decides(turn, expected):
    assert order(*TIER, turn=turn) == list(expected)


def test_everyone_gets_the_same_share():
    counts = Counter(order(*TIER, turn=t)[0] for t in range(300))
    assert set(counts.values()) == {100}


def test_the_excluded_pass_their_turn_to_the_next():
    views = view("a"), view("b", gate_left_s=5.0), view("c")
    assert [order(*views, turn=t)[0] for t in range(3)] == ["a", "c", "c"]


def test_no_rng_and_no_memory():
    r, strategy = Fixed(0.1), RoundRobin()
    asked = [names(strategy.decide(situation(*TIER, turn=1), r))[0] for _ in range(5)]
    assert (asked, r.asked) == (["b"] * 5, 0)


def test_equal_views_are_told_apart():
    twin = view("a")
    assert len(order(twin, view("a"), turn=1)) == 2


def test_nothing_usable():
    assert order(turn=3) == []
