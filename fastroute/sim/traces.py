"""Arrivals and sizes: from a recorded trace, rescaled to a rate, or from a model.

Theory of operation. A trace's gaps are kept in proportion and stretched so that its mean rate is the one asked for; a run that
needs more requests than the trace has goes round it. Each seed begins at another place of the trace, so that seeds differ in
more than the providers' luck. A trace has no prompt text: sizes are all that a router's choice depends on.

What can go wrong. A trace that is stretched keeps its bursts in shape but not in absolute time.
"""

import csv
import json
import math
import random
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

COLUMNS = ("TIMESTAMP", "ContextTokens", "GeneratedTokens")
MODEL = "poisson"
MODEL_ROWS = 4096


class TraceError(ValueError):
    """The trace cannot be read; the message names the file and the line."""


class Row(msgspec.Struct, frozen=True, gc=False):
    """One request of a trace. `at_s` counts from the first."""

    at_s: float
    input_tokens: int
    output_tokens: int


class Trace(msgspec.Struct, frozen=True):
    """Rows in the order of time. `poisson`: gaps are drawn anew for every run, sizes are the rows'."""

    rows: tuple[Row, ...]
    poisson: bool = False
    name: str = ""

    @property
    def mean_gap_s(self) -> float:
        """Between arrivals; 1 s where there are too few rows to tell."""
        span_s = self.rows[-1].at_s - self.rows[0].at_s
        return span_s / (len(self.rows) - 1) if len(self.rows) > 1 and span_s > 0.0 else 1.0

    def arrivals(self, rate_per_s: float | None, requests: int, seed: int) -> Iterator[Row]:
        """So many rows with their times from 0, at a mean rate; None: the trace's own."""
        rows, n = self.rows, len(self.rows)
        gap_s = self.mean_gap_s if rate_per_s is None else 1.0 / rate_per_s
        start, rng = (seed * 7919) % n, random.Random(seed ^ 0x7ACE)
        at_s = 0.0
        for i in range(requests):
            row = rows[(start + i) % n]
            if i:
                before = rows[(start + i - 1) % n]
                own_s = row.at_s - before.at_s if row is not rows[0] else self.mean_gap_s
                at_s += rng.expovariate(1.0 / gap_s) if self.poisson else own_s * gap_s / self.mean_gap_s
            yield Row(at_s, row.input_tokens, row.output_tokens)

    def output_points(self, n: int = 40) -> tuple[int, ...]:
        """Answer lengths at evenly spaced quantiles, ascending: what an oracle knows of their distribution."""
        lengths = sorted(row.output_tokens for row in self.rows)
        return tuple(lengths[int((i + 0.5) / n * len(lengths))] for i in range(n))


def load_trace(source: str) -> Trace:
    """A CSV or JSONL file, or the model `poisson`. Raises `TraceError`."""
    if source == MODEL:
        return poisson_trace()
    path = Path(source)
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise TraceError(f"{path}: cannot be read: {error}") from None
    rows = _jsonl(text, source) if path.suffix in (".jsonl", ".ndjson") else _csv(text, source)
    if not rows:
        raise TraceError(f"{path}: holds no requests")
    rows.sort(key=lambda row: row.at_s)
    return Trace(tuple(Row(r.at_s - rows[0].at_s, r.input_tokens, r.output_tokens) for r in rows), name=path.name)


def poisson_trace(input_median: float = 1000.0, output_median: float = 129.0, seed: int = 1) -> Trace:
    """Sizes log-normal around the medians; arrivals without memory."""
    rng = random.Random(seed)
    sizes = [(input_median * math.exp(rng.gauss(0, 0.7)), output_median * math.exp(rng.gauss(0, 0.9))) for _ in range(MODEL_ROWS)]
    rows = tuple(Row(float(i), max(1, round(x)), max(1, min(2000, round(y)))) for i, (x, y) in enumerate(sizes))
    return Trace(rows, poisson=True, name=MODEL)


def _csv(text: str, source: str) -> list[Row]:
    reader = csv.DictReader(text.splitlines())
    missing = [c for c in COLUMNS if c not in (reader.fieldnames or ())]
    if missing:
        raise TraceError(f"{source}:1: no column {', '.join(missing)} (needs {', '.join(COLUMNS)})")
    rows = []
    for number, record in enumerate(reader, 2):
        try:
            rows.append(_row(_instant_s(record[COLUMNS[0]]), record[COLUMNS[1]], record[COLUMNS[2]]))
        except (ValueError, TypeError) as error:
            raise TraceError(f"{source}:{number}: {error}") from None
    return rows


def _jsonl(text: str, source: str) -> list[Row]:
    rows = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
            rows.append(_row(float(record["at_s"]), record["input_tokens"], record["output_tokens"]))
        except KeyError as error:
            raise TraceError(f"{source}:{number}: no member {error}") from None
        except (ValueError, TypeError) as error:
            raise TraceError(f"{source}:{number}: {error}") from None
    return rows


def _row(at_s: float, input_tokens: object, output_tokens: object) -> Row:
    given = int(str(input_tokens)), int(str(output_tokens))
    if not math.isfinite(at_s) or given[0] < 0 or given[1] < 0:
        raise ValueError(f"not a request: {at_s}, {input_tokens}, {output_tokens}")
    return Row(at_s, max(1, given[0]), max(1, given[1]))


def _instant_s(text: str) -> float:
    """Seconds, or a date and time with up to seven decimals."""
    try:
        return float(text)
    except ValueError:
        whole, dot, rest = text.strip().partition(".")
        return datetime.fromisoformat(whole + "+00:00").timestamp() + (float(f"0.{rest}") if dot else 0.0)
