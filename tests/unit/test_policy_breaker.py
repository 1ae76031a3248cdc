"""The breaker's transition table."""

import pytest

from fastroute.core.failures import RULES, Blame, Failure
from fastroute.core.types import BreakerState
from fastroute.policy.breaker import KEY_OPEN_S, Breaker

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
OK, ERROR, RATE, SLOW, KEY = Blame.NONE, Blame.ERROR, Blame.RATE, Blame.SLOW, Blame.KEY
MIDDLE = 0.5  # jitter: neither longer nor shorter


def attempt(b: Breaker, blame: Blame, now_s: float, jitter: float = MIDDLE) -> None:
    b.land(blame, now_s, jitter, b.take_off(now_s))


def after(*blames: Blame, every_s: float = 1.0) -> tuple[Breaker, float]:
    b, now_s = Breaker(), 100.0
    for blame in blames:
        attempt(b, blame, now_s)
        now_s += every_s
    return b, now_s - every_s


def opened(now_s: float = 100.0) -> Breaker:
    b = Breaker()
    for _ in range(3):
        attempt(b, ERROR, now_s)
    assert b.state(now_s) is OPEN
    return b


def test_it_starts_closed_and_admits():
    b = Breaker()
    assert (b.state(0.0), b.admits(0.0), b.opens_in_s(0.0)) == (CLOSED, True, 0.0)


@pytest.mark.parametrize(
    ("blames", "state"),
    [
        ([ERROR] * 2, CLOSED),
        ([ERROR] * 3, OPEN),
        ([ERROR, ERROR, OK, ERROR, ERROR], CLOSED),
        ([ERROR, RATE, ERROR, RATE, ERROR], OPEN),
        ([ERROR, SLOW, ERROR, SLOW, ERROR], OPEN),
        ([RATE] * 7, CLOSED),
        ([RATE] * 8, OPEN),
        ([OK, ERROR] * 3, CLOSED),
        ([OK, ERROR] * 4, OPEN),
        ([OK, OK, ERROR] * 6, CLOSED),
        ([OK, RATE] * 4, OPEN),
        ([SLOW] * 7, CLOSED),
        ([SLOW] * 8, OPEN),
        ([OK, SLOW] * 6, CLOSED),
        ([OK, OK, SLOW, SLOW, SLOW] * 2, OPEN),
        ([KEY], OPEN),
    ],
    ids=lambda v: ".".join(b.value for b in v) if isinstance(v, list) else v.value,
)
def test_what_opens_a_closed_breaker(blames, state):
    b, now_s = after(*blames, every_s=0.1)
    assert b.state(now_s) is state


@pytest.mark.parametrize("spread_s", [0.00125, 2.5])
def test_the_same_eight_outcomes_get_the_same_verdict_at_any_pace(spread_s):
    """Pitfall 28: an average by time would hide the burst."""
    b, now_s = after(*[OK, ERROR] * 4, every_s=spread_s)
    assert b.state(now_s) is OPEN


def test_at_low_traffic_it_is_open_by_the_third_failure():
    """Pitfall 28: one request in 5 s, all failing; no minimum of a hundred."""
    b, now_s = after(ERROR, ERROR, ERROR, every_s=5.0)
    assert b.state(now_s) is OPEN


def test_outcomes_older_than_thirty_seconds_do_not_count():
    b, _ = after(*[OK, ERROR] * 3, OK)
    assert b.state(107.0) is CLOSED
    attempt(b, ERROR, 140.0)
    assert b.state(140.0) is CLOSED


def test_rate_limits_alone_do_not_count_as_a_row():
    """Pitfall 24: a 429 with a hint is the gate's business."""
    b, now_s = after(RATE, RATE, RATE)
    assert (b.state(now_s), b.admits(now_s)) == (CLOSED, True)


def test_a_success_after_a_bad_rate_does_not_open():
    b = Breaker()
    for _ in range(4):
        attempt(b, RATE, 100.0)
    for _ in range(3):
        attempt(b, OK, 101.0)
    attempt(b, OK, 102.0)
    assert b.state(102.0) is CLOSED


def test_open_refuses_for_a_second_then_lets_one_through():
    b = opened()
    assert (b.admits(100.9), b.opens_in_s(100.25)) == (False, pytest.approx(0.75))
    assert (b.state(101.0), b.admits(101.0), b.opens_in_s(101.0)) == (HALF_OPEN, True, 0.0)


@pytest.mark.parametrize(("jitter", "length_s"), [(0.0, 0.8), (0.5, 1.0), (1.0, 1.2)])
def test_openings_are_spread(jitter, length_s):
    b = Breaker()
    for _ in range(3):
        attempt(b, ERROR, 0.0, jitter)
    assert b.opens_in_s(0.0) == pytest.approx(length_s)


def test_openings_double_up_to_twenty_seconds():
    b, now_s, lengths = opened(), 100.0, []
    for _ in range(9):
        lengths.append(b.opens_in_s(now_s))
        now_s += lengths[-1]
        attempt(b, ERROR, now_s)
    assert lengths == pytest.approx([1, 2, 4, 8, 16, 20, 20, 20, 20])


