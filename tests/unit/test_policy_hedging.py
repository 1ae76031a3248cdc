"""When a duplicate is thought of, whether it is worth it, and who gets it."""

import msgspec
import pytest
from policy_support import a_situation, a_view

from fastroute.core.types import BreakerState, Candidate, ChatRequest, Objective
from fastroute.policy import hedging

STREAM = ChatRequest("r", "openai", "auto", {}, 0.0, 1_000, stream=True)
WHOLE = msgspec.structs.replace(STREAM, stream=False)
TWO = Objective(ttft_s=2.0)
# The usual view: predicted 0.5 s, p90 of the ratio 1.0, so nine in ten have content after 0.5 s.


def moment(others, objective=TWO, first=None, request=STREAM, probe=False):
    return hedging.moment_s(objective, request, first or a_view(), others, probe)


def test_the_latest_moment_leaves_the_other_its_90th_percentile():
    assert moment([a_view("b")]) == pytest.approx(2.0 - 0.5)


def test_of_several_the_quickest_decides():
    assert moment([a_view("b"), a_view("c", ttft_base_s=0.2)]) == pytest.approx(2.0 - 0.2)


def test_nobody_else_or_nobody_in_time_means_never():
    assert moment([]) is None
    assert moment([a_view("b", ttft_base_s=2.5)]) is None


@pytest.mark.parametrize(
    "ill",
    [
        {"suspect": True},
        {"admits": False},
        {"gate_left_s": 1.0},
        {"breaker": BreakerState.OPEN},
        {"breaker": BreakerState.HALF_OPEN},
    ],
)
def test_the_ill_are_not_sent_duplicates(ill):
    sick = a_view("b", **ill)
    assert not hedging.healthy(sick)
    assert moment([sick]) is None
    assert hedging.best(1.0, 1e15, [Candidate(sick, 0.0, 1, 0.0)]) is None


def test_the_end_of_the_answer_counts_where_it_is_promised():
    """100 tokens at 10 ms, 15 % more: 1.15 s of answer must fit in after first content."""
    assert moment([a_view("b")], Objective(ttft_s=5.0, total_s=3.0)) == pytest.approx(3.0 - 1.15 - 0.5, abs=0.2)


def test_a_whole_reply_needs_all_its_time():
    stream = moment([a_view("b")], Objective(total_s=8.0), request=WHOLE)
    assert stream is not None
    assert stream < 8.0 - 0.5 - 1.0


def test_the_floor():
    assert moment([a_view("b", ttft_base_s=1.99)]) == hedging.LEAST_S


def test_a_probe_is_hedged_at_1_3_times_what_was_predicted():
    assert moment([a_view("b")], probe=True) == pytest.approx(1.3 * 0.5)
    assert moment([a_view("b")], first=a_view(suspect=True)) == pytest.approx(1.3 * 0.5)
    assert moment([a_view("b")], first=a_view(suspect=True, ttft_base_s=9.0)) == pytest.approx(1.5)


def test_waiting_makes_a_miss_likelier():
    now = [hedging.chance_lost(a_view(), a_situation(elapsed_s=s), 0.0) for s in (0.0, 0.5, 1.0, 1.5)]
    assert now == sorted(now)
    assert now[0] < 0.01
    assert now[-1] > 0.9  # of a tail whose last bound but one is 1 s, whoever waits 1.5 s is lost


def test_waiting_counts_from_when_it_was_sent():
    late = a_situation(elapsed_s=1.4)
    assert hedging.chance_lost(a_view(), late, sent_s=1.3) < hedging.chance_lost(a_view(), late, sent_s=0.0)


def test_whole_replies_are_judged_by_their_whole_time():
    whole = a_situation(objective=Objective(total_s=4.0), stream=False)
    early = hedging.chance_lost(a_view(), msgspec.structs.replace(whole, elapsed_s=0.1), 0.0)
    late = hedging.chance_lost(a_view(), msgspec.structs.replace(whole, elapsed_s=3.5), 0.0)
    assert early < late <= 1.0


def test_a_tail_that_was_never_reached_leaves_no_hope():
    view = hedging.having_waited(a_view(), 100.0, 1_000)
    assert view.ttft_tail.p_over(1.0) == 1.0


def a_candidate(name="b", p_miss=0.01, cost=100, **members):
    return Candidate(a_view(name, **members), p_miss, cost, 0.0)


def test_the_value_test():
    assert hedging.best(0.5, 300.0, [a_candidate(cost=100)]) is not None
    assert hedging.best(0.5, 150.0, [a_candidate(cost=100)]) is None
    assert hedging.best(0.5, 300.0, [a_candidate(cost=100, p_miss=0.9)]) is None
    assert hedging.best(0.5, 300.0, [a_candidate(cost=100, p_fail=0.9)]) is None


def test_what_will_probably_be_in_time_is_left_alone_at_any_price():
    assert hedging.best(0.1, 1e15, [a_candidate(cost=0)]) is None


def test_the_most_valuable_is_taken_and_never_an_unpriced_one():
    dear, cheap, unknown = a_candidate("dear", cost=200), a_candidate("cheap", cost=50), a_candidate("unknown", cost=None)
    assert hedging.best(0.5, 1000.0, [unknown, dear, cheap]) is cheap
    assert hedging.best(0.5, 1000.0, [unknown]) is None
    assert hedging.best(0.5, 1000.0, []) is None


def test_without_an_objective_the_slowest_five_per_cent_go_to_the_quickest_fair_price():
    situation = a_situation(objective=Objective())
    first = a_view(input_pusd=1_000_000)
    cost = hedging.expected_cost_pusd(first, situation)
    quick, dear = a_candidate("q", cost=cost, ttft_base_s=0.1), a_candidate("d", cost=3 * cost, ttft_base_s=0.01)
    assert hedging.soonest(first, situation, [dear, a_candidate("s", cost=cost), quick]) is quick
    assert hedging.soonest(first, situation, [dear]) is None
    assert hedging.moment_without_objective_s(STREAM, first) == pytest.approx(1.0)
