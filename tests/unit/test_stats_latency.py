"""TTFT by prompt size: warm-up, slope, bounds, episodes."""

import math
import random
import statistics

import pytest

from fastroute.stats.latency import WARM_SAMPLES, FirstContent, SizeSlope


def seen(*values_s: float, prior_s: float | None = None) -> FirstContent:
    first = FirstContent(prior_s)
    for i, value_s in enumerate(values_s):
        first.observe(value_s, 500, float(i))
    return first


def test_untried_it_is_its_prior():
    assert FirstContent(None).predicted_s(500, 0.0) == pytest.approx(0.6)
    assert FirstContent(2.0).predicted_s(500, 0.0) == pytest.approx(2.0)


def test_a_slow_endpoint_is_known_after_two_samples():
    assert seen(3.1, 2.9).predicted_s(500, 2.0) == pytest.approx(2.9)


def test_one_straggler_says_nothing():
    assert seen(60.0).predicted_s(500, 1.0) == pytest.approx(0.6)
    assert seen(0.4, 60.0, 0.4).predicted_s(500, 3.0) == pytest.approx(0.4)


def test_a_fast_endpoint_is_known_after_one_sample():
    assert seen(0.2).predicted_s(500, 1.0) == pytest.approx(0.2)


def test_while_warming_up_ratios_follow_the_scale():
    """The first answer of a 3 s endpoint must not stay in the table as five times slower than expected."""
    first = seen(*[3.0] * 6)
    assert first.table(6.0).p_over(3.0) < 0.05
    assert first.predicted_s(500, 6.0) == pytest.approx(3.0)


def test_samples_count_every_answer_across_the_end_of_the_warm_up():
    first = seen(*[0.5] * (WARM_SAMPLES + 5))
    assert first.samples == first.window.samples == WARM_SAMPLES + 5


@pytest.mark.parametrize("odd", [0.0, math.nan, math.inf, -1.0, 1e9])
def test_odd_values_keep_every_number_finite(odd):
    """Pitfall 13."""
    first = seen(*[odd] * 12)
    assert math.isfinite(first.predicted_s(500, 12.0))
    assert all(math.isfinite(p) for p in first.table(12.0).survival)


def test_a_bound_replaced_by_its_value_counts_once():
    """A request that was overdue, then answered, is one sample."""
    for warm in (0, 20):
        first = seen(*[0.5] * warm)
        bound = first.exceeds(1.0, 500, 100.0)
        first.observe(3.0, 500, 102.0, bound)
        assert first.samples == warm + 1
        assert sum(first.window.short.censored) == pytest.approx(0.0, abs=1e-9)


def test_a_longer_wait_replaces_the_bound_before():
    first = seen(*[0.5] * 20)
    bound = first.exceeds(1.0, 500, 100.0)
    first.exceeds(5.0, 500, 104.0, bound)
    assert sum(c > 0 for c in first.window.short.censored) == 1


def test_a_bound_noted_while_warming_up_can_be_replaced_after():
    first = FirstContent(None)
    bound = first.exceeds(1.0, 500, 0.0)
    for i in range(WARM_SAMPLES + 2):
        first.observe(0.5, 500, 1.0 + i)
    first.observe(4.0, 500, 20.0, bound)
    assert sum(first.window.long.censored) == pytest.approx(0.0, abs=1e-9)


def test_bounds_shorter_than_the_prediction_do_not_make_it_look_fast():
    """Pitfall 7: clients that leave after 0.1 s."""
    first = FirstContent(None)
    for i in range(10):
        first.exceeds(0.1, 500, float(i))
    assert first.predicted_s(500, 10.0) == pytest.approx(0.6)
    assert first.table(10.0).p_over(1.0) > 0.4


def test_many_hanging_requests_end_the_warm_up_as_a_slow_endpoint():
    """Pitfall 4: no answer ever came, and the risk is known."""
    first = FirstContent(None)
    for i in range(40):
        first.exceeds(2.0, 500, i * 0.1)
    assert first.table(4.0).p_over(1.9 / first.predicted_s(500, 4.0)) > 0.6


