"""Exact failure counts over a minute."""

import pytest

from fastroute.stats.outcomes import OutcomeRing


def test_unknown_is_five_percent():
    assert OutcomeRing().p_fail(0.0) == pytest.approx(0.05)


def test_the_formula():
    ring = OutcomeRing()
    for i in range(30):
        (ring.failure if i % 3 == 0 else ring.ok)(i * 1.0)
    assert ring.p_fail(30.0) == pytest.approx((10 + 0.5) / (30 + 10))


def test_rate_limits_are_counted_apart():
    """Pitfall 24."""
    ring = OutcomeRing()
    for _ in range(50):
        ring.rate_limited(1.0)
    assert ring.p_fail(1.0) == pytest.approx(0.05)
    assert ring.limited == 50


def test_a_minute_later_all_is_forgotten():
    """Pitfall 10: P(fail) does not starve an endpoint."""
    ring = OutcomeRing()
    for _ in range(100):
        ring.failure(10.0)
    assert ring.p_fail(60.0) > 0.9
    assert ring.p_fail(75.0) == pytest.approx(0.05)


@pytest.mark.parametrize("spread_s", [0.001, 2.0])
def test_bursts_and_trickles_count_alike(spread_s):
    """Pitfall 28."""
    ring = OutcomeRing()
    for i in range(8):
        ring.failure(100.0 + i * spread_s)
    assert ring.p_fail(100.0 + 8 * spread_s) == pytest.approx(8.5 / 18)


def test_slots_expire_one_by_one():
    ring = OutcomeRing()
    for i in range(20):
        ring.failure(i * 3.0 + 1.0)
    counts = []
    for i in range(20):
        ring.p_fail(61.0 + i * 3.0)
        counts.append(ring.failed)
    assert counts == list(range(19, -1, -1))


def test_time_that_goes_back_or_far_ahead_breaks_nothing():
    ring = OutcomeRing()
    ring.failure(1e9)
    ring.failure(5.0)
    assert ring.failed == 2
    assert ring.p_fail(1e12) == pytest.approx(0.05)
    assert ring.failed == ring.ended == 0


def test_a_quiet_minute_says_nothing():
    """Else whoever idles would be believed to fail, and would go on idling."""
    ring = OutcomeRing()
    for i in range(1000):
        ring.ok(i * 0.1)
    assert ring.p_fail(200.0) <= 2.0 * ring.p_fail(100.0)


def test_what_usually_fails_is_still_believed_to_after_a_quiet_minute():
    ring = OutcomeRing()
    for i in range(1000):
        (ring.failure if i % 40 == 0 else ring.ok)(i * 1.0)
    assert ring.p_fail(2000.0) == pytest.approx(0.025, rel=0.3)


def test_an_outage_is_not_held_against_an_endpoint_for_ever():
    """Pitfall 10: what is usual is never worse than what is believed of an unknown endpoint."""
    ring = OutcomeRing()
    for i in range(1000):
        ring.failure(i * 0.1)
    assert ring.usual() == pytest.approx(0.05)
    assert ring.p_fail(200.0) == pytest.approx(0.05)


def test_nobody_never_fails():
    ring = OutcomeRing()
    for i in range(5000):
        ring.ok(i * 0.01)
    assert ring.p_fail(50.0) == pytest.approx(0.001)
