"""Laws of `core`: money is exact, tables are consistent, classes are total."""

from decimal import Decimal
from fractions import Fraction

from hypothesis import assume, given
from hypothesis import strategies as st

from fastroute.core.deadline import Deadline
from fastroute.core.failures import RULES, Failure, classify
from fastroute.core.money import from_usd, per_token, show_usd, to_usd
from fastroute.core.types import TailTable

prices = st.decimals(min_value=0, max_value=10_000, places=6, allow_nan=False)
instants = st.floats(min_value=0, max_value=1e9, allow_nan=False)
probabilities = st.floats(min_value=0, max_value=1, allow_nan=False)


@st.composite
def tables(draw: st.DrawFn) -> TailTable:
    """Rising bounds, falling survival."""
    bounds = sorted(draw(st.sets(st.floats(min_value=0.01, max_value=200, allow_nan=False), min_size=1, max_size=30)))
    survival = sorted(draw(st.lists(probabilities, min_size=len(bounds), max_size=len(bounds))), reverse=True)
    return TailTable(tuple(bounds), tuple(survival))


@given(prices)
def test_a_price_of_six_places_is_kept_exactly(usd_per_mtok: Decimal) -> None:
    assert Fraction(per_token(usd_per_mtok), 1_000_000) == Fraction(usd_per_mtok)


@given(prices, st.integers(0, 10**7))
def test_tokens_times_price_is_the_published_price_to_the_last_digit(usd_per_mtok: Decimal, tokens: int) -> None:
    exact_usd = Fraction(usd_per_mtok) * tokens / 1_000_000
    assert Fraction(per_token(usd_per_mtok) * tokens, 10**12) == exact_usd


@given(st.lists(st.integers(0, 10**15), max_size=20))
def test_a_sum_does_not_depend_on_its_order(amounts: list[int]) -> None:
    assert sum(amounts) == sum(reversed(amounts)) == sum(sorted(amounts))


@given(st.integers(0, 10**15))
def test_amounts_below_a_thousand_dollars_print_exactly(amount: int) -> None:
    shown = show_usd(amount)
    assert "e" not in shown
    assert from_usd(shown) == amount


@given(st.integers(0, 10**15))
def test_usd_there_and_back(amount: int) -> None:
    assert from_usd(to_usd(amount)) == amount


@given(tables(), probabilities)
def test_no_more_than_its_share_lies_beyond_a_quantile(table: TailTable, q: float) -> None:
    bound = table.quantile(q)
    assert bound in table.bounds
    if min(table.survival) <= 1.0 - q:
        assert table.p_over(bound) <= 1.0 - q
    else:
        assert bound == table.bounds[-1]  # the tail is beyond the range: "at least"


@given(tables(), probabilities)
def test_a_quantile_is_the_smallest_such_bound(table: TailTable, q: float) -> None:
    i = table.bounds.index(table.quantile(q))
    assert i == 0 or table.survival[i - 1] > 1.0 - q


@given(tables(), probabilities, probabilities)
def test_higher_quantiles_are_no_lower(table: TailTable, one: float, other: float) -> None:
    assert table.quantile(min(one, other)) <= table.quantile(max(one, other))


@given(tables(), st.floats(min_value=-1, max_value=300), st.floats(min_value=-1, max_value=300))
def test_waiting_longer_never_makes_missing_likelier(table: TailTable, one: float, other: float) -> None:
    assert table.p_over(max(one, other)) <= table.p_over(min(one, other))
    assert 0.0 <= table.p_over(one) <= 1.0


@given(instants, st.floats(min_value=0, max_value=3600), st.floats(min_value=0, max_value=7200))
def test_a_deadline_has_passed_exactly_when_nothing_is_left(now_s: float, seconds: float, later_s: float) -> None:
    deadline = Deadline.after(now_s, seconds)
    at_s = now_s + later_s
    assert deadline.passed(at_s) == (deadline.left_s(at_s) == 0.0)
    assert deadline.left_s(at_s) >= 0.0


labels = st.none() | st.text(max_size=30) | st.sampled_from(["insufficient_quota", "invalid_request_error", "content_filter"])


@given(st.integers(0, 999), st.lists(labels, max_size=4), st.text(max_size=60))
def test_whatever_a_provider_says_has_a_class_and_a_rule(status: int, said: list[str | None], message: str) -> None:
    assert classify(status, *said, message=message) in RULES


@given(st.integers(500, 999), st.lists(labels, max_size=4), st.text(max_size=60))
def test_a_server_error_is_one_whatever_is_said(status: int, said: list[str | None], message: str) -> None:
    failure = classify(status, *said, message=message)
    assert failure in (Failure.SERVER_ERROR, Failure.OVERLOADED)
    assert RULES[failure].failover


@given(st.integers(400, 499), st.text(max_size=30))
def test_a_code_nobody_knows_changes_nothing(status: int, code: str) -> None:
    assume(classify(200, code) is Failure.SERVER_ERROR and "error" not in code.lower())
    assert classify(status, code) is classify(status)
