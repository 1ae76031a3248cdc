"""Decayed windows: exact where decay is off, censoring, horizons, clamps, long clocks."""

import itertools
import math
import random
import statistics

import pytest

from fastroute.stats import priors, window
from fastroute.stats.window import BOUNDS, LAST, SHAPES, Horizon, Rate, Window, bucket, survival

STEP = 1.06


def quantile(table, q: float) -> float:
    return table.quantile(q)


def filled(ratios, now_s: float = 0.0) -> Window:
    w = Window()
    for ratio in ratios:
        w.record(ratio, now_s)
    return w


def test_bounds_cover_the_range_in_six_percent_steps():
    assert len(BOUNDS) == 136
    assert BOUNDS[0] == 0.05
    assert BOUNDS[-1] >= 120.0
    assert all(b / a == pytest.approx(STEP) for a, b in itertools.pairwise(BOUNDS))


@pytest.mark.parametrize(
    ("ratio", "index"),
    [(0.0, 0), (-1.0, 0), (0.05, 0), (0.0501, 1), (1.0, 52), (120.0, 134), (1e9, LAST), (math.inf, LAST)],
)
def test_a_ratio_falls_into_the_bucket_whose_bound_is_the_next_above(ratio, index):
    assert bucket(ratio) == index


def test_kaplan_meier_without_censoring_is_the_empirical_survival():
    events = [0.0] * 136
    events[10], events[20], events[30] = 1.0, 2.0, 1.0
    table = survival(events, [0.0] * 136)
    assert table[9] == 1.0
    assert table[10] == pytest.approx(0.75)
    assert table[20] == pytest.approx(0.25)
    assert table[30] == pytest.approx(0.0)


def test_kaplan_meier_follows_the_textbook_with_censoring():
    """Five subjects: event at 10, censored at 15, event at 20, censored at 25, event at 30."""
    events, censored = [0.0] * 136, [0.0] * 136
    events[10] = events[20] = events[30] = 1.0
    censored[15] = censored[25] = 1.0
    table = survival(events, censored)
    assert table[10] == pytest.approx(4 / 5)
    assert table[20] == pytest.approx(4 / 5 * 2 / 3)
    assert table[30] == pytest.approx(0.0)


def test_after_the_last_event_survival_stays_flat():
    events, censored = [0.0] * 136, [0.0] * 136
    events[10], censored[12] = 1.0, 3.0
    table = survival(events, censored)
    assert table[11:] == [pytest.approx(0.75)] * 125


def test_an_empty_window_is_its_prior_and_knows_nothing():
    w = Window()
    assert w.table(0.0).survival == SHAPES[0]
    assert w.effective_n(5.0) == 0.0
    assert w.rate.per_s(5.0) == 0.0


def test_the_prior_narrows_with_samples():
    wide, narrow = SHAPES[0], SHAPES[-1]
    i = bucket(2.0)
    assert wide[i] > 4 * narrow[i]
    assert all(a >= b - 1e-9 for a, b in itertools.pairwise(SHAPES) for a, b in [(a[i], b[i])])
    assert priors.normal_survival(0.0) == 0.5


def test_many_samples_outweigh_the_prior():
    w = filled([1.0] * 2000)
    assert w.table(0.0).p_over(1.2) < 0.01
    assert quantile(w.table(0.0), 0.5) == pytest.approx(1.0, rel=STEP - 1)


def test_few_samples_hardly_move_the_tail():
    """Pitfall 2: thirty samples say nothing about a p99."""
    w = filled([1.0] * 30)
    assert w.table(0.0).quantile(0.99) > 1.5


def test_p99_from_few_samples_is_flagged_and_never_absurdly_low():
    """Pitfall 2: 30 samples. What is shown beside it says how few they are, and the prior keeps it near the body's p99."""
    rng, p99 = random.Random(5), math.exp(2.33 * 0.3)
    for _ in range(100):
        w = filled([rng.lognormvariate(0.0, 0.3) for _ in range(30)])
        assert w.effective_n(0.0) < 100
        assert w.table(0.0).quantile(0.99) > 0.75 * p99


