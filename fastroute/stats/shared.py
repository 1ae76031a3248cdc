"""What workers tell each other: one slab of shared memory per worker, written by that worker alone and read by the others.

Rules. One writer per slab, at any time: its worker, or, once that has died, whoever reclaims the slab. Readers never write,
never wait and never lock. Everything is over a writable buffer that somebody else made; nothing here knows processes.

Theory of operation. A slab holds plain cells (in flight, rate-limit gate, switch and last probe per endpoint; a few named
totals), each an aligned 8-byte word that a reader sees whole; and a ring of lessons. A lesson is written first and counted
after it. Its record carries its own number and a checksum, so a reader that comes too early finds it unfinished and asks
again later, and one that comes too late finds another lesson in its place, skips forward and counts what it lost. Instants
are on the monotonic clock, which all processes of a machine share.

What can go wrong. A worker dies in the middle of a record: it was not counted yet, and its successor writes over it. A slab
whose worker is gone shows nobody in flight; its lessons, gates, switches and totals stay, for the successor to begin with.
"""

import math
import struct
import zlib

import msgspec

from fastroute.core.failures import Blame
from fastroute.stats.lessons import KINDS, Lesson

RING_LESSONS = 4096
TOTALS = 32  # words for budgets and the like
_WORD_BYTES = 8
_PID, _GENERATION, _WRITTEN, _ADMIN_PORT, _LOST = range(5)
_HEADER_WORDS = 8
_BLAMES = tuple(Blame)
_KIND_CODES = {kind: code for code, kind in enumerate(KINDS)}
_BLAME_CODES = {blame: code for code, blame in enumerate(_BLAMES)}
_BODY = struct.Struct("=QdddiiIHBBBB2x")
_CHECK = struct.Struct("=I")
_RECORD_BYTES = 56


class Reading(msgspec.Struct, frozen=True):
    """Lessons read from a ring, where to read on, and how many were overwritten before they could be read."""

    lessons: list[Lesson]
    next: int
    lost: int = 0


class Slab:
    """One worker's part of the shared memory. `memory` is exactly `Slab.size_bytes(endpoints)` long.

    `totals`: named sums, which outlive their worker. By endpoint: `in_flight`, attempts under way; `gates_s`, when the rate-limit
    gate opens (0.0: it is open); `switches_s`, when it was last switched by hand (on positive, off negative, 0.0 never);
    `probes_s`, when it was last sent an attempt as a suspect (0.0 never).
    """

    def __init__(self, memory: memoryview, endpoints: int) -> None:
        parts = _split(memory, _HEADER_WORDS, TOTALS, endpoints, endpoints, endpoints, endpoints)
        self._header, self.totals, self.in_flight = parts[0].cast("q"), parts[1].cast("q"), parts[2].cast("q")
        self.gates_s, self.switches_s = parts[3].cast("d"), parts[4].cast("d")
        self.probes_s, self._ring = parts[5].cast("d"), parts[6]

    @staticmethod
    def size_bytes(endpoints: int) -> int:
        return (_HEADER_WORDS + TOTALS + 4 * endpoints) * _WORD_BYTES + RING_LESSONS * _RECORD_BYTES

    # --- whose it is ---

    @property
    def pid(self) -> int:
        """The worker's process; 0 while it has none."""
        return int(self._header[_PID])

    @property
    def generation(self) -> int:
        """How many workers have had this slab."""
        return int(self._header[_GENERATION])

    @property
    def written(self) -> int:
        """How many lessons were ever written."""
        return int(self._header[_WRITTEN])

    @property
    def admin_port(self) -> int:
        """Where the worker answers its operators' questions; 0 while it does not."""
        return int(self._header[_ADMIN_PORT])

    @admin_port.setter
    def admin_port(self, port: int) -> None:
        self._header[_ADMIN_PORT] = port

    @property
    def lost(self) -> int:
        """How many of the others' lessons this worker came too late for."""
        return int(self._header[_LOST])

    @lost.setter
    def lost(self, lessons: int) -> None:
        self._header[_LOST] = lessons

    def take_over(self, pid: int) -> None:
        """A worker begins: its own from here on."""
        self.reclaim()
        self._header[_LOST] = 0
        self._header[_GENERATION] += 1
        self._header[_PID] = pid

    def reclaim(self) -> None:
        """Its worker is gone: nothing of it is in flight any more."""
        self._header[_PID] = self._header[_ADMIN_PORT] = 0
        for i in range(len(self.in_flight)):
            self.in_flight[i] = 0

    # --- lessons ---

    def write(self, lesson: Lesson) -> None:
        """Appends one lesson."""
        number = self._header[_WRITTEN]
        body = _packed(number, lesson)
        at = number % RING_LESSONS * _RECORD_BYTES
        self._ring[at : at + _RECORD_BYTES] = body + _CHECK.pack(zlib.crc32(body))
        self._header[_WRITTEN] = number + 1

    def read(self, since: int, until: int | None = None) -> Reading:
        """The lessons from number `since` on, as far as they are complete (and below `until`)."""
        written = self.written if until is None else min(until, self.written)
        start = max(since, written - RING_LESSONS)
        lost, lessons = start - since, []
        for number in range(start, written):
            at = number % RING_LESSONS * _RECORD_BYTES
            found, lesson = _unpacked(bytes(self._ring[at : at + _RECORD_BYTES]))
            if found == number and lesson is not None:
                lessons.append(lesson)
            elif self.written - number < RING_LESSONS:  # counted, but not yet all to be seen from here
                return Reading(lessons, number, lost)
            else:
                lost += 1
        return Reading(lessons, max(written, since), lost)


