"""A comparison: every contender on every seed, with the state oracle beside them; as records, JSON and a table.

Theory of operation. Runs are independent, so they are spread over processes; results come back in a fixed order. The state
oracle's frontier (`frontier.py`) is the yardstick: a contender's cost is compared with it at the target, and at the contender's
own attainment, for cheap and late is no bargain.

What can go wrong. With one seed there are no intervals, and they are None.
"""

import math
import statistics
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import Any

import msgspec

from fastroute.sim import measures
from fastroute.sim.frontier import Frontier, rod_key, rods
from fastroute.sim.measures import Reaction
from fastroute.sim.run import Contender, Played, Setting, play

T_975 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160, 2.145, 2.131)


class Estimate(msgspec.Struct, frozen=True):
    """A mean over seeds with its 95 % interval (Student's t); None: not known."""

    mean: float | None
    lo: float | None = None
    hi: float | None = None


class FaultRow(msgspec.Struct, frozen=True):
    """How one fault was met, over seeds and repetitions. `times`: how often the endpoint was in use when it came."""

    fault: str
    endpoint: str
    times: int
    detected: int
    detect_s: Estimate
    detect_attempts: Estimate
    recovered: int
    recover_s: Estimate


class Summary(msgspec.Struct, frozen=True):
    """One contender over all seeds."""

    name: str
    strategy: str
    workers: int
    requests: int
    target: float
    attainment: Estimate
    cost_usd: Estimate
    booked_usd: Estimate
    cost_vs_state_oracle: Estimate  # at the target
    cost_vs_state_oracle_equal: Estimate  # at the contender's own attainment
    hedge_ratio: Estimate
    hedge_spend_ratio: Estimate
    waste_ratio: Estimate
    attempts_per_request: Estimate
    attempts_worst_10s: Estimate
    failed_ratio: Estimate
    ttft_p50_s: Estimate
    ttft_p99_s: Estimate
    detect_s: Estimate
    recover_s: Estimate
    faults: tuple[FaultRow, ...]
    calibration: tuple[measures.Bin, ...]
    misses: dict[str, int]  # by what their first attempt met
    phases: dict[str, tuple[int, float | None]]
    series: tuple[measures.Point, ...]


