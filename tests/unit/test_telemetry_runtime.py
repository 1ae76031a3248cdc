"""What a process says it holds: tasks, and objects by type."""

import asyncio
import gc
from asyncio import Event

from fastroute.telemetry.runtime import runtime


class Marked:
    """A type that nothing else makes."""

    def __init__(self) -> None:
        self.other: object = None


NAME = f"{Marked.__module__}.{Marked.__qualname__}"


async def test_tasks_are_counted() -> None:
    before, done = runtime()["tasks"], Event()
    tasks = [asyncio.create_task(done.wait()) for _ in range(3)]
    assert runtime()["tasks"] == before + 3
    done.set()
    await asyncio.gather(*tasks)
    assert runtime()["tasks"] == before


async def test_objects_are_counted_only_when_asked_for() -> None:
    assert "types" not in runtime()
    kept = [Marked() for _ in range(7)]
    assert runtime(100_000)["types"][NAME] == len(kept)


async def test_garbage_in_a_circle_is_not_counted() -> None:
    gc.disable()
    try:
        one, other = Marked(), Marked()
        one.other, other.other = other, one
        del one, other
        told = runtime(100_000)
        assert NAME not in told["types"]
        assert told["gc"]["collected"] >= 2
    finally:
        gc.enable()


async def test_only_the_most_frequent_types_are_told() -> None:
    told = runtime(3)["types"]
    assert len(told) == 3
    assert list(told.values()) == sorted(told.values(), reverse=True)