def test_censored_samples_push_the_tail_out():
    """Pitfall 3: losers that were given up at the median would otherwise make a slow endpoint look fast."""
    rng = random.Random(2)
    truth = [rng.lognormvariate(0.0, 0.5) for _ in range(3000)]
    whole, hedged, dropped = Window(), Window(), Window()
    for value in truth:
        whole.record(value, 0.0)
        limit = rng.choice([1.0, 1.5, 100.0])
        if value <= limit:
            hedged.record(value, 0.0)
            dropped.record(value, 0.0)
        else:
            hedged.record_censored(limit, 0.0)
    p99, seen, naive = (w.table(0.0).quantile(0.99) for w in (whole, hedged, dropped))
    assert seen == pytest.approx(p99, rel=0.15)
    assert naive < 0.9 * p99


def test_a_retracted_censored_sample_leaves_no_trace():
    w, plain = filled([1.0] * 50), filled([1.0] * 50)
    w.record_censored(3.0, 1.0)
    w.retract_censored(3.0, 1.0)
    assert w.table(1.0).survival == pytest.approx(plain.table(1.0).survival)
    assert w.effective_n(1.0) == pytest.approx(plain.effective_n(1.0))


def test_retracting_what_was_never_there_takes_nothing_below_zero():
    w = filled([1.0])
    w.retract_censored(3.0, 0.0)
    assert min(w.short.censored) == 0.0
    assert w.short.total == pytest.approx(1.0)


@pytest.mark.parametrize("odd", [0.0, -3.0, 1e-12, 5000.0, math.inf, -math.inf])
def test_values_out_of_range_are_clamped(odd):
    """Pitfall 13."""
    w = Window()
    w.record(odd, 0.0)
    w.record_censored(odd, 0.0)
    w.retract_censored(odd, 0.0)
    table = w.table(0.0)
    assert all(0.0 <= p <= 1.0 for p in table.survival)
    assert w.samples == 1


def test_nan_is_no_measurement():
    """Pitfall 13."""
    w = Window()
    w.record(math.nan, 0.0)
    w.record_censored(math.nan, 0.0)
    w.retract_censored(math.nan, 0.0)
    assert (w.samples, w.short.total) == (0, 0.0)


def test_new_samples_outweigh_old_ones():
    w = Window()
    for i in range(300):
        w.record(1.0, i * 1.0)
    for i in range(60):
        w.record(4.0, 300.0 + i)
    assert w.table(360.0).p_over(3.0) > 0.4


def test_the_long_run_remembers_what_the_short_one_forgot():
    w = Window()
    for i in range(600):
        w.record(4.0 if i % 10 == 0 else 1.0, i * 1.0)
    later = w.table(1200.0)
    assert 0.05 < later.p_over(3.0) < 0.15


def test_thirty_days_of_traffic_stay_finite():
    """Pitfall 35."""
    w, fresh = Window(), Window()
    day_s = 86_400.0
    for i in range(3000):
        w.record(1.0 + (i % 7) / 10.0, i * 30 * day_s / 3000)
    for i in range(3000):
        fresh.record(1.0 + (i % 7) / 10.0, i * 30 * day_s / 3000 - 29 * day_s)
    end_s = 30 * day_s
    assert all(math.isfinite(p) for p in w.table(end_s).survival)
    assert math.isfinite(w.effective_n(end_s))
    assert w.table(end_s).quantile(0.5) == fresh.table(end_s - 29 * day_s).quantile(0.5)


def test_an_idle_month_leaves_the_prior():
    """Pitfall 35: no overflow, and nothing decays to good silently."""
    w = filled([5.0] * 100)
    table = w.table(30 * 86_400.0)
    assert table.p_over(3.0) == pytest.approx(SHAPES[priors.KNOWN][bucket(3.0)], abs=0.01)
    w.record(1.0, 30 * 86_400.0)
    assert math.isfinite(w.short.total)


