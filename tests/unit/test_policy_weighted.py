"""Chance in proportion to weight."""

from collections import Counter

import pytest
from policy_cases import endpoint, names, rng, situation, view

from fastroute.policy.weighted import Weighted


def weighted(name: str, weight: float, **kwargs):
    return view(name, endpoint=endpoint(name, weight=weight), **kwargs)


def drawn(*views, count: int = 4000) -> Counter:
    r = rng(5)
    return Counter(names(Weighted().decide(situation(*views), r))[0] for _ in range(count))


def test_first_places_follow_the_weights():
    counts = drawn(weighted("a", 1.0), weighted("b", 3.0), weighted("c", 6.0))
    assert [counts[n] / 4000 for n in "abc"] == pytest.approx([0.1, 0.3, 0.6], abs=0.03)


def test_the_second_place_follows_the_weights_of_the_rest():
    r, views = rng(5), (weighted("a", 1.0), weighted("b", 3.0), weighted("c", 6.0))
    seconds = Counter()
    for _ in range(4000):
        ranked = names(Weighted().decide(situation(*views), r))
        if ranked[0] == "c":
            seconds[ranked[1]] += 1
    assert seconds["b"] / sum(seconds.values()) == pytest.approx(0.75, abs=0.04)


def test_weight_zero_only_serves_after_all_others():
    views = weighted("never", 0.0), weighted("a", 1.0), weighted("less", -1.0)
    assert set(drawn(*views, count=200)) == {"a"}
    assert len(names(Weighted().decide(situation(*views), rng()))) == 3


def test_the_excluded_do_not_take_part():
    assert set(drawn(weighted("a", 1.0), weighted("b", 100.0, gate_left_s=1.0), count=50)) == {"a"}


def test_why_names_the_weight():
    assert "weight 2.5" in Weighted().decide(situation(weighted("a", 2.5)), rng()).why


def test_nothing_usable():
    assert Weighted().decide(situation(), rng()).ranked == ()


def test_tiny_weights_keep_their_proportion():
    """u ** (1 / weight) would be 0.0 for every one of them, and the order of the tier would decide."""
    counts = drawn(weighted("a", 1e-6), weighted("b", 3e-6))
    assert counts["b"] / (counts["a"] + counts["b"]) == pytest.approx(0.75, abs=0.03)


def test_weight_0_comes_last_behind_the_tiniest_weight():
    r = rng(3)
    for _ in range(200):
        decision = Weighted().decide(situation(weighted("off", 0.0), weighted("tiny", 1e-9), weighted("big", 5.0)), r)
        assert decision.ranked[-1].endpoint.name == "off"
