"""Baselines with statistics of their own, on Trails made by hand."""

import random

import pytest
from sim_support import CHEAP, DEAR
from test_baselines_rules import MIDDLE, order, situation, view

from bench.baselines.learned import CheapestUnderP99, LastTen, PeakEwma, waited_s
from fastroute.core.failures import Failure, Fault
from fastroute.core.trail import Attempt, Trail
from fastroute.core.types import ChatRequest, Objective, Outcome, Role


class Hours:
    """A clock set by hand."""

    now_s = 0.0

    def __call__(self) -> float:
        return self.now_s


def attempt(endpoint: str, ttft_s: float | None, failure: Failure | None = None, ended_s: float = 9.0) -> Attempt:
    fault = None if failure is None else Fault(failure, "")
    return Attempt(endpoint, "p", "m", 0, Role.PRIMARY, 0.0, first_content_s=ttft_s, ended_s=ended_s, outcome=Outcome(fault))


def trail(*attempts: Attempt) -> Trail:
    return Trail(ChatRequest("1", "x", "auto", {}, 0.0, 400), 0.0, attempts=list(attempts))


def shown(strategy, endpoint: str, *values_s: float) -> None:
    for value_s in values_s:
        strategy.emit(trail(attempt(endpoint, value_s)))


TWO = (view(CHEAP), view(DEAR))


def test_last_ten_takes_the_lowest_mean_and_the_unseen_first():
    last = LastTen(Hours())
    shown(last, "cheap", 1.0)
    assert order(last, situation(*TWO)) == ["dear", "cheap"]
    shown(last, "dear", 0.5, 2.0)
    assert order(last, situation(*TWO)) == ["cheap", "dear"]


def test_last_ten_forgets_the_eleventh_but_nothing_by_age():
    hours = Hours()
    last = LastTen(hours)
    shown(last, "cheap", 100.0, *[0.1] * 10)
    shown(last, "dear", 0.2)
    hours.now_s = 1e6
    assert order(last, situation(*TWO)) == ["cheap", "dear"]


def test_last_ten_does_not_see_timeouts():
    last = LastTen(Hours())
    shown(last, "cheap", 0.1)
    shown(last, "dear", 0.2)
    last.emit(trail(attempt("cheap", None, Failure.FIRST_CONTENT_TIMEOUT)))
    assert order(last, situation(*TWO)) == ["cheap", "dear"]


def test_peak_ewma_jumps_up_at_once_and_comes_down_slowly():
    hours = Hours()
    peak = PeakEwma(hours)
    shown(peak, "cheap", 0.2, 4.0, 0.2)
    shown(peak, "dear", 0.5)
    assert order(peak, situation(*TWO)) == ["dear", "cheap"]
    hours.now_s = 60.0
    shown(peak, "cheap", 0.2)
    shown(peak, "dear", 0.5)
    assert order(peak, situation(*TWO)) == ["cheap", "dear"]


def test_peak_ewma_weighs_what_is_in_flight():
    peak = PeakEwma(Hours())
    shown(peak, "cheap", 0.2)
    shown(peak, "dear", 0.5)
    assert order(peak, situation(view(CHEAP, in_flight=3), view(DEAR))) == ["dear", "cheap"]


def test_peak_ewma_takes_the_better_of_two_drawn():
    peak = PeakEwma(Hours())
    for name, value_s in (("cheap", 0.1), ("middle", 0.5), ("dear", 0.9)):
        shown(peak, name, value_s)
    rng = random.Random(1)
    firsts = [order(peak, situation(view(CHEAP), view(MIDDLE), view(DEAR)), rng)[0] for _ in range(3000)]
    assert firsts.count("cheap") / 3000 == pytest.approx(2 / 3, abs=0.03)
    assert firsts.count("middle") / 3000 == pytest.approx(1 / 3, abs=0.03)
    assert "dear" not in firsts


def test_cheapest_under_p99_leaves_a_slow_one():
    cheapest = CheapestUnderP99(Hours())
    assert order(cheapest, situation(*TWO)) == ["cheap", "dear"]
    shown(cheapest, "cheap", *[0.3] * 50, 2.5)
    assert order(cheapest, situation(*TWO)) == ["dear", "cheap"]


def test_cheapest_under_p99_takes_the_lowest_p99_where_none_is_under():
    cheapest = CheapestUnderP99(Hours())
    shown(cheapest, "cheap", 5.0)
    shown(cheapest, "dear", 3.0)
    assert order(cheapest, situation(*TWO)) == ["dear", "cheap"]


def test_cheapest_under_p99_forgets_after_five_minutes():
    hours = Hours()
    cheapest = CheapestUnderP99(hours)
    shown(cheapest, "cheap", 5.0)
    hours.now_s = 299.0
    assert order(cheapest, situation(*TWO))[0] == "dear"
    hours.now_s = 301.0
    assert order(cheapest, situation(*TWO))[0] == "cheap"


def test_cheapest_under_p99_sees_timeouts_and_other_objectives():
    cheapest = CheapestUnderP99(Hours())
    cheapest.emit(trail(attempt("cheap", None, Failure.FIRST_CONTENT_TIMEOUT, ended_s=4.0)))
    assert order(cheapest, situation(*TWO))[0] == "dear"
    assert order(cheapest, situation(*TWO, objective=Objective()))[0] == "cheap"
    assert order(cheapest, situation(*TWO, objective=Objective(total_s=3.0)))[0] == "dear"


@pytest.mark.parametrize(
    ("made", "told"),
    [
        (attempt("a", 0.4), 0.4),
        (attempt("a", 0.4, Failure.RESET), 0.4),
        (attempt("a", None, Failure.FIRST_CONTENT_TIMEOUT, ended_s=3.0), 3.0),
        (attempt("a", None, Failure.DEADLINE, ended_s=3.0), 3.0),
        (attempt("a", None, Failure.CONNECT, ended_s=0.01), None),
        (attempt("a", None, Failure.RATE_LIMITED, ended_s=0.01), None),
        (attempt("a", None, None, ended_s=2.0), 2.0),
    ],
)
def test_what_an_attempt_says_of_latency(made, told):
    assert waited_s(made) == told
