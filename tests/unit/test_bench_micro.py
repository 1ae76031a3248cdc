"""Micro benchmarks: the harness itself, and the few ratios that are steady enough to hold on any machine."""

import time

import pytest

from bench import micro
from bench.micro import Figure, bisect_ns, decided_ns, each_ns, planned_ns, text, ticked
from bench.micro_world import Warm

SLACK = 3.0  # machines that run tests are busy


@pytest.fixture(scope="module")
def unit_ns() -> float:
    return bisect_ns(5_000)


@pytest.fixture(scope="module")
def ten() -> Warm:
    return Warm(10)


def test_a_bisect_costs_tens_of_nanoseconds_and_the_loop_is_taken_off(unit_ns):
    assert 10.0 < unit_ns < 2000.0


def test_each_call_is_timed_without_its_loop():
    def spin() -> None:
        until = time.perf_counter_ns() + 20_000
        while time.perf_counter_ns() < until:
            pass

    assert each_ns(spin, 20) == pytest.approx(20_000, rel=0.5)
    assert each_ns(lambda: None, 1000) < 2_000


def test_the_world_is_warm_and_calm_so_that_plans_hold(ten):
    decision = ten.strategy.decide(ten.situation(), ten.rng)
    assert len(decision.ranked) == 10
    assert all(c.view.samples >= 300 for c in decision.ranked)
    x, others = ten.exchange(), [ten.exchange() for _ in range(3)]
    for other in others:
        other.request = x.request
    assert ten.chooser.choose(x) is not None  # decided, and remembered
    taken_over = [ten.chooser.choose(other) for other in others]
    assert taken_over[0] is taken_over[1] is taken_over[2]


def test_a_planned_choice_among_ten_costs_at_most_forty_bisects(unit_ns, ten):
    assert planned_ns(ten, 200) / unit_ns < SLACK * micro.MAX_BISECTS


def test_a_planned_choice_does_not_grow_with_the_endpoints(ten):
    assert planned_ns(Warm(40), 200) / planned_ns(ten, 200) < SLACK


def test_deciding_is_measured_with_its_own_work_only(unit_ns, ten):
    assert decided_ns(ten, 20) > unit_ns


def test_a_tick_is_a_share_of_a_core(ten):
    found = ticked(ten, 2)
    assert found.unit == "of a core"
    assert found.ratio == pytest.approx(found.ns / 0.25e9)
    assert "10 endpoints" in found.what


def test_the_table_has_verdicts():
    told = text(
        80.0,
        [
            Figure("a", 1500.0, 18.75, "bisects", 40.0),
            Figure("b", 9e6, 0.036, "of a core", 0.01),
            Figure("c", 9.0, 0.1, "bisects"),
        ],
    )
    assert "one bisect in 136 floats: 80 ns" in told
    a, b, c = told.splitlines()[-3:]
    assert "1.50 us" in a
    assert "holds" in a
    assert "3.60% of a core" in b
    assert "BROKEN" in b
    assert "| - " in c


def test_a_broken_limit_is_an_exit_code(monkeypatch, capsys, tmp_path):
    for ratio, code in ((39.0, 0), (41.0, 1)):
        monkeypatch.setattr(micro, "measured", lambda r=ratio: (80.0, [Figure("a", 1.0, r, "bisects", 40.0)]))
        with pytest.raises(SystemExit) as left:
            micro.main(["--json", str(tmp_path / "micro.json")])
        assert left.value.code == code
    assert '"holds": false' in (tmp_path / "micro.json").read_text()
    assert "BROKEN" in capsys.readouterr().out