class Slabs:
    """The slabs of all workers, side by side in one buffer of `size_bytes(workers, endpoints)`."""

    def __init__(self, memory: memoryview, workers: int, endpoints: int) -> None:
        size = Slab.size_bytes(endpoints)
        self._slabs = [Slab(memory[i * size : (i + 1) * size], endpoints) for i in range(workers)]

    @staticmethod
    def size_bytes(workers: int, endpoints: int) -> int:
        return workers * Slab.size_bytes(endpoints)

    def __len__(self) -> int:
        return len(self._slabs)

    def __getitem__(self, slot: int) -> Slab:
        return self._slabs[slot]

    def others(self, slot: int) -> list[tuple[int, Slab]]:
        """Everybody's but this one's, with their slots."""
        return [(i, slab) for i, slab in enumerate(self._slabs) if i != slot]

    def total(self, which: int) -> int:
        """One of the `totals`, over all workers, dead ones too."""
        return sum(slab.totals[which] for slab in self._slabs)


def _split(memory: memoryview, *words: int) -> list[memoryview]:
    """The memory as consecutive parts of so many words each, and the rest."""
    parts, at = [], 0
    for count in words:
        parts.append(memory[at : at + count * _WORD_BYTES])
        at += count * _WORD_BYTES
    return [*parts, memory[at:]]


def _packed(number: int, lesson: Lesson) -> bytes:
    return _BODY.pack(
        number,
        lesson.at_s,
        lesson.started_s,
        math.nan if lesson.first_content_s is None else lesson.first_content_s,
        _int32(lesson.input_tokens),
        -1 if lesson.output_tokens is None else _int32(lesson.output_tokens),
        lesson.stands_for,
        lesson.endpoint,
        _KIND_CODES[lesson.kind],
        _BLAME_CODES[lesson.blame],
        lesson.stream,
        lesson.overdue,
    )


def _unpacked(record: bytes) -> tuple[int, Lesson | None]:
    """A record's number and its lesson; None where the record is not whole."""
    body = record[: _BODY.size]
    if _CHECK.unpack_from(record, _BODY.size)[0] != zlib.crc32(body):
        return -1, None
    number, at_s, started_s, first_s, inputs, outputs, stands_for, endpoint, kind, blame, stream, late = _BODY.unpack(body)
    return number, Lesson(
        KINDS[kind],
        endpoint,
        at_s,
        started_s,
        None if math.isnan(first_s) else first_s,
        inputs,
        None if outputs < 0 else outputs,
        bool(stream),
        bool(late),
        _BLAMES[blame],
        stands_for,
    )


def _int32(count: int) -> int:
    return min(max(count, 0), 0x7FFFFFFF)
