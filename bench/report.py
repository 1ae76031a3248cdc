"""What a run says: one sentence for a person, a table, and JSON that names the commit and the machine's shape."""

import os
import platform
import subprocess
from collections.abc import Sequence
from datetime import datetime
from importlib import metadata
from pathlib import Path
from typing import Any

import msgspec

from bench.rows import Added, Row, worst

SUBJECT = "fastroute"
DISTURBED_RATIO = 0.25
YARDSTICKS = ("nginx", "reverse_proxy")
_NUMBERS = {1: "one", 2: "two", 3: "three", 4: "four"}


class Machine(msgspec.Struct, frozen=True):
    """The machine's shape: enough to know which runs may be compared."""

    cores: int
    arch: str
    cpu: str
    memory_gib: float
    kernel: str
    python: str
    load_1m: float
    """What else the machine was doing: the load average when the report was made, the harness's own two cores included."""


class Report(msgspec.Struct, frozen=True):
    """One run of the harness, as it is written to `bench/results/`."""

    sentence: str
    at: str
    commit: str
    changed: bool
    """Whether files differed from the commit."""
    machine: Machine
    versions: dict[str, str]
    notes: list[str]
    refused: list[str]
    scenarios: dict[str, Any]
    rows: list[Row]


def workers_text(workers: int) -> str:
    """One worker, two workers, 17 workers."""
    return f"{_NUMBERS.get(workers, workers)} worker{'s' if workers != 1 else ''}"


def sentence(rows: Sequence[Row]) -> str:
    """What the run found, in one sentence: latency added where it was measured, else CPU, else that nothing was measured."""
    subject = next((r.contender for r in rows if r.contender not in YARDSTICKS), None) or (rows[0].contender if rows else None)
    own = [r for r in rows if r.contender == subject]
    if not own:
        return "nothing was measured."
    timed = sorted((r for r in own if r.total is not None), key=lambda r: (r.stream, "requests/s" not in r.load))
    row = timed[0] if timed else own[0]
    found = _latency_sentence(row, row.total, rows) if row.total is not None else _cpu_sentence(row)
    asked = row.n + row.errors
    failed = f"; {row.errors:,} of {asked:,} calls failed" if row.errors else ""
    return f"{found} (n = {row.n:,}, {_rate(row)}, {workers_text(row.workers)}){failed}."


def _rate(row: Row) -> str:
    return row.load.partition(", ")[2] or row.load


def _latency_sentence(row: Row, found: Added, rows: Sequence[Row]) -> str:
    kind = "stream" if row.stream else "chat request"
    text = f"{row.contender} adds {found.p50.value:.2f} ms at p50 and {found.p99.value:.2f} ms at p99 to a {kind}"
    beside = next((r.total for r in rows if r.contender == "nginx" and r.scenario == row.scenario and r.total), None)
    if beside is None or row.contender == "nginx":
        return text + " compared with a direct call"
    return text + f", where nginx adds {beside.p50.value:.2f} ms and {beside.p99.value:.2f} ms"


def _cpu_sentence(row: Row) -> str:
    kind = f"a {row.load.partition(',')[0]}" if row.stream else "a chat request"
    if row.cpu_us is None:
        p50_ms, p99_ms = (row.latency_ms.get(q, float("nan")) for q in ("p50", "p99"))
        return f"{row.contender} answers {kind} in {p50_ms:.2f} ms at p50 and {p99_ms:.2f} ms at p99"
    ratio = f", {row.x_nginx:.1f} x nginx" if row.x_nginx is not None and row.contender != "nginx" else ""
    return f"{row.contender} spends {row.cpu_us.value:.0f} us of CPU on {kind}{ratio}"


COLUMNS = (
    f"{'':16}{'CPU us/req':>11}{'x nginx':>9}{'n':>10}{'errors':>8}{'req/s':>9}{'p50 ms':>11}{'p99 ms':>11}"
    f"{'+p50 ms':>10}{'+p99 ms':>10}{'RSS MiB':>9}"
)


def table(rows: Sequence[Row]) -> str:
    """One block of lines for each scenario. A dash: not measured."""
    lines: list[str] = []
    for scenario in dict.fromkeys(row.scenario for row in rows):
        own = [row for row in rows if row.scenario == scenario]
        lines += ["", f"{scenario}: {own[0].load}", COLUMNS, *_direct(own), *(_line(row, own) for row in own)]
        lines += [f"  {text}" for text in details(own)]
    return "\n".join(lines)


def label(row: Row, beside: Sequence[Row]) -> str:
    """The contender's name, with workers and connections where the scenario varies them."""
    parts = [row.contender]
    if len({r.workers for r in beside}) > 1:
        parts.append(f"x{row.workers}")
    if len({r.connections for r in beside}) > 1:
        parts.append(f"@{row.connections}")
    return " ".join(parts)


def _direct(rows: Sequence[Row]) -> list[str]:
    """The direct calls that were interleaved with the first contender's."""
    found = next((row.total for row in rows if row.total is not None), None)
    if found is None:
        return []
    return [f"{'(direct)':16}{'':>20}{found.n:>10,}{'':>17}{found.direct_ms['p50']:>11,.2f}{found.direct_ms['p99']:>11,.2f}"]


def _line(row: Row, beside: Sequence[Row]) -> str:
    added, latency = row.total, row.latency_ms
    cells = (
        f"{label(row, beside):16}",
        f"{number(row.cpu_us.value if row.cpu_us else None, 1):>11}{number(row.x_nginx, 2):>9}",
        f"{row.n:>10,}{row.errors:>8,}{row.per_s:>9,.0f}",
        f"{number(latency.get('p50'), 2):>11}{number(latency.get('p99'), 2):>11}",
        f"{number(added.p50.value if added else None, 3):>10}{number(added.p99.value if added else None, 3):>10}",
        f"{row.rss_mib:>9.1f}",
    )
    return "".join(cells)


