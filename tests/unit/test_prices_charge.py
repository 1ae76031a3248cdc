"""`prices.charge`: exact, complete, and unknown where anything needed is unknown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.core.money import per_token, to_usd
from fastroute.core.types import Price, Usage
from fastroute.prices.charge import charge

GPT_4O = Price(input_pusd=per_token("2.50"), output_pusd=per_token(10), cached_input_pusd=per_token("1.25"))
SONNET = Price(per_token(3), per_token(15), cached_input_pusd=per_token("0.30"), cache_write_pusd=per_token("3.75"))

tokens = st.integers(0, 10_000_000)
per_token_pusd = st.integers(0, 10**9)
prices = st.builds(
    Price,
    input_pusd=per_token_pusd,
    output_pusd=per_token_pusd,
    cached_input_pusd=st.none() | per_token_pusd,
    cache_write_pusd=st.none() | per_token_pusd,
    request_pusd=st.integers(0, 10**11),
)


@st.composite
def usages(draw: st.DrawFn) -> Usage:
    """Usage as the laws of the providers allow: cached and written tokens are inside the input."""
    uncached, cached, written = draw(tokens), draw(tokens), draw(tokens)
    return Usage(
        input_tokens=uncached + cached + written,
        output_tokens=draw(tokens),
        cached_input_tokens=cached,
        cache_write_tokens=written,
    )


def test_a_plain_call() -> None:
    cost = charge(GPT_4O, Usage(input_tokens=1000, output_tokens=200))
    assert cost == 4_500_000_000
    assert to_usd(cost) == 0.0045


def test_cached_tokens_cost_the_cached_price_and_are_not_charged_twice() -> None:
    assert charge(GPT_4O, Usage(1000, 0, cached_input_tokens=400)) == 600 * 2_500_000 + 400 * 1_250_000


def test_cache_writes_cost_the_write_price() -> None:
    usage = Usage(input_tokens=1000, output_tokens=10, cached_input_tokens=300, cache_write_tokens=500)
    assert charge(SONNET, usage) == 200 * 3_000_000 + 300 * 300_000 + 500 * 3_750_000 + 10 * 15_000_000


def test_where_there_is_no_cached_or_write_price_the_input_price_holds() -> None:
    plain = Price(input_pusd=7, output_pusd=11)
    assert charge(plain, Usage(100, 1, cached_input_tokens=40, cache_write_tokens=60)) == 711


def test_the_fee_per_request_is_added_once() -> None:
    sonar = Price(per_token(1), per_token(1), request_pusd=12_000_000_000)
    assert charge(sonar, Usage(0, 0)) == 12_000_000_000
    assert charge(sonar, Usage(5, 5)) == 12_010_000_000


@pytest.mark.parametrize(
    ("price", "usage"),
    [
        (None, Usage(10, 10)),
        (GPT_4O, None),
        (GPT_4O, Usage()),
        (GPT_4O, Usage(input_tokens=10)),
        (GPT_4O, Usage(output_tokens=10)),
    ],
)
def test_unknown_in_unknown_out(price: Price | None, usage: Usage | None) -> None:
    assert charge(price, usage) is None


def test_free_is_not_unknown() -> None:
    assert charge(Price(0, 0), Usage(1000, 1000)) == 0


def test_reasoning_tokens_are_inside_the_output() -> None:
    assert charge(GPT_4O, Usage(1, 50, reasoning_tokens=40)) == charge(GPT_4O, Usage(1, 50))


def test_more_cached_than_input_is_held_to_the_input() -> None:
    assert charge(GPT_4O, Usage(100, 0, cached_input_tokens=500)) == 100 * 1_250_000
    assert charge(SONNET, Usage(100, 0, cached_input_tokens=80, cache_write_tokens=80)) == 80 * 300_000 + 20 * 3_750_000


def test_negative_counts_never_make_money() -> None:
    assert charge(GPT_4O, Usage(-5, -5, cached_input_tokens=-5)) == 0


@given(prices, usages())
def test_the_parts_sum_exactly(price: Price, usage: Usage) -> None:
    assert usage.input_tokens is not None
    cached, written = usage.cached_input_tokens or 0, usage.cache_write_tokens or 0
    rest = usage.input_tokens - cached - written
    cached_pusd = price.input_pusd if price.cached_input_pusd is None else price.cached_input_pusd
    write_pusd = price.input_pusd if price.cache_write_pusd is None else price.cache_write_pusd
    parts = [rest * price.input_pusd, cached * cached_pusd, written * write_pusd, (usage.output_tokens or 0) * price.output_pusd]
    cost = charge(price, usage)
    assert isinstance(cost, int)
    assert cost == sum(parts) + price.request_pusd


@given(prices, usages(), tokens, tokens)
def test_more_tokens_never_cost_less(price: Price, usage: Usage, more_in: int, more_out: int) -> None:
    assert usage.input_tokens is not None
    assert usage.output_tokens is not None
    longer = Usage(
        input_tokens=usage.input_tokens + more_in,
        output_tokens=usage.output_tokens + more_out,
        cached_input_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens,
    )
    less, more = charge(price, usage), charge(price, longer)
    assert less is not None
    assert more is not None
    assert more >= less


@given(prices, tokens, tokens, tokens)
def test_a_cache_hit_never_costs_more_where_its_price_is_lower(price: Price, input_tokens: int, output: int, cached: int) -> None:
    cached = min(cached, input_tokens)
    hit = charge(price, Usage(input_tokens, output, cached_input_tokens=cached))
    miss = charge(price, Usage(input_tokens, output))
    assert hit is not None
    assert miss is not None
    if price.cached_input_pusd is None:
        assert hit == miss
    elif price.cached_input_pusd <= price.input_pusd:
        assert hit <= miss
    else:
        assert hit >= miss


@given(prices, st.lists(usages(), min_size=1, max_size=5))
def test_a_bill_is_the_exact_sum_of_its_calls(price: Price, calls: list[Usage]) -> None:
    """Adding up token counts first gives the same bill, to the last pico-dollar: nothing is rounded on the way."""
    total = Usage(
        input_tokens=sum(u.input_tokens or 0 for u in calls),
        output_tokens=sum(u.output_tokens or 0 for u in calls),
        cached_input_tokens=sum(u.cached_input_tokens or 0 for u in calls),
        cache_write_tokens=sum(u.cache_write_tokens or 0 for u in calls),
    )
    together = charge(price, total)
    assert together is not None
    assert sum(charge(price, u) or 0 for u in calls) == together + (len(calls) - 1) * price.request_pusd
