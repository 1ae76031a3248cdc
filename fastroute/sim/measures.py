"""What a run says: attainment, cost, waste, attempts, detection, recovery, calibration. Pure: records in, numbers out.

Rules. Costs are what the providers charged, not what the router believed. Unknown is None: a fault of an endpoint that had
little traffic has no detection time, a run without an objective no attainment.

Theory of operation. *Detected* is the earliest of: the router mistrusts the endpoint (breaker, suspicion, gate); from then on,
its share of ten first attempts is at most half of what it was in the two minutes before. *Recovered*: its share of ten is at
least half of that again. So strategies without a breaker are measured too, and a score that moves traffic counts as well as a
state machine.

What can go wrong. An endpoint with under a fifth of the traffic before its fault says little: such a phase is not judged.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise

import msgspec

from fastroute.core.money import PUSD_PER_USD
from fastroute.core.types import Role
from fastroute.sim.run import Change, Line, Played
from fastroute.sim.weather import AFFECTING, Phase

BEFORE_S = 120.0
IN_USE_RATIO = 0.2
WINDOW = 10
WORST_S = 10.0
FEWEST_IN_WORST = 5
BINS = (0.0, 0.001, 0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
POINTS = 70


class Numbers(msgspec.Struct, frozen=True):
    """One run in numbers."""

    requests: int
    attainment: float | None
    cost_usd: float | None  # None: an unpriced endpoint was used
    booked_usd: float | None  # what the router believed
    hedge_ratio: float
    hedge_spend_ratio: float | None
    waste_ratio: float | None  # spend on attempts that did not answer
    attempts_per_request: float
    attempts_worst_10s: float | None
    failed_ratio: float  # no answer, or a broken one
    ttft_p50_s: float | None
    ttft_p99_s: float | None


class Reaction(msgspec.Struct, frozen=True):
    """How one fault of one endpoint was met. `attempts`: sent there until it was detected."""

    phase: str
    endpoint: str
    in_use: bool
    detect_s: float | None = None
    attempts: int | None = None
    recover_s: float | None = None


class Bin(msgspec.Struct):
    """First attempts whose predicted P(miss) lay in one range."""

    lo: float
    hi: float
    n: int = 0
    predicted: float = 0.0  # sum, then mean
    missed: int = 0


class Point(msgspec.Struct, frozen=True):
    """A stretch of the run, for charts."""

    at_s: float
    attainment: float | None
    usd_per_request: float | None


def numbers(played: Played) -> Numbers:
    """The run as a whole."""
    lines = played.lines
    tries = [t for line in lines for t in line.tries]
    priced = all(t.cost_pusd is not None for t in tries)
    spent = sum(t.bill_pusd for t in tries) if priced else 0
    hedged = [t for t in tries if t.role is Role.HEDGE]
    judged = [line.met for line in lines if line.met is not None]
    firsts_s = sorted(line.ttft_s for line in lines if line.ttft_s is not None)
    return Numbers(
        requests=len(lines),
        attainment=_share(sum(judged), len(judged)),
        cost_usd=spent / PUSD_PER_USD if priced else None,
        booked_usd=sum(t.cost_pusd or 0 for t in tries) / PUSD_PER_USD if priced else None,
        hedge_ratio=len(hedged) / max(1, len(lines)),
        hedge_spend_ratio=_share(sum(t.bill_pusd for t in hedged), spent),
        waste_ratio=_share(sum(t.bill_pusd for t in tries if not t.won), spent),
        attempts_per_request=len(tries) / max(1, len(lines)),
        attempts_worst_10s=worst_attempts(lines),
        failed_ratio=sum(not any(t.won and t.failure is None for t in line.tries) for line in lines) / max(1, len(lines)),
        ttft_p50_s=_rank(firsts_s, 0.5),
        ttft_p99_s=_rank(firsts_s, 0.99),
    )


def worst_attempts(lines: Sequence[Line]) -> float | None:
    """Attempts per request in the worst ten seconds with at least five requests; None: there were none such."""
    worst, first, attempts = None, 0, 0
    for last, line in enumerate(lines):
        attempts += len(line.tries)
        while line.at_s - lines[first].at_s > WORST_S:
            attempts -= len(lines[first].tries)
            first += 1
        n = last - first + 1
        if n >= FEWEST_IN_WORST:
            worst = max(worst or 0.0, attempts / n)
    return worst


def reactions(played: Played) -> list[Reaction]:
    """How each fault was met, one entry for each endpoint it hit."""
    return [
        _reaction(played, phase, endpoint)
        for phase in played.phases
        if phase.fault.kind in AFFECTING
        for endpoint in phase.fault.endpoints
    ]


def _reaction(played: Played, phase: Phase, endpoint: str) -> Reaction:
    firsts = [(line.tries[0].started_s, line.tries[0].endpoint == endpoint) for line in played.lines if line.tries]
    before = [mine for at_s, mine in firsts if phase.start_s - BEFORE_S <= at_s < phase.start_s]
    usual = sum(before) / max(1, len(before))
    if len(before) < FEWEST_IN_WORST or usual < IN_USE_RATIO:
        return Reaction(phase.name, endpoint, in_use=False)
    found_s = _detected_s(played, phase, endpoint, firsts, usual)
    recovered_s = _first_window_s(firsts, phase.end_s, _next_trouble_s(played, phase, endpoint), lambda share: share >= usual / 2)
    sent = [t.started_s for line in played.lines for t in line.tries if t.endpoint == endpoint]
    return Reaction(
        phase.name,
        endpoint,
        in_use=True,
        detect_s=None if found_s is None else found_s - phase.start_s,
        attempts=None if found_s is None else sum(phase.start_s <= at_s <= found_s for at_s in sent),
        recover_s=None if recovered_s is None else recovered_s - phase.end_s,
    )


def _detected_s(played: Played, phase: Phase, endpoint: str, firsts: list[tuple[float, bool]], usual: float) -> float | None:
    left_s = _first_window_s(firsts, phase.start_s, phase.end_s, lambda share: share <= usual / 2)
    doubts_s = [c.at_s for c in played.changes if c.endpoint == endpoint and c.uneasy and phase.start_s <= c.at_s < phase.end_s]
    already = [c.uneasy for c in played.changes if c.endpoint == endpoint and c.at_s < phase.start_s]
    if already and already[-1]:
        return phase.start_s
    return min([*doubts_s[:1], *([left_s] if left_s is not None else [])], default=None)


def _first_window_s(
    firsts: list[tuple[float, bool]], from_s: float, until_s: float, fits: Callable[[float], bool]
) -> float | None:
    """When the first ten first-attempts begin whose share fits."""
    inside = [(at_s, mine) for at_s, mine in firsts if from_s <= at_s < until_s]
    for i in range(len(inside) - WINDOW + 1):
        if fits(sum(mine for _, mine in inside[i : i + WINDOW]) / WINDOW):
            return inside[i][0]
    return None


def _next_trouble_s(played: Played, phase: Phase, endpoint: str) -> float:
    later = [p.start_s for p in played.phases if endpoint in p.fault.endpoints and p.start_s >= phase.end_s]
    return min(later, default=played.ended_s)


def calibration(runs: Sequence[Played]) -> list[Bin]:
    """Predicted against observed misses of first attempts, over all runs."""
    bins = [Bin(lo, hi) for lo, hi in pairwise(BINS)]
    for line in (line for played in runs for line in played.lines):
        if line.p_miss is not None and line.missed is not None:
            found = next(b for b in bins if line.p_miss < b.hi or b is bins[-1])
            found.n += 1
            found.predicted += line.p_miss
            found.missed += line.missed
    for found in bins:
        found.predicted /= max(1, found.n)
    return [b for b in bins if b.n]


def by_phase(runs: Sequence[Played]) -> dict[str, tuple[int, float | None]]:
    """Requests and attainment during each fault, and outside all of them ("calm")."""
    judged: dict[str, list[bool]] = {"calm": []}
    for played in runs:
        for line in played.lines:
            names = {p.name for p in played.phases if p.start_s <= line.at_s < p.end_s} or {"calm"}
            for name in names if line.met is not None else ():
                judged.setdefault(name, []).append(bool(line.met))
    return {name: (len(met), _share(sum(met), len(met))) for name, met in judged.items()}


def causes(runs: Sequence[Played]) -> dict[str, int]:
    """Missed requests by what their first attempt met, most frequent first."""
    counted: Counter[str] = Counter()
    for played in runs:
        changes: dict[str, list[Change]] = {}
        for change in played.changes:
            changes.setdefault(change.endpoint, []).append(change)
        for line in played.lines:
            if line.met is False:
                counted[_cause(played, changes, line)] += 1
    return dict(counted.most_common())


def _cause(played: Played, changes: dict[str, list[Change]], line: Line) -> str:
    if not line.tries:
        return "nobody could be asked"
    first = line.tries[0]
    ill = any(
        p.start_s <= first.started_s < p.end_s and first.endpoint in p.fault.endpoints and p.fault.kind in AFFECTING
        for p in played.phases
    )
    if ill:
        known = [c.uneasy for c in changes.get(first.endpoint, ()) if c.at_s < first.started_s]
        return "a fault, its endpoint mistrusted" if known and known[-1] else "a fault, its endpoint trusted"
    if first.failure is not None and first.ttft_s is not None:
        return "no fault: cut, or too long for the deadline"
    return "no fault: a late start" if first.failure is not None or (first.ttft_s or 0.0) > 1.0 else "no fault: a long answer"


def over_time(runs: Sequence[Played], points: int = POINTS) -> list[Point]:
    """Attainment and cost per request in equal stretches, over all runs."""
    until_s = max((played.ended_s for played in runs), default=0.0) or 1.0
    step_s = until_s / points
    met: list[list[bool]] = [[] for _ in range(points)]
    spent: list[list[int]] = [[] for _ in range(points)]
    for line in (line for played in runs for line in played.lines):
        i = min(points - 1, int(line.at_s / step_s))
        if all(t.cost_pusd is not None for t in line.tries):
            spent[i].append(sum(t.bill_pusd for t in line.tries))
        if line.met is not None:
            met[i].append(line.met)
    return [
        Point((i + 0.5) * step_s, _share(sum(met[i]), len(met[i])), _share(sum(spent[i]) / PUSD_PER_USD, len(spent[i])))
        for i in range(points)
    ]


def _share(part: float, whole: int) -> float | None:
    return part / whole if whole else None


def _rank(ordered: Sequence[float], q: float) -> float | None:
    return ordered[min(len(ordered) - 1, int(q * len(ordered)))] if ordered else None
