"""`python -m bench`: CPU per request of fastroute beside a plain aiohttp reverse proxy and nginx, interleaved in one run."""

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from bench import contenders, load

PATH = "/v1/chat/completions"
RESULTS = Path(__file__).parent / "results"


def measure(name: str, directory: Path, upstream: int, stream: bool, options: argparse.Namespace) -> dict[str, Any] | None:
    """One round of one contender; None where it is not installed."""
    port = contenders.free_port()
    command = getattr(contenders, name)(directory, port, upstream)
    if command is None:
        return None
    with contenders.process(command, port, 0, directory / f"{name}.log") as pid:
        uvloop.run(load.run(port, PATH, stream, options.connections, 1.0))  # warm up
        before_s = contenders.cpu_s(pid)
        result = uvloop.run(load.run(port, PATH, stream, options.connections, options.seconds))
        used_s = contenders.cpu_s(pid) - before_s
        rss = contenders.rss_mib(pid)
    return {
        "cpu_us": used_s / max(1, result.done) * 1e6,
        "done": result.done,
        "errors": result.errors,
        "per_s": result.done / result.seconds,
        "p50_ms": statistics.median(result.latencies_s) * 1e3,
        "rss_mib": rss,
    }


def run(options: argparse.Namespace) -> dict[str, Any]:
    """All rounds; a median per contender and kind of request."""
    names = [n for n in ("nginx", "reverse_proxy", "fastroute") if not options.only or n in options.only]
    rounds: dict[tuple[str, str], list[dict[str, Any]]] = {}
    with tempfile.TemporaryDirectory() as text:
        directory, upstream = Path(text), contenders.free_port()
        canned = [sys.executable, "-m", "bench.canned", str(upstream)]
        with contenders.process(canned, upstream, 1, directory / "canned.log"):
            for i in range(options.rounds):
                for kind in ("whole", "stream"):
                    for name in names:
                        print(f"\rround {i + 1}/{options.rounds}  {kind:6}  {name:14}", end="", flush=True)
                        if found := measure(name, directory, upstream, kind == "stream", options):
                            rounds.setdefault((kind, name), []).append(found)
    print("\r" + " " * 50 + "\r", end="")
    return {f"{kind}/{name}": _median(found) for (kind, name), found in rounds.items()}


def _median(found: list[dict[str, Any]]) -> dict[str, Any]:
    middle = {k: statistics.median(f[k] for f in found) for k in found[0]}
    return {**middle, "done": sum(f["done"] for f in found), "errors": sum(f["errors"] for f in found), "rounds": len(found)}


def show(table: dict[str, Any]) -> None:
    print(f"{'':24}{'CPU us/request':>16}{'x nginx':>9}{'requests':>10}{'errors':>8}{'p50 ms':>9}{'RSS MiB':>9}")
    for name, row in table.items():
        yardstick = table.get(name.split("/")[0] + "/nginx")
        ratio = f"{row['cpu_us'] / yardstick['cpu_us']:.2f}" if yardstick else "-"
        print(
            f"{name:24}{row['cpu_us']:16.1f}{ratio:>9}{row['done']:10}{row['errors']:8}{row['p50_ms']:9.2f}{row['rss_mib']:9.1f}"
        )


def save(table: dict[str, Any], options: argparse.Namespace) -> Path:
    RESULTS.mkdir(exist_ok=True)
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False).stdout.strip()
    now = datetime.now(UTC)
    report = {
        "at": now.isoformat(timespec="seconds"),
        "commit": commit,
        "python": platform.python_version(),
        "machine": {"cores": os.cpu_count(), "arch": platform.machine()},
        "seconds": options.seconds,
        "connections": options.connections,
        "results": table,
    }
    path = RESULTS / f"overhead-{now:%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps(report, indent=2) + "\n")
    return path


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--seconds", type=float, default=4.0, help="load per measurement")
    parser.add_argument("--rounds", type=int, default=3, help="interleaved rounds; the median counts")
    parser.add_argument("--connections", type=int, default=16)
    parser.add_argument("--only", nargs="*", help="measure only these contenders")
    options = parser.parse_args()
    os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    table = run(options)
    show(table)
    print(f"saved {save(table, options).relative_to(Path.cwd())}")


if __name__ == "__main__":
    main()
