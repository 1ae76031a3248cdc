"""A comparison as text: one row a contender, then how its faults were met."""

from collections.abc import Sequence

from fastroute.sim.report import Comparison, Estimate, Summary

HEADINGS = (
    "",
    "attainment %",
    "cost USD",
    "x oracle at target",
    "x oracle at same attainment",
    "hedges %",
    "wasted spend %",
    "attempts / request",
    "worst 10 s",
    "failed %",
    "TTFT p99 s",
)
MISS_HEADINGS = ("first attempt", "missed", "of all requests")
FAULT_HEADINGS = ("fault", "endpoint", "in use", "detected", "after s", "attempts", "recovered", "after s")


def about(found: Comparison) -> str:
    """What was played, in a line."""
    told = found.about
    world = f", {told['world']}" if told["world"] else ""
    seeds = "1 seed" if told["seeds"] == 1 else f"each of {told['seeds']} seeds"
    requests = f"{told['requests_per_seed']:,} requests on {seeds}"
    return f"{told['trace']} at {told['rate_per_s']:.3g} requests a second, {requests}{world}"


def text(found: Comparison, faults: bool = True) -> str:
    """The report for a terminal; valid Markdown."""
    parts = [about(found), "", markdown(HEADINGS, [cells(c) for c in found.configs])]
    for config in found.configs if faults else ():
        if config.misses:
            parts += ["", f"{config.name}: what missed requests met first", "", markdown(MISS_HEADINGS, miss_cells(config))]
        if config.faults:
            parts += ["", f"{config.name}: faults met", "", markdown(FAULT_HEADINGS, fault_cells(config))]
    return "\n".join(parts)


def cells(config: Summary) -> list[str]:
    """One row under `HEADINGS`."""
    return [
        config.name,
        shown(config.attainment, 2, 100.0),
        shown(config.cost_usd, 3),
        shown(config.cost_vs_state_oracle, 2),
        shown(config.cost_vs_state_oracle_equal, 2),
        shown(config.hedge_ratio, 2, 100.0),
        shown(config.waste_ratio, 1, 100.0),
        shown(config.attempts_per_request, 3),
        shown(config.attempts_worst_10s, 2),
        shown(config.failed_ratio, 2, 100.0),
        shown(config.ttft_p99_s, 2),
    ]


def fault_cells(config: Summary) -> list[list[str]]:
    """Rows under `FAULT_HEADINGS`."""
    return [
        [
            row.fault,
            row.endpoint,
            str(row.times),
            str(row.detected),
            shown(row.detect_s, 1),
            shown(row.detect_attempts, 1),
            str(row.recovered),
            shown(row.recover_s, 1),
        ]
        for row in config.faults
    ]


def miss_cells(config: Summary) -> list[list[str]]:
    """Rows under `MISS_HEADINGS`."""
    return [[cause, str(n), f"{n / max(1, config.requests):.2%}"] for cause, n in config.misses.items()]


def shown(value: Estimate, digits: int, factor: float = 1.0) -> str:
    """A mean and half its interval; `-` where it is not known."""
    if value.mean is None:
        return "-"
    mean = f"{value.mean * factor:.{digits}f}"
    if value.lo is None or value.hi is None:
        return mean
    return f"{mean} ± {(value.hi - value.lo) / 2 * factor:.{digits}f}"


def markdown(headings: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table whose columns line up."""
    widths = [max(len(cell) for cell in column) for column in zip(headings, *rows, strict=True)]
    lines = [headings, ["-" * max(3, width) for width in widths], *rows]
    return "\n".join("| " + " | ".join(c.ljust(w) for c, w in zip(line, widths, strict=True)) + " |" for line in lines)
