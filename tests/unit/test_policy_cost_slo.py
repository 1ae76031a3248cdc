"""The default strategy, rule by rule."""

import timeit
from bisect import bisect_left

import pytest
from policy_cases import NEVER_PROBE, UNTRIED, Fixed, names, reasons, rng, situation, view

from fastroute.core.types import BreakerState, TailTable
from fastroute.policy.cost_slo import CostSlo, effective_costs, miss_worth
from fastroute.policy.picking import appraise
from fastroute.stats.window import BOUNDS

STRATEGY = CostSlo()


def decide(*views, r=NEVER_PROBE, **kwargs):
    return STRATEGY.decide(situation(*views, **kwargs), r)


def first(*views, r=NEVER_PROBE, **kwargs) -> str:
    return names(decide(*views, r=r, **kwargs))[0]


def tail(share_over: float, beyond: float = 1.0) -> TailTable:
    """A tail with a given share over every ratio above `beyond`."""
    return TailTable(BOUNDS, tuple(share_over if b >= beyond else 1.0 for b in BOUNDS))


def test_the_cheapest_of_those_that_meet_the_objective():
    assert first(view("dear", 10.0, 0.3), view("cheap", 1.0, 0.5), view("mid", 3.0, 0.4)) == "cheap"


def test_the_cheapest_is_passed_over_when_it_is_too_slow():
    assert first(view("slow", 1.0, 3.0), view("dear", 25.0, 0.3), view("mid", 5.0, 0.4)) == "mid"


def test_the_rest_is_the_failover_order_by_score():
    assert names(decide(view("dear", 25.0, 0.3), view("slow", 1.0, 8.0), view("mid", 5.0, 0.4))) == ["mid", "dear", "slow"]


def test_a_looser_objective_brings_the_cheap_one_back():
    views = view("cheap", 1.0, 3.0), view("mid", 5.0, 0.4)
    assert first(*views, ttft_s=1.0) == "mid"
    assert first(*views, ttft_s=15.0) == "cheap"


def test_a_free_endpoint_is_chosen():
    """Pitfall 39: a price of 0 is the cheapest, not a missing one."""
    assert first(view("paid", 1.0), view("free", 0.0)) == "free"


def test_free_endpoints_still_differ_by_risk():
    assert first(view("slow", 0.0, 3.0), view("quick", 0.0, 0.3)) == "quick"


def test_the_unpriced_comes_after_the_priced():
    views = view("unpriced", None), view("dear", 10.0), view("cheap", 1.0)
    assert names(decide(*views)) == ["cheap", "dear", "unpriced"]
    costs = effective_costs(appraise(list(views), situation(*views)))
    assert costs[0] == 2 * max(costs[1:])


def test_only_unpriced_endpoints_differ_by_risk():
    assert first(view("slow", None, 5.0), view("quick", None, 0.3)) == "quick"


def test_pace_and_answer_length_decide_too():
    """Pitfall 22."""
    drip, flow = view("drip", 1.0, 0.3, tpot_s=0.04, output_tokens=400.0), view("flow", 2.0, 0.5, output_tokens=400.0)
    assert first(drip, flow, total_s=10.0, left_s=10.0, max_output_tokens=1000) == "flow"
    assert first(drip, flow, total_s=10.0, left_s=10.0, max_output_tokens=50) == "drip"


def test_what_the_target_allows_is_nearly_free():
    a, b = view("a", 1.0, ttft_tail=tail(0.05)), view("b", 1.5, ttft_tail=tail(0.0))
    assert first(a, b, target=0.9) == "a"
    assert first(a, b, target=0.999) == "b"


def test_equal_prices_go_to_the_safer_one():
    assert first(view("a", 1.0, ttft_tail=tail(0.009)), view("b", 1.0, ttft_tail=tail(0.001))) == "b"


def test_young_endpoints_have_the_benefit_of_the_doubt():
    """The same estimate weighs less when it rests on six samples than on a thousand."""
    young, old = (view("cheap", 1.0, ttft_tail=tail(0.12), samples=n) for n in (6, 1000))
    other = view("other", 2.0, ttft_tail=tail(0.0))
    assert first(young, other) == "cheap"
    assert first(old, other) == "other"


