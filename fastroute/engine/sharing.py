"""Workers learn from each other: what one of them sees, all of them know within a tenth of a second.

Rules. Touched by the loop's thread only. `Sharing.exchange`, some twenty times a second, tells the others what this worker
learned and takes in what they did; between two exchanges a request pays for noting its lesson in a list and for nothing else.
A lesson is told by the worker that flew the attempt, and by nobody else: what is taken in is never passed on.

Theory of operation. The statistics stay each worker's own, whole and mutable, and are fed from two sides: by its own flights,
and by replaying the others' lessons through the same methods. So they agree, up to the lag and to what was thinned out
at high rates. What is a state and no lesson lies in cells: gates (everybody takes the latest), switches (the last hand on it
counts) and in-flight counts. The others' counts are added into this worker's, so that every view and limit sees the sum.
A new worker replays what the rings still hold, its predecessor's too, and starts with everybody's experience.

What can go wrong. Limits on requests in flight, and who probes, lag behind by an exchange: a burst over several workers may
pass limits by what came in that time. A half-open breaker admits a probe per worker, where they are sent before the first
has failed. Endpoints made on demand have no index and are not shared.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Unpack

import msgspec

from fastroute.core.failures import Blame
from fastroute.engine.admission import Admission, Gatekeeper
from fastroute.stats.board import YOUNG_SAMPLES, Ending, Flight, Scoreboard
from fastroute.stats.latency import Bound
from fastroute.stats.lessons import Kind, Lesson, Tally, pace
from fastroute.stats.record import EndpointRecord
from fastroute.stats.shared import Slab, Slabs

EXCHANGE_S = 0.05
LESSONS_PER_EXCHANGE = 12  # latency samples taken in from all the others together, when there are more
FEWEST_PER_WORKER = 4
BOUNDS_KEPT = 1000
GOODS_THAT_MATTER = 12  # to a breaker and a suspicion, between two failures: more change nothing, and cost time
ALARMS = frozenset((Kind.BAD, Kind.OVERDUE, Kind.DRIPS))


Note = tuple[Kind, Flight, float, int | None, Blame, int]  # what, of whom, when, output tokens, blame, stands for so many


class Seat(msgspec.Struct, frozen=True):
    """A worker's place among the others. `token`: what workers and their office know each other by."""

    slabs: Slabs
    slot: int
    token: str

    @property
    def slab(self) -> Slab:
        """The slab that this worker writes."""
        return self.slabs[self.slot]


class NotingBoard(Scoreboard):
    """A scoreboard that notes what its flights teach, in `news`, for the other workers. On the request path: quick."""

    def __init__(self) -> None:
        super().__init__()
        self.news: list[Note] = []
        self.tallies: dict[EndpointRecord, Tally] = {}  # of the endpoints that are shared

    def share(self, endpoints: Sequence[str]) -> None:
        """Starts taking notes of these endpoints, which have been added."""
        self.tallies = {self._records[name]: Tally(i) for i, name in enumerate(endpoints)}

    def first_content(self, flight: Flight, now_s: float) -> None:
        tally = self.tallies.get(flight.record)
        if tally is not None and flight.first_content_s is None and not flight.ended:
            tally.samples += 1
            if tally.samples % tally.stride == 0 or flight.overdue:
                self.news.append((Kind.FIRST_CONTENT, flight, now_s, None, Blame.NONE, 1))
        super().first_content(flight, now_s)

    def answered(self, flight: Flight, now_s: float, output_tokens: int | None) -> None:
        tally = self.tallies.get(flight.record)
        if tally is not None and not flight.ended:
            tally.samples += 1
            if tally.samples % tally.stride == 0 or flight.overdue:
                self.news.append((Kind.GOOD, flight, now_s, output_tokens, Blame.NONE, tally.untold + 1))
                tally.untold = 0
            else:
                tally.untold += 1
        super().answered(flight, now_s, output_tokens)

    def finish(self, flight: Flight, now_s: float, **end: Unpack[Ending]) -> None:
        tally, blame = self.tallies.get(flight.record), end.get("blame", Blame.NONE)
        if tally is not None and not (flight.ended or end["ok"] or blame is Blame.NONE):
            self._alarm(tally, (Kind.BAD, flight, now_s, None, blame, 1))
        super().finish(flight, now_s, **end)

    def abandon(self, flight: Flight, now_s: float) -> None:
        tally = self.tallies.get(flight.record)
        if tally is not None and not flight.ended and flight.first_content_s is None:
            tally.samples += 1
            if tally.samples % tally.stride == 0 or flight.overdue:
                self.news.append((Kind.GONE, flight, now_s, None, Blame.NONE, 1))
        super().abandon(flight, now_s)

    def tick(self, now_s: float) -> list[Flight]:
        late = super().tick(now_s)
        for flight in late:
            tally = self.tallies.get(flight.record)
            if tally is not None:
                self._alarm(tally, (Kind.OVERDUE, flight, now_s, None, Blame.NONE, 1))
        return late

    def drips(self, flight: Flight, output_tokens: int, now_s: float) -> None:
        tally = self.tallies.get(flight.record)
        if tally is not None and not flight.ended:
            self._alarm(tally, (Kind.DRIPS, flight, now_s, output_tokens, Blame.NONE, 1))
        super().drips(flight, output_tokens, now_s)

    def _alarm(self, tally: Tally, note: Note) -> None:
        """Notes what is always told, after the successes before it."""
        if tally.untold:
            self.news.append((Kind.GOODS, note[1], note[2], None, Blame.NONE, tally.untold))
            tally.untold = 0
        self.news.append(note)

    def is_settled(self, endpoint: str) -> bool:
        """Whether so much is known of an endpoint that one more sample changes no decision by itself."""
        return self._records[endpoint].first.samples >= YOUNG_SAMPLES

    def shift(self, endpoint: str, flights: int) -> None:
        """Adds to an endpoint's requests in flight: those of other workers."""
        self._records[endpoint].in_flight += flights