class Comparison(msgspec.Struct, frozen=True):
    """All contenders under one setting. `shades`: faults of the first seed, for charts."""

    about: dict[str, Any]
    configs: tuple[Summary, ...]
    oracle: dict[str, tuple[tuple[float, float], ...]]  # route's name -> mean frontier
    shades: tuple[tuple[str, float, float], ...]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready. See docs/simulation.md."""
        plain: dict[str, Any] = msgspec.to_builtins(self)
        return plain


def compare(
    contenders: Sequence[Contender], setting: Setting, seeds: int, *, oracle: bool = True, processes: int | None = None
) -> Comparison:
    """Plays everything. `processes` 1: in this one; None: as many as there are processors."""
    yardsticks = rods(contenders) if oracle else {}
    every = [*contenders, *(rod for group in yardsticks.values() for rod in group)]
    work = [(contender, seed) for contender in every for seed in range(1, seeds + 1)]
    played = _spread(work, setting, processes)
    runs = {c.name: played[i * seeds : (i + 1) * seeds] for i, c in enumerate(every)}
    frontiers = {key: Frontier.of([runs[rod.name] for rod in group]) for key, group in yardsticks.items()}
    summaries = tuple(summary(c, runs[c.name], frontiers.get(rod_key(c.route))) for c in contenders)
    first = runs[contenders[0].name][0]
    return Comparison(
        _about(setting, seeds),
        summaries,
        {key: found.means() for key, found in frontiers.items()},
        tuple((p.name, p.start_s, p.end_s) for p in first.phases),
    )


def _about(setting: Setting, seeds: int) -> dict[str, Any]:
    return {
        "trace": setting.trace.name,
        "rate_per_s": setting.rate_per_s or 1.0 / setting.trace.mean_gap_s,
        "requests_per_seed": setting.requests,
        "seeds": seeds,
        "stream": setting.stream,
        "world": setting.world.about,
    }


def _spread(work: list[tuple[Contender, int]], setting: Setting, processes: int | None) -> list[Played]:
    if processes == 1 or len(work) == 1:
        return [play(contender, setting, seed) for contender, seed in work]
    with ProcessPoolExecutor(processes, mp_context=get_context("spawn")) as pool:
        return list(pool.map(_play_one, work, [setting] * len(work)))


def _play_one(item: tuple[Contender, int], setting: Setting) -> Played:
    return play(item[0], setting, item[1])


# --- summaries ---


def estimate(values: Sequence[float | None]) -> Estimate:
    """Mean and interval of what is known."""
    known = [v for v in values if v is not None]
    if not known:
        return Estimate(None)
    mean = statistics.fmean(known)
    if len(known) < 2:
        return Estimate(mean)
    t = T_975[len(known) - 2] if len(known) - 2 < len(T_975) else 1.96
    half = t * statistics.stdev(known) / math.sqrt(len(known))
    return Estimate(mean, mean - half, mean + half)


def summary(contender: Contender, runs: Sequence[Played], frontier: Frontier | None) -> Summary:
    """One contender's runs, one for each seed."""
    found = [measures.numbers(played) for played in runs]
    target, costs = contender.route.objective.target, [n.cost_usd for n in found]
    attainment = estimate([n.attainment for n in found])
    reactions = [r for played in runs for r in measures.reactions(played)]
    used = [r for r in reactions if r.in_use]

    def over(field: str) -> Estimate:
        return estimate([getattr(n, field) for n in found])

    return Summary(
        name=contender.name,
        strategy=contender.route.strategy if contender.make is None else contender.name,
        workers=contender.crew.workers,
        requests=sum(n.requests for n in found),
        target=target,
        attainment=attainment,
        cost_usd=over("cost_usd"),
        booked_usd=over("booked_usd"),
        cost_vs_state_oracle=_ratio(costs, frontier, target),
        cost_vs_state_oracle_equal=_ratio(costs, frontier, attainment.mean),
        hedge_ratio=over("hedge_ratio"),
        hedge_spend_ratio=over("hedge_spend_ratio"),
        waste_ratio=over("waste_ratio"),
        attempts_per_request=over("attempts_per_request"),
        attempts_worst_10s=over("attempts_worst_10s"),
        failed_ratio=over("failed_ratio"),
        ttft_p50_s=over("ttft_p50_s"),
        ttft_p99_s=over("ttft_p99_s"),
        detect_s=estimate([r.detect_s for r in used]),
        recover_s=estimate([r.recover_s for r in used]),
        faults=tuple(_fault_rows(used)),
        calibration=tuple(measures.calibration(runs)),
        misses=measures.causes(runs),
        phases=measures.by_phase(runs),
        series=tuple(measures.over_time(runs)),
    )


def _ratio(costs_usd: Sequence[float | None], frontier: Frontier | None, attainment: float | None) -> Estimate:
    """Cost over the oracle's for that attainment, seed by seed."""
    if frontier is None or attainment is None:
        return Estimate(None)
    rods_usd = frontier.costs_usd(attainment)
    if rods_usd is None:
        return Estimate(None)
    return estimate([c / r for c, r in zip(costs_usd, rods_usd, strict=True) if c is not None and r])


def _fault_rows(used: Sequence[Reaction]) -> list[FaultRow]:
    rows = []
    for fault, endpoint in dict.fromkeys((r.phase, r.endpoint) for r in used):
        mine = [r for r in used if (r.phase, r.endpoint) == (fault, endpoint)]
        found = [r for r in mine if r.detect_s is not None]
        back = [r.recover_s for r in mine if r.recover_s is not None]
        rows.append(
            FaultRow(
                fault,
                endpoint,
                len(mine),
                len(found),
                estimate([r.detect_s for r in found]),
                estimate([r.attempts for r in found]),
                len(back),
                estimate(back),
            )
        )
    return rows
