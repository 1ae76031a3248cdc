"""Live against simulated: intervals, phases, verdicts."""

import pytest
from sim_support import attempt, line, record

from bench.live_plan import Seen
from bench.live_report import Range, Row, figures, plain, rows, spread, text, verdict, wilson
from bench.live_run import Live, log_lines, met
from fastroute.core.types import Objective
from fastroute.sim.weather import Phase
from fastroute.sim.worldfile import Fault

PHASE = Phase(Fault("brownout", 10.0, 10.0, ("cheap",), factor=4), 10.0, 20.0)
PROMISE = Objective(ttft_s=2.0, total_s=10.0)


def seen(at_s: float, good: bool = True, tried: tuple[str, ...] = ("cheap",)) -> Seen:
    return Seen(at_s, good, "" if good else "status 503", 0.4, 1.0, 0.0001, tried, good, 0.001)


def live(*found: Seen) -> Live:
    return Live(found, {"total_usd": 0.5}, 0.3, 0.05, 0.01)


def played(missed: int, n: int = 40):
    return record([line(i * 0.5, i >= missed) for i in range(n)], (PHASE,))


def row(points: float, usual: bool = True) -> Row:
    share = 0.95 + points / 100
    around = Range(share, share - 0.01, share + 0.01)
    drawn = Range(0.95, 0.90, 1.0) if usual else Range(0.95, 0.949, 0.951)
    return Row("x", 100, around, drawn)


def test_wilson_holds_the_share_and_knows_that_all_of_a_few_is_not_all():
    assert wilson(10, 10).lo == pytest.approx(0.722, abs=0.001)
    assert wilson(950, 1000).lo == pytest.approx(0.9347, abs=0.0005)
    assert wilson(0, 5).lo == 0.0
    assert wilson(0, 5).hi == pytest.approx(0.434, abs=0.001)


def test_spread_is_the_mean_and_leaves_out_the_outermost():
    found = spread([float(i) for i in range(100)])
    assert (found.value, found.lo, found.hi) == (49.5, 2.0, 97.0)
    assert spread([1.0, 3.0]) == Range(2.0, 1.0, 3.0)


def test_phases_are_told_apart_by_when_a_request_came():
    found = rows([live(*(seen(i * 0.5, good=i < 30) for i in range(40)))], [played(0), played(10)])
    assert [(r.phase, r.n) for r in found] == [("all", 40), ("calm", 20), ("brownout cheap", 20)]
    assert [r.live.value for r in found] == [0.75, 1.0, 0.5]
    assert found[0].simulated == Range(0.875, 0.75, 1.0)
    assert found[2].simulated.value == 1.0


def test_a_disagreement_is_one_that_neither_range_allows():
    assert row(-3.0).usual
    assert not row(-3.0, usual=False).usual
    assert row(0.5, usual=False).usual  # the live interval holds the simulated mean


def test_the_verdict_goes_by_the_whole_and_names_the_odd_ones():
    agree, says = verdict([row(1.9), row(-3.0, usual=False)])
    assert agree
    assert "1.90 points apart (within 2); unlike in: x" in says
    assert verdict([row(-2.1), row(0.0)])[0] is False


def test_other_numbers_stand_side_by_side():
    lines = [line(1.0, True, attempt(), attempt("dear")), line(2.0)]
    found = figures([live(seen(1.0, tried=("dear", "cheap")), seen(2.0))], [record(lines), record(lines)])
    assert found["attempts a request"] == (1.5, Range(1.5, 1.5, 1.5))
    assert found["dear: first attempts %"] == (50.0, Range(0.0, 0.0, 0.0))
    assert found["cheap: first attempts %"] == (50.0, Range(100.0, 100.0, 100.0))
    assert found["cost, USD"][0] == 0.5


def test_the_report_says_how_the_driver_did_and_keeps_what_missed():
    runs, draws = [live(seen(1.0), seen(12.0, good=False))], [played(1)]
    found = rows(runs, draws)
    told = text(found, figures(runs, draws), runs)
    assert "driver lag p99 0.30 ms" in told
    assert "0 of 2 requests differently" in told
    kept = plain(found, figures(runs, draws), runs)
    assert [m["at_s"] for m in kept["missed"]] == [12.0]
    assert kept["rows"][0]["phase"] == "all"


@pytest.mark.parametrize(
    ("ttft_s", "total_s", "good"), [(2.0, 10.0, True), (2.01, 5.0, False), (1.0, 10.01, False), (None, 1.0, False)]
)
def test_an_answer_is_judged_by_both_limits(ttft_s, total_s, good):
    assert met(PROMISE, ttft_s, total_s) is good


def test_log_lines_are_found_by_id_among_other_things():
    found = log_lines([
        b"fastroute: a banner",
        b'{"event":"request","id":"live-3","tried":[],"attempts":1}',
        b'{"event":"started","id":"live-x"}',
        b'{"event":"request","id":"other","tried":[]}',
    ])  # fmt: skip
    assert list(found) == ["live-3"]
