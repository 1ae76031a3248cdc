"""Rate limits kept before the provider has to say so. Pitfalls 30 and 31, with the naive versions that fail."""

import pytest

from fastroute.policy.pacing import LOOK_S, SELDOM_S, Allowance, Meter, Pacer, Reading


class FixedMinute:
    """The naive version of pitfall 30: a count that begins anew at every full minute."""

    def __init__(self, per_minute):
        self.limit, self.minute, self.count = per_minute, 0, 0

    def wait_s(self, amount, now_s):
        if int(now_s // 60) != self.minute:
            self.minute, self.count = int(now_s // 60), 0
        return 0.0 if self.count + amount <= self.limit else 60.0 - now_s % 60

    def take(self, amount, now_s):
        self.count += amount


class CountsAtCompletion(Meter):
    """The naive version of pitfall 31: a request counts when it has ended."""

    def take(self, amount, now_s):
        """Not yet."""


def admitted(meter, instants):
    """When requests at these instants were let through."""
    through = []
    for now_s in instants:
        if meter.wait_s(1.0, now_s) == 0.0:
            meter.take(1.0, now_s)
            through.append(now_s)
    return through


def most_in_60_s(through):
    return max(sum(at <= other < at + 60.0 for other in through) for at in through)


BURSTS = [59.0 + i * 0.01 for i in range(50)] + [60.0 + i * 0.01 for i in range(50)] + [118.9 + i * 0.005 for i in range(50)]


def test_pitfall_30_never_more_than_the_limit_in_any_60_s_whenever_bursts_come():
    assert most_in_60_s(admitted(FixedMinute(10), BURSTS)) == 20
    assert most_in_60_s(admitted(Meter(10), BURSTS)) <= 10


@pytest.mark.parametrize("per_minute", [1, 2, 7, 60, 100])
@pytest.mark.parametrize("gap_s", [0.05, 0.31, 1.7])
def test_under_steady_pressure_the_limit_is_kept_and_nearly_used(per_minute, gap_s):
    through = admitted(Meter(per_minute), [1000.0 + i * gap_s for i in range(int(600 / gap_s))])
    assert most_in_60_s(through) <= per_minute
    assert len(through) >= 0.9 * min(10 * per_minute, 600 / gap_s) - 1


def test_pitfall_31_simultaneous_arrivals_do_not_overshoot():
    assert len(admitted(CountsAtCompletion(10), [5.0] * 50)) == 50
    assert 1 <= len(admitted(Meter(10), [5.0] * 50)) <= 10


def test_a_burst_of_ten_seconds_worth_passes_at_once():
    assert len(admitted(Meter(600), [5.0] * 500)) == 100


@pytest.mark.parametrize("per_minute", [3, 10, 60])
def test_the_wait_it_names_is_right_and_the_shortest(per_minute):
    meter, now_s = Meter(per_minute), 12.3
    for _ in range(3 * per_minute):
        wait_s = meter.wait_s(1.0, now_s)
        if wait_s > 0.01:
            assert meter.wait_s(1.0, now_s + 0.5 * wait_s) > 0.0
        now_s += wait_s + 1e-6
        assert meter.wait_s(1.0, now_s) == pytest.approx(0.0, abs=1e-5)
        meter.take(1.0, now_s)


def test_after_a_long_silence_everything_is_there_again():
    meter = Meter(60)
    admitted(meter, [5.0] * 50)
    assert meter.wait_s(1.0, 5.0) > 0.0
    assert len(admitted(meter, [5000.0] * 50)) == 10


def test_time_that_goes_back_changes_nothing():
    meter = Meter(60)
    admitted(meter, [100.0] * 50)
    assert meter.wait_s(1.0, 99.0) > 0.0


def test_what_is_larger_than_the_limit_waits_for_all_of_it_and_then_passes():
    meter = Meter(1000.0)
    assert meter.wait_s(5000.0, 10.0) == 0.0
    meter.take(5000.0, 10.0)
    assert meter.wait_s(5000.0, 60.0) > 0.0
    assert meter.wait_s(5000.0, 1000.0) == 0.0


def test_tokens_are_reserved_at_admission_and_settled_with_what_was_used():
    pacer = Pacer(None, 6000)  # 1,000 at once, 100 a second
    pacer.take(900.0, 10.0)
    assert pacer.wait_s(10.0) == pytest.approx(8.0)
    pacer.settle(-800.0, 10.0, 11.0)
    assert pacer.wait_s(11.0) == 0.0
    pacer.settle(700.0, 10.0, 11.0)
    assert pacer.wait_s(11.0) > 0.0


def test_what_is_settled_late_no_longer_counts_in_the_last_minute():
    meter = Meter(100.0)
    meter.take(100.0, 10.0)
    meter.settle(-50.0, 10.0, 500.0)
    assert meter.wait_s(16.0, 500.0) == 0.0
    meter.take(16.0, 500.0)
    assert meter.wait_s(1.0, 500.0) > 0.0


def test_a_pacer_without_limits_asks_for_nothing():
    pacer = Pacer()
    assert not pacer.binds
    assert pacer.wait_s(5.0) == 0.0
    pacer.take(100.0, 5.0)
    assert pacer.wait_s(5.0) == 0.0


def test_much_left_paces_nothing():
    pacer = Pacer()
    pacer.heard(Reading(Allowance(60.0, 40.0, 20.0)), 100.0)
    assert not pacer.binds
    assert pacer.look_s == 100.0 + LOOK_S


def test_little_left_is_paced_to_what_is_left_and_what_comes_back():
    """Of 60 a minute 2 are left, and it is full in 58 s: a bucket that fills at one a second."""
    pacer = Pacer()
    pacer.heard(Reading(Allowance(60.0, 2.0, 58.0)), 100.0)
    assert pacer.binds
    assert pacer.look_s == 100.0  # every reply is looked at now
    times, now_s = [], 100.0
    while now_s < 130.0:
        if pacer.wait_s(now_s) == 0.0:
            pacer.take(0.0, now_s)
            times.append(now_s)
        now_s += 0.05
    assert 24 <= len(times) <= 2 + 0.9 * 30 + 1  # two at once, then nine in ten seconds
    naive_per_s = 2.0 / 58.0  # "what is left divided by the time to its reset"
    assert len(times) > 10 * naive_per_s * 30.0


def test_what_a_provider_told_is_forgotten_once_it_must_be_full():
    pacer = Pacer()
    pacer.heard(Reading(Allowance(60.0, 0.0, 5.0)), 100.0)
    assert pacer.wait_s(100.0) > 0.0
    for _ in range(50):
        pacer.take(0.0, 101.0)
    assert 3.0 < pacer.wait_s(101.0) <= 4.0
    assert pacer.wait_s(105.1) == 0.0


def test_tokens_that_a_provider_told_are_paced_by_the_size_of_requests():
    pacer = Pacer()
    pacer.heard(Reading(None, Allowance(10_000.0, 1000.0, 54.0)), 100.0)
    pacer.take(900.0, 100.0)
    assert pacer.wait_s(100.0) == pytest.approx(800.0 / 150.0, rel=0.01)


def test_the_latest_reading_counts():
    pacer = Pacer()
    pacer.heard(Reading(Allowance(60.0, 0.0, 60.0)), 100.0)
    pacer.heard(Reading(Allowance(60.0, 59.0, 1.0)), 101.0)
    assert not pacer.binds
    assert pacer.wait_s(101.0) == 0.0


def test_headers_that_say_nothing_are_looked_at_seldom():
    pacer = Pacer()
    pacer.heard(None, 100.0)
    assert pacer.look_s == 100.0 + SELDOM_S


def test_a_configured_limit_stands_beside_what_headers_say():
    pacer = Pacer(60)
    pacer.heard(Reading(Allowance(1000.0, 900.0, 6.0)), 100.0)
    for _ in range(10):
        pacer.take(0.0, 100.0)
    assert pacer.wait_s(100.0) == pytest.approx(1.0)


def test_a_refusal_of_one_that_tells_nothing_is_followed_by_the_pace_that_went_well():
    pacer = Pacer()
    pacer.refused(1.0, 101.0)
    assert pacer.binds
    through = [t for t in (101.0 + i * 0.05 for i in range(180)) if pacer.wait_s(t) == 0.0 and not pacer.take(0.0, t)]
    assert 9 <= len(through) <= 12  # one at once, then one and a tenth a second
    assert pacer.wait_s(200.0) == 0.0  # not for ever: the limit may be higher by now


def test_what_a_provider_tells_outranks_a_guess():
    pacer = Pacer()
    pacer.heard(Reading(Allowance(60.0, 0.0, 60.0)), 100.0)
    wait_s = pacer.wait_s(100.0)
    pacer.refused(50.0, 100.0)
    assert pacer.wait_s(100.0) == wait_s
    guessing = Pacer()
    guessing.refused(0.1, 100.0)
    guessing.take(0.0, 100.0)
    guessing.heard(Reading(Allowance(60.0, 50.0, 10.0)), 100.0)
    assert guessing.wait_s(100.0) == 0.0
