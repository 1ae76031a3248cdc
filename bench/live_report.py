"""Live and simulated side by side: by phase, and as a whole. Pure.

How to read it. The live run is one draw of luck. `simulated` is the mean over many draws with the same arrivals and faults, and
the range that holds 95 % of such draws; a live share outside of it is a disagreement. The interval of the live share (Wilson)
says how far its luck may have moved it.
"""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from bench.live_plan import Seen
from bench.live_run import Live, shares
from fastroute.sim.measures import numbers
from fastroute.sim.run import Played
from fastroute.sim.table import markdown
from fastroute.sim.weather import Phase

AGREE_POINTS = 2.0
Z_95 = 1.959964


class Range(msgspec.Struct, frozen=True):
    """A value and the range that holds it in 95 of 100 cases."""

    value: float
    lo: float
    hi: float

    def __contains__(self, value: float) -> bool:
        return self.lo <= value <= self.hi


class Row(msgspec.Struct, frozen=True):
    """Attainment during one phase."""

    phase: str
    n: int
    live: Range
    simulated: Range

    @property
    def points(self) -> float:
        return 100.0 * (self.live.value - self.simulated.value)

    @property
    def usual(self) -> bool:
        """Whether the live share is one that the simulator often gives too."""
        return self.live.value in self.simulated or self.simulated.value in self.live


def wilson(met: int, n: int) -> Range:
    """A share with its 95 % interval. Source: Wilson 1927."""
    share, z2 = met / n, Z_95 * Z_95
    middle = (share + z2 / (2 * n)) / (1 + z2 / n)
    half = Z_95 / (1 + z2 / n) * math.sqrt(share * (1 - share) / n + z2 / (4 * n * n))
    return Range(share, max(0.0, min(share, middle - half)), min(1.0, max(share, middle + half)))


def spread(values: Sequence[float]) -> Range:
    """Mean and 2.5 to 97.5 % of draws; of few, their extremes."""
    ordered = sorted(values)
    cut = int(0.025 * len(ordered))
    return Range(sum(values) / len(values), ordered[cut], ordered[-1 - cut])


def rows(live: Sequence[Live], played: Sequence[Played]) -> list[Row]:
    """ "all", "calm", then each phase. Every run has the same arrivals and phases."""
    found = []
    for name in ("all", "calm", *dict.fromkeys(p.name for p in played[0].phases)):
        mine = [s for run in live for s in run.seen if name in _labels(s.at_s, played[0].phases)]
        draws = [_attained(p, name) for p in played]
        known = [d for d in draws if d is not None]
        if mine and known:
            found.append(Row(name, len(mine), wilson(sum(s.met for s in mine), len(mine)), spread(known)))
    return found


def _labels(at_s: float, schedule: Sequence[Phase]) -> set[str]:
    return {"all"} | ({p.name for p in schedule if p.start_s <= at_s < p.end_s} or {"calm"})


def _attained(played: Played, name: str) -> float | None:
    met = [line.met for line in played.lines if line.met is not None and name in _labels(line.at_s, played.phases)]
    return sum(met) / len(met) if met else None


def figures(live: Sequence[Live], played: Sequence[Played]) -> dict[str, tuple[float, Range]]:
    """Other numbers of both: live as a whole, simulated as a range of draws."""
    own, drawn = [_live_figures(run) for run in live], [_played_figures(p) for p in played]
    names = dict.fromkeys(name for found in (*own, *drawn) for name in found)
    return {name: (sum(o.get(name, 0.0) for o in own) / len(own), spread([d.get(name, 0.0) for d in drawn])) for name in names}


def _live_figures(run: Live) -> dict[str, float]:
    known = [s for s in run.seen if s.tried]
    firsts_s = sorted(s.ttft_s for s in run.seen if s.ttft_s is not None and not s.failure)
    return {
        "attempts a request": sum(len(s.tried) for s in known) / max(1, len(known)),
        "cost, USD": float(run.bill["total_usd"]),
        "failed %": 100.0 * sum(bool(s.failure) for s in run.seen) / len(run.seen),
        "TTFT p50, s": firsts_s[int(0.5 * len(firsts_s))],
        "TTFT p99, s": firsts_s[int(0.99 * len(firsts_s))],
        **{f"{name}: first attempts %": 100.0 * share for name, share in shares([s.tried[0] for s in known]).items()},
    }


def _played_figures(played: Played) -> dict[str, float]:
    found = numbers(played)
    firsts = [line.tries[0].endpoint for line in played.lines if line.tries]
    return {
        "attempts a request": found.attempts_per_request,
        "cost, USD": found.cost_usd or 0.0,
        "failed %": 100.0 * found.failed_ratio,
        "TTFT p50, s": found.ttft_p50_s or 0.0,
        "TTFT p99, s": found.ttft_p99_s or 0.0,
        **{f"{name}: first attempts %": 100.0 * share for name, share in shares(firsts).items()},
    }


def verdict(found: Sequence[Row]) -> tuple[bool, str]:
    """Whether the two agree as a whole, and the sentence that says so."""
    whole, odd = found[0], [row.phase for row in found if not row.usual]
    agree = abs(whole.points) <= AGREE_POINTS
    says = f"live {whole.live.value:.2%}, simulated {whole.simulated.value:.2%}: {abs(whole.points):.2f} points apart"
    says += f" ({'within' if agree else 'NOT within'} {AGREE_POINTS:g})"
    return agree, says + (f"; unlike in: {', '.join(odd)}" if odd else "; alike throughout")


def text(found: Sequence[Row], others: Mapping[str, tuple[float, Range]], live: Sequence[Live]) -> str:
    """Both tables, and how the driver did. Markdown."""
    cells = [[r.phase, str(r.n), _percent(r.live), _percent(r.simulated), f"{r.points:+.2f}", _word(r)] for r in found]
    more = [[name, f"{value:.3f}", f"{r.value:.3f} ({r.lo:.3f} to {r.hi:.3f})"] for name, (value, r) in others.items()]
    return "\n".join(
        (
            markdown(("phase", "requests", "live %", "simulated %", "points", ""), cells),
            "",
            markdown(("", "live", "simulated"), more),
            "",
            *(_driver(run) for run in live),
        )
    )


def _percent(r: Range) -> str:
    return f"{100 * r.value:.2f} ({100 * r.lo:.2f} to {100 * r.hi:.2f})"


def _word(row: Row) -> str:
    return "alike" if row.usual else "unlike"


def _driver(run: Live) -> str:
    judged = [s for s in run.seen if s.met_by_log is not None]
    differs = sum(s.met != s.met_by_log for s in judged)
    return (
        f"driver lag p99 {run.lag_p99_ms:.2f} ms; sidecar busy {run.busy_ratio:.1%} of its core, kept waiting "
        f"{run.waited_ratio:.1%}; client and router judge {differs} of {len(judged)} requests differently"
    )


def plain(found: Sequence[Row], others: Mapping[str, tuple[float, Range]], live: Sequence[Live]) -> dict[str, Any]:
    """JSON-ready; of the requests, those that missed."""
    seen: list[Seen] = [s for run in live for s in run.seen]
    return {
        "rows": [{**msgspec.to_builtins(row), "points": row.points, "alike": row.usual} for row in found],
        "figures": {name: {"live": value, "simulated": msgspec.to_builtins(r)} for name, (value, r) in others.items()},
        "driver": [
            {"lag_p99_ms": r.lag_p99_ms, "sidecar_busy_ratio": r.busy_ratio, "sidecar_waited_ratio": r.waited_ratio} for r in live
        ],
        "missed": [msgspec.to_builtins(s) for s in seen if not s.met],
    }
