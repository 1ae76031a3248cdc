"""The command line of the harness.

Exit codes: 0 measured; 2 a mistake in the options or a scenario; 3 a scenario was refused because the driver was the
bottleneck; 4 a contender did not start, or answered nothing.
"""

import argparse
import resource
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import urlsplit

import msgspec

from bench import page, report
from bench.driver import Refused
from bench.load import Target
from bench.measure import Bench, DidNotAnswer
from bench.peers import NAMES
from bench.processes import DidNotStart
from bench.progress import Progress
from bench.request import PATH
from bench.rows import Row
from bench.scenario import FOLDER, Scenario, ScenarioError, load

DEFAULT = ("open-loop-1000", "cpu-whole", "cpu-stream-32", "cpu-stream-500", "streams-open-loop", "two-workers", "stall")
PEERS = ("nginx", "reverse_proxy", "fastroute", "envoy", "sglang_router", "portkey", "litellm")
EPILOG = "Scenarios lie in bench/scenarios/; docs/benchmarks.md says how to read the numbers."


def parser(program: str) -> argparse.ArgumentParser:
    """The options."""
    found = argparse.ArgumentParser(
        prog=program, description="Measure what the router costs, beside a direct call.", epilog=EPILOG
    )
    found.add_argument(
        "scenarios", nargs="*", metavar="SCENARIO", help="a name from bench/scenarios/ or a YAML file (a default set)"
    )
    found.add_argument("--list", action="store_true", help="list the scenarios and end")
    found.add_argument("--all", action="store_true", help="every scenario there is")
    found.add_argument(
        "--peers", action="store_true", help="other routers too, where they are installed (cpu-whole, unless named)"
    )
    found.add_argument("--only", nargs="+", metavar="NAME", help=f"only these contenders: {', '.join(PEERS)}")
    found.add_argument("--seconds", type=float, help="instead of the scenario's")
    found.add_argument("--rounds", type=int, help="instead of the scenario's")
    found.add_argument("--connections", type=int, help="instead of a closed loop's")
    found.add_argument("--router", action="append", default=[], metavar="NAME=URL", help="a running router as one more contender")
    found.add_argument("--upstream-port", type=int, help="port of the canned upstream, for a --router to point at")
    found.add_argument("--out", type=Path, default=Path("bench/results"), help="folder for JSON and HTML (bench/results)")
    found.add_argument("--no-save", action="store_true", help="print only")
    return found


def main(arguments: Sequence[str] | None = None, program: str = "python -m bench") -> NoReturn:
    """Runs the harness and exits."""
    options = parser(program).parse_args(arguments)
    if options.list:
        for path in sorted(FOLDER.glob("*.yaml")):
            print(f"{path.stem:26}{load(path, NAMES).says}")
        sys.exit(0)
    try:
        scenarios = [changed(load(path, NAMES), options) for path in chosen(options)]
        routers = dict(_router(text) for text in options.router)
    except ScenarioError as error:
        _fail(str(error), 2)
    _many_files()
    sys.exit(run(scenarios, routers, options))


def chosen(options: argparse.Namespace) -> list[Path]:
    """The files of the scenarios that the options name. Raises ScenarioError."""
    if options.all:
        return sorted(FOLDER.glob("*.yaml"))
    names = options.scenarios or (["cpu-whole"] if options.peers else DEFAULT)
    return [_path(name) for name in names]


def _path(name: str) -> Path:
    if (path := FOLDER / f"{name}.yaml").is_file():
        return path
    if name.endswith((".yaml", ".yml")):
        return Path(name)
    raise ScenarioError(f"no scenario {name!r}; there are {', '.join(sorted(p.stem for p in FOLDER.glob('*.yaml')))}")


def changed(scenario: Scenario, options: argparse.Namespace) -> Scenario:
    """The scenario as the options change it. Raises ScenarioError."""
    changes: dict[str, Any] = {n: v for n in ("seconds", "rounds") if (v := getattr(options, n)) is not None}
    if options.peers:
        changes["contenders"] = list(PEERS)
    if options.only:
        changes["contenders"] = options.only
    if options.connections and scenario.closed:
        changes["closed"] = msgspec.structs.replace(scenario.closed, connections=options.connections)
    found = msgspec.structs.replace(scenario, **changes)
    if unknown := [name for name in found.contenders if name not in NAMES]:
        raise ScenarioError(f"--only {unknown[0]}: no such contender; there are {', '.join(PEERS)}")
    if found.seconds <= 0 or found.rounds < 1:
        raise ScenarioError("--seconds and --rounds must be above zero")
    return found


def _router(text: str) -> tuple[str, Target]:
    name, _, url = text.partition("=")
    parts = urlsplit(url)
    if parts.scheme != "http" or not parts.hostname:
        raise ScenarioError(f"--router {text}: must be NAME=http://host:port")
    return name, Target(name, parts.port or 80, parts.hostname, parts.path.rstrip("/") + PATH)


def run(scenarios: list[Scenario], routers: dict[str, Target], options: argparse.Namespace) -> int:
    """Every scenario, then the report. What is refused is left out of it, and said."""
    progress = Progress(sum(s.expected_s for s in scenarios))
    rows: list[Row] = []
    notes: dict[str, None] = {}
    refused: list[str] = []
    code = 0
    for scenario in scenarios:
        bench = Bench(scenario, progress.say, routers)
        try:
            rows += bench.run(options.upstream_port)
        except Refused as error:
            refused.append(str(error))
            code = code or 3
        except (DidNotStart, DidNotAnswer) as error:
            refused.append(str(error))
            code = 4
        notes.update(dict.fromkeys(bench.notes))
    progress.close()
    shapes = {s.name: msgspec.to_builtins(s) for s in scenarios}
    _tell(report.report(rows, list(notes), refused, shapes, datetime.now(UTC)), options)
    return code


def _tell(found: report.Report, options: argparse.Namespace) -> None:
    """The sentence first; then the table, notes, and where it was saved. Refusals go to stderr too."""
    print(found.sentence if found.rows or not found.refused else found.refused[0])
    print(report.table(found.rows))
    for note in found.notes:
        print(f"note: {note}")
    for why in found.refused:
        print(f"NOT MEASURED: {why}", file=sys.stderr)
    if not options.no_save:
        print("saved " + ", ".join(str(path) for path in report.write(found, options.out, page.html(found))))


def _many_files() -> None:
    """As many open files as the system allows: thousands of streams are as many sockets, here and in every contender."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


def _fail(message: str, code: int) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(code)
