"""Arrival processes: rates, seeds, traces, and how shots are shared among targets."""

import itertools
import random
import statistics
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.arrivals import (
    AnyProcess,
    Arrival,
    Burst,
    Constant,
    Poisson,
    Ramp,
    Replay,
    TraceError,
    interleave,
    read_trace,
)

PROCESSES: list[AnyProcess] = [
    Constant(rate_per_s=50),
    Poisson(rate_per_s=50),
    Ramp(from_per_s=0, to_per_s=100),
    Ramp(from_per_s=90, to_per_s=10),
    Burst(size=20, every_s=0.5, rate_per_s=10),
]


def times(process: AnyProcess, seconds: float = 10.0, seed: int = 1) -> list[float]:
    return [a.at_s for a in process.arrivals(seconds, random.Random(seed))]


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_arrivals_ascend_and_lie_in_the_run(process: AnyProcess) -> None:
    found = times(process)
    assert found == sorted(found)
    assert found[0] >= 0.0
    assert found[-1] < 10.0


@pytest.mark.parametrize("process", PROCESSES, ids=lambda p: type(p).__name__)
def test_the_same_seed_gives_the_same_arrivals(process: AnyProcess) -> None:
    assert times(process, seed=7) == times(process, seed=7)


def test_constant_arrivals_are_evenly_spaced() -> None:
    found = times(Constant(rate_per_s=4), 2.0)
    assert found == [0.0, 0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75]


def test_poisson_gaps_are_exponential() -> None:
    gaps = [b - a for a, b in itertools.pairwise(times(Poisson(rate_per_s=1000), 20.0))]
    mean = statistics.fmean(gaps)
    assert mean == pytest.approx(0.001, rel=0.03)
    assert statistics.pstdev(gaps) / mean == pytest.approx(1.0, rel=0.05)  # the mark of an exponential
    assert sum(g > mean for g in gaps) / len(gaps) == pytest.approx(0.3679, abs=0.015)


def test_poisson_seeds_differ() -> None:
    assert times(Poisson(rate_per_s=10), seed=1) != times(Poisson(rate_per_s=10), seed=2)


@pytest.mark.parametrize(("start", "end"), [(0.0, 100.0), (20.0, 180.0), (180.0, 20.0)])
def test_a_ramps_rate_changes_linearly(start: float, end: float) -> None:
    ramp = Ramp(from_per_s=start, to_per_s=end)
    found = times(ramp)
    assert len(found) == pytest.approx((start + end) / 2 * 10, abs=1)
    for second in (1, 5, 8):
        counted = sum(second <= t < second + 1 for t in found)
        assert counted == pytest.approx(ramp.rate_at(second + 0.5, 10.0), abs=2)


def test_bursts_come_at_one_instant_over_a_background() -> None:
    found = times(Burst(size=20, every_s=0.5, rate_per_s=4), 1.0)
    assert found.count(0.0) == 21
    assert found.count(0.5) == 21
    assert len(found) == 44


def test_a_burst_without_background() -> None:
    assert times(Burst(size=3, every_s=1.0), 2.0) == [0.0, 0.0, 0.0, 1.0, 1.0, 1.0]


# --- interleaving ---


@given(seed=st.integers(0, 1000), targets=st.integers(1, 4), n=st.integers(1, 60))
def test_every_block_has_one_shot_at_every_target(seed: int, targets: int, n: int) -> None:
    arrivals = [Arrival(i * 0.01) for i in range(n)]
    shots = interleave(arrivals, targets, 0.003, random.Random(seed))
    assert sorted((s.block, s.target) for s in shots) == list(itertools.product(range(n), range(targets)))
    assert [s.at_s for s in shots] == sorted(s.at_s for s in shots)
    assert all(0 <= s.at_s - arrivals[s.block].at_s <= 0.003 * targets for s in shots)


def test_either_target_is_first_about_equally_often() -> None:
    shots = interleave([Arrival(i * 0.01) for i in range(2000)], 2, 0.005, random.Random(3))
    first = [s.target for s in shots if s.at_s == s.arrival.at_s]
    assert 0.45 < sum(first) / len(first) < 0.55


