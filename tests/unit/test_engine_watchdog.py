import asyncio

import pytest

from fastroute.engine.watchdog import Alarms, Watchdog
from fastroute.sim.loop import VirtualClock, run_virtual


def virtual(test):
    """Runs an async test, given a clock, on virtual time."""

    def run():
        async def main():
            await test(VirtualClock(asyncio.get_running_loop()))

        run_virtual(main())

    run.__name__ = test.__name__
    return run


@virtual
async def test_expires_at_its_instant(clock):
    with pytest.raises(TimeoutError):
        with Watchdog(Alarms(clock), 3.0):
            await asyncio.sleep(60)
    assert clock.now_s() == pytest.approx(3.0, abs=0.002)


@virtual
async def test_does_nothing_when_the_block_is_quick(clock):
    with Watchdog(Alarms(clock), 3.0):
        await asyncio.sleep(1)
    await asyncio.sleep(10)
    assert clock.now_s() == pytest.approx(11.0)


@virtual
async def test_moved_later_lets_the_block_live_longer(clock):
    with Watchdog(Alarms(clock), 1.0) as watchdog:
        for _ in range(10):
            await asyncio.sleep(0.9)
            watchdog.move(clock.now_s() + 1.0)
    assert clock.now_s() == pytest.approx(9.0)


@virtual
async def test_moved_later_still_expires(clock):
    with pytest.raises(TimeoutError):
        with Watchdog(Alarms(clock), 1.0) as watchdog:
            watchdog.move(4.0)
            await asyncio.sleep(60)
    assert clock.now_s() == pytest.approx(4.0, abs=0.002)


@virtual
async def test_moved_earlier_expires_earlier(clock):
    with pytest.raises(TimeoutError):
        with Watchdog(Alarms(clock), 50.0) as watchdog:
            watchdog.move(2.0)
            await asyncio.sleep(60)
    assert clock.now_s() == pytest.approx(2.0, abs=0.002)


@virtual
async def test_an_instant_already_past_expires_at_once(clock):
    await asyncio.sleep(5)
    with pytest.raises(TimeoutError):
        with Watchdog(Alarms(clock), 1.0):
            await asyncio.sleep(60)
    assert clock.now_s() == pytest.approx(5.0, abs=0.002)


@virtual
async def test_cancellation_from_outside_is_not_a_timeout(clock):
    async def guarded():
        with Watchdog(Alarms(clock), 3.0):
            await asyncio.sleep(60)

    task = asyncio.create_task(guarded())
    await asyncio.sleep(1)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


@virtual
async def test_cancellation_from_outside_wins_over_an_expiry_in_the_same_tick(clock):
    async def guarded():
        with Watchdog(Alarms(clock), 3.0):
            await asyncio.sleep(60)

    task = asyncio.create_task(guarded())
    await asyncio.sleep(0)
    asyncio.get_running_loop().call_at(3.0, task.cancel)
    with pytest.raises((asyncio.CancelledError, TimeoutError)):
        await task
    assert task.done()


@virtual
async def test_the_task_can_go_on_after_an_expiry(clock):
    for _ in range(3):
        with pytest.raises(TimeoutError):
            with Watchdog(Alarms(clock), clock.now_s() + 1.0):
                await asyncio.sleep(60)
    assert asyncio.current_task().cancelling() == 0
    await asyncio.sleep(1)


@virtual
async def test_other_errors_pass_through(clock):
    with pytest.raises(ValueError, match="mine"):
        with Watchdog(Alarms(clock), 1.0):
            raise ValueError("mine")


@virtual
async def test_one_timer_however_often_it_is_moved(clock):
    loop = asyncio.get_running_loop()
    with Watchdog(Alarms(clock), 1.0) as watchdog:
        before = len(loop._scheduled)
        for i in range(1000):
            watchdog.move(2.0 + i)
        assert len(loop._scheduled) == before


@virtual
async def test_many_watchdogs_share_one_timer_and_each_expires_at_its_own_instant(clock):
    alarms, ended = Alarms(clock), []
    loop = asyncio.get_running_loop()

    async def guarded(at_s):
        with pytest.raises(TimeoutError):
            with Watchdog(alarms, at_s):
                await asyncio.sleep(60)
        ended.append((at_s, clock.now_s()))

    before = len(loop._scheduled)
    tasks = [asyncio.create_task(guarded(at_s)) for at_s in (5.0, 1.0, 3.0, 3.0, 2.0)]
    await asyncio.sleep(0)
    timers = len([handle for handle in loop._scheduled if not handle.cancelled()]) - before
    assert timers == 5 + 1  # a sleep each, and one alarm
    await asyncio.gather(*tasks)
    assert [at_s for at_s, _ in ended] == [1.0, 2.0, 3.0, 3.0, 5.0]
    assert all(now_s == pytest.approx(at_s, abs=0.002) for at_s, now_s in ended)


@virtual
async def test_the_same_instant_given_twice_expires_once(clock):
    with pytest.raises(TimeoutError):
        with Watchdog(Alarms(clock), 5.0) as watchdog:
            watchdog.move(3.0)
            watchdog.move(9.0)
            watchdog.move(5.0)
            await asyncio.sleep(60)
    assert asyncio.current_task().cancelling() == 0
    assert clock.now_s() == pytest.approx(5.0, abs=0.002)


@virtual
async def test_what_has_ended_is_forgotten_at_once(clock):
    alarms = Alarms(clock)
    for _ in range(10_000):
        with Watchdog(alarms, 3600.0):
            pass
    assert not alarms.watched
    with pytest.raises(TimeoutError):
        with Watchdog(alarms, 1.0):
            await asyncio.sleep(60)
    assert clock.now_s() == pytest.approx(1.0, abs=0.002)
