"""When requests are due: open-loop arrival processes. Pure and seeded: the same seed gives the same arrivals.

Rules. An arrival does not wait for earlier answers: that is what makes a stall visible. Offsets are seconds from the start,
ascending. An arrival from a trace also says how large the request is; None where the trace does not say.

Theory of operation. Every process gives the arrivals that ONE target sees. `interleave` turns them into shots at several
targets: each arrival is a block, its members go to the targets in random order, `pair_gap_s` apart, so that every target
sees the same load and neighbours in time are compared. Independent displacement keeps a Poisson process Poisson.

Source: "displacement theorem", Kingman, Poisson Processes, 1993; trace columns as in the Azure LLM inference traces.
"""

import csv
import itertools
import json
import math
import random
from collections.abc import Iterable, Iterator
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec

Positive = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class Arrival(NamedTuple):
    """One request that is due `at_s` after the start."""

    at_s: float
    input_tokens: int | None = None
    output_tokens: int | None = None


class Shot(NamedTuple):
    """One send: arrival `block`, to target number `target`."""

    at_s: float
    target: int
    block: int
    arrival: Arrival


class TraceError(ValueError):
    """A trace that cannot be read; the message names file, line and column."""


class Process(msgspec.Struct, frozen=True, forbid_unknown_fields=True, tag_field="kind"):
    """A source of arrivals. `pair_gap_s` is the distance at which a second target gets its member of a pair."""

    def arrivals(self, seconds: float, rng: random.Random) -> Iterator[Arrival]:
        """Arrivals in [0, seconds)."""
        raise NotImplementedError

    @property
    def pair_gap_s(self) -> float:
        raise NotImplementedError


class Constant(Process, frozen=True, tag="constant"):
    """Evenly spaced."""

    rate_per_s: Positive

    def arrivals(self, seconds: float, rng: random.Random) -> Iterator[Arrival]:
        for i in range(math.ceil(seconds * self.rate_per_s)):
            yield Arrival(i / self.rate_per_s)

    @property
    def pair_gap_s(self) -> float:
        return 0.5 / self.rate_per_s


class Poisson(Process, frozen=True, tag="poisson"):
    """Independent users: exponential gaps."""

    rate_per_s: Positive

    def arrivals(self, seconds: float, rng: random.Random) -> Iterator[Arrival]:
        at_s = rng.expovariate(self.rate_per_s)
        while at_s < seconds:
            yield Arrival(at_s)
            at_s += rng.expovariate(self.rate_per_s)

    @property
    def pair_gap_s(self) -> float:
        return 0.5 / self.rate_per_s


class Ramp(Process, frozen=True, tag="ramp"):
    """A rate that changes linearly over the run: for finding where a contender saturates."""

    from_per_s: Annotated[float, msgspec.Meta(ge=0)]
    to_per_s: Positive

    def arrivals(self, seconds: float, rng: random.Random) -> Iterator[Arrival]:
        slope = (self.to_per_s - self.from_per_s) / seconds
        for i in range(math.floor(seconds * (self.from_per_s + self.to_per_s) / 2)):
            yield Arrival(self._when(i, slope))

    def _when(self, i: int, slope: float) -> float:
        """The instant by which `i` arrivals are due: the positive root of from*t + slope*t*t/2 = i, in its stable form."""
        start = self.from_per_s
        return 2 * i / (start + math.sqrt(max(0.0, start * start + 2 * slope * i))) if i else 0.0

    def rate_at(self, at_s: float, seconds: float) -> float:
        """Requests per second due at that instant."""
        return self.from_per_s + (self.to_per_s - self.from_per_s) * at_s / seconds

    @property
    def pair_gap_s(self) -> float:
        return 0.5 / max(self.from_per_s, self.to_per_s)


class Burst(Process, frozen=True, tag="burst"):
    """`size` requests at one instant, every `every_s`, over a constant background of `rate_per_s`."""

    size: Count
    every_s: Positive
    rate_per_s: Annotated[float, msgspec.Meta(ge=0)] = 0.0

    def arrivals(self, seconds: float, rng: random.Random) -> Iterator[Arrival]:
        bursts = (Arrival(i * self.every_s) for i in range(math.ceil(seconds / self.every_s)) for _ in range(self.size))
        steady = Constant(rate_per_s=self.rate_per_s).arrivals(seconds, rng) if self.rate_per_s else iter(())
        return iter(sorted(itertools.chain(bursts, steady)))

    @property
    def pair_gap_s(self) -> float:
        return self.every_s / 2


