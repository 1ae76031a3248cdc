"""Numbers from records, on records small enough to count by hand."""

import pytest
from sim_support import attempt, line, record

from fastroute.core.failures import Failure
from fastroute.core.types import Role
from fastroute.sim.measures import (
    Reaction,
    by_phase,
    calibration,
    causes,
    numbers,
    over_time,
    reactions,
    worst_attempts,
)
from fastroute.sim.run import Change
from fastroute.sim.weather import Phase
from fastroute.sim.worldfile import Fault

BROWN = Phase(Fault("brownout", 300.0, 100.0, ("cheap",), factor=3.0), 300.0, 400.0)


def test_a_run_in_numbers():
    lost = attempt(won=False, failure=Failure.FIRST_CONTENT_TIMEOUT, bill_pusd=500, cost_pusd=600, ttft_s=None)
    hedge = attempt("dear", role=Role.HEDGE, bill_pusd=1500)
    found = numbers(record([line(0.0), line(1.0, False, lost, hedge), line(2.0, None), line(3.0)]))
    assert found.requests == 4
    assert found.attainment == pytest.approx(2 / 3)
    assert found.cost_usd == pytest.approx(5000e-12)
    assert found.booked_usd == pytest.approx(4600e-12)
    assert found.hedge_ratio == 0.25
    assert found.hedge_spend_ratio == pytest.approx(0.3)
    assert found.waste_ratio == pytest.approx(0.1)
    assert found.attempts_per_request == 1.25
    assert found.failed_ratio == 0.0


def test_unknown_is_none():
    found = numbers(record([line(0.0, None, ttft_s=None)]))
    assert (found.attainment, found.ttft_p99_s, found.attempts_worst_10s) == (None, None, None)


def test_no_requests_at_all():
    assert numbers(record([])).cost_usd == 0.0


def test_an_answer_that_broke_is_a_failure():
    broken = attempt(failure=Failure.RESET)
    assert numbers(record([line(0.0, False, broken), line(1.0)])).failed_ratio == 0.5


def test_what_an_unpriced_endpoint_cost_is_unknown_not_nothing():
    found = numbers(record([line(0.0), line(1.0, True, attempt(cost_pusd=None))]))
    assert (found.cost_usd, found.booked_usd, found.waste_ratio, found.hedge_spend_ratio) == (None, None, None, None)
    assert over_time([record([line(0.0, True, attempt(cost_pusd=None))])], 1)[0].usd_per_request is None


def test_the_worst_ten_seconds():
    twice = (attempt(won=False), attempt("dear"))
    lines = [line(float(i)) for i in range(20)]
    lines += [line(20.0 + i, True, *twice) for i in range(11)]
    lines += [line(31.0 + i) for i in range(20)]
    assert worst_attempts(lines) == 2.0


def test_too_few_requests_in_ten_seconds_say_nothing():
    assert worst_attempts([line(20.0 * i, True, attempt(), attempt()) for i in range(10)]) is None


# --- detection and recovery ---


def traffic(*, leaves_s: float, returns_s: float, until_s: int = 600) -> list:
    """One request a second: to `cheap`, but to `dear` in between."""
    return [
        line(float(t), True, attempt("dear" if leaves_s <= t < returns_s else "cheap", started_s=float(t)))
        for t in range(until_s)
    ]


def only(found: list[Reaction]) -> Reaction:
    assert len(found) == 1
    return found[0]


def test_traffic_that_moves_away_and_back():
    found = only(reactions(record(traffic(leaves_s=310.0, returns_s=420.0), (BROWN,))))
    assert found.in_use
    assert found.detect_s == pytest.approx(10.0, abs=5.0)
    assert found.recover_s == pytest.approx(20.0, abs=5.0)
    assert 6 <= found.attempts <= 11


def test_mistrust_counts_before_traffic_moves():
    changes = (Change(303.25, "cheap", True), Change(410.0, "cheap", False))
    found = only(reactions(record(traffic(leaves_s=330.0, returns_s=400.0), (BROWN,), changes)))
    assert (found.detect_s, found.attempts) == (3.25, 4)


def test_mistrust_of_another_endpoint_or_time_does_not_count():
    changes = (Change(303.25, "dear", True), Change(450.0, "cheap", True))
    found = only(reactions(record(traffic(leaves_s=999.0, returns_s=999.0), (BROWN,), changes)))
    assert (found.detect_s, found.attempts) == (None, None)


