from engine_world import endpoint

from fastroute.core.money import Pusd
from fastroute.core.types import Candidate, Decision, EndpointView, Exclusion, TailTable
from fastroute.policy.climbing import at_ease, start_tier


def tier(p_miss, cost):
    view = EndpointView(endpoint("x"), TailTable((1.0,), (0.0,)), 0.5, 0.0, 0.01, 100.0, 0.0)
    return Decision("cost_slo", (Candidate(view, p_miss, None if cost is None else Pusd(cost), 0.0),), (), "why")


EMPTY = Decision("cost_slo", (), (Exclusion(endpoint("y"), "breaker open"),), "none")


def test_the_first_tier_serves_while_it_is_good_enough():
    assert start_tier([tier(0.02, 10), tier(0.0, 5)]) == 0


def test_a_cheaper_higher_tier_alone_is_no_reason_to_climb():
    assert start_tier([tier(0.04, 1000), tier(0.0, 1)]) == 0


def test_it_climbs_when_the_objective_would_probably_be_lost():
    assert start_tier([tier(0.9, 10), tier(0.02, 50), tier(0.01, 200)]) == 1


def test_it_climbs_past_a_tier_that_is_no_better():
    assert start_tier([tier(0.9, 10), tier(0.9, 50), tier(0.01, 200)]) == 2


def test_it_does_not_pay_any_price_for_a_small_gain():
    assert start_tier([tier(0.12, 1), tier(0.02, 1000)]) == 0


def test_an_unusable_tier_is_passed_over():
    assert start_tier([EMPTY, tier(0.9, 50)]) == 1
    assert start_tier([EMPTY, EMPTY]) == -1
    assert start_tier([]) == -1


def test_unpriced_tiers_climb_by_risk_alone():
    assert start_tier([tier(0.9, None), tier(0.1, None)]) == 1
    assert start_tier([tier(0.1, None), tier(0.08, None)]) == 0


def test_at_ease_depends_on_the_target():
    assert at_ease(tier(0.05, 1), 0.99)
    assert not at_ease(tier(0.06, 1), 0.99)
    assert at_ease(tier(0.15, 1), 0.9)
    assert not at_ease(EMPTY, 0.9)
