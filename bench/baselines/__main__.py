"""`python -m bench.baselines`: fastroute and every baseline in one simulated world, as Markdown tables."""

import argparse
import json
import sys
from pathlib import Path

from bench.baselines import BASELINES
from fastroute.sim.command import route_of
from fastroute.sim.report import Comparison, compare
from fastroute.sim.run import Contender, Setting
from fastroute.sim.table import FAULT_HEADINGS, MISS_HEADINGS, fault_cells, markdown, miss_cells, shown, text
from fastroute.sim.traces import load_trace
from fastroute.sim.worldfile import SHIPPED, find_world, load_world

OWN = "fastroute (cost_slo)"


def options() -> argparse.ArgumentParser:
    """The command line."""
    found = argparse.ArgumentParser(prog="python -m bench.baselines", description="Fastroute and the baselines, simulated.")
    found.add_argument("--trace", required=True, help="CSV, JSONL, or poisson")
    found.add_argument("--config", type=Path, default=SHIPPED / "five-endpoints.yaml")
    found.add_argument("--route", help="the configuration's first")
    found.add_argument("--world", action="append", help="a file or a shipped world; may be repeated (six-phases)")
    found.add_argument("--rate", action="append", type=float, help="requests a second; may be repeated (1)")
    found.add_argument("--span", type=float, default=3500.0, help="virtual seconds of each run (3500)")
    found.add_argument("--seeds", type=int, default=3)
    found.add_argument("--only", nargs="+", choices=sorted(BASELINES), help="these baselines only")
    found.add_argument("--processes", type=int, help="as many as there are processors")
    found.add_argument("--json", type=Path, help="everything, into this file")
    return found


def main() -> None:
    """Runs and prints."""
    asked = options().parse_args()
    route, trace = route_of(asked.config, asked.route), load_trace(asked.trace)
    contenders = [Contender(OWN, route)]
    contenders += [Contender(name, route, make) for name, make in BASELINES.items() if not asked.only or name in asked.only]
    kept = []
    for world in (load_world(find_world(name)) for name in asked.world or ["six-phases"]):
        for rate in asked.rate or [1.0]:
            setting = Setting(world, trace, max(1, round(rate * asked.span)), rate)
            found = compare(contenders, setting, asked.seeds, processes=asked.processes)
            kept.append(found)
            print(f"\n## {text(found, faults=False)}\n", flush=True)
            print(_more(found), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps([c.to_dict() for c in kept], indent=1) + "\n")
    sys.exit(0)


def _more(found: Comparison) -> str:
    """The clairvoyant's cost as a unit, and how fastroute met each fault."""
    own = found.configs[0]
    floor = next((c.cost_usd.mean for c in found.configs if c.name == "clairvoyant"), None)
    parts = []
    if floor:
        rows = [[c.name, f"{(c.cost_usd.mean or 0.0) / floor:.2f}"] for c in found.configs]
        parts += [markdown(("", "x clairvoyant"), rows), ""]
    frontier = next(iter(found.oracle.values()), ())
    parts += ["state oracle: " + ", ".join(f"{met:.2%} for ${cost:.3f}" for met, cost in frontier), ""]
    parts += [markdown(FAULT_HEADINGS, fault_cells(own)), "", markdown(MISS_HEADINGS, miss_cells(own)), ""]
    phases = [[n, str(k), "-" if share is None else f"{share:.2%}"] for n, (k, share) in own.phases.items()]
    parts += [markdown(("phase", "requests", "attainment"), phases), ""]
    bins = [[f"{b.lo:g} to {b.hi:g}", str(b.n), f"{b.predicted:.3%}", f"{b.missed / b.n:.3%}"] for b in own.calibration]
    parts += [markdown(("predicted P(miss)", "attempts", "mean predicted", "observed"), bins)]
    parts += ["", f"booked {shown(own.booked_usd, 3)} against {shown(own.cost_usd, 3)} billed"]
    return "\n".join(parts)


if __name__ == "__main__":
    main()