def test_mistrust_from_before_is_detection_at_once():
    found = only(reactions(record(traffic(leaves_s=999.0, returns_s=999.0), (BROWN,), (Change(290.0, "cheap", True),))))
    assert found.detect_s == 0.0


def test_traffic_that_never_returns():
    assert only(reactions(record(traffic(leaves_s=310.0, returns_s=999.0), (BROWN,)))).recover_s is None


def test_recovery_counts_only_until_the_next_fault_there():
    again = Phase(Fault("down", 430.0, 50.0, ("cheap",), how="refuse"), 430.0, 480.0)
    found = reactions(record(traffic(leaves_s=310.0, returns_s=500.0), (BROWN, again)))
    assert found[0].recover_s is None


def test_an_endpoint_that_was_hardly_used_is_not_judged():
    found = only(reactions(record(traffic(leaves_s=0.0, returns_s=999.0), (BROWN,))))
    assert found == Reaction("brownout cheap", "cheap", in_use=False)


def test_faults_that_should_move_nobody_are_not_judged():
    step = Phase(Fault("clock_step", 300.0, step_s=60.0), 300.0, 300.0)
    price = Phase(Fault("price_change", 300.0, 9.0, ("cheap",), factor=3.0), 300.0, 309.0)
    assert reactions(record(traffic(leaves_s=999.0, returns_s=999.0), (step, price))) == []


def test_a_fault_of_two_endpoints_is_judged_at_each():
    both = Phase(Fault("brownout", 300.0, 100.0, ("cheap", "dear"), factor=3.0), 300.0, 400.0)
    assert [r.endpoint for r in reactions(record(traffic(leaves_s=310.0, returns_s=420.0), (both,)))] == ["cheap", "dear"]


# --- calibration, phases, time ---


def test_calibration_sorts_first_attempts_by_what_was_predicted():
    lines = [line(0.0, True, p_miss=0.0005, missed=False)] * 3
    lines += [line(0.0, True, p_miss=0.05, missed=i == 0) for i in range(4)]
    lines += [line(0.0, True, p_miss=1.0, missed=True), line(0.0, True, p_miss=None), line(0.0, True, p_miss=0.5, missed=None)]
    found = calibration([record(lines)])
    assert [(b.lo, b.hi, b.n, b.missed) for b in found] == [(0.0, 0.001, 3, 0), (0.03, 0.1, 4, 1), (0.3, 1.0, 1, 1)]
    assert found[1].predicted == pytest.approx(0.05)


def test_attainment_by_phase():
    lines = [line(310.0, False), line(350.0, True), line(500.0, True), line(600.0, None)]
    assert by_phase([record(lines, (BROWN,))]) == {"calm": (1, 1.0), "brownout cheap": (2, 0.5)}


@pytest.mark.parametrize(
    ("missed", "cause"),
    [
        (line(310.0, False, attempt(started_s=310.0)), "a fault, its endpoint trusted"),
        (line(350.0, False, attempt(started_s=350.0)), "a fault, its endpoint mistrusted"),
        (line(350.0, False, attempt("dear", started_s=350.0, ttft_s=2.5)), "no fault: a late start"),
        (line(500.0, False, attempt(started_s=500.0, ttft_s=None, failure=Failure.DEADLINE)), "no fault: a late start"),
        (line(500.0, False, attempt(started_s=500.0, failure=Failure.DEADLINE)), "no fault: cut, or too long for the deadline"),
        (line(500.0, False, attempt(started_s=500.0)), "no fault: a long answer"),
    ],
)
def test_what_a_missed_request_met_first(missed, cause):
    changes = (Change(320.0, "cheap", True), Change(420.0, "cheap", False))
    assert causes([record([missed, line(500.0), line(501.0, None)], (BROWN,), changes)]) == {cause: 1}


def test_a_request_that_nobody_could_take():
    assert causes([record([line(5.0, False, tries=())])]) == {"nobody could be asked": 1}


def test_over_time():
    lines = [line(10.0, False), line(20.0, True), line(900.0, True), line(990.0, None)]
    first, *_, last = over_time([record(lines)], points=10)
    assert (first.at_s, first.attainment, first.usd_per_request) == (50.0, 0.5, pytest.approx(1e-9))
    assert (last.attainment, last.usd_per_request) == (1.0, pytest.approx(1e-9))
    assert over_time([record(lines)], points=10)[5].attainment is None