def test_an_inferred_ttft_counts_half_as_evidence():
    v, other = view("cheap", 1.0, ttft_tail=tail(0.12), samples=70), view("other", 4.0, ttft_tail=tail(0.0))
    assert first(v, other, stream=True) == "other"
    assert first(v, other, stream=False) == "cheap"


def test_failures_cost_what_the_next_endpoint_costs():
    sick, well = view("sick", 1.0, p_fail=0.3), view("well", 1.2)
    assert first(sick, well) == "well"
    assert first(sick, view("well", 15.0)) == "sick"


def test_scores_within_two_percent_go_to_the_idler():
    """Pitfall 32: own in-flight counts break ties, so workers do not herd."""
    a, b, c = view("a", 1.0, in_flight=5), view("b", 1.01, in_flight=1), view("c", 1.2, in_flight=0)
    assert first(a, b, c) == "b"


def test_full_ties_go_by_chance():
    views = view("a"), view("b")
    assert {first(*views, r=rng(seed)) for seed in range(20)} == {"a", "b"}


def test_the_value_of_a_miss_follows_prices_and_target():
    views = view("a", 1.0), view("b", 5.0), view("c", 25.0)
    candidates = appraise(views, situation(*views))
    median = candidates[1].cost_pusd
    assert miss_worth(candidates, 0.99) == pytest.approx(30 * median)
    assert miss_worth(candidates, 0.9999) == pytest.approx(30 * median * 5)
    assert miss_worth(candidates, 0.9) == pytest.approx(30 * median * 0.1**0.5)
    assert miss_worth(candidates, 1.0) == pytest.approx(30 * median * 5)


def test_the_value_of_a_miss_has_a_floor():
    free, tiny = (appraise([view("a", price)], situation()) for price in (0.0, 0.001))
    assert miss_worth(free, 0.99) == pytest.approx(500_000_000)
    assert miss_worth(tiny, 0.99) == pytest.approx(60 * tiny[0].cost_pusd)
    assert miss_worth(appraise([view("a", None)], situation()), 0.99) == pytest.approx(500_000_000)


class TestColdStart:
    """Pitfall 11: an endpoint without samples is not stampeded."""

    def new(self, in_flight: int, samples: int = 0, **kwargs):
        return view("new", 1.0, 0.6, ttft_tail=UNTRIED, samples=samples, age_s=None, in_flight=in_flight, **kwargs)

    @pytest.mark.parametrize(("samples", "cap"), [(0, 2), (1, 4), (2, 8), (4, 32)])
    def test_in_flight_is_capped_and_doubles_with_every_sample(self, samples, cap):
        other = view("other", 9.0)
        assert first(self.new(cap - 1, samples), other) == "new"
        assert first(self.new(cap, samples), other) == "other"

    def test_known_endpoints_have_no_cap(self):
        assert first(self.new(1000, samples=5), view("other", 9.0)) == "new"

    def test_alone_it_takes_everything(self):
        assert first(self.new(1000)) == "new"

    def test_the_overflow_goes_no_further_than_the_second(self):
        cold = view("cold", 5.0, 0.6, ttft_tail=UNTRIED, samples=0, in_flight=50)
        assert names(decide(self.new(2), cold, view("third", 40.0), ttft_s=1.0))[0] == "cold"

    def test_it_goes_to_nobody_who_is_less_known(self):
        cold = view("cold", 5.0, 0.6, ttft_tail=UNTRIED, samples=0)
        assert first(self.new(100, samples=1), cold, ttft_s=1.0) == "new"

    def test_where_all_are_cold_a_loose_objective_needs_no_caution(self):
        cold = view("cold", 5.0, 0.6, ttft_tail=UNTRIED, samples=0)
        assert first(self.new(500), cold, ttft_s=6.0) == "new"
        assert first(self.new(500), cold, ttft_s=1.0) == "cold"

    def test_a_known_alternative_takes_the_overflow_whatever_the_objective(self):
        assert first(self.new(2), view("other", 9.0), ttft_s=6.0) == "other"

    def test_untried_is_not_zero_latency(self):
        assert first(self.new(0), view("other", 1.2, 0.3), ttft_s=0.6) == "other"


