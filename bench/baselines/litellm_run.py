"""`python -m bench.baselines.litellm_run`: LiteLLM's own `Router` beside fastroute and the oracle, in one simulated world.

Needs the dependency group `litellm`, in a virtual environment of its own (`make bench-litellm` makes it). Exit codes: 0 played;
2 a mistake; 3 LiteLLM is not there, or cannot be put on virtual time: the message says why, and nothing was played.
"""

import argparse
import json
import sys
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import msgspec

from bench.baselines import BASELINES
from bench.baselines.litellm_play import RETRIES, STRATEGIES, STREAM_TIMEOUT_S, play_litellm
from bench.baselines.litellm_time import missing
from fastroute.config.problems import ConfigError
from fastroute.core.types import Route
from fastroute.sim import measures
from fastroute.sim.command import Wrong, route_of
from fastroute.sim.measures import Numbers
from fastroute.sim.report import estimate
from fastroute.sim.run import Contender, Played, Setting, play
from fastroute.sim.table import markdown, shown
from fastroute.sim.traces import TraceError, load_trace
from fastroute.sim.worldfile import SHIPPED, find_world, load_world

OWN, FLOOR = "fastroute (cost_slo)", "clairvoyant"
BESIDE = ("lowest_cost", "last_ten", "state_oracle", FLOOR)
HEADINGS = ("", "attainment %", "cost USD", "x clairvoyant", "attempts / request", "worst 10 s", "failed %", "TTFT p99 s")


class Job(msgspec.Struct, frozen=True):
    """One run to play: a LiteLLM strategy, or one of our own contenders."""

    name: str
    route: Route
    setting: Setting
    seed: int


def options() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(prog="python -m bench.baselines.litellm_run", description="LiteLLM's Router, simulated.")
    found.add_argument("--trace", default="poisson", help="CSV, JSONL, or poisson (the default)")
    found.add_argument("--config", type=Path, default=SHIPPED / "five-endpoints.yaml")
    found.add_argument("--world", default="six-phases", help="a file or a shipped world (six-phases)")
    found.add_argument("--rate", type=float, default=0.3, help="requests a second (0.3)")
    found.add_argument("--span", type=float, default=3500.0, help="virtual seconds of each run (3500)")
    found.add_argument("--seeds", type=int, default=3)
    found.add_argument("--processes", type=int, help="as many as there are processors")
    found.add_argument("--json", type=Path, help="everything, into this file")
    return found


def played(job: Job) -> tuple[Numbers, dict[str, tuple[int, float | None]]]:
    """Plays one run; its numbers, and attainment by phase."""
    found = _play(job)
    return measures.numbers(found), measures.by_phase([found])


def _play(job: Job) -> Played:
    if job.name in STRATEGIES:
        return play_litellm(job.name, job.route, job.setting, job.seed)
    return play(Contender(job.name, job.route, None if job.name == OWN else BASELINES[job.name]), job.setting, job.seed)


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs, prints, exits."""
    asked = options().parse_args(arguments)
    if (why := missing()) is not None:
        sys.exit(_complain(why, 3))
    try:
        route, trace, world = route_of(asked.config, None), load_trace(asked.trace), load_world(find_world(asked.world))
    except (ConfigError, TraceError, Wrong) as error:
        sys.exit(_complain(str(error), 2))
    setting = Setting(world, trace, max(1, round(asked.rate * asked.span)), asked.rate)
    names = (OWN, *STRATEGIES, *BESIDE)
    work = [Job(name, route, setting, seed) for name in names for seed in range(1, asked.seeds + 1)]
    with ProcessPoolExecutor(asked.processes, mp_context=get_context("spawn")) as pool:
        found = list(pool.map(played, work))
    runs = {name: found[i * asked.seeds : (i + 1) * asked.seeds] for i, name in enumerate(names)}
    print(_text(runs, f"{trace.name} at {asked.rate:g} requests a second, {asked.seeds} seeds, {world.about}"))
    if asked.json:
        asked.json.write_text(json.dumps({k: msgspec.to_builtins(v) for k, v in runs.items()}, indent=1) + "\n")
    sys.exit(0)


def _text(runs: dict[str, list[tuple[Numbers, Any]]], about: str) -> str:
    from importlib.metadata import version

    floors = [n.cost_usd or 0.0 for n, _ in runs[FLOOR]]
    rows = [_row(name, [n for n, _ in found], floors) for name, found in runs.items()]
    phases = [(_shown(name), [by for _, by in found]) for name, found in runs.items() if name == OWN or name in STRATEGIES]
    labels = sorted({label for _, every in phases for by in every for label in by})
    by_phase = [[name, *(_attained(every, label) for label in labels)] for name, every in phases]
    asked = f"LiteLLM {version('litellm')}, num_retries={RETRIES}, stream_timeout={STREAM_TIMEOUT_S:g}, the rest as it comes"
    return "\n".join((about, asked, "", markdown(HEADINGS, rows), "", markdown(("attained %", *labels), by_phase)))


def _shown(name: str) -> str:
    return f"LiteLLM {name}" if name in STRATEGIES else name


def _row(name: str, found: Sequence[Numbers], floors: Sequence[float]) -> list[str]:
    ratios = [(n.cost_usd or 0.0) / floor for n, floor in zip(found, floors, strict=True) if floor]
    return [
        _shown(name),
        shown(estimate([n.attainment for n in found]), 2, 100.0),
        shown(estimate([n.cost_usd for n in found]), 3),
        shown(estimate(ratios), 2),
        shown(estimate([n.attempts_per_request for n in found]), 3),
        shown(estimate([n.attempts_worst_10s for n in found]), 2),
        shown(estimate([n.failed_ratio for n in found]), 2, 100.0),
        shown(estimate([n.ttft_p99_s for n in found]), 2),
    ]


def _attained(every: Sequence[dict[str, tuple[int, float | None]]], label: str) -> str:
    """Over seeds, weighted by requests."""
    known = [(n, share) for by in every for n, share in [by.get(label, (0, None))] if share is not None]
    n = sum(n for n, _ in known)
    return f"{100 * sum(n * share for n, share in known) / n:.1f} ({n:,})" if n else "-"


def _complain(message: str, code: int) -> int:
    print(message, file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
