"""The oracle's frontier: what beats what, mixtures, and its ends."""

import pytest
from sim_support import CHEAP, ROUTE, attempt, line, record, route

from fastroute.core.types import Objective
from fastroute.sim.frontier import Frontier, rod_key, rods
from fastroute.sim.oracle import WORTHS
from fastroute.sim.run import Contender, Played


def runs(attainment: float, *costs_usd: float) -> list[Played]:
    """One run a seed, of 100 requests."""
    return [
        record([line(float(i), i < round(100 * attainment), attempt(bill_pusd=round(cost * 1e10))) for i in range(100)])
        for cost in costs_usd
    ]


FRONTIER = Frontier.of([runs(0.99, 3.0, 5.0), runs(0.95, 1.0, 2.0), runs(0.97, 9.0, 9.0), runs(0.98, 2.0, 3.0)])


def test_only_what_nothing_beats_is_kept_from_careless_to_careful():
    assert FRONTIER.means() == (
        (pytest.approx(0.95), pytest.approx(1.5)),
        (pytest.approx(0.98), pytest.approx(2.5)),
        (pytest.approx(0.99), pytest.approx(4.0)),
    )


def test_between_two_points_it_is_a_mixture_priced_seed_by_seed():
    assert FRONTIER.costs_usd(0.985) == pytest.approx([2.5, 4.0])


def test_at_a_point_it_is_that_point():
    assert FRONTIER.costs_usd(0.98) == pytest.approx([2.0, 3.0])


def test_below_the_careless_end_it_costs_as_much_as_that():
    assert FRONTIER.costs_usd(0.5) == pytest.approx([1.0, 2.0])


def test_beyond_the_careful_end_nobody_knows():
    assert FRONTIER.costs_usd(0.995) is None
    assert Frontier(()).costs_usd(0.5) is None


def test_of_equally_good_points_the_cheaper_one_is_kept():
    assert Frontier.of([runs(0.99, 3.0), runs(0.99, 2.0)]).means() == ((pytest.approx(0.99), pytest.approx(2.0)),)


def test_configurations_with_the_same_promise_share_an_oracle():
    other = route(objective=Objective(ttft_s=3.0, total_s=8.0))
    found = rods([Contender("a", ROUTE), Contender("b", route(strategy="round_robin")), Contender("c", other)])
    assert list(found) == [rod_key(ROUTE), rod_key(other)]
    assert all(len(group) == len(WORTHS) for group in found.values())


def test_an_oracle_may_use_every_tier():
    tiered = route(tiers=((CHEAP,), ROUTE.tiers[0]))
    (group,) = rods([Contender("a", tiered)]).values()
    assert group[0].route.tiers == ROUTE.tiers
