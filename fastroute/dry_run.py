"""`fastroute explain`: one request against a configuration, without sending it."""

import random
import sys
from pathlib import Path
from typing import Any

from fastroute.app import catalog_of
from fastroute.config.schema import Config
from fastroute.core.failures import FaultError
from fastroute.dialects.registry import client_apis
from fastroute.engine import explain as engine
from fastroute.engine.admission import Admission
from fastroute.engine.choice import Chooser
from fastroute.engine.clock import SystemClock
from fastroute.engine.state_file import read
from fastroute.policy.registry import BUILT_IN, strategy
from fastroute.stats.board import Scoreboard
from fastroute.stats.kept import NotKept


class BadRequest(ValueError):
    """The request cannot be read, or names no route."""


class BadStatistics(ValueError):
    """The statistics' file cannot be read."""


def explain(config: Config, body: bytes, stats: Path | None = None) -> dict[str, Any]:
    """What `serve` would choose for this chat completion body at its start. Raises `BadRequest`, `BadStatistics`.

    `stats`: the file that it would start with; None: before anything was measured.
    """
    clock, rng, catalog = SystemClock(), random.Random(0), catalog_of(config)
    try:
        request = client_apis()["openai_chat"].decode(body, "explain", clock.now_s())
    except FaultError as error:
        raise BadRequest(str(error)) from None
    route = catalog.route_for(request.model)
    if route is None:
        raise BadRequest(f"there is no route, endpoint or model {request.model!r}")
    admission = Admission(Scoreboard(), catalog.endpoints.values(), clock, rng)
    if stats is not None:
        _recall(stats, admission, clock)
    chooser = Chooser({name: strategy(name) for name in BUILT_IN}, admission, clock, rng)
    return engine.explain(request, route, chooser, clock)


def _recall(stats: Path, admission: Admission, clock: SystemClock) -> None:
    try:
        found = read(stats)
    except (OSError, NotKept) as error:
        raise BadStatistics(f"{stats}: {error}") from None
    admission.board.recall(found, clock.now_s(), clock.wall_s())


def show(report: dict[str, Any]) -> None:
    """The report as a table for people."""
    from rich.console import Console
    from rich.table import Table

    console = Console(width=None if sys.stdout.isatty() else 120)
    table = Table(title=f"route {report['route']}, about {report['input_tokens']} input tokens", title_justify="left")
    for column in ("", "endpoint", "tier", "TTFT p50 / p99 ms", "total p50 / p99 ms", "P(miss)", "USD", "n", "breaker"):
        table.add_column(column, justify="left" if column in ("", "endpoint", "breaker") else "right", no_wrap=True)
    for c in report["candidates"]:
        cost = "unpriced" if c["expected_cost_usd"] is None else f"{c['expected_cost_usd']:.6f}"
        chosen = "->" if c["endpoint"] == report["chosen"] else ""
        times = [f"{c[k]['p50']:.0f} / {c[k]['p99']:.0f}" for k in ("predicted_ttft_ms", "predicted_total_ms")]
        table.add_row(chosen, c["endpoint"], str(c["tier"]), *times, f"{c['p_miss']:.3f}", cost, str(c["n"]), c["breaker"])
    console.print(table)
    for exclusion in report["excluded"]:
        console.print(f"not {exclusion['endpoint']}: {exclusion['reason']}")
    console.print(f"why: {report['why']}")
    if any(c["n"] == 0 for c in report["candidates"]):
        console.print("n = 0: nothing measured yet; predictions are priors")
