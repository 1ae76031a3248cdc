"""Traces: both formats, rescaling, going round, models."""

import itertools
import statistics
from pathlib import Path

import pytest

from fastroute.sim.traces import Row, Trace, TraceError, load_trace, poisson_trace

CSV = """TIMESTAMP,ContextTokens,GeneratedTokens
2023-11-16 18:15:46.6805900,374,44
2023-11-16 18:15:50.9951690,396,109
2023-11-16 18:15:51.2224670,879,0
"""


def written(tmp_path: Path, text: str, name: str = "t.csv") -> str:
    (tmp_path / name).write_text(text)
    return str(tmp_path / name)


def test_csv_with_seven_decimals(tmp_path):
    trace = load_trace(written(tmp_path, CSV))
    assert [r.at_s for r in trace.rows] == pytest.approx([0.0, 4.314579, 4.541877])
    assert [(r.input_tokens, r.output_tokens) for r in trace.rows] == [(374, 44), (396, 109), (879, 1)]
    assert trace.name == "t.csv"


def test_jsonl_in_any_order(tmp_path):
    text = '{"at_s": 5, "input_tokens": 7, "output_tokens": 3}\n\n{"at_s": 2.5, "input_tokens": 1, "output_tokens": 2}\n'
    assert load_trace(written(tmp_path, text, "t.jsonl")).rows == (Row(0.0, 1, 2), Row(2.5, 7, 3))


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("t.csv", "TIMESTAMP,ContextTokens\n1,2\n", "t.csv:1: no column GeneratedTokens"),
        ("t.csv", CSV + "yesterday,1,2\n", "t.csv:5: "),
        ("t.csv", CSV + "2023-11-16 18:15:52,many,2\n", "t.csv:5: "),
        ("t.csv", CSV + "2023-11-16 18:15:52,1\n", "t.csv:5: "),
        ("t.csv", CSV + "nan,1,2\n", "t.csv:5: not a request"),
        ("t.csv", "TIMESTAMP,ContextTokens,GeneratedTokens\n", "holds no requests"),
        ("t.jsonl", '{"at_s": 1, "input_tokens": 1}\n', "t.jsonl:1: no member 'output_tokens'"),
        ("t.jsonl", '{"at_s": 1, "input_tokens": 1, "output_tokens": -4}\n', "t.jsonl:1: not a request"),
        ("t.jsonl", "no json\n", "t.jsonl:1: "),
    ],
)
def test_what_cannot_be_read_names_its_line(tmp_path, name, text, told):
    with pytest.raises(TraceError) as caught:
        load_trace(written(tmp_path, text, name))
    assert told in str(caught.value)


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(TraceError, match="cannot be read"):
        load_trace(str(tmp_path / "none.csv"))


UNEVEN = Trace((Row(0.0, 1, 1), Row(1.0, 2, 2), Row(1.1, 3, 3), Row(6.0, 4, 4)))


@pytest.mark.parametrize("rate_per_s", [0.3, 1.0, 20.0])
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_a_trace_is_stretched_to_the_rate(rate_per_s, seed):
    rows = list(UNEVEN.arrivals(rate_per_s, 4001, seed))
    assert rows[0].at_s == 0.0
    assert 4000 / rows[-1].at_s == pytest.approx(rate_per_s, rel=0.01)
    assert all(a.at_s <= b.at_s for a, b in itertools.pairwise(rows))


def test_gaps_keep_their_proportions():
    rows = list(UNEVEN.arrivals(1.0, 4, 0))
    gaps = [b.at_s - a.at_s for a, b in itertools.pairwise(rows)]
    assert gaps[0] / gaps[2] == pytest.approx(1.0 / 4.9)


def test_no_rate_is_the_traces_own():
    assert [r.at_s for r in UNEVEN.arrivals(None, 4, 0)] == pytest.approx([0.0, 1.0, 1.1, 6.0])


def test_seeds_begin_at_different_places_and_repeat_exactly():
    firsts = {next(iter(UNEVEN.arrivals(1.0, 1, seed))).input_tokens for seed in range(4)}
    assert len(firsts) > 1
    assert list(UNEVEN.arrivals(1.0, 10, 3)) == list(UNEVEN.arrivals(1.0, 10, 3))


def test_one_row_goes_round():
    rows = list(Trace((Row(0.0, 5, 5),)).arrivals(2.0, 3, 1))
    assert [r.at_s for r in rows] == [0.0, 0.5, 1.0]


def test_poisson_gaps_have_the_rate_and_no_memory():
    rows = list(poisson_trace().arrivals(5.0, 20_000, 7))
    gaps = [b.at_s - a.at_s for a, b in itertools.pairwise(rows)]
    assert statistics.fmean(gaps) == pytest.approx(0.2, rel=0.03)
    assert statistics.stdev(gaps) == pytest.approx(0.2, rel=0.05)
    assert statistics.median(r.input_tokens for r in rows) == pytest.approx(1000, rel=0.1)


def test_output_points_are_quantiles():
    trace = Trace(tuple(Row(0.0, 1, i + 1) for i in range(100)))
    points = trace.output_points(10)
    assert len(points) == 10
    assert points[0] == 6
    assert points[-1] == 96
    assert list(points) == sorted(points)
