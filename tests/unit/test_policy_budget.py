"""Retry and hedge budgets: what they allow, what they forbid, and how they fade."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.policy.budget import MOST_HEDGES, RESERVE, RETRY_RATIO, Budget

USUAL = (0.05, 0.05)


def served(budget: Budget, requests: int, cost_pusd: int = 1000) -> None:
    budget.requests += requests
    budget.spent_pusd += requests * cost_pusd


def drawn(budget: Budget, now_s: float) -> int:
    """How many retries in a row it allows at one instant."""
    count = 0
    while budget.retry(now_s):
        count += 1
    return count


def test_a_first_failure_finds_a_token_and_a_storm_finds_three():
    assert drawn(Budget(*USUAL), 0.0) == RESERVE


def test_busy_routes_may_retry_fifteen_per_cent():
    budget = Budget(*USUAL)
    budget.retry(0.0)
    served(budget, 1000)
    assert drawn(budget, 0.0) == pytest.approx(RETRY_RATIO * 1000 + RESERVE - 1)


def test_what_was_earned_fades_in_ten_seconds_or_so():
    """A long calm does not pay for a storm."""
    budget = Budget(*USUAL)
    budget.retry(0.0)
    served(budget, 10_000)
    budget.retry(0.0)
    assert drawn(budget, 100.0) <= RESERVE + 1


def test_requests_of_a_long_silence_count_as_those_of_ten_seconds():
    """The budget was not asked for an hour, in which 36,000 requests went well: that is ten a second, not one storm's worth."""
    budget = Budget(*USUAL)
    budget.retry(0.0)
    served(budget, 36_000)
    assert drawn(budget, 3600.0) == pytest.approx(RETRY_RATIO * 100 + RESERVE, abs=1)


def test_the_reserve_refills_by_one_every_five_seconds():
    budget = Budget(*USUAL)
    drawn(budget, 0.0)
    assert not budget.retry(4.9)
    assert budget.retry(5.1)
    assert drawn(budget, 5.1 + 1000) == RESERVE


def test_a_rate_limit_draws_half():
    budget = Budget(*USUAL)
    assert [budget.retry(0.0, 0.5) for _ in range(7)] == [True] * 6 + [False]


def test_refusing_draws_nothing():
    budget = Budget(*USUAL)
    drawn(budget, 0.0)
    for _ in range(100):
        budget.retry(1.0)
    assert budget.retry(5.5)


def test_who_serves_nothing_hedges_nothing():
    assert not Budget(*USUAL).hedge(0.0, 0)


@pytest.mark.parametrize("ratio", [0.0, 0.01, 0.05, 0.2])
def test_hedges_stay_within_their_share_of_requests(ratio):
    """Pitfall 14: at 0.2 requests a second for ten minutes at most 5 % and three."""
    budget, hedges = Budget(ratio, 1.0), 0
    for i in range(120):
        served(budget, 1)
        hedges += budget.hedge(i * 5.0, 10)
    assert hedges <= ratio * 120 + MOST_HEDGES
    assert hedges >= int(ratio * 120 * 0.9)


def test_hedges_stay_within_their_share_of_the_spend():
    """A hedge to an endpoint twenty times as dear as the usual one uses up what a hundred requests may spend on hedges."""
    budget, hedges = Budget(0.5, 0.05), 0
    for i in range(1000):
        served(budget, 1, cost_pusd=1000)
        hedges += budget.hedge(i * 0.1, 20_000)
    assert hedges * 20_000 <= 0.05 * 1000 * 1000
    assert hedges == 2


def test_the_spend_of_long_ago_does_not_pay_for_hedges_of_today():
    budget = Budget(1.0, 0.05)
    served(budget, 100, cost_pusd=1000)
    assert budget.may_hedge(0.0, 4000)
    assert not budget.may_hedge(3600.0, 4000)


def test_an_unpriced_hedge_draws_on_the_counts_only():
    budget = Budget(1.0, 0.0)
    served(budget, 10)
    assert budget.hedge(0.0, None)
    assert not budget.hedge(0.0, 1)


def test_a_hedge_draws_on_the_retry_budget_too():
    budget = Budget(1.0, 1.0)
    budget.requests += 3
    taken = sum(budget.hedge(0.0, 0) for _ in range(10))
    assert taken == 3
    assert drawn(budget, 0.0) == 0


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(0, 50), st.booleans()), max_size=60))
def test_it_never_allows_more_than_was_earned(steps):
    budget, now_s, requests, allowed = Budget(*USUAL), 0.0, 0, 0
    for wait_s, more, hedge in steps:
        now_s += wait_s
        requests += more
        served(budget, more)
        allowed += budget.hedge(now_s, 1) if hedge else budget.retry(now_s)
    assert allowed <= RETRY_RATIO * requests + RESERVE + 0.2 * now_s + 1e-6


def test_a_clock_that_goes_back_is_no_gift():
    budget = Budget(*USUAL)
    drawn(budget, 1000.0)
    assert not budget.retry(0.0)
