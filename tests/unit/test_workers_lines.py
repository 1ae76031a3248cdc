import json
import os
import threading

import pytest

from fastroute.workers.lines import PIPE_PIECE_BYTES, WholeLines, _pieces


@pytest.fixture
def pipe():
    reading, writing = os.pipe()
    yield reading, writing
    for end in (reading, writing):
        os.close(end)


def lines_of(size, count, mark):
    return b"".join(json.dumps({"mark": mark, "n": n, "pad": "x" * size}).encode() + b"\n" for n in range(count))


@pytest.mark.parametrize("size", [10, 300, 1500, 4000])
def test_pieces_end_with_a_line_and_fit_a_pipe(size):
    data = lines_of(size, 50, "a")
    pieces = _pieces(data)
    assert b"".join(pieces) == data
    assert all(piece.endswith(b"\n") and len(piece) <= PIPE_PIECE_BYTES for piece in pieces)
    assert len(pieces) <= 2 * len(data) / PIPE_PIECE_BYTES + 2 or size == 4000


def test_a_line_longer_than_a_pipe_takes_goes_alone():
    long = b"y" * (3 * PIPE_PIECE_BYTES) + b"\n"
    assert _pieces(b"a\n" + long + b"b\n") == [b"a\n", long, b"b\n"]
    assert _pieces(b"") == []


def test_an_unfinished_line_waits_for_its_end(pipe):
    reading, writing = pipe
    stream = WholeLines(writing)
    assert stream.write(b"one\ntw") == 6
    stream.flush()
    assert os.read(reading, 100) == b"one\n"
    stream.write(b"o\n")
    assert os.read(reading, 100) == b"two\n"
    assert not stream.isatty()


def test_two_writers_on_one_pipe_do_not_tear_each_others_lines(pipe):
    reading, writing = pipe
    second = os.dup(writing)
    done = threading.Event()
    data: list[bytes] = []

    def read():
        while not done.is_set() or len(data[-1]) == 65536:
            data.append(os.read(reading, 65536))

    def write(descriptor, mark):
        stream = WholeLines(descriptor)
        for _ in range(20):
            stream.write(lines_of(700, 30, mark))

    reader = threading.Thread(target=read)
    writers = [threading.Thread(target=write, args=(d, m)) for d, m in ((writing, "a"), (second, "b"))]
    for thread in (reader, *writers):
        thread.start()
    for thread in writers:
        thread.join()
    done.set()
    os.write(writing, b'{"mark": "end"}\n')
    reader.join(timeout=10)
    os.close(second)
    rows = [json.loads(line) for line in b"".join(data).splitlines()]
    marks = [row["mark"] for row in rows]
    assert (marks.count("a"), marks.count("b")) == (600, 600)