class Replay(Process, frozen=True, tag="replay"):
    """A recorded trace, `speed` times as fast, from its beginning."""

    file: str
    speed: Positive = 1.0

    def arrivals(self, seconds: float, rng: random.Random) -> Iterator[Arrival]:
        for arrival in read_trace(Path(self.file)):
            if (at_s := arrival.at_s / self.speed) >= seconds:
                return
            yield arrival._replace(at_s=at_s)

    @property
    def pair_gap_s(self) -> float:
        return 0.005


AnyProcess = Constant | Poisson | Ramp | Burst | Replay


def interleave(arrivals: Iterable[Arrival], targets: int, gap_s: float, rng: random.Random) -> list[Shot]:
    """Shots at `targets` targets, in order of time. Arrivals at one instant share one order, so that a burst stays a burst."""
    shots, order, last_s = [], list(range(targets)), -1.0
    for block, arrival in enumerate(arrivals):
        if arrival.at_s != last_s:
            rng.shuffle(order)
            last_s = arrival.at_s
        shots += [Shot(arrival.at_s + place * gap_s, target, block, arrival) for place, target in enumerate(order)]
    shots.sort(key=lambda shot: shot.at_s)
    return shots


def read_trace(path: Path) -> list[Arrival]:
    """A trace from CSV (`TIMESTAMP, ContextTokens, GeneratedTokens`) or JSONL (`at_s, input_tokens, output_tokens`).

    Times count from the first row. Raises TraceError, and OSError where the file cannot be opened.
    """
    with path.open(newline="") as lines:
        rows = list(_json_rows(path, lines) if path.suffix in (".jsonl", ".ndjson") else _csv_rows(path, lines))
    if not rows:
        raise TraceError(f"{path}: no rows")
    rows.sort(key=lambda row: row.at_s)
    return [row._replace(at_s=row.at_s - rows[0].at_s) for row in rows]


def _csv_rows(path: Path, lines: Iterable[str]) -> Iterator[Arrival]:
    reader = csv.DictReader(lines, skipinitialspace=True)
    if missing := [n for n in ("TIMESTAMP", "ContextTokens", "GeneratedTokens") if n not in (reader.fieldnames or [])]:
        raise TraceError(f"{path}:1: no column {missing[0]}")
    for row in reader:
        where = f"{path}:{reader.line_num}"
        at_s = _field(where, "TIMESTAMP", row, _timestamp_s)
        yield Arrival(at_s, _field(where, "ContextTokens", row, _tokens), _field(where, "GeneratedTokens", row, _tokens))


def _json_rows(path: Path, lines: Iterable[str]) -> Iterator[Arrival]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        where = f"{path}:{number}"
        try:
            row = json.loads(line)
        except ValueError as error:
            raise TraceError(f"{where}: not JSON: {error}") from None
        if not isinstance(row, dict):
            raise TraceError(f"{where}: not an object")
        sizes = (
            _field(where, name, row, _tokens) if row.get(name) is not None else None for name in ("input_tokens", "output_tokens")
        )
        yield Arrival(_field(where, "at_s", row, float), *sizes)


def _field(where: str, name: str, row: dict[str, Any], read: Any) -> Any:
    try:
        return read(row[name])
    except (KeyError, ValueError, TypeError):
        raise TraceError(f"{where}: {name}: cannot read {row.get(name)!r}") from None


def _timestamp_s(text: str) -> float:
    """Seconds: a number, or a date and time with up to nine decimals."""
    try:
        return float(text)
    except ValueError:
        whole, _, decimals = text.strip().partition(".")
        return datetime.fromisoformat(whole).timestamp() + (float(f"0.{decimals}") if decimals else 0.0)


def _size(value: Any) -> int | None:
    return None if value is None else _tokens(value)


def _tokens(value: Any) -> int:
    count = int(value)
    if count < 0:
        raise ValueError
    return count
