"""Pitfalls 10 and 37: a learned limit must not grow while idle, shrink for longer answers, or stay when the trouble is over."""

import math

import pytest

from fastroute.policy.limits import CROWD, CUT_RATIO, REST_S, Ceiling


class GrowsWhileIdle(Ceiling):
    """The naive version of pitfall 37: every good answer is a reason for more."""

    __slots__ = ()

    def good(self, in_flight, now_s):
        self.most += 1.0


def cut_to(most, ceiling=None, now_s=0.0):
    ceiling = ceiling or Ceiling()
    ceiling.most = float(most)
    ceiling._used_s = now_s
    return ceiling


def test_there_is_no_limit_without_a_reason():
    ceiling = Ceiling()
    for i in range(1000):
        ceiling.good(500, float(i))
    assert ceiling.most == math.inf


def test_overload_leaves_a_part_of_what_is_in_flight():
    ceiling = Ceiling()
    ceiling.cut(20, 10.0, 0.5)
    assert ceiling.most == pytest.approx(20 * CUT_RATIO)


def test_a_crowd_tells_once():
    ceiling = Ceiling()
    for i in range(20):
        ceiling.cut(20 - i, 10.0 + i * 0.01, 0.5)
    assert ceiling.most == pytest.approx(14.0)
    ceiling.cut(14, 10.6, 0.5)
    assert ceiling.most == pytest.approx(9.8)


def test_one_is_always_let_in():
    ceiling = Ceiling()
    for i in range(20):
        ceiling.cut(1, float(i), 0.5)
    assert ceiling.most == 1.0


def test_slowness_without_a_crowd_is_no_reason():
    ceiling = Ceiling()
    ceiling.slow(CROWD - 1, 10.0, 0.5)
    assert ceiling.most == math.inf
    ceiling = cut_to(20)
    ceiling.slow(13, 10.0, 0.5)
    assert ceiling.most == 20.0
    ceiling.slow(14, 10.0, 0.5)
    assert ceiling.most == pytest.approx(9.8)


def test_pitfall_37_a_limit_does_not_grow_while_idle():
    naive, ceiling = cut_to(8, GrowsWhileIdle()), cut_to(8)
    for i in range(59):
        naive.good(1, float(i))
        ceiling.good(1, float(i))
    assert naive.most > 60
    assert ceiling.most == 8.0


def test_it_grows_by_one_for_each_of_its_size_while_used():
    ceiling = cut_to(8)
    for i in range(8):
        ceiling.good(8, float(i))
    assert ceiling.most == pytest.approx(9.0, abs=0.1)


def test_pitfall_10_a_poisoned_limit_recovers_within_a_minute_at_one_request_a_second():
    ceiling = cut_to(1)
    for i in range(60):
        ceiling.good(max(1, int(ceiling.most)), float(i))
    assert ceiling.most > 8


def test_pitfall_10_a_limit_that_nobody_comes_near_is_forgotten():
    ceiling = cut_to(8, now_s=100.0)
    ceiling.rest(100.0 + REST_S - 1.0)
    assert ceiling.most == 8.0
    ceiling.good(4, 130.0)
    ceiling.rest(130.0 + REST_S - 1.0)
    assert ceiling.most > 8.0
    ceiling.rest(131.0 + REST_S)
    assert ceiling.most == math.inf
