"""How long answers are: one shape for all endpoints, a scale for each, and a tail in small pieces."""

import math
import random
from itertools import pairwise

import pytest

from fastroute.stats.kept import KeptSums
from fastroute.stats.lengths import BUCKETS, CUTS, HEAVIEST, SHARES, Lengths, Pool


def mean(lengths: Lengths) -> float:
    return sum(tokens * weight for tokens, weight in lengths.points())


def taught(answers: list[int], pool: Pool | None = None) -> Lengths:
    lengths = Lengths(pool)
    for tokens in answers:
        lengths.observe(tokens)
    return lengths


def that_end_at_600(n: int, seed: int = 1) -> list[int]:
    """As long as Azure's conversation answers: median 129, few above 450, none above 600."""
    rng = random.Random(seed)
    return [min(600, max(1, round(129 * math.exp(rng.gauss(0.0, 1.1))))) for _ in range(n)]


def test_weights_sum_to_one_and_points_ascend():
    assert sum(SHARES) == pytest.approx(1.0)
    points = taught(that_end_at_600(300)).points()
    assert all(a <= b * (1.0 + 1e-9) for (a, _), (b, _) in pairwise(points))
    assert [w for _, w in points] == pytest.approx(list(SHARES))


def test_the_tail_comes_in_pieces_smaller_than_a_promise():
    assert len(CUTS) <= 9, "risk walks them for every candidate"
    assert SHARES[-1] < 0.005
    assert all(later < earlier for earlier, later in pairwise(SHARES))


def test_the_prior_is_about_two_hundred_tokens():
    assert mean(Lengths()) == pytest.approx(200, rel=0.1)


def test_the_points_have_the_mean_of_what_was_seen():
    answers = that_end_at_600(3000)
    assert mean(taught(answers)) == pytest.approx(sum(answers) / len(answers), rel=0.05)


def test_constant_answers_become_a_point():
    lengths = taught([50] * 1000)
    assert mean(lengths) == pytest.approx(50, rel=0.15)
    assert lengths.points()[-3][0] < 60


def test_varied_answers_keep_their_tail():
    rng = random.Random(1)
    lengths = taught([int(rng.lognormvariate(math.log(129), 0.7)) for _ in range(4000)])
    tokens, weight = lengths.points()[-2]
    assert weight == pytest.approx(0.007)
    assert tokens == pytest.approx(129 * math.exp(2.5 * 0.7), rel=0.2)


def test_answers_are_not_believed_longer_than_any_that_was_seen():
    """Else P(miss) of a slow endpoint jumps by as much as the promise allows, and dear ones serve."""
    assert sum(weight for tokens, weight in taught(that_end_at_600(2000)).points() if tokens > 900) < 0.005


def test_endpoints_that_get_the_same_requests_are_believed_to_answer_alike():
    """Luck must not make one look slow until it is used again."""
    pool = Pool()
    tails = [taught(that_end_at_600(200, seed), pool).points()[-2][0] for seed in range(20)]
    assert max(tails) < 1.15 * min(tails)


def test_an_endpoint_without_answers_is_as_talkative_as_the_others():
    pool = Pool()
    busy = taught([800] * 500, pool)
    assert mean(Lengths(pool)) == pytest.approx(mean(busy), rel=0.1)
    assert mean(Lengths(pool)) == pytest.approx(800, rel=0.1)


@pytest.mark.parametrize("answers", [[], [20], [20, 20]])
def test_a_few_answers_say_nothing_about_an_endpoint(answers):
    pool = Pool()
    taught(that_end_at_600(1000), pool)
    assert taught(answers, pool).scale() > 0.4


def test_an_endpoint_with_answers_goes_its_own_way():
    pool = Pool()
    taught([100] * 300, pool)
    assert mean(taught([1000] * 300, pool)) > 700


def test_old_answers_are_forgotten():
    lengths = taught([1000] * 3000)
    for _ in range(30_000):
        lengths.observe(50)
    assert mean(lengths) == pytest.approx(50, rel=0.05)


def test_growing_weights_are_made_small_again_before_they_overflow():
    pool = Pool()
    before = taught(that_end_at_600(200), pool).points()
    pool._unit *= 2.0 * HEAVIEST  # as after some hundred thousand answers ...
    pool._weights = [w * 2.0 * HEAVIEST for w in pool._weights]  # ... which all weigh as much more
    pool.observe(math.log(129))
    pool._due = 0
    assert pool._unit == 1.0
    assert [t for t, _ in pool.points()] == pytest.approx([t for t, _ in before], rel=0.05)


def test_points_are_not_made_for_every_answer():
    pool = Pool()
    taught(that_end_at_600(2000), pool)
    assert pool.points() is pool.points()
    made = set()
    for tokens in that_end_at_600(400, 2):
        pool.observe(math.log(tokens))
        made.add(id(pool.points()))
    assert len(made) < 20


@pytest.mark.parametrize("odd", [0, -5, 10**9])
def test_odd_counts_are_taken(odd):
    assert all(math.isfinite(t) and t >= 1.0 for t, _ in taught([odd]).points())


def test_what_was_kept_comes_back_at_half_its_weight():
    pool = Pool()
    own = taught([700] * 300, pool)
    taught([100] * 300, pool)
    again, mine = Pool(), Lengths()
    again.recall(pool.kept())
    assert [t for t, _ in again.points()] == pytest.approx([t for t, _ in pool.points()], rel=0.02)
    mine = Lengths(again)
    mine.recall(own.kept())
    assert mine.scale() == pytest.approx(own.scale(), rel=0.02)
    assert sum(again.kept().sums) == pytest.approx(0.5 * sum(pool.kept().sums))


@pytest.mark.parametrize("sums", [[1.0] * (BUCKETS - 1), [-1.0] + [1.0] * (BUCKETS - 1), [0.0] * BUCKETS, [1e6] * BUCKETS])
def test_a_pool_that_cannot_have_been_is_left_out(sums):
    pool = Pool()
    pool.recall(KeptSums("log buckets of 8 %", sums))
    assert pool.points() == Pool().points()