def test_healthy_minutes_bring_the_openings_down_again():
    b, now_s = opened(), 100.0
    for _ in range(4):
        now_s += b.opens_in_s(now_s)
        attempt(b, ERROR, now_s)
    now_s += b.opens_in_s(now_s)
    attempt(b, OK, now_s)
    attempt(b, OK, now_s)
    assert b.state(now_s) is CLOSED
    now_s += 185.0
    for _ in range(3):
        attempt(b, ERROR, now_s)
    assert b.opens_in_s(now_s) == pytest.approx(4.0)


def test_half_open_admits_one_of_a_hundred():
    """Pitfall 27."""
    b = opened()
    sent = 0
    for _ in range(100):
        if b.admits(101.5):
            assert b.take_off(101.5)
            sent += 1
    assert sent == 1


def test_a_cancelled_probe_gives_its_place_back():
    """Pitfall 27."""
    b = opened()
    probe = b.take_off(101.5)
    assert not b.admits(101.6)
    b.release(101.6, probe)
    assert (b.admits(101.7), b.state(101.7)) == (True, HALF_OPEN)


def test_two_goods_close_it():
    b = opened()
    attempt(b, OK, 101.5)
    assert b.state(101.5) is HALF_OPEN
    attempt(b, OK, 101.6)
    assert (b.state(101.6), b.admits(101.6)) == (CLOSED, True)


@pytest.mark.parametrize("blame", [ERROR, RATE, SLOW])
def test_any_bad_probe_opens_it_again_for_longer(blame):
    b = opened()
    attempt(b, OK, 101.5)
    attempt(b, blame, 101.6)
    assert b.opens_in_s(101.6) == pytest.approx(2.0)


def test_closing_forgets_the_failures_before():
    b = opened()
    attempt(b, OK, 101.5)
    attempt(b, OK, 101.6)
    attempt(b, ERROR, 101.7)
    attempt(b, ERROR, 101.8)
    assert b.state(101.8) is CLOSED


@pytest.mark.parametrize("state", ["closed", "half_open", "open"])
def test_a_wrong_key_opens_for_five_minutes(state):
    b, now_s = {"closed": (Breaker(), 0.0), "half_open": (opened(), 101.5), "open": (opened(), 100.0)}[state]
    attempt(b, KEY, now_s)
    assert KEY_OPEN_S <= b.opens_in_s(now_s) <= 1.2 * KEY_OPEN_S


def test_a_late_failure_of_before_the_opening_says_nothing_new():
    b = Breaker()
    early = b.take_off(99.0)
    for _ in range(3):
        attempt(b, ERROR, 100.0)
    b.land(ERROR, 100.5, MIDDLE, early)
    assert b.opens_in_s(100.5) == pytest.approx(0.5)
    probe = b.take_off(101.5)
    b.land(ERROR, 101.6, MIDDLE, early)
    assert b.state(101.6) is HALF_OPEN
    assert not b.admits(101.6)
    b.release(101.7, probe)
    assert b.admits(101.7)


def test_a_success_through_an_open_breaker_is_evidence():
    """Pitfall 29: a panic sends anyway; what goes well counts."""
    b = opened()
    attempt(b, OK, 100.1)
    assert b.state(100.1) is HALF_OPEN
    attempt(b, OK, 100.2)
    assert b.state(100.2) is CLOSED


def test_whoever_does_not_say_is_taken_for_the_probe():
    b = opened()
    b.take_off(101.5)
    b.land(ERROR, 101.6, MIDDLE)
    assert b.state(101.6) is OPEN
    assert b.admits(104.0)
    b.take_off(104.0)
    b.release(104.1)
    assert b.admits(104.1)


@pytest.mark.parametrize(
    ("failure", "opens"),
    [
        (Failure.CONNECT, True),
        (Failure.SERVER_ERROR, True),
        (Failure.AUTH, True),
        (Failure.NOT_FOUND, True),
        (Failure.RATE_LIMITED, False),
        (Failure.FIRST_CONTENT_TIMEOUT, False),
    ],
)
def test_three_of_a_kind_by_the_failure_table(failure, opens):
    """Pitfall 26: each class by its row."""
    b, now_s = after(*[RULES[failure].blame] * 3)
    assert (b.state(now_s) is OPEN) == opens


def test_the_half_open_place_is_given_out_once():
    b = opened(100.0)
    assert [b.take_off(101.5), b.take_off(101.5)] == [True, False]


def test_an_opening_forgets_the_outcomes_before_it():
    b, now_s = after(*[RATE] * 8, every_s=0.0)
    assert b.state(now_s) is OPEN
    for blame in [OK] * 2 + [RATE] * 7:
        attempt(b, blame, now_s + 5.0)
    assert b.state(now_s + 5.0) is CLOSED


def test_a_bad_probe_takes_back_the_good_one_before_it():
    b = opened(100.0)
    attempt(b, OK, 101.5)
    attempt(b, RATE, 101.5)
    attempt(b, OK, 105.0)
    assert b.state(105.0) is HALF_OPEN


def test_a_late_success_does_not_forgive_a_wrong_key():
    """It was sent before the key was refused; only a probe of the five minutes' end says that the key is right again."""
    b = Breaker()
    early = b.take_off(0.0)
    attempt(b, KEY, 1.0)
    b.land(OK, 2.0, 0.0, early)
    assert b.state(2.0) is OPEN
    assert b.opens_in_s(2.0) >= KEY_OPEN_S - 1.0
    late_s = 1.0 + 1.2 * KEY_OPEN_S + 1.0
    for _ in range(2):
        b.land(OK, late_s, 0.0, b.take_off(late_s))
    assert b.closed
