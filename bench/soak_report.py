"""What a soak run found: what failed, one sentence, a table. Pure."""

from collections.abc import Mapping
from typing import Any

import msgspec

from bench.soak_client import BROKEN, COMPLETE, LEFT, REFUSED
from bench.soak_judge import MIB, Growth
from bench.soak_watch import Sample


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """One run. `left_over`: what did not go back, as "was -> is"; `grown`: types of objects that gained most since warm-up."""

    options: dict[str, Any]
    visits: dict[str, int]  # by "kind: ending"
    broken: list[str]
    faults: dict[str, int]
    warm_up_s: float | None  # None: it never ended
    growth: Growth | None  # None: too little was measured
    anon_growth: Growth | None
    baseline: Sample
    end: Sample
    left_over: dict[str, str]
    grown: dict[str, int]
    lost_records: list[str]
    samples: list[Sample]
    exit_code: int | None = None
    levels: dict[str, int] = {}
    complaints: list[str] = []
    failures: list[str] = []

    def finished(self, exit_code: int, levels: Mapping[str, int], complaints: list[str]) -> "Report":
        """The same with how the sidecar ended, and with the verdict."""
        done = msgspec.structs.replace(self, exit_code=exit_code, levels=dict(levels), complaints=complaints)
        return msgspec.structs.replace(done, failures=failures(done))

    def total(self, ending: str) -> int:
        return sum(n for what, n in self.visits.items() if what.endswith(f": {ending}"))


def left_over(now: Sample, was: Sample) -> dict[str, str]:
    """What an idle sidecar has more of than it had before its first request."""
    names = ("in_flight", "tasks", "fds", "client_sockets", "provider_sockets")
    return {n: f"{getattr(was, n)} -> {getattr(now, n)}" for n in names if getattr(now, n) > getattr(was, n)}


def failures(report: Report) -> list[str]:
    """Everything that did not hold."""
    found = [f"{n} clients got neither a complete answer nor an error in shape" for n in (report.total(BROKEN),) if n]
    found += [f"  {why}" for why in report.broken]
    found += [f"idle again, {name} went {change}" for name, change in report.left_over.items()]
    found += [f"records were lost: {line}" for line in report.lost_records]
    if report.growth is None:
        found.append("memory was not judged: the run is too short for its rate; give it more --seconds")
    elif not report.growth.ok:
        found.append(f"memory grows by {_per_hour(report.growth)}; most gained, of tracked objects: {report.grown}")
    if report.levels.get("error"):
        found.append(f"the sidecar logged {report.levels['error']} errors")
        found += [f"  {line}" for line in report.complaints[:5]]
    if report.exit_code != 0:
        found.append(f"the sidecar ended with {report.exit_code}")
    return found


def sentence(report: Report) -> str:
    """The result as one sentence."""
    seconds, rate = report.options["seconds"], report.options["rate"]
    length = f"{seconds / 60:g} minutes" if seconds >= 60 else f"{seconds:g} seconds"
    endings = f"{report.total(COMPLETE)} got a complete answer, {report.total(REFUSED)} an error in shape, "
    endings += f"{report.total(LEFT)} left, {report.total(BROKEN)} broke"
    memory = "memory was not judged" if report.growth is None else f"memory grew by {_per_hour(report.growth)}"
    rest = "nothing is left over" if not report.left_over else f"left over: {', '.join(report.left_over)}"
    told = (
        f"{length} at {rate:g} visits a second and {sum(report.faults.values())} faults: of {sum(report.visits.values())} visits"
    )
    return f"{'DID NOT HOLD' if report.failures else 'held'}: {told} {endings}; {memory}; {rest}."


def _per_hour(growth: Growth) -> str:
    slope = growth.slope.scaled(1 / MIB)
    return f"{slope.value:+.2f} MiB/h (95 %: {slope.lo:+.2f} to {slope.hi:+.2f}; limit {growth.limit / MIB:.2f})"


def table(report: Report) -> str:
    """Before, during and after."""
    loaded = [s for s in report.samples if s.under_way] or report.samples
    rows: list[tuple[str, ...]] = [("", "idle before", "most under load", "idle after")]
    for name, text in (
        ("tasks", "tasks"),
        ("in_flight", "requests in flight"),
        ("fds", "descriptors"),
        ("threads", "threads"),
        ("client_sockets", "sockets of clients"),
        ("provider_sockets", "sockets to providers"),
    ):
        most = max((getattr(s, name) for s in loaded), default=0)
        rows.append((text, str(getattr(report.baseline, name)), str(most), str(getattr(report.end, name))))
    most_bytes = max((s.rss_bytes for s in loaded), default=0)
    rows.append(("RSS MiB", *(f"{n / MIB:.1f}" for n in (report.baseline.rss_bytes, most_bytes, report.end.rss_bytes))))
    lines = ["".join(f"{cell:>17}" if i else f"{cell:24}" for i, cell in enumerate(row)) for row in rows]
    if report.growth is not None and report.warm_up_s is not None:
        g = report.growth
        how = "the slope" if g.by_estimate else "the interval's lower end"
        lines.append(
            f"RSS over {g.measured_s:.0f} s after {report.warm_up_s:.0f} s of warm-up, n = {g.samples}: "
            f"first third {g.first_bytes / MIB:.2f} MiB, last third {g.last_bytes / MIB:.2f} MiB; judged by {how}"
        )
    return "\n".join(lines)


def progress(sample: Sample, refused: int, broken: int) -> str:
    """A line while it runs."""
    return (
        f"{sample.at_s:5.0f} s: {sample.visits} visits ({refused} refused, {broken} broken), {sample.under_way} under way; "
        f"RSS {sample.rss_bytes / MIB:.2f} MiB, {sample.tasks} tasks, {sample.fds} descriptors, "
        f"{sample.client_sockets} clients, {sample.provider_sockets} to providers, {sample.remembered} remembered"
    )
