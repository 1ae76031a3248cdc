"""Schedules: jitter, repetition, overlapping faults."""

import pytest

from fastroute.sim.weather import FAIR, Forecast, phases
from fastroute.sim.worldfile import EndpointWorld, Fault, World

BROWN = Fault("brownout", 100.0, 50.0, ("a",), factor=3.0)
DOWN = Fault("down", 120.0, 60.0, ("a", "b"), how="hang")


def world(*faults: Fault, period_s: float | None = None) -> World:
    return World(endpoints={"a": EndpointWorld(), "b": EndpointWorld()}, faults=faults, period_s=period_s)


def test_a_fault_holds_from_its_start_to_just_before_its_end():
    forecast = Forecast("a", phases(world(BROWN), 1000.0, 1))
    assert forecast.at(99.9) == FAIR
    assert forecast.at(100.0).first_factor == 3.0
    assert forecast.at(149.9).pace_factor == 3.0
    assert forecast.at(150.0) == FAIR


def test_a_fault_at_the_very_start_counts():
    assert Forecast("a", phases(world(Fault("slow_drip", 0.0, 5.0, ("a",), factor=9.0)), 10.0, 1)).at(0.0).pace_factor == 9.0


def test_faults_of_others_do_not_matter():
    assert Forecast("b", phases(world(BROWN), 1000.0, 1)).at(120.0) == FAIR


def test_faults_add_up_where_they_overlap():
    schedule = phases(world(BROWN, DOWN, Fault("cold_start", 110.0, 30.0, ("a",), factor=2.0)), 1000.0, 1)
    weather = Forecast("a", schedule).at(125.0)
    assert (weather.first_factor, weather.pace_factor, weather.down) == (6.0, 3.0, "hang")


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        (Fault("spike", 0, 1, ("a",), factor=20.0), {"first_factor": 20.0, "pace_factor": 20.0}),
        (Fault("cold_start", 0, 1, ("a",), factor=4.0), {"first_factor": 4.0, "pace_factor": 1.0}),
        (Fault("slow_drip", 0, 1, ("a",), factor=9.0), {"first_factor": 1.0, "pace_factor": 9.0}),
        (Fault("gray", 0, 1, ("a",), share=0.25, how="error"), {"gray_ratio": 0.25, "gray_how": "error"}),
        (Fault("cut", 0, 1, ("a",), share=0.2), {"cut_ratio": 0.2}),
        (Fault("rate_cut", 0, 1, ("a",), factor=0.1), {"limit_ratio": 0.1}),
        (Fault("tail_shape", 0, 1, ("a",), factor=1.5, share=0.1), {"sigma_factor": 1.5, "straggler_ratio": 0.1}),
        (Fault("price_change", 0, 1, ("a",), factor=3.0), {"price_factor": 3.0}),
        (Fault("down", 0, 1, ("a",), how="refuse"), {"down": "refuse"}),
    ],
)
def test_what_each_kind_does(fault, told):
    weather = Forecast("a", phases(world(fault), 10.0, 1)).at(0.5)
    assert {name: getattr(weather, name) for name in told} == told


def test_the_schedule_repeats_with_its_period_until_the_end():
    found = phases(world(BROWN, period_s=400.0), 1000.0, 1)
    assert [(p.start_s, p.end_s, p.nth) for p in found] == [(100.0, 150.0, 0), (500.0, 550.0, 1), (900.0, 950.0, 2)]


def test_what_begins_after_the_end_is_left_out():
    assert phases(world(BROWN), 100.0, 1) == ()


def test_jitter_moves_onsets_by_seed_within_bounds_and_repeatably():
    jittery = world(Fault("spike", 100.0, 5.0, ("a",), jitter_s=30.0, factor=2.0))
    starts = [phases(jittery, 1000.0, seed)[0].start_s for seed in range(50)]
    assert len(set(starts)) == 50
    assert all(70.0 <= s <= 130.0 for s in starts)
    assert min(starts) < 80.0
    assert max(starts) > 120.0
    assert starts[7] == phases(jittery, 1000.0, 7)[0].start_s
    assert all(p.end_s - p.start_s == pytest.approx(5.0) for p in phases(jittery, 1000.0, 3))


def test_when_it_goes_down_within_a_time():
    forecast = Forecast("b", phases(world(DOWN), 1000.0, 1))
    assert forecast.goes_down_s(100.0, 130.0) == 120.0
    assert forecast.goes_down_s(100.0, 120.0) is None
    assert forecast.goes_down_s(125.0, 999.0) is None
