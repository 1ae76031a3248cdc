"""When a run is refused because the driver was the bottleneck."""

import pytest

from bench.driver import Driver, judged, objection


def test_lag_and_load_are_measured() -> None:
    found = judged([0.001] * 98 + [0.02] * 2, busy_s=1.5, seconds=3.0)
    assert found == Driver(pytest.approx(1.0), pytest.approx(20.0), 0.5)  # type: ignore[arg-type]


def test_a_quick_driver_is_believed() -> None:
    assert objection(Driver(0.03, 0.2, 0.5), measured_p99_ms=1.0) is None


def test_a_small_lag_is_believed_however_quick_the_answers() -> None:
    assert objection(Driver(0.03, 0.4, 0.5), measured_p99_ms=0.2) is None


def test_a_lag_that_dominates_what_is_measured_is_refused() -> None:
    why = objection(Driver(0.5, 3.0, 0.5), measured_p99_ms=4.0)
    assert why is not None
    assert "3.00 ms late at p99" in why
    assert "2.00 ms" in why


def test_the_same_lag_beside_a_stall_is_believed() -> None:
    assert objection(Driver(0.5, 3.0, 0.5), measured_p99_ms=2000.0) is None


def test_a_busy_core_is_refused() -> None:
    why = objection(Driver(0.01, 0.02, 0.95), measured_p99_ms=100.0)
    assert why is not None
    assert "95% busy" in why
    assert "lower the rate" in why


def test_no_time_no_load() -> None:
    assert judged([0.0], 0.0, 0.0).core_ratio == 0.0
