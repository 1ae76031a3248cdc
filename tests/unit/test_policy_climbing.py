from engine_world import endpoint

from fastroute.core.money import Pusd
from fastroute.core.types import Candidate, Decision, EndpointView, Exclusion, TailTable
from fastroute.policy.climbing import at_ease, start_tier


def tier(p_miss, cost, samples=10_000, in_flight=0):
    view = EndpointView(
        endpoint("x"), TailTable((1.0,), (0.0,)), 0.5, 0.0, 0.01, 100.0, 0.0, samples=samples, in_flight=in_flight
    )
    return Decision("cost_slo", (Candidate(view, p_miss, None if cost is None else Pusd(cost), 0.0),), (), "why")


def chosen(decisions, target=0.99):
    return start_tier(decisions, target)


EMPTY = Decision("cost_slo", (), (Exclusion(endpoint("y"), "breaker open"),), "none")


def test_the_first_tier_serves_while_it_is_good_enough():
    assert chosen([tier(0.02, 10), tier(0.0, 5)]) == 0


def test_a_cheaper_higher_tier_alone_is_no_reason_to_climb():
    assert chosen([tier(0.04, 1000), tier(0.0, 1)]) == 0


def test_it_climbs_when_the_objective_would_probably_be_lost():
    assert chosen([tier(0.9, 10), tier(0.02, 50), tier(0.01, 200)]) == 1


def test_it_climbs_past_a_tier_that_is_no_better():
    assert chosen([tier(0.9, 10), tier(0.9, 50), tier(0.01, 200)]) == 2


def test_it_does_not_pay_any_price_for_a_small_gain():
    assert chosen([tier(0.12, 1), tier(0.02, 1000)]) == 0


def test_an_unusable_tier_is_passed_over():
    assert chosen([EMPTY, tier(0.9, 50)]) == 1
    assert chosen([EMPTY, EMPTY]) == -1
    assert chosen([]) == -1


def test_unpriced_tiers_climb_by_risk_alone():
    assert chosen([tier(0.9, None), tier(0.1, None)]) == 1
    assert chosen([tier(0.1, None), tier(0.08, None)]) == 0


def test_at_ease_depends_on_the_target():
    assert at_ease(tier(0.05, 1), 0.99)
    assert not at_ease(tier(0.08, 1), 0.99)
    assert at_ease(tier(0.12, 1), 0.9)
    assert not at_ease(EMPTY, 0.9)


def test_a_new_first_tier_is_tried_before_it_is_judged():
    assert chosen([tier(0.12, 10, samples=0), tier(0.0, 20)]) == 0
    assert chosen([tier(0.12, 10), tier(0.0, 20)]) == 1
    assert at_ease(tier(0.12, 10, samples=0), 0.99)


def test_while_it_is_new_the_rest_goes_one_tier_up_and_no_further():
    full = tier(0.12, 10, samples=0, in_flight=2)
    assert not at_ease(full, 0.99)
    assert chosen([full, tier(0.12, 20, samples=0, in_flight=9), tier(0.0, 30)]) == 1
    assert chosen([full]) == 0
    assert chosen([tier(0.12, 10, samples=1, in_flight=3), tier(0.0, 20)]) == 0
