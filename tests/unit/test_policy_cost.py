"""Expected cost, in whole pico-dollars."""

import msgspec
import pytest
from policy_cases import endpoint, situation, view

from fastroute.core.types import Price
from fastroute.policy.cost import SPREAD, expected_cost_pusd, expected_output_tokens, output_points


def priced(input_pusd: int, output_pusd: int, **kwargs):
    return view(endpoint=endpoint("a", price=Price(input_pusd, output_pusd, **kwargs)))


def test_input_output_and_fee():
    v = priced(1000, 4000, request_pusd=77)
    cost = expected_cost_pusd(v, situation(v))
    assert cost == 500 * 1000 + 100 * 4000 + 77
    assert isinstance(cost, int)


def test_unpriced_is_none_and_free_is_zero():
    """Pitfall 39."""
    assert expected_cost_pusd(view(usd_per_mtok=None), situation()) is None
    assert expected_cost_pusd(view(usd_per_mtok=0.0), situation()) == 0


def test_the_token_mix_decides_who_is_cheaper():
    """Pitfall 39: in-heavy and out-heavy requests pick different endpoints."""
    cheap_in, cheap_out = priced(1, 20), priced(10, 5)
    reading, writing = situation(input_tokens=10_000), situation(input_tokens=10)
    assert expected_cost_pusd(cheap_in, reading) < expected_cost_pusd(cheap_out, reading)
    assert expected_cost_pusd(cheap_in, writing) > expected_cost_pusd(cheap_out, writing)


def test_the_limit_of_the_request_cuts_the_expected_answer():
    v = view(output_points=((50.0, 0.5), (150.0, 0.5)))
    assert expected_output_tokens(v, None) == v.output_tokens
    assert expected_output_tokens(v, 1000) == v.output_tokens
    assert expected_output_tokens(v, 100) == pytest.approx(75.0)
    assert expected_output_tokens(v, 10) == pytest.approx(10.0)


def test_a_view_with_only_a_mean_gets_a_spread_with_that_mean():
    points = output_points(view(output_tokens=300.0))
    assert sum(t * w for t, w in points) == pytest.approx(300.0, rel=0.02)
    assert sum(w for _, w in SPREAD) == pytest.approx(1.0)
    kept = msgspec.structs.replace(view(), output_points=((1.0, 1.0),))
    assert output_points(kept) == ((1.0, 1.0),)