def number(value: float | None, digits: int) -> str:
    """The number, or a dash where there is none."""
    return "-" if value is None else f"{value:,.{digits}f}"


def details(rows: Sequence[Row]) -> list[str]:
    """What the table of one scenario has no column for, as lines of text."""
    found = [f"{label(row, rows)}{text}" for row in rows for text in [*_added_lines(row), *_remarks(row)]]
    found += _growth(rows)
    open_loop = [row.driver for row in rows if row.total is not None or row.timeline]
    if open_loop:
        driver = worst(open_loop)
        late = f"{driver.lag_p50_ms:.3f} ms late at p50, {driver.lag_p99_ms:.3f} ms at p99"
        found.append(f"the driver sent {late}; its core was {driver.core_ratio:.0%} busy")
    return found


def _growth(rows: Sequence[Row]) -> list[str]:
    """CPU per request of each row against the first one of the same contender."""
    first: dict[str, Row] = {}
    found = []
    for row in rows:
        start = first.setdefault(row.contender, row)
        if row is not start and row.cpu_us is not None and start.cpu_us is not None:
            ratio = row.cpu_us.value / start.cpu_us.value
            found.append(f"{label(row, rows)}: {ratio:.2f} x the CPU per request of {label(start, rows)}")
    return found


def _added_lines(row: Row) -> list[str]:
    measures = (("total", row.total), ("first content", row.ttft), ("a chunk", row.chunk))
    return [f", {n}: {_added_text(measure)}" for n, measure in measures if measure is not None and (n == "total" or row.stream)]


def _remarks(row: Row) -> list[str]:
    found = [f": {n:,} x {why}" for why, n in row.failures.items()]
    if _disturbed(row):
        found.append(f": disturbed, it waited {row.wait_us:.0f} us per request for a core that others used")
    if row.per_stream_kib is not None:
        found.append(f": {row.per_stream_kib:.1f} KiB a stream (peak {row.rss_peak_mib:.0f} MiB)")
    if row.largest_worker_share is not None:
        found.append(f": the busiest of {workers_text(row.workers)} did {row.largest_worker_share:.0%} of the work")
    if row.saturation is not None:
        found.append(f": {_saturation_text(row)}")
    return found


def _disturbed(row: Row) -> bool:
    """Whether something else ran on the contender's core. Several workers share one with the driver, and always wait."""
    if row.wait_us is None or row.cpu_us is None or row.workers > 1:
        return False
    return row.wait_us > DISTURBED_RATIO * row.cpu_us.value


def _added_text(found: Added) -> str:
    p50, p99, other = found.p50, found.p99, found.p99_difference
    return (
        f"+{p50.value:.3f} ms at p50 [{p50.lo:.3f}, {p50.hi:.3f}], +{p99.value:.3f} ms at p99 [{p99.lo:.3f}, {p99.hi:.3f}]; "
        f"p99 against p99 {other.value:+.3f} [{other.lo:.3f}, {other.hi:.3f}]; {found.n:,} pairs"
    )


def _saturation_text(row: Row) -> str:
    assert row.saturation is not None
    rate = f"{row.saturation.per_s:,.0f} requests/s"
    if row.saturation.by is None:
        return f"held to the end of the ramp, {rate}"
    if row.saturation.by == "driver":
        return f"the driver gave out first, after {rate}: the contender carries at least that"
    return f"saturates after {rate}"


def report(rows: list[Row], notes: list[str], refused: list[str], scenarios: dict[str, Any], now: datetime) -> Report:
    """Everything about a run. Asks git and /proc."""
    return Report(
        sentence=sentence(rows),
        at=now.isoformat(timespec="seconds"),
        commit=_git("rev-parse", "--short", "HEAD") or "unknown",
        changed=bool(_git("status", "--porcelain", "--untracked-files=no")),
        machine=machine(),
        versions={name: _version(name) for name in ("fastroute", "aiohttp", "uvloop", "httptools")},
        notes=notes,
        refused=refused,
        scenarios=scenarios,
        rows=rows,
    )


def machine() -> Machine:
    """The shape of this machine, from /proc."""
    cpu = [line.partition(":")[2].strip() for line in Path("/proc/cpuinfo").read_text().splitlines() if "model name" in line]
    memory_bytes = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    return Machine(
        cores=len(os.sched_getaffinity(0)),
        arch=platform.machine(),
        cpu=cpu[0] if cpu else "unknown",
        memory_gib=round(memory_bytes / 2**30, 1),
        kernel=platform.release(),
        python=platform.python_version(),
        load_1m=os.getloadavg()[0],
    )


def _git(*arguments: str) -> str:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False, cwd=Path(__file__).parent)
    except OSError:
        return ""
    return done.stdout.strip() if done.returncode == 0 else ""


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "unknown"


def write(found: Report, folder: Path, page: str | None) -> list[Path]:
    """The JSON file, and the page beside it where there is one. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    stem = f"bench-{datetime.fromisoformat(found.at):%Y%m%d-%H%M%S}"
    paths = [folder / f"{stem}.json"]
    paths[0].write_bytes(msgspec.json.format(msgspec.json.encode(found), indent=1) + b"\n")
    if page is not None:
        paths.append(folder / f"{stem}.html")
        paths[1].write_text(page)
    return paths
