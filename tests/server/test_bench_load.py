"""Load shapes over real sockets. The point of an open loop: a stall is seen, which a closed loop hides."""

import asyncio
import random
from time import perf_counter

import pytest
import uvloop
from bench_server_support import scripted, upstream

from bench import load
from bench.alarm import Alarm
from bench.arrivals import Arrival, Constant, Shot, interleave
from bench.intervals import quantile
from bench.load import ClosedLoop, OpenLoop, Sample, Target
from bench.measure import stall
from bench.request import Kind

STALL_S = 2.0


def p99_s(sample: Sample) -> float:
    return quantile(sorted(c.total_s for c in sample.calls) or sorted(sample.latencies_s), 0.99)


def every(seconds: float, rate_per_s: float) -> list[Shot]:
    return interleave(Constant(rate_per_s=rate_per_s).arrivals(seconds, random.Random(1)), 1, 0.0, random.Random(1))


async def stalled(target: Target, at_s: float) -> None:
    await asyncio.sleep(at_s)
    await stall(target.port, STALL_S)


async def open_loop(target: Target) -> Sample:
    _, sample = await asyncio.gather(stalled(target, 0.3), OpenLoop([target], every(2.6, 100), Kind()).run())
    return sample


async def closed_loop(target: Target) -> Sample:
    _, sample = await asyncio.gather(stalled(target, 0.3), ClosedLoop(target, Kind(), 1).run(2.6))
    return sample


async def both(target: Target) -> tuple[Sample, Sample]:
    return await open_loop(target), await closed_loop(target)


def test_an_open_loop_shows_a_stall_of_two_seconds_that_a_closed_loop_hides() -> None:
    """The same upstream stalls in the same way twice. Users would have waited up to two seconds: only one of the two says so."""

    async def run() -> tuple[Sample, Sample]:
        async with upstream() as target:
            return await both(target)

    opened, closed = uvloop.run(run())
    assert opened.errors == closed.errors == 0
    assert p99_s(opened) > 0.9 * STALL_S
    assert max(closed.latencies_s) > 0.9 * STALL_S  # it did happen there too,
    assert p99_s(closed) < 0.1 * STALL_S  # but once among many quick calls
    waited = sum(c.total_s > 0.1 for c in opened.calls) / len(opened.calls)
    assert waited > 0.5  # two seconds of 2.6, in which a hundred users a second came


async def test_shots_are_sent_when_they_are_due() -> None:
    async with upstream() as target:
        loop = OpenLoop([target], every(0.5, 100), Kind())
        sample = await loop.run()
    assert (sample.done, sample.errors) == (50, 0)
    intended = sorted(c.intended_s - loop.start_s for c in sample.calls)
    assert intended == pytest.approx([i / 100 for i in range(50)])
    assert all(c.lag_s >= 0 for c in sample.calls)
    assert sample.seconds >= 0.49


async def test_shots_go_to_the_targets_they_name() -> None:
    async with upstream() as a, scripted([b"HTTP/1.1 500 no\r\ncontent-length: 0\r\n\r\n"]) as b:
        shots = interleave((Arrival(i * 0.005) for i in range(20)), 2, 0.002, random.Random(1))
        sample = await OpenLoop([a, b], shots, Kind()).run()
    assert (sample.done, sample.errors) == (20, 20)
    assert {c.target for c in sample.calls if c.ok} == {0}
    assert {c.target for c in sample.calls if not c.ok} == {1}
    assert sorted(c.block for c in sample.calls if c.ok) == list(range(20))


async def test_sizes_of_a_trace_are_asked_for() -> None:
    async with upstream() as target:
        shots = [Shot(0.0, 0, 0, Arrival(0.0, input_tokens=900, output_tokens=2000))]
        loop = OpenLoop([target], shots, Kind())
        sample = await loop.run()
    assert sample.done == 1
    assert loop._requests == [target.request(Kind(input_tokens=900, output_tokens=2000))]


async def test_stamped_streams_note_every_chunk() -> None:
    async with upstream() as target:
        sample = await OpenLoop([target], every(0.1, 50), Kind(stream=True, chunks=6, stamp=True)).run()
    assert sample.done == 5
    assert [len(c.chunks_ns or []) for c in sample.calls] == [4] * 5


async def test_too_many_open_calls_end_the_run_and_say_when(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "GRACE_S", 0.05)
    async with scripted([]) as target:  # never answers
        sample = await OpenLoop([target], every(1.0, 1000), Kind(), max_open=20).run()
    assert sample.overflowed_s == pytest.approx(0.02, abs=1e-6)
    assert (sample.done, sample.failures) == (0, {"unanswered": 20})


async def test_no_shots_no_wait() -> None:
    async with upstream() as target:
        sample = await OpenLoop([target], [], Kind()).run()
    assert (sample.done, sample.errors) == (0, 0)


@pytest.mark.parametrize("spread_s", [0.0, 0.05])
async def test_a_closed_loop_keeps_its_connections_busy(spread_s: float) -> None:
    async with upstream() as target:
        sample = await ClosedLoop(target, Kind(), 60, spread_s).run(0.3)
    assert sample.done >= 60
    assert sample.errors == 0
    assert len(sample.latencies_s) == sample.done
    assert 0.25 < sample.seconds < 5


async def test_a_closed_loop_counts_failures_and_goes_on() -> None:
    async with scripted([b"HTTP/1.1 500 no\r\ncontent-length: 0\r\n\r\n"]) as target:
        sample = await ClosedLoop(target, Kind(), 2).run(0.1)
    assert sample.done == 0
    assert sample.errors > 2


async def test_a_closed_loop_gives_up_what_is_never_answered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(load, "GRACE_S", 0.05)
    async with scripted([]) as target:
        sample = await ClosedLoop(target, Kind(), 3).run(0.05)
    assert (sample.done, sample.failures) == (0, {"unanswered": 3})


async def test_an_alarm_rings_once_and_not_before_its_time() -> None:
    rung, rings = asyncio.Event(), []
    alarm = Alarm(lambda: (rings.append(perf_counter()), rung.set()))  # type: ignore[func-returns-value]
    try:
        due_s = perf_counter() + 0.0203
        alarm.set(due_s)
        await asyncio.wait_for(rung.wait(), 5)
        assert rings[0] >= due_s
        rung.clear()
        alarm.set(due_s)  # in the past: at once
        await asyncio.wait_for(rung.wait(), 5)
        assert len(rings) == 2
    finally:
        alarm.close()
