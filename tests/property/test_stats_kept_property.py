"""Anything at all may be in the statistics' file: it is refused or it is usable, and nothing else."""

import math
import sys
from pathlib import Path

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.append(str(Path(__file__).resolve().parents[1] / "unit"))

from kept_support import WALL_S, A, experienced, fresh, served

from fastroute.stats.kept import NotKept, decode, encode

BOARD, NOW_S = experienced(200)
DATA = encode(BOARD.kept(NOW_S, WALL_S))


def use(data: bytes) -> bool:
    """Starts with these bytes and serves on. False: they were refused."""
    try:
        found = decode(data)
    except NotKept:
        return False
    board = fresh()
    board.recall(found, 50.0, WALL_S)
    for i in range(25):
        served(board, 51.0 + i, A, 0.4, 50, 10 + 300 * i)
        board.tick(51.9 + i)
    view = board.view(A, 80.0)
    numbers = (view.predicted_ttft_s(500), view.ttft_quantile_s(0.99, 500), view.tpot_s, view.output_tokens, view.effective_n)
    assert all(math.isfinite(n) and n > 0.0 for n in numbers)
    assert all(0.0 <= p <= 1.0 for p in view.ttft_tail.survival)
    encode(board.kept(80.0, WALL_S))
    return True


def test_the_file_itself_is_used():
    assert use(DATA)


@given(st.binary(max_size=300))
def test_any_bytes(data):
    assert not use(data)


@settings(deadline=None)
@given(st.integers(0, len(DATA) - 1), st.binary(min_size=1, max_size=4))
def test_a_damaged_file(at, damage):
    use(DATA[:at] + damage + DATA[at + len(damage) :])


NUMBERS = st.one_of(st.floats(), st.integers(-(2**70), 2**70), st.sampled_from([0, 1e-6, 1e3, 1e5, 1e9, 1e15, 1e18]), st.none())


@settings(deadline=None, max_examples=200)
@given(st.data())
def test_numbers_within_and_out_of_bounds(data):
    """One field of a good file is something else."""
    file = msgspec.json.decode(DATA)
    at = file["endpoints"]["a"]
    while True:
        key = data.draw(st.sampled_from(sorted(at)) if isinstance(at, dict) else st.integers(0, len(at) - 1))
        if not isinstance(at[key], dict | list) or not at[key]:
            break
        at = at[key]
    value = data.draw(NUMBERS)
    at[key] = "x" if isinstance(at[key], str) else value
    use(msgspec.json.encode(file))
