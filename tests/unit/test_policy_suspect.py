"""Suspicion: quickly raised, slowly probed, cleared by four goods, or by more where it comes back."""

import random

import pytest

from fastroute.policy.suspect import Suspicion

MIDDLE = 0.5


def suspect(now_s: float = 100.0) -> Suspicion:
    s = Suspicion()
    for _ in range(3):
        s.bad(now_s, MIDDLE)
    assert s.suspect
    return s


@pytest.mark.parametrize(
    ("outcomes", "expected"),
    [
        ("bb", False),
        ("bbb", True),
        ("bgbgb", True),
        ("bgggbgg", False),
        ("bggggggb", False),
        ("bggggggbb", False),
        ("gggggbbb", True),
        ("bbgggggggb", False),
    ],
)
def test_three_bad_of_the_last_eight(outcomes, expected):
    s = Suspicion()
    for i, outcome in enumerate(outcomes):
        (s.bad(float(i), MIDDLE) if outcome == "b" else s.good(float(i)))
    assert s.suspect == expected


def test_it_tells_the_moment_of_suspicion_and_of_clearing_once():
    s = Suspicion()
    assert [s.bad(0.0, MIDDLE) for _ in range(5)] == [False, False, True, False, False]
    assert [s.good(50.0) for _ in range(6)] == [False, False, False, True, False, False]


def test_whoever_is_not_suspect_is_admitted_always():
    assert Suspicion().admits(0.0, in_flight=1000)
    assert Suspicion().admits_in_s(0.0) == 0.0


def test_a_suspect_waits_two_seconds_and_takes_one_at_a_time():
    s = suspect()
    assert not s.admits(101.9, 0)
    assert s.admits_in_s(101.5) == pytest.approx(0.5)
    assert s.admits(102.0, 0)
    assert not s.admits(102.0, 1)


def test_sending_closes_the_gate_for_the_next():
    s = suspect()
    s.take_off(102.0)
    assert not s.admits(103.0, 0)
    assert s.admits(104.0, 0)


def test_waits_grow_to_twenty_seconds():
    s, now_s, waits = suspect(), 102.0, []
    for _ in range(8):
        s.take_off(now_s)
        s.bad(now_s, MIDDLE)
        waits.append(s.admits_in_s(now_s))
        now_s += waits[-1]
    assert waits == pytest.approx([3.4, 5.78, 9.826, 16.7, 20.0, 20.0, 20.0, 20.0], rel=0.01)


@pytest.mark.parametrize(("jitter", "wait_s"), [(0.0, 1.6), (1.0, 2.4)])
def test_waits_are_spread(jitter, wait_s):
    """Pitfall 40: probes of many workers do not meet."""
    s = Suspicion()
    for _ in range(3):
        s.bad(100.0, jitter)
    assert s.admits_in_s(100.0) == pytest.approx(wait_s)


def test_a_good_probe_lets_the_next_follow_at_once():
    s = suspect()
    s.take_off(102.0)
    s.good(103.0)
    assert s.admits(103.0, 1), "and one more beside it"
    assert not s.admits(103.0, 2)


def test_four_goods_in_a_row_clear_it():
    s = suspect()
    for i in range(3):
        s.good(103.0 + i)
    assert s.suspect
    s.bad(106.0, MIDDLE)
    for i in range(3):
        s.good(110.0 + i)
    assert s.suspect
    s.good(113.0)
    assert not s.suspect


def test_once_cleared_the_ring_starts_anew():
    s = suspect()
    for i in range(4):
        s.good(103.0 + i)
    for _ in range(6):
        s.good(107.0)
    s.bad(107.0, MIDDLE)
    s.bad(107.0, MIDDLE)
    assert not s.suspect
    assert s.bad(107.0, MIDDLE)


def test_a_neutral_end_costs_a_wait_and_nothing_else():
    s = suspect()
    s.take_off(102.0)
    s.release(102.5)
    assert not s.admits(103.0, 0)
    assert s.admits(104.0, 0)
    s.take_off(104.0)
    s.good(105.0)
    assert s.admits(105.0, 0)


def test_suspicion_comes_within_three_arrivals_of_a_hang():
    """Pitfall 4: every call hangs from t0; overdue marks come at t0 + objective, one per arrival."""
    s = Suspicion()
    for _ in range(8):
        s.good(0.0)
    for arrival_s in (0.0, 0.5, 1.0):
        s.bad(arrival_s + 2.0, MIDDLE)
    assert s.suspect


def goods(s: Suspicion, n: int, from_s: float) -> None:
    for i in range(n):
        s.good(from_s + i)


@pytest.mark.parametrize(("gap_s", "expected"), [(0.5, False), (2.0, True)])
def test_where_traffic_is_thin_two_bad_in_a_row_are_enough(gap_s, expected):
    """At a request in two seconds a third would take as long as the whole detection should."""
    s = Suspicion()
    for i in range(8):
        s.good(i * gap_s)
    s.bad(8 * gap_s, MIDDLE)
    s.bad(9 * gap_s, MIDDLE)
    assert s.suspect == expected


def test_two_bad_that_are_not_in_a_row_are_not():
    s = Suspicion()
    for i, bad in enumerate((False, False, True, False, True, False)):
        (s.bad(10.0 * i, MIDDLE) if bad else s.good(10.0 * i))
    assert not s.suspect


def test_in_an_alarm_two_bad_are_enough():
    """Several endpoints slow at once are not tried one after the other."""
    calm, alarmed = Suspicion(), Suspicion()
    for s in (calm, alarmed):
        for _ in range(4):
            s.good(100.0)
        s.bad(100.1, MIDDLE, s is alarmed)
        assert not s.suspect
        s.good(100.2)
        s.bad(100.3, MIDDLE, s is alarmed)
    assert (calm.suspect, alarmed.suspect) == (False, True)


def test_who_relapses_needs_twice_as_many_goods_each_time():
    """An endpoint of which every fourth request hangs passes four in a row one time in three."""
    s, now_s, needed = Suspicion(), 100.0, []
    for _ in range(4):
        for _ in range(3):
            s.bad(now_s, MIDDLE)
        n = 0
        while s.suspect:
            s.good(now_s)
            n += 1
        needed.append(n)
        now_s += 10.0
    assert needed == [4, 8, 16, 16]


def test_a_relapse_long_after_is_none():
    s = suspect()
    goods(s, 4, 103.0)
    for _ in range(3):
        s.bad(300.0, MIDDLE)
    goods(s, 4, 303.0)
    assert not s.suspect


def test_stragglers_of_one_in_a_hundred_make_few_suspects():
    """At most one false suspect in an endpoint-hour, at a request a second."""
    rng, raised = random.Random(1), 0
    s = Suspicion()
    hours = 20
    for i in range(3600 * hours):
        raised += s.bad(float(i), MIDDLE) if rng.random() < 0.01 else s.good(float(i)) and False
    assert raised <= hours
