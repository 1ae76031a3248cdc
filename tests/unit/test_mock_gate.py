"""The mock's rate limits: a sliding minute, not a fixed one."""

import pytest

from fastroute.mock.gate import Gate
from fastroute.mock.schema import LimitsSpec


def admitted(gate: Gate, at_s: float, in_flight: int = 0) -> bool:
    return gate.refuse_for_s(at_s, in_flight) is None


def test_without_limits_everything_passes() -> None:
    gate = Gate(LimitsSpec())
    assert all(admitted(gate, 0.0, 10_000) for _ in range(1000))


@pytest.mark.parametrize(("in_flight", "passes"), [(0, True), (1, True), (2, False), (3, False)])
def test_requests_in_flight(in_flight: int, passes: bool) -> None:
    assert admitted(Gate(LimitsSpec(max_in_flight=2)), 0.0, in_flight) is passes


def test_requests_per_minute_and_how_long_to_wait() -> None:
    gate = Gate(LimitsSpec(requests_per_minute=2))
    assert admitted(gate, 0.0)
    assert admitted(gate, 10.0)
    assert gate.refuse_for_s(20.0, 0) == 40.0
    assert gate.refuse_for_s(59.9, 0) == 1.0
    assert admitted(gate, 60.0)
    assert gate.refuse_for_s(60.0, 0) == 10.0


def test_refused_requests_do_not_count() -> None:
    gate = Gate(LimitsSpec(requests_per_minute=1))
    assert admitted(gate, 0.0)
    assert not any(admitted(gate, float(t)) for t in range(1, 60))
    assert admitted(gate, 60.0)


def test_no_minute_ever_has_more_than_the_limit() -> None:
    gate = Gate(LimitsSpec(requests_per_minute=10))
    passed = [t / 10 for t in range(3000) if admitted(gate, t / 10)]
    for start in passed:
        assert sum(start <= t < start + 60 for t in passed) <= 10
    assert len(passed) == 50


def test_a_request_refused_for_its_load_does_not_use_up_the_minute() -> None:
    gate = Gate(LimitsSpec(max_in_flight=1, requests_per_minute=1))
    assert gate.refuse_for_s(0.0, 1) == 1.0
    assert admitted(gate, 0.0, 0)
