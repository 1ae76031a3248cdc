"""Pace from streams, and the TTFT that a whole reply probably had."""

import random
import statistics

import pytest

from fastroute.stats.pace import Pace


def whole(pace: Pace, ttft_s: float, tpot_s: float, lengths, seed: int = 1, noise: float = 0.2) -> list[float]:
    """Feeds whole replies; gives the TTFTs inferred for them at the end."""
    rng, replies = random.Random(seed), []
    for i, n in enumerate(lengths):
        total_s = ttft_s * rng.lognormvariate(0.0, noise) + n * tpot_s
        pace.observe_whole(total_s, n, float(i))
        replies.append((total_s, n))
    return [pace.split(total_s, n, float(len(replies))) for total_s, n in replies]


def varied(count: int, seed: int = 7) -> list[int]:
    rng = random.Random(seed)
    return [max(1, int(rng.lognormvariate(4.6, 0.7))) for _ in range(count)]


def test_streams_set_the_pace():
    pace = Pace(None)
    for i in range(30):
        pace.observe_stream(99 * 0.03, 100, float(i))
    assert pace.tpot_s(30.0) == pytest.approx(0.03, rel=0.05)


def test_short_answers_say_nothing_about_pace():
    pace = Pace(None)
    pace.observe_stream(5.0, 3, 0.0)
    assert pace.tpot_s(0.0) == pytest.approx(0.012)


def test_a_prior_of_the_endpoint_is_taken():
    assert Pace(0.05).tpot_s(0.0) == pytest.approx(0.05)


def test_a_slow_spell_fades():
    """Pitfall 10: any scalar."""
    pace = Pace(None)
    for i in range(300):
        pace.observe_stream(1.0, 101, i * 1.0)
    for i in range(100):
        pace.observe_stream(10.0, 101, 300.0 + i * 0.1)
    poisoned = pace.tpot_s(310.0)
    assert poisoned > 0.03
    assert pace.tpot_s(370.0) < 0.02


def test_the_slow_spell_is_forgotten_on_recovery():
    pace = Pace(None)
    for i in range(300):
        pace.observe_stream(1.0, 101, i * 1.0)
    pace.mark()
    for i in range(100):
        pace.observe_stream(10.0, 101, 300.0 + i)
    pace.restore()
    assert pace.tpot_s(400.0) == pytest.approx(0.01, rel=0.05)
    pace.restore()
    assert pace.tpot_s(400.0) == pytest.approx(0.01, rel=0.05)


@pytest.mark.parametrize("tpot_s", [0.004, 0.012, 0.03])
@pytest.mark.parametrize("ttft_s", [0.4, 1.6])
def test_varied_lengths_tell_ttft_and_pace_apart(ttft_s, tpot_s):
    pace = Pace(None)
    inferred = whole(pace, ttft_s, tpot_s, varied(24))
    assert pace.resolved()
    assert statistics.median(inferred) == pytest.approx(ttft_s, rel=0.35)
    assert pace.tpot_s(24.0) == pytest.approx(tpot_s, rel=0.35)


def test_a_straggler_among_five_replies_does_not_bend_the_line():
    pace = Pace(None)
    for i, (n, extra_s) in enumerate([(50, 0.0), (200, 0.0), (120, 6.0), (300, 0.0), (90, 0.0)]):
        pace.observe_whole(0.5 + extra_s + n * 0.02, n, float(i))
    assert pace.split(0.5 + 150 * 0.02, 150, 5.0) == pytest.approx(0.5, abs=0.2)


def test_equal_lengths_leave_the_prior_and_its_caution():
    """A mock that answers 200 tokens in one go after 3 s must not look quick because of a guessed pace."""
    pace = Pace(None)
    inferred = whole(pace, 3.0, 0.0, [200] * 20, noise=0.0)
    assert inferred[-1] == pytest.approx(0.9)
    assert min(inferred) >= 0.3 * 3.0
    assert pace.tpot_s(20.0) == pytest.approx(0.012)


def test_nothing_is_resolved_before_there_is_something_to_tell_apart():
    pace = Pace(None)
    assert not pace.resolved()
    for i in range(7):
        pace.observe_whole(1.0, 100, float(i))
    assert not pace.resolved()
    pace.observe_whole(1.0, None, 8.0)
    assert pace.resolved()


def test_streams_resolve_and_then_rule():
    pace = Pace(None)
    for i in range(4):
        pace.observe_stream(99 * 0.02, 100, float(i))
    assert pace.resolved()
    before = pace.tpot_s(4.0)
    pace.observe_whole(50.0, 10, 4.0)
    assert pace.tpot_s(4.0) == before
    assert pace.split(2.5, 100, 4.0) == pytest.approx(0.5, abs=0.05)


def test_a_ttft_is_never_negative():
    pace = Pace(None)
    for i in range(4):
        pace.observe_stream(99 * 0.02, 100, float(i))
    assert pace.split(1.0, 1000, 4.0) == pytest.approx(0.05)
