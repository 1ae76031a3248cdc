"""Several workers in one simulated world: as many production routers, which learn from each other as real workers do.

Rules. Nothing of the exchange is modelled: it is `engine/sharing.py` over slabs of plain memory, twenty times a second, out of
step as processes are. A crew of one has neither slabs nor exchanges: it is the router alone.

What can go wrong. The workers share one loop, so an exchange takes no time, and a lesson is never half written when it is read.
"""

import random
from collections.abc import Callable, Sequence
from typing import Protocol

import msgspec

from fastroute.core.ports import Rng
from fastroute.core.types import Endpoint
from fastroute.dialects.rate_headers import rate_limits
from fastroute.engine.admission import Admission
from fastroute.engine.pacers import Pacers
from fastroute.engine.sharing import EXCHANGE_S, NotingBoard, Seat, Sharing
from fastroute.sim.loop import VirtualClock
from fastroute.stats.board import Scoreboard
from fastroute.stats.shared import Slabs


class Crew(msgspec.Struct, frozen=True):
    """How many workers serve, whether they learn from each other, and how requests come to them: by chance, or in turn."""

    workers: int = 1
    shared: bool = True
    in_turn: bool = False


ALONE = Crew()


class Timers(Protocol):
    """What a worker needs of a loop."""

    def call_at(self, when: float, callback: Callable[[], object]) -> object: ...


class Worker:
    """One of a crew: its admission and its end of the exchange. Its ticks and exchanges never coincide with another's."""

    def __init__(self, crew: Crew, slabs: Slabs | None, slot: int, endpoints: Sequence[Endpoint], clock: VirtualClock) -> None:
        self.rng = random.Random()  # seeded by `crew_of`
        pacers = Pacers(rate_limits, 1.0 / crew.workers)
        self.admission = Admission(NotingBoard() if slabs else Scoreboard(), endpoints, clock, self.rng, pacers)
        self.offset_ratio = slot / crew.workers
        self.sharing: Sharing | None = None
        if slabs:
            names = tuple(e.name for e in endpoints)
            self.sharing = Sharing(Seat(slabs, slot, ""), self.admission, names, self.rng.random)
            self.sharing.take_over(slot + 1)

    def repeat(self, timers: Timers, clock: VirtualClock, wanted: Callable[[], bool]) -> None:
        """Exchanges until the run is over."""
        sharing = self.sharing
        if sharing is None:
            return

        def once() -> None:
            sharing.exchange(clock.now_s())
            if wanted():
                timers.call_at(clock.now_s() + EXCHANGE_S, once)

        timers.call_at(EXCHANGE_S * (1.0 + self.offset_ratio), once)


def crew_of(crew: Crew, endpoints: Sequence[Endpoint], clock: VirtualClock, seed: int) -> list[Worker]:
    """The workers of a run. The first one's luck is that of a router alone."""
    slabs = None
    if crew.workers > 1 and crew.shared:
        memory = memoryview(bytearray(Slabs.size_bytes(crew.workers, len(endpoints))))
        slabs = Slabs(memory, crew.workers, len(endpoints))
    workers = [Worker(crew, slabs, slot, endpoints, clock) for slot in range(crew.workers)]
    for slot, worker in enumerate(workers):
        worker.rng.seed(seed if slot == 0 else f"{seed} worker {slot}")
    return workers


def shares(crew: Crew, requests: int, rng: Rng) -> list[int]:
    """Which worker each request comes to."""
    if crew.in_turn:
        return [i % crew.workers for i in range(requests)]
    return [int(rng.random() * crew.workers) for _ in range(requests)]
