import asyncio

import pytest
from engine_world import Script, World, endpoint, route

from fastroute.core.failures import Failure, Fault
from fastroute.core.types import Outcome
from fastroute.engine import lag
from fastroute.engine.lag import AFTER_S, BEAT_S, LATE_S, Lag
from fastroute.sim.loop import VirtualClock, run_virtual


def beaten(*beats_s: float) -> Lag:
    made = Lag()
    for at_s in beats_s:
        made.beat(at_s)
    return made


def test_without_beats_nothing_is_late():
    assert not Lag().late(1e9)


def test_a_beat_in_time_is_not_late():
    made = beaten(10.0, 10.0 + BEAT_S)
    assert not made.late(10.0 + 2 * BEAT_S + 0.9 * LATE_S)


def test_an_overdue_beat_is_seen_before_it_comes():
    assert beaten(10.0).late(10.0 + BEAT_S + 1.1 * LATE_S)


def test_after_an_overdue_beat_what_waits_is_late_still_and_no_longer():
    made = beaten(10.0, 10.5)
    assert made.late(10.5 + 0.9 * AFTER_S)
    assert not made.late(10.5 + 1.1 * AFTER_S)


def test_who_is_late_most_of_the_time_is_not_late():
    made, at_s = Lag(), 0.0
    for _ in range(100):
        made.beat(at_s)
        at_s += 3 * (BEAT_S + LATE_S)
    assert not made.late(at_s)


def test_it_recovers_from_a_busy_spell():
    made, at_s = Lag(), 0.0
    for busy in (True,) * 100 + (False,) * 200:
        made.beat(at_s)
        at_s += 3 * (BEAT_S + LATE_S) if busy else BEAT_S
    assert made.late(at_s + 1.0)


def test_start_beats_until_stop():
    async def main() -> None:
        loop = asyncio.get_running_loop()
        made, clock = Lag(), VirtualClock(loop)
        made.start(loop, clock)
        await asyncio.sleep(5.0)
        assert not made.late(clock.now_s())
        assert made.late(clock.now_s() + 1.0)
        made.stop()
        assert not made.late(clock.now_s() + 1.0)
        made.stop()

    run_virtual(main())


@pytest.fixture
def always(monkeypatch):
    monkeypatch.setattr(lag.Lag, "late", lambda self, now_s: True)


@pytest.mark.parametrize("stream", [True, False])
def test_nothing_is_learned_of_answers_that_are_read_late(always, stream):
    async def main() -> None:
        world = World({"a": made_script()}, route((endpoint("a"),)))
        await world.ask(stream=stream)
        keeper = world.admission.keepers()[0]
        view = world.admission.view(keeper, world.clock.now_s())
        assert (view.samples, view.age_s, view.in_flight) == (0, None, 0)
        assert world.admission.board._records["a"].outcomes.ended == 1  # but that it went well is

    run_virtual(main())


def made_script():
    return Script([(0.2, b"C"), (0.1, b"U!")])


def test_a_tick_that_comes_late_marks_nobody(always):
    async def main() -> None:
        world = World({"a": made_script()}, route((endpoint("a"),)))
        asked = asyncio.create_task(world.ask())
        await asyncio.sleep(0.1)
        world.admission.tick(world.clock.now_s() + 5.0)
        assert world.admission.keepers()[0].overdue == 0
        await asked

    run_virtual(main())


def test_a_timeout_that_is_noticed_late_blames_nobody(always):
    async def main() -> None:
        world = World({"a": made_script()}, route((endpoint("a"),)))
        keeper = world.admission.keepers()[0]
        sample = world.admission.board.begin(keeper.endpoint, 0.0, 100, None)

        class Flight:
            probe = drips = False

        flight = Flight()
        flight.sample, flight.keeper = sample, keeper
        for failure, failed in ((Failure.FIRST_CONTENT_TIMEOUT, 0), (Failure.SERVER_ERROR, 1)):
            sample.ended = False
            world.admission.learn(flight, Outcome(Fault(failure, "")), 3.0)
            assert world.admission.board._records["a"].outcomes.failed == failed

    run_virtual(main())
