"""`python -m bench.live`: the same faults over real sockets and in the simulator; do the two agree?

Exit codes: 0 they agree within two points; 1 they do not; 2 a mistake in the options or files; 4 something did not start.
"""

import argparse
import json
import sys
import tempfile
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime
from functools import partial
from multiprocessing import get_context
from pathlib import Path

from bench import live_report
from bench.live_plan import Unplayable, fixed_trace, luck_seed
from bench.live_run import Live, run_live
from bench.processes import DidNotStart
from fastroute.config.problems import ConfigError
from fastroute.core.types import Route
from fastroute.sim.command import Wrong, route_of
from fastroute.sim.run import Contender, Played, Setting, play
from fastroute.sim.traces import Trace, TraceError, load_trace
from fastroute.sim.worldfile import SHIPPED, World, load_world

WORLD = Path(__file__).with_name("worlds") / "six-phases-live.yaml"


def options() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(prog="python -m bench.live", description="One fault schedule, live and simulated.")
    found.add_argument("--trace", default="poisson", help="CSV, JSONL, or poisson (the default)")
    found.add_argument("--config", type=Path, default=SHIPPED / "five-endpoints.yaml")
    found.add_argument("--world", type=Path, default=WORLD)
    found.add_argument("--rate", type=float, default=5.0, help="requests a second (5)")
    found.add_argument("--seconds", type=float, default=300.0, help="of arrivals (300)")
    found.add_argument("--rounds", type=int, default=1, help="live runs, each with other luck (1)")
    found.add_argument("--seed", type=int, default=1, help="where in the trace to begin, and the mock's luck")
    found.add_argument("--draws", type=int, default=40, help="simulations to compare with (40)")
    found.add_argument("--out", type=Path, default=Path("bench/results"), help="folder for JSON (bench/results)")
    found.add_argument("--no-save", action="store_true", help="print only")
    return found


def simulated(route: Route, world: World, trace: Trace, draws: int) -> list[Played]:
    """So many simulations of the same arrivals and faults, each with luck of its own."""
    n = len(trace.rows)
    once = partial(play, Contender("fastroute", route), Setting(world, trace, n))
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        return list(pool.map(once, [luck_seed(i + 1, n) for i in range(draws)]))


def main(arguments: Sequence[str] | None = None) -> None:
    """Runs both, prints, saves, exits."""
    asked = options().parse_args(arguments)
    try:
        route, world, trace = route_of(asked.config, None), load_world(asked.world), load_trace(asked.trace)
        fixed = fixed_trace(trace, asked.rate, asked.seconds, asked.seed)
        live = [_live(asked, route, world, fixed, round_) for round_ in range(asked.rounds)]
    except (ConfigError, TraceError, Wrong, Unplayable, OSError) as error:
        sys.exit(_complain(error, 2))
    except DidNotStart as error:
        sys.exit(_complain(error, 4))
    played = simulated(route, world, fixed, asked.draws)
    rows, others = live_report.rows(live, played), live_report.figures(live, played)
    agree, says = live_report.verdict(rows)
    about = f"{trace.name} at {asked.rate:g} requests a second, {world.about}; {asked.rounds} live, {asked.draws} simulated"
    print(f"{says}\n\n{about}\n\n{live_report.text(rows, others, live)}")
    if not asked.no_save:
        _save(asked.out, {"says": says, "about": about, **live_report.plain(rows, others, live)})
    sys.exit(0 if agree else 1)


def _live(asked: argparse.Namespace, route: Route, world: World, trace: Trace, round_: int) -> Live:
    with tempfile.TemporaryDirectory(prefix="fastroute-live-") as folder:
        return run_live(asked.config, route, world, trace, asked.seed + round_, Path(folder))


def _save(out: Path, plain: dict[str, object]) -> None:
    out.mkdir(parents=True, exist_ok=True)
    path = out / f"live-{datetime.now(UTC):%Y%m%d-%H%M%S}.json"
    path.write_text(json.dumps(plain, indent=1) + "\n")
    print(f"\n{path}")


def _complain(error: Exception, code: int) -> int:
    print(error, file=sys.stderr)
    return code


if __name__ == "__main__":
    main()