def test_a_burst_stays_a_burst_for_each_target() -> None:
    process = Burst(size=10, every_s=1.0)
    shots = interleave(process.arrivals(3.0, random.Random(1)), 2, process.pair_gap_s, random.Random(1))
    for _, group in itertools.groupby(shots, key=lambda s: s.at_s):
        members = list(group)
        assert len(members) == 10
        assert len({s.target for s in members}) == 1


def test_members_of_a_pair_are_half_a_gap_apart() -> None:
    process = Constant(rate_per_s=100)
    shots = interleave(process.arrivals(1.0, random.Random(1)), 2, process.pair_gap_s, random.Random(1))
    gaps = {round(b.at_s - a.at_s, 6) for a, b in itertools.pairwise(shots)}
    assert gaps == {0.005}


# --- traces ---


def write(tmp_path: Path, name: str, text: str) -> Path:
    path = tmp_path / name
    path.write_text(text)
    return path


def test_a_csv_trace_counts_from_its_first_row(tmp_path: Path) -> None:
    text = (
        "TIMESTAMP,ContextTokens,GeneratedTokens\n"
        "2023-11-16 18:17:03.9799600,4808,10\n"
        "2023-11-16 18:17:04.0799600,3180,8\n"
        "2023-11-16 18:17:05,110,27\n"
    )
    found = read_trace(write(tmp_path, "t.csv", text))
    assert [round(a.at_s, 4) for a in found] == [0.0, 0.1, 1.02]
    assert [(a.input_tokens, a.output_tokens) for a in found] == [(4808, 10), (3180, 8), (110, 27)]


def test_spaces_after_commas_and_plain_seconds_are_fine(tmp_path: Path) -> None:
    found = read_trace(write(tmp_path, "t.csv", "TIMESTAMP, ContextTokens, GeneratedTokens\n5.5, 10, 20\n4.5, 1, 2\n"))
    assert found == [Arrival(0.0, 1, 2), Arrival(1.0, 10, 20)]  # sorted by time


def test_a_jsonl_trace_may_leave_sizes_out(tmp_path: Path) -> None:
    text = '{"at_s": 1.0, "input_tokens": 5, "output_tokens": 6}\n\n{"at_s": 3.0, "input_tokens": null}\n'
    assert read_trace(write(tmp_path, "t.jsonl", text)) == [Arrival(0.0, 5, 6), Arrival(2.0, None, None)]


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("t.csv", "TIMESTAMP,ContextTokens\n1,2\n", "t.csv:1: no column GeneratedTokens"),
        ("t.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n1,2,3\n1,many,3\n", "t.csv:3: ContextTokens: cannot read 'many'"),
        ("t.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\nsoon,2,3\n", "t.csv:2: TIMESTAMP: cannot read 'soon'"),
        ("t.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n1,-2,3\n", "t.csv:2: ContextTokens: cannot read '-2'"),
        ("t.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n", "t.csv: no rows"),
        ("t.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n1,2\n", "t.csv:2: GeneratedTokens: cannot read None"),
        ("t.jsonl", '{"at_s": 1}\n{"input_tokens": 1}\n', "t.jsonl:2: at_s: cannot read None"),
        ("t.jsonl", "{\n", "t.jsonl:1: not JSON"),
        ("t.jsonl", "[1]\n", "t.jsonl:1: not an object"),
        ("t.jsonl", '{"at_s": 1, "output_tokens": "x"}\n', "t.jsonl:1: output_tokens: cannot read 'x'"),
    ],
)
def test_a_bad_trace_names_file_line_and_column(tmp_path: Path, name: str, text: str, message: str) -> None:
    with pytest.raises(TraceError) as caught:
        read_trace(write(tmp_path, name, text))
    assert message in str(caught.value)


def test_a_replay_can_be_faster_and_is_cut_at_the_end(tmp_path: Path) -> None:
    path = write(tmp_path, "t.jsonl", "".join(f'{{"at_s": {i}}}\n' for i in range(10)))
    assert times(Replay(file=str(path), speed=2.0), 3.0) == [0.0, 0.5, 1.0, 1.5, 2.0, 2.5]
