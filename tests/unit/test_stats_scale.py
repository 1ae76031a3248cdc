"""A drifting scale: quick at first, slow later, back to the long run when nobody looks."""

import math

import pytest

from fastroute.stats.scale import SLOWEST_S, Scale, seconds


def test_it_starts_at_its_prior():
    assert Scale(0.6, 60.0).value(0.0) == pytest.approx(0.6)


def test_the_first_samples_set_it():
    s = Scale(0.6, 60.0)
    for i in range(5):
        s.step(3.0, float(i))
    assert s.value(5.0) == pytest.approx(3.0, rel=0.02)


def test_later_samples_move_it_by_two_percent_of_the_clipped_step():
    s = Scale(1.0, 60.0)
    s.put(1.0, 100, 0.0)
    s.step(100.0, 0.0)
    assert s.value(0.0) == pytest.approx(math.exp(0.02 * 0.7))


def test_the_long_run_moves_ten_times_more_slowly():
    s = Scale(1.0, 60.0)
    s.put(1.0, 1000, 0.0)
    for i in range(50):
        s.step(3.0, i * 0.01)
    assert math.log(s.value(0.5)) > 8 * math.log(s.long_run())


def test_a_bad_spell_fades_when_unobserved():
    """Pitfall 10."""
    s = Scale(1.0, 30.0)
    s.put(1.0, 1000, 0.0)
    for i in range(100):
        s.step(10.0, i * 0.1)
    poisoned = s.value(10.0)
    assert poisoned > 3.0
    assert math.log(s.value(40.0)) == pytest.approx(math.log(poisoned) / 2, abs=0.12)
    assert s.value(1000.0) == pytest.approx(s.long_run())


def test_a_sample_after_a_pause_starts_from_what_was_left_of_the_spell():
    """Pitfall 10: probes every 20 s must not find the old value again each time."""
    s = Scale(1.0, 30.0)
    s.put(1.0, 1000, 0.0)
    for i in range(100):
        s.step(10.0, i * 0.1)
    for i in range(3):
        s.step(1.0, 30.0 + 20.0 * i)
    assert s.value(70.0) < 1.6


def test_changing_the_unit_changes_every_reading_alike():
    s = Scale(1.0, 60.0)
    s.step(2.0, 0.0)
    before, long = s.value(10.0), s.long_run()
    s.stretch(3.0)
    assert s.value(10.0) == pytest.approx(3 * before)
    assert s.long_run() == pytest.approx(3 * long)


def test_recovering_sets_both_twins():
    s = Scale(1.0, 60.0)
    s.step(9.0, 0.0)
    s.recover(0.5)
    assert s.value(0.0) == s.long_run() == pytest.approx(0.5)


@pytest.mark.parametrize(
    ("given", "kept"), [(0.0, 1e-4), (-1.0, 1e-4), (2.0, 2.0), (1e9, SLOWEST_S), (math.inf, SLOWEST_S), (math.nan, SLOWEST_S)]
)
def test_durations_are_clamped(given, kept):
    """Pitfall 13."""
    assert seconds(given) == kept


def settled(jump: float = 0.3) -> Scale:
    s = Scale(1.0, 60.0, jump)
    s.put(1.0, 1000, 0.0)
    return s


def test_three_in_a_row_far_off_are_no_noise():
    """Pitfall 23: a pace that became nine times slower is known after five answers, not after a hundred."""
    s, careful = settled(), settled(math.inf)
    for i in range(5):
        s.step(9.0, float(i))
        careful.step(9.0, float(i))
    assert s.value(5.0) > 3.0
    assert careful.value(5.0) < 1.1


def test_the_way_back_is_as_quick():
    s = settled()
    for i in range(8):
        s.step(9.0, float(i))
    for i in range(8, 24):
        s.step(1.0, float(i))
    assert s.value(24.0) < 1.5


@pytest.mark.parametrize("values", [[9.0, 9.0, 1.0] * 5, [3.0, 0.3] * 8, [1.2] * 16])
def test_what_is_near_or_to_both_sides_is_noise(values):
    s = settled()
    for i, value in enumerate(values):
        s.step(value, float(i))
    assert s.value(0.0) < 1.25


def test_the_long_run_does_not_jump():
    s = settled()
    for i in range(10):
        s.step(9.0, float(i))
    assert s.long_run() < 1.05
    assert s.value(10.0 + 600.0) < 1.1
