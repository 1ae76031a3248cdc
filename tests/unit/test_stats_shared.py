import multiprocessing
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.core.failures import Blame
from fastroute.stats import shared
from fastroute.stats.lessons import Kind, Lesson
from fastroute.stats.shared import Slab, Slabs


def slab(endpoints=3):
    return Slab(memoryview(bytearray(Slab.size_bytes(endpoints))), endpoints)


def slabs(workers=2, endpoints=3):
    return Slabs(memoryview(bytearray(Slabs.size_bytes(workers, endpoints))), workers, endpoints)


def lesson(n=0, **kwargs):
    return Lesson(Kind.GOOD, n % 3, 100.0 + n, 99.0 + n, **kwargs)


@pytest.fixture
def short_ring(monkeypatch):
    monkeypatch.setattr(shared, "RING_LESSONS", 8)


LESSONS = st.builds(
    Lesson,
    st.sampled_from(Kind),
    st.integers(0, 65535),
    st.floats(0, 1e9),
    st.floats(0, 1e9),
    st.none() | st.floats(0, 1e9),
    st.integers(0, 2**31 - 1),
    st.none() | st.integers(0, 2**31 - 1),
    st.booleans(),
    st.booleans(),
    st.sampled_from(Blame),
    st.integers(1, 2**32 - 1),
)


@given(st.lists(LESSONS, max_size=20))
def test_what_is_written_is_read_whole_and_in_order(lessons):
    board = slab()
    for told in lessons:
        board.write(told)
    reading = board.read(0)
    assert (reading.lessons, reading.next, reading.lost) == (lessons, len(lessons), 0)


def test_a_reader_goes_on_where_it_stopped():
    board = slab()
    board.write(lesson(1))
    first = board.read(0)
    assert board.read(first.next).lessons == []
    board.write(lesson(2))
    board.write(lesson(3))
    assert board.read(first.next).lessons == [lesson(2), lesson(3)]
    assert board.read(0, until=2).lessons == [lesson(1), lesson(2)]


def test_a_reader_that_was_lapped_skips_forward_and_counts_what_it_lost(short_ring):
    board = slab()
    for n in range(21):
        board.write(lesson(n))
    reading = board.read(2)
    assert [told.at_s for told in reading.lessons] == [100.0 + n for n in range(13, 21)]
    assert (reading.next, reading.lost) == (21, 11)


def test_a_record_that_is_counted_but_not_whole_is_asked_for_again():
    board = slab()
    for n in range(3):
        board.write(lesson(n))
    kept = bytes(board._ring[56:112])
    board._ring[60:64] = b"\xff\xff\xff\xff"  # the second record, as a reader on another core may see it for a moment
    reading = board.read(0)
    assert (reading.lessons, reading.next, reading.lost) == ([lesson(0)], 1, 0)
    board._ring[56:112] = kept
    assert board.read(reading.next).lessons == [lesson(1), lesson(2)]


def test_a_record_overwritten_while_it_is_read_is_lost_and_never_mixed(short_ring, monkeypatch):
    board = slab()
    for n in range(8):
        board.write(lesson(n))
    unpacked = shared._unpacked
    calls = []

    def slow(record):
        if not calls:
            for n in range(8, 11):  # the writer laps the reader in the middle
                board.write(lesson(n))
        calls.append(record)
        return unpacked(record)

    monkeypatch.setattr(shared, "_unpacked", slow)
    reading = board.read(0)
    assert reading.lessons[0] == lesson(0)  # its bytes were copied before
    assert [told.at_s for told in reading.lessons[1:]] == [100.0 + n for n in range(3, 8)]
    assert (reading.next, reading.lost) == (8, 2)


def test_a_writer_that_died_within_a_record_left_nothing():
    board = slab()
    board.write(lesson(0))
    board._ring[56:90] = b"x" * 34
    assert board.read(0).lessons == [lesson(0)]
    board.write(lesson(1))  # its successor
    assert board.read(0).lessons == [lesson(0), lesson(1)]


def test_numbers_beyond_the_record_are_clamped():
    board = slab()
    board.write(lesson(input_tokens=2**40, output_tokens=2**40))
    assert board.read(0).lessons[0].input_tokens == board.read(0).lessons[0].output_tokens == 2**31 - 1


def test_a_dead_workers_flights_vanish_and_what_it_knew_stays():
    board = slab()
    board.take_over(41)
    board.admin_port = 4711
    board.in_flight[1], board.gates_s[1], board.switches_s[2], board.totals[0] = 7, 123.5, -9.0, 55
    board.write(lesson(0))
    board.reclaim()
    assert (board.pid, board.admin_port, list(board.in_flight)) == (0, 0, [0, 0, 0])
    board.take_over(42)
    assert (board.pid, board.generation, board.gates_s[1], board.switches_s[2], board.totals[0]) == (42, 2, 123.5, -9.0, 55)
    assert board.read(0).lessons == [lesson(0)]


def test_slabs_do_not_touch_each_other():
    crew = slabs(3, 2)
    for slot in range(3):
        crew[slot].take_over(10 + slot)
        for i in range(2):
            crew[slot].in_flight[i] = 100 * slot + i
            crew[slot].gates_s[i] = crew[slot].switches_s[i] = slot + 0.5
        for n in range(shared.RING_LESSONS + slot):
            crew[slot].write(lesson(n))
    for slot in range(3):
        assert list(crew[slot].in_flight) == [100 * slot, 100 * slot + 1]
        assert list(crew[slot].gates_s) == [slot + 0.5] * 2
        assert (crew[slot].pid, crew[slot].written) == (10 + slot, shared.RING_LESSONS + slot)
        assert len(crew[slot].read(0).lessons) == shared.RING_LESSONS
    assert [slot for slot, _ in crew.others(1)] == [0, 2]


def test_totals_add_up_over_all_workers():
    crew = slabs(2)
    crew[0].totals[4] += 5
    crew[1].totals[4] += 6
    crew[1].reclaim()
    assert crew.total(4) == 11
    assert crew.total(5) == 0
    assert len(crew) == 2


def test_words_are_aligned_so_that_they_are_seen_whole():
    assert Slab.size_bytes(1) % 8 == Slab.size_bytes(7) % 8 == 0
    assert struct.calcsize("=QdddiiIHBBBB2xI") == shared._RECORD_BYTES


def write_many(memory, count):
    board = Slab(memoryview(memory).cast("B"), 3)
    for n in range(count):
        board.write(lesson(n, input_tokens=n, output_tokens=n))


def test_a_reader_beside_a_quick_writer_never_sees_half_a_lesson():
    context = multiprocessing.get_context("spawn")
    memory = context.RawArray("B", Slab.size_bytes(3))
    board = Slab(memoryview(memory).cast("B"), 3)
    count = 30_000
    writer = context.Process(target=write_many, args=(memory, count))
    writer.start()
    seen, lost, at = 0, 0, 0
    while at < count and (writer.is_alive() or board.written > at):
        reading = board.read(at)
        for told in reading.lessons:
            n = told.input_tokens
            assert told == lesson(n, input_tokens=n, output_tokens=n)
        seen, lost, at = seen + len(reading.lessons), lost + reading.lost, reading.next
    writer.join()
    assert writer.exitcode == 0
    assert (seen + lost, at) == (count, count)
    assert seen