def test_time_that_goes_back_breaks_nothing():
    w = filled([1.0] * 10, now_s=1e6)
    w.record(1.0, 0.0)
    assert all(0.0 <= p <= 1.0 for p in w.table(5.0).survival)


def test_a_table_is_kept_until_something_changes():
    w = filled([1.0])
    first = w.table(0.0)
    assert w.table(1.0) is first
    w.record(2.0, 1.0)
    assert w.stale(1.0)
    assert w.table(1.0) is not first


def test_an_unchanged_table_ages():
    """Pitfall 10: old samples lose weight though nothing new comes."""
    w = filled([5.0] * 200)
    before = w.table(0.0).p_over(3.0)
    assert w.stale(200.0)
    assert w.table(1200.0).p_over(3.0) < before


@pytest.mark.parametrize(("rate", "low", "high"), [(10.0, 30.0, 30.0), (0.2, 110.0, 200.0), (0.01, 600.0, 600.0)])
def test_the_short_half_life_follows_the_rate(rate, low, high):
    w = Window()
    for i in range(120):
        w.record(1.0, i / rate)
        w.table(i / rate)
    assert low <= w.short.half_life_s <= high
    assert w.long.half_life_s >= max(900.0, 15.0 * w.short.half_life_s)


def test_effective_n_holds_about_the_same_at_any_moderate_rate():
    found = []
    for rate in (0.1, 0.3, 1.0):
        w = Window()
        for i in range(int(3000 * rate)):
            w.record(1.0, i / rate)
            w.table(i / rate)
        found.append(w.short.effective_n(3000.0))
    assert all(30 < n < 60 for n in found)


def test_a_restored_window_is_as_it_was_before_the_episode():
    """Selection 2.2: on a confirmed recovery the short run is reset; what the episode taught the long run goes too."""
    w = filled([1.0] * 300)
    before = w.long.survival()
    w.mark()
    for i in range(200):
        w.record(8.0, float(i))
    assert w.table(200.0).p_over(4.0) > 0.3
    w.restore()
    assert w.long.survival() == pytest.approx(before)
    assert w.table(200.0).p_over(4.0) < 0.01


def test_restoring_without_a_mark_forgets_the_short_run_only():
    w = filled([8.0] * 100)
    w.restore()
    assert w.short.total == 0.0
    assert w.long.total > 0.0


def test_horizons_with_one_landmark_are_additive():
    """Pitfall 34: two writers' arrays, added, are one writer's."""
    one, a, b = Horizon(900.0), Horizon(900.0), Horizon(900.0)
    for horizon in (one, a, b):
        horizon.add(0, horizon.weight(0.0))
    rng = random.Random(3)
    for i in range(200):
        k, now_s = rng.randrange(136), i * 1.3
        for horizon in (one, a if i % 2 else b):
            horizon.add(k, horizon.weight(now_s))
    summed = [x + y for x, y in zip(a.events, b.events, strict=True)]
    summed[0] -= 1.0
    assert summed == pytest.approx(one.events, rel=1e-9)


def test_rescaling_changes_nothing_but_the_landmark():
    h = Horizon(30.0)
    for i in range(50):
        h.add(i, h.weight(float(i)))
    n, table = h.effective_n(60.0), h.survival()
    h.rescale(60.0)
    assert h.landmark_s == 60.0
    assert h.effective_n(60.0) == pytest.approx(n)
    assert h.survival() == pytest.approx(table)


def test_a_rate_is_right_soon_and_fades_when_idle():
    r = Rate()
    found = []
    for i in range(200):
        r.record(i * 0.5)
        if i > 20:
            found.append(r.per_s(i * 0.5))
    assert statistics.fmean(found) == pytest.approx(2.0, rel=0.1)
    assert r.per_s(400.0) < 0.2
    assert Rate().per_s(10.0) == 0.0


def test_cleared_is_as_new():
    w = filled([3.0] * 10)
    w.clear()
    assert (w.samples, w.effective_n(0.0)) == (0, 0.0)
    assert w.table(0.0).survival == window.UNTRIED.survival
