"""Virtual time: order kept, nothing waited for, standstill found."""

import asyncio
import time

import pytest

from fastroute.sim.loop import VirtualClock, VirtualLoop, run_virtual


def test_hours_pass_at_once():
    async def main() -> float:
        await asyncio.sleep(3600.0)
        return asyncio.get_running_loop().time()

    started_s = time.monotonic()
    assert run_virtual(main()) == pytest.approx(3600.0)
    assert time.monotonic() - started_s < 5.0


def test_sleepers_wake_in_order():
    async def main() -> list[int]:
        woken: list[int] = []

        async def sleeper(number: int, delay_s: float) -> None:
            await asyncio.sleep(delay_s)
            woken.append(number)

        await asyncio.gather(sleeper(3, 3.0), sleeper(1, 1.0), sleeper(2, 2.0))
        return woken

    assert run_virtual(main()) == [1, 2, 3]


def test_waiting_for_nothing_is_an_error():
    async def main() -> None:
        await asyncio.get_running_loop().create_future()

    with pytest.raises(RuntimeError, match="virtual time stands still"):
        run_virtual(main())


def test_a_day_long_wait_is_no_standstill():
    async def main() -> float:
        await asyncio.sleep(3 * 86_400.0)
        return asyncio.get_running_loop().time()

    assert run_virtual(main()) == pytest.approx(3 * 86_400.0)


def test_the_clock_reads_the_loop():
    loop = VirtualLoop()
    clock = VirtualClock(loop, epoch_s=1000.0)

    async def main() -> tuple[float, float]:
        await asyncio.sleep(5.0)
        return clock.now_s(), clock.wall_s()

    assert loop.run_until_complete(main()) == (pytest.approx(5.0), pytest.approx(1005.0))
    loop.close()