class Sharing:
    """One worker's end of the exchange. `endpoints`: names in the configuration's order, the same in all workers.

    The admission's scoreboard is a `NotingBoard`. `jitter` gives 0..1.
    """

    def __init__(self, seat: Seat, admission: Admission, endpoints: Sequence[str], jitter: Callable[[], float]) -> None:
        slabs, board = seat.slabs, admission.board
        assert isinstance(board, NotingBoard)
        self._slabs, self._slot, self._mine = slabs, seat.slot, seat.slab
        self._board, self._admission = board, admission
        board.share(endpoints)
        self._replay = Replay(board, _keepers(admission, endpoints), jitter)
        self._keepers = self._replay.keepers
        self._read_to = [0] * len(slabs)
        self._added = [0] * len(endpoints)
        self._enabled = [True] * len(endpoints)
        self._budget = max(FEWEST_PER_WORKER, LESSONS_PER_EXCHANGE // max(1, len(slabs) - 1))

    def take_over(self, pid: int) -> None:
        """Begins: the slab is this process's now, and all that the rings still hold is learned."""
        past: list[tuple[float, int, Lesson]] = []
        for slot in range(len(self._slabs)):
            reading = self._slabs[slot].read(0)
            self._read_to[slot] = reading.next
            past.extend((lesson.at_s, slot, lesson) for lesson in reading.lessons)
        for _, slot, lesson in sorted(past, key=lambda told: told[:2]):
            self._replay.take(slot, lesson)
        self._forget_own_notes()
        self._mine.take_over(pid)
        self._compare([slab for _, slab in self._slabs.others(self._slot)])

    def exchange(self, now_s: float) -> None:
        """Tells and takes in. Call some twenty times a second."""
        others = self._slabs.others(self._slot)
        self._compare_probes([slab for _, slab in others])  # before the lessons: a probe's good end lets the next one follow
        self._tell(now_s)
        for slot, slab in others:
            reading = slab.read(self._read_to[slot])
            self._read_to[slot] = reading.next
            if reading.lost:
                self._mine.lost += reading.lost
            for lesson in reading.lessons:
                self._replay.take(slot, lesson, now_s)
        self._forget_own_notes()
        self._compare([slab for _, slab in others])
        if self._replay.stirred:
            self._replay.stirred = False
            self._admission.epoch += 1

    def _forget_own_notes(self) -> None:
        """What a replay noted is not ours to tell."""
        self._board.news.clear()
        for tally in self._board.tallies.values():
            tally.untold, tally.samples = 0, tally.noted

    def switched(self, now_s: float) -> None:
        """Tells the others at once which endpoints were switched by hand here."""
        for i, keeper in enumerate(self._keepers):
            if keeper.enabled != self._enabled[i]:
                self._enabled[i] = keeper.enabled
                self._mine.switches_s[i] = now_s if keeper.enabled else -now_s

    def _tell(self, now_s: float) -> None:
        board, write = self._board, self._mine.write
        news, board.news = board.news, []
        for note in news:
            write(self._lesson(note))
        for tally in board.tallies.values():
            if tally.untold:
                write(Lesson(Kind.GOODS, tally.index, now_s, now_s, stands_for=tally.untold))
                tally.untold = 0
        pace(board.tallies.values(), self._budget)

    def _lesson(self, note: Note) -> Lesson:
        kind, flight, at_s, output_tokens, blame, stands_for = note
        return Lesson(
            kind,
            self._board.tallies[flight.record].index,
            at_s,
            flight.started_s,
            flight.first_content_s,
            flight.input_tokens,
            output_tokens,
            flight.stream,
            flight.overdue,
            blame,
            stands_for,
        )

    def _compare(self, others: list[Slab]) -> None:
        """In-flight counts, gates and switches: shows this worker's, takes over the others'."""
        mine = self._mine
        living = [slab.in_flight for slab in others if slab.pid]
        gates, switches = [mine.gates_s, *(s.gates_s for s in others)], [mine.switches_s, *(s.switches_s for s in others)]
        for i, keeper in enumerate(self._keepers):
            mine.in_flight[i] = keeper.in_flight - self._added[i]
            elsewhere = sum([counts[i] for counts in living])
            if elsewhere != self._added[i]:
                self._add(i, keeper, elsewhere - self._added[i])
            until_s = max([cells[i] for cells in gates])
            if until_s != keeper.gate_until_s:
                mine.gates_s[i] = keeper.gate_until_s = max(until_s, keeper.gate_until_s)
                self._replay.stirred = True
            switch_s = max([cells[i] for cells in switches], key=abs)
            if switch_s and keeper.enabled != (switch_s > 0.0):
                self._enabled[i] = keeper.enabled = switch_s > 0.0
                self._replay.stirred = True

    def _compare_probes(self, others: list[Slab]) -> None:
        """Who probes a suspect makes everybody wait: all together ask it no oftener than one worker would."""
        for i, keeper in enumerate(self._keepers):
            suspicion = keeper.suspicion
            if suspicion.suspect:
                self._mine.probes_s[i] = suspicion.probed_s
                latest_s = max([slab.probes_s[i] for slab in others], default=0.0)
                if latest_s > suspicion.probed_s:
                    suspicion.take_off(latest_s)

    def _add(self, i: int, keeper: Gatekeeper, flights: int) -> None:
        self._added[i] += flights
        keeper.in_flight += flights
        self._board.shift(keeper.endpoint.name, flights)


class Replay:
    """Learns from another worker's lessons what this worker would have learned from the flights themselves.

    `stirred`: something was learned that decisions made so far do not know, more than one more sample of many.
    """

    def __init__(self, board: NotingBoard, keepers: Sequence[Gatekeeper], jitter: Callable[[], float]) -> None:
        self.keepers = keepers
        self._board, self._jitter = board, jitter
        self.stirred = False
        self._bounds: dict[tuple[int, int, float], Bound] = {}  # of overdue flights that have not ended
        self._ways: Mapping[Kind, Callable[[tuple[int, int, float], Lesson, Gatekeeper], None]] = {
            Kind.FIRST_CONTENT: self._first_content,
            Kind.GOOD: self._good,
            Kind.GOODS: self._goods,
            Kind.BAD: self._bad,
            Kind.OVERDUE: self._overdue,
            Kind.DRIPS: self._drips,
            Kind.GONE: self._gone,
        }

    def take(self, slot: int, lesson: Lesson, now_s: float | None = None) -> None:
        """`now_s`: learned as if it had ended now, so that this worker's time never goes back; None: as of when it ended."""
        key, keeper = (slot, lesson.endpoint, lesson.started_s), self.keepers[lesson.endpoint]
        if now_s is not None:
            lesson = _moved(lesson, now_s - lesson.at_s)
        uneasy = lesson.kind in ALARMS or keeper.suspicion.suspect or not keeper.breaker.closed
        if uneasy or not self._board.is_settled(keeper.endpoint.name):
            self.stirred = True
        self._ways[lesson.kind](key, lesson, keeper)

    def _flight(self, key: tuple[int, int, float], lesson: Lesson, keeper: Gatekeeper) -> Flight:
        """The flight as it stands before the lesson. One that was overdue has a bound that the lesson replaces."""
        flight = self._board.begin(keeper.endpoint, lesson.started_s, lesson.input_tokens, None, lesson.stream)
        flight.overdue = lesson.overdue
        flight.bound = self._bounds.pop(key, None) if lesson.overdue else None
        return flight

    def _first_content(self, key: tuple[int, int, float], lesson: Lesson, keeper: Gatekeeper) -> None:
        flight = self._flight(key, lesson, keeper)
        self._board.first_content(flight, lesson.at_s)
        self._board.abandon(flight, lesson.at_s)  # its end is another lesson

    def _good(self, key: tuple[int, int, float], lesson: Lesson, keeper: Gatekeeper) -> None:
        flight = self._flight(key, lesson, keeper)
        flight.first_content_s = lesson.first_content_s
        self._board.answered(flight, lesson.at_s, lesson.output_tokens)
        self._went_well(keeper, lesson)
        self._count(flight, keeper, lesson, lesson.stands_for - 1)

    def _goods(self, key: tuple[int, int, float], lesson: Lesson, keeper: Gatekeeper) -> None:
        flight = self._flight(key, lesson, keeper)
        self._board.finish(flight, lesson.at_s, ok=False, stream=lesson.stream, output_tokens=None)
        self._count(flight, keeper, lesson, lesson.stands_for)

    def _count(self, flight: Flight, keeper: Gatekeeper, lesson: Lesson, times: int) -> None:
        """So many more that ended well, whose times are not told."""
        ok = flight.record.outcomes.ok
        for _ in range(times):
            ok(lesson.at_s)
        for _ in range(min(times, GOODS_THAT_MATTER)):
            self._went_well(keeper, lesson)

    def _went_well(self, keeper: Gatekeeper, lesson: Lesson) -> None:
        keeper.breaker.land(Blame.NONE, lesson.at_s, 0.5, False)
        keeper.refusals = 0
        if not lesson.overdue and keeper.suspicion.good(lesson.at_s):
            self._board.recovered(keeper.endpoint)

    def _bad(self, key: tuple[int, int, float], lesson: Lesson, keeper: Gatekeeper) -> None:
        flight, blame = self._flight(key, lesson, keeper), lesson.blame
        flight.first_content_s = lesson.first_content_s
        self._board.finish(flight, lesson.at_s, ok=False, stream=lesson.stream, output_tokens=None, blame=blame)
        held = keeper.breaker.take_off(lesson.started_s)  # half open here too: a probe from there is as good as one from here
        keeper.breaker.land(blame, lesson.at_s, self._jitter(), held)
        if blame is Blame.RATE:
            keeper.refusals += 1
        if blame in (Blame.ERROR, Blame.SLOW) and not lesson.overdue:
            self._suspect(keeper, lesson)

    def _overdue(self, key: tuple[int, int, float], lesson: Lesson, keeper: Gatekeeper) -> None:
        flight = self._flight(key, lesson, keeper)
        self._board.abandon(flight, lesson.at_s)
        if flight.bound is not None:
            self._bounds[key] = flight.bound
            if len(self._bounds) > BOUNDS_KEPT:
                del self._bounds[next(iter(self._bounds))]
        self._suspect(keeper, lesson)

    def _drips(self, key: tuple[int, int, float], lesson: Lesson, keeper: Gatekeeper) -> None:
        flight = self._flight(key, lesson, keeper)
        flight.first_content_s = lesson.first_content_s
        self._board.drips(flight, lesson.output_tokens or 0, lesson.at_s)
        self._board.abandon(flight, lesson.at_s)  # its end is another lesson
        self._suspect(keeper, lesson)

    def _gone(self, key: tuple[int, int, float], lesson: Lesson, keeper: Gatekeeper) -> None:
        self._board.abandon(self._flight(key, lesson, keeper), lesson.at_s)

    def _suspect(self, keeper: Gatekeeper, lesson: Lesson) -> None:
        if keeper.suspicion.bad(lesson.at_s, self._jitter()):
            self._board.suspected(keeper.endpoint)


def _keepers(admission: Admission, endpoints: Sequence[str]) -> list[Gatekeeper]:
    known = {keeper.endpoint.name: keeper for keeper in admission.keepers()}
    return [known[name] for name in endpoints]


def _moved(lesson: Lesson, by_s: float) -> Lesson:
    """The same lesson, some time later."""
    first_s = lesson.first_content_s
    return msgspec.structs.replace(
        lesson,
        at_s=lesson.at_s + by_s,
        started_s=lesson.started_s + by_s,
        first_content_s=None if first_s is None else first_s + by_s,
    )
