"""How long answers are, per endpoint and over all."""

import math
import random

import pytest

from fastroute.stats.lengths import POINTS, Lengths


def mean(lengths: Lengths) -> float:
    return sum(tokens * weight for tokens, weight in lengths.points())


def test_weights_sum_to_one_and_points_ascend():
    assert sum(weight for _, weight in POINTS) == pytest.approx(1.0)
    points = Lengths().points()
    assert [t for t, _ in points] == sorted(t for t, _ in points)


def test_the_prior_is_about_two_hundred_tokens():
    assert mean(Lengths()) == pytest.approx(200, rel=0.1)


def test_constant_answers_become_a_point():
    lengths = Lengths()
    for _ in range(1000):
        lengths.observe(50)
    assert mean(lengths) == pytest.approx(50, rel=0.15)
    assert lengths.points()[-1][0] < 120


def test_varied_answers_keep_their_tail():
    rng, lengths = random.Random(1), Lengths()
    for _ in range(2000):
        lengths.observe(int(rng.lognormvariate(math.log(129), 0.7)))
    assert lengths.points()[-1][0] == pytest.approx(129 * math.exp(2.576 * 0.7), rel=0.35)


def test_an_endpoint_without_answers_is_as_talkative_as_the_others():
    pool = Lengths()
    for _ in range(500):
        pool.observe(800)
    assert mean(Lengths(pool)) == pytest.approx(mean(pool))


def test_an_endpoint_with_answers_goes_its_own_way():
    pool = Lengths()
    own = Lengths(pool)
    for _ in range(300):
        pool.observe(100)
        own.observe(1000)
    assert mean(own) > 700


@pytest.mark.parametrize("odd", [0, -5])
def test_no_tokens_count_as_one(odd):
    lengths = Lengths()
    lengths.observe(odd)
    assert all(math.isfinite(t) for t, _ in lengths.points())
