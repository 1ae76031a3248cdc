"""Soonest first, near-equals by load."""

import pytest
from policy_cases import NEVER_PROBE, UNTRIED, names, rng, situation, view

from fastroute.core.types import BreakerState
from fastroute.policy.least_latency import LeastLatency


def decide(*views, r=NEVER_PROBE, **kwargs):
    return LeastLatency().decide(situation(*views, **kwargs), r)


def test_the_soonest_comes_first_whatever_it_costs():
    assert names(decide(view("cheap", 0.1, 3.0), view("quick", 90.0, 0.3), view("mid", 1.0, 1.0))) == ["quick", "mid", "cheap"]


def test_the_answers_length_counts():
    drip, flow = view("drip", ttft_s=0.2, tpot_s=0.05), view("flow", ttft_s=0.6, tpot_s=0.01)
    assert names(decide(drip, flow)) == ["flow", "drip"]
    assert names(decide(drip, flow, max_output_tokens=3)) == ["drip", "flow"]


def test_the_prompts_size_counts():
    big, small = view("big", ttft_s=0.2, ttft_per_token_s=0.001), view("small", ttft_s=1.0)
    assert names(decide(big, small, input_tokens=100))[0] == "big"
    assert names(decide(big, small, input_tokens=4000))[0] == "small"


def test_within_five_percent_the_idler_is_taken():
    assert names(decide(view("a", ttft_s=1.00, in_flight=4), view("b", ttft_s=1.03, in_flight=1)))[0] == "b"
    assert names(decide(view("a", ttft_s=1.00, in_flight=4), view("b", ttft_s=1.60, in_flight=1)))[0] == "a"


def test_equal_load_is_shared_by_chance():
    assert {names(decide(view("a"), view("b"), r=rng(s)))[0] for s in range(20)} == {"a", "b"}


def test_an_untried_endpoint_is_as_slow_as_its_prior():
    """Pitfall 11."""
    assert (
        names(decide(view("new", ttft_s=0.6, ttft_tail=UNTRIED, samples=0, age_s=None), view("known", ttft_s=0.3)))[0] == "known"
    )


def test_scores_are_predicted_seconds_and_why_says_so():
    decision = decide(view("a", ttft_s=0.5))
    assert decision.ranked[0].score == pytest.approx(1.5, rel=0.05)
    assert "soonest" in decision.why


def test_nothing_usable():
    assert decide(view(breaker=BreakerState.OPEN)).ranked == ()