def test_prompt_sizes_shift_without_looking_like_a_slowdown():
    """Pitfall 36: median prompt 500 -> 5,000 tokens at the same server; the median ratio stays 1 +- 0.1."""
    rng, first, now_s = random.Random(4), FirstContent(None), 0.0
    ratios = []
    for i in range(2000):
        tokens = int(rng.lognormvariate(math.log(500 if i < 1000 else 5000), 0.9))
        ttft_s = (0.3 + 0.0004 * tokens) * rng.lognormvariate(0.0, 0.2)
        now_s += 0.5
        if i >= 1000:
            ratios.append(ttft_s / first.predicted_s(tokens, now_s))
        first.observe(ttft_s, tokens, now_s)
    assert statistics.median(ratios) == pytest.approx(1.0, abs=0.1)


def test_no_slope_is_fitted_from_sizes_that_do_not_matter():
    rng, first = random.Random(4), FirstContent(None)
    for i in range(600):
        first.observe(rng.lognormvariate(math.log(0.5), 0.35), int(rng.lognormvariate(6.0, 0.8)), i * 0.5)
    small, large = first.predicted_s(100, 300.0), first.predicted_s(4000, 300.0)
    assert large / small < 1.5


def test_no_slope_is_fitted_from_equal_sizes():
    slope = SizeSlope()
    for i in range(500):
        assert slope.observe(500 + i % 3, 1.0 + (i % 3) / 10) is None
    assert slope.per_token == 0.0


def test_refitting_the_slope_keeps_the_prediction_at_the_usual_size():
    slope = SizeSlope()
    factors = [slope.observe(x, (0.5 + x / 2000) / slope.shape(x)) for x in [100, 500, 1000, 4000] * 40]
    assert any(f is not None for f in factors)
    assert slope.shape(slope.usual) == pytest.approx(1.0)
    assert slope.shape(4000) > 2 * slope.shape(100)


def test_an_episode_is_forgotten_on_recovery():
    first = seen(*[0.5] * 300)
    first.mark()
    for i in range(100):
        first.observe(5.0, 500, 300.0 + i)
    assert first.table(400.0).p_over(2.0 / first.predicted_s(500, 400.0)) > 0.2
    first.restore()
    assert first.predicted_s(500, 400.0) == pytest.approx(0.5, rel=0.05)
    assert first.table(400.0).p_over(2.0 / 0.5) < 0.01


def test_recovery_without_an_episode_changes_nothing():
    first = seen(*[0.5] * 20)
    before = first.table(20.0).survival
    first.restore()
    assert first.table(20.0).survival == before


class Halves:
    """Says that half of any whole time was TTFT, once it is told that it may."""

    def __init__(self) -> None:
        self.ready, self.share = False, 0.5

    def split(self, total_s: float, output_tokens: float, now_s: float) -> float:
        return total_s * self.share

    def resolved(self) -> bool:
        return self.ready


def test_whole_replies_wait_until_their_split_is_more_than_a_guess():
    halves = Halves()
    first = FirstContent(None, halves)
    assert first.observe_whole(4.0, 100, 500, 0.0) == 2.0
    assert (first.samples, first.predicted_s(500, 0.0)) == (0, pytest.approx(0.6))
    halves.ready = True
    first.observe_whole(4.0, 100, 500, 1.0)
    assert (first.samples, first.predicted_s(500, 1.0)) == (2, pytest.approx(2.0))


def test_while_warming_up_whole_replies_are_split_anew():
    halves = Halves()
    halves.ready = True
    first = FirstContent(None, halves)
    for i in range(5):
        first.observe_whole(4.0, 100, 500, float(i))
    halves.share = 0.25
    first.observe_whole(4.0, 100, 500, 6.0)
    assert first.predicted_s(500, 6.0) == pytest.approx(1.0)
