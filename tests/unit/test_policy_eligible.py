"""Who may serve, and why not."""

import msgspec
import pytest
from policy_cases import capable, endpoint, situation, view

from fastroute.core.money import from_usd
from fastroute.core.types import BreakerState, Needs
from fastroute.policy.eligible import split


def reason(v, **kwargs) -> str | None:
    usable, excluded = split(situation(v, **kwargs))
    assert len(usable) + len(excluded) == 1
    return excluded[0].reason if excluded else None


def test_a_plain_endpoint_may_serve():
    assert reason(view()) is None


@pytest.mark.parametrize(
    ("need", "words"), [("vision", "cannot read images"), ("tools", "cannot call tools"), ("json_schema", "JSON schema")]
)
def test_a_need_is_held_against_whoever_is_known_to_lack_it(need, words):
    asks = {"needs": Needs(**{need: True})}
    assert words in reason(capable("a", **{need: False}), **asks)
    assert reason(capable("a", **{need: True}), **asks) is None
    assert reason(capable("a", **{need: None}), **asks) is None
    assert reason(capable("a", **{need: False})) is None


def test_context_length():
    assert "exceeds its context of 400" in reason(capable("a", context_tokens=400))
    assert reason(capable("a", context_tokens=500)) is None
    assert reason(capable("a", context_tokens=None)) is None


def test_output_length():
    small = capable("a", max_output_tokens=100)
    assert "at most 100" in reason(small, max_output_tokens=101)
    assert reason(small, max_output_tokens=100) is None
    assert reason(small) is None


def test_cost_cap():
    dear = view(usd_per_mtok=100.0)
    assert "more than the cap" in reason(dear, max_cost_pusd=from_usd("0.01"))
    assert reason(dear, max_cost_pusd=from_usd("1")) is None


def test_unpriced_under_a_cap():
    assert "unpriced" in reason(view(usd_per_mtok=None), max_cost_pusd=from_usd("1"))
    assert reason(view(usd_per_mtok=None)) is None


def test_a_free_endpoint_is_under_any_cap():
    """Pitfall 39: a price of 0 is a price."""
    assert reason(view(usd_per_mtok=0.0), max_cost_pusd=0) is None


def test_a_gate_says_how_long():
    usable, excluded = split(situation(view(gate_left_s=7.0)))
    assert usable == []
    assert excluded[0].gate_left_s == 7.0
    assert "7.0 s" in excluded[0].reason


def test_an_open_breaker():
    assert reason(view(breaker=BreakerState.OPEN)) == "its breaker is open"
    assert reason(view(breaker=BreakerState.HALF_OPEN)) is None


@pytest.mark.parametrize(
    ("kwargs", "words"),
    [
        ({"breaker": BreakerState.HALF_OPEN}, "probe is under way"),
        ({"suspect": True}, "suspect"),
        ({}, "not admitted"),
    ],
)
def test_what_is_not_admitted_says_why(kwargs, words):
    assert words in reason(view(admits=False, **kwargs))


def test_an_in_flight_limit():
    limited = endpoint("a", max_in_flight=2)
    assert reason(view(endpoint=limited, in_flight=1)) is None
    assert "limit of 2" in reason(view(endpoint=limited, in_flight=2))


def test_in_a_panic_gates_are_still_respected():
    """Pitfall 29: whoever makes the views overlooks breakers; a rate limit is no opinion."""
    panic = [view("a", breaker=BreakerState.HALF_OPEN), view("b", breaker=BreakerState.HALF_OPEN, gate_left_s=5.0)]
    usable, excluded = split(situation(*panic))
    assert [v.endpoint.name for v in usable] == ["a"]
    assert [e.endpoint.name for e in excluded] == ["b"]


def test_what_never_changes_is_named_before_what_passes():
    assert "context" in reason(view(endpoint=capable("a", context_tokens=1).endpoint, gate_left_s=3.0))


def test_order_is_kept():
    usable, _ = split(situation(*(view(n) for n in "cab")))
    assert [v.endpoint.name for v in usable] == ["c", "a", "b"]


def test_a_gate_is_only_named_where_waiting_for_it_would_help():
    _, excluded = split(
        situation(msgspec.structs.replace(capable("a", context_tokens=1), gate_left_s=3.0), view("b", gate_left_s=3.0))
    )
    assert [e.gate_left_s for e in excluded] == [None, 3.0]


def test_a_paced_endpoint_and_a_crowded_one_say_so():
    assert "room for the next request in 1.5 s" in reason(view(admits=False, paced_s=1.5))
    assert "at 8 in flight" in reason(view(admits=False, crowd_limit=8))
    _, excluded = split(situation(view("a", admits=False, paced_s=1.5)))
    assert excluded[0].gate_left_s == 1.5