class TestInfeasible:
    """Where nobody is likely to meet the objective."""

    slow, slower, dear = view("slow", 5.0, 3.0), view("slower", 1.0, 30.0), view("dear", 25.0, 2.9)

    def test_mildest_is_least_likely_to_miss_then_cheapest(self):
        views = view("a", 5.0, ttft_tail=tail(0.61)), view("b", 1.0, ttft_tail=tail(0.9)), view("c", 3.0, ttft_tail=tail(0.63))
        assert names(decide(*views)) == ["c", "a", "b"]

    def test_cheapest(self):
        ranked = names(decide(self.slow, self.slower, self.dear, ttft_s=1.0, on_infeasible="cheapest"))
        assert ranked == ["slower", "slow", "dear"]

    def test_cheapest_puts_the_unpriced_last(self):
        assert names(decide(view("u", None, 9.0), self.slow, ttft_s=1.0, on_infeasible="cheapest")) == ["slow", "u"]

    def test_reject_ranks_nobody_and_says_why(self):
        decision = decide(self.slow, self.slower, view("shut", breaker=BreakerState.OPEN), ttft_s=1.0, on_infeasible="reject")
        assert decision.ranked == ()
        assert "rejects" in decision.why
        assert set(reasons(decision)) == {"slow", "slower", "shut"}
        assert "likely to miss" in reasons(decision)["slow"]

    def test_reject_does_not_touch_a_feasible_request(self):
        assert first(view("ok", 1.0, 0.3), self.slow, on_infeasible="reject") == "ok"

    def test_a_lost_objective_is_answered_soonest(self):
        views = view("cheap", 1.0, 3.0), view("quick", 5.0, 0.3), view("same", 4.0, 0.3)
        assert first(*views, elapsed_s=2.5) == "same"
        assert "soonest" in decide(*views, elapsed_s=2.5).why


def test_one_feasible_endpoint_is_enough_for_the_score_to_decide():
    assert first(view("hopeless", 0.1, 9.0), view("ok", 30.0, 0.3)) == "ok"


def test_nothing_usable():
    decision = decide(view("a", gate_left_s=5.0), view("b", breaker=BreakerState.OPEN))
    assert decision.ranked == ()
    assert set(reasons(decision)) == {"a", "b"}
    assert decide().why == "the tier is empty"


def test_why_names_the_choice_and_its_risk():
    assert decide(view("a", 1.0, 0.5)).why.startswith("a: lowest expected cost and risk; P(miss) 0.0")


def test_no_percentile_is_computed_on_the_way(monkeypatch):
    """Pitfall 1."""

    def fail(*args: object) -> float:
        raise AssertionError("a percentile on the request path")

    monkeypatch.setattr(TailTable, "quantile", fail)
    assert first(view("a", 1.0, 3.0), view("b", 2.0, 0.3), total_s=8.0) == "b"


def test_a_decision_costs_a_bounded_number_of_bisects():
    """Pitfall 1, as a ratio: ten endpoints in the time of so many bisects (measured: about 320)."""
    views = [view(f"e{i}", 1.0 + i, 0.4) for i in range(10)]
    s = situation(*views, total_s=8.0)
    bisect_s = min(timeit.repeat(lambda: bisect_left(BOUNDS, 1.3), number=2000, repeat=5)) / 2000
    decide_s = min(timeit.repeat(lambda: STRATEGY.decide(s, NEVER_PROBE), number=50, repeat=5)) / 50
    assert decide_s < 2000 * bisect_s


def test_the_rng_is_not_asked_where_nothing_is_left_to_chance():
    r = Fixed(0.5)
    decide(view("a", 1.0), view("b", 9.0), r=r)
    assert r.asked == 0
