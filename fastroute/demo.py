"""`make demo`: a mixed load over mock providers with a brownout and an outage in the middle, and what clients saw and paid.

Everything is real but the answers: real sockets, the real sidecar, mock providers that are real HTTP servers and keep a
bill of their own, so that what fastroute thinks it spent can be held against what it would have been charged.
"""

import asyncio
import random
import sys
import time
from collections.abc import Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import msgspec
import orjson
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from fastroute.app import App
from fastroute.config.load import load_config
from fastroute.config.schema import Config
from fastroute.core.failures import FaultError
from fastroute.core.money import to_usd
from fastroute.core.trail import Trail
from fastroute.core.types import Endpoint, Objective, UpstreamRequest
from fastroute.mock.provider import MockProviders
from fastroute.mock.schema import load_mock_config
from fastroute.prices.charge import charge
from fastroute.transport.aiohttp_client import AiohttpTransport

CONFIGS = Path("configs")
PREMIUM = "premium"
BROWNOUT = ("nano", 0.25, 0.25, 4.0)  # endpoint, start and length as shares of the run, slow-down
OUTAGE = ("claude-mid", 0.60, 0.20)
MIX = (("auto", 0.6), ("chat", 0.3), ("steady", 0.1))
STREAMED = 0.7
TOPICS = (
    "my invoice is wrong",
    "summarise this ticket",
    "write a haiku about queues",
    "why is the sky blue",
    "translate: good morning",
)


class Asked(msgspec.Struct):
    """One client request as the client saw it. Seconds from send; None: it never came."""

    route: str
    ok: bool
    ttft_s: float | None = None
    total_s: float | None = None


class Kept:
    """A sink that keeps every Trail."""

    def __init__(self) -> None:
        self.trails: list[Trail] = []

    def emit(self, trail: Trail) -> None:
        self.trails.append(trail)


class Client:
    """Sends chat requests to the sidecar and times them."""

    def __init__(self, url: str, rng: random.Random) -> None:
        self._url, self._rng, self._transport = url + "/v1/chat/completions", rng, AiohttpTransport()
        self.asked: list[Asked] = []

    async def ask(self) -> None:
        """One request of the mix. A failure is an error status, a broken connection, or an error event in the stream."""
        route = self._rng.choices([name for name, _ in MIX], [share for _, share in MIX])[0]
        stream = self._rng.random() < STREAMED
        prompt = self._rng.choice(TOPICS) + ". " + "Some context that came with it. " * self._rng.randrange(1, 40)
        body = {"model": route, "messages": [{"role": "user", "content": prompt}], "stream": stream}
        request = UpstreamRequest(self._url, (("content-type", "application/json"),), orjson.dumps(body))
        self.asked.append(await self._timed(request, Asked(route, ok=False)))

    async def _timed(self, request: UpstreamRequest, asked: Asked) -> Asked:
        started_s, body = time.monotonic(), b""
        try:
            reply = await self._transport.open(request)
            try:
                while data := await reply.read():
                    asked.ttft_s = asked.ttft_s or time.monotonic() - started_s
                    body += data
            finally:
                reply.close()
        except FaultError:
            return asked
        asked.total_s = time.monotonic() - started_s
        asked.ok = reply.status == 200 and b'{"error"' not in body
        return asked

    async def aclose(self) -> None:
        await self._transport.aclose()


async def run(seconds: float, rate: float, ledger: Path) -> int:
    """Runs the demo; 0 unless the sidecar lost a request that a healthy provider could have served."""
    rng, console = random.Random(11), Console(width=None if sys.stdout.isatty() else 140)
    mocks = MockProviders(_on_free_ports(load_mock_config(_file("demo-mock.yaml"))))
    async with mocks:
        config = _pointed_at(load_config(_file("demo.yaml")), mocks)
        kept = Kept()
        app = App(config, sinks=(kept,))
        port, _ = await app.start()
        client = Client(f"http://127.0.0.1:{port}", rng)
        _plan(mocks, seconds)
        console.print(f"{seconds:.0f} s of load at {rate:.0f} requests a second; {_story(seconds)}")
        await _load(client, seconds, rate, rng)
        await app.stop(drain_s=15.0)
        await client.aclose()
        bill = mocks.bill()
    _report(console, app, client.asked, kept.trails)
    _write(ledger, kept.trails)
    _close(console, ledger, kept.trails, bill)
    return 0 if all(a.ok for a in client.asked) else 1


def _file(name: str) -> Path:
    """A file of `configs/`, from the checkout."""
    beside = Path(str(files("fastroute"))).parent / CONFIGS / name
    return beside if beside.exists() else CONFIGS / name


def _on_free_ports(config: Any) -> Any:
    """The same mocks on ports that nobody uses, so that `make run` may go on beside the demo."""
    endpoints = [msgspec.structs.replace(e, port=0) for e in config.endpoints]
    return msgspec.structs.replace(config, endpoints=type(config.endpoints)(endpoints), control_port=0)


def _pointed_at(config: Config, mocks: MockProviders) -> Config:
    """The demo configuration with the mocks' real addresses and free ports of its own."""
    urls = {entry.provider: mocks.url(name) for name, entry in config.endpoints.items()}
    providers = {name: msgspec.structs.replace(p, base_url=urls[name]) for name, p in config.providers.items()}
    listen = msgspec.structs.replace(config.listen, port=0, admin_port=0)
    return msgspec.structs.replace(config, providers=providers, listen=listen)


def _plan(mocks: MockProviders, seconds: float) -> None:
    name, start, length, factor = BROWNOUT
    mocks.set_fault(name, "brownout", factor=factor, at_s=start * seconds, for_s=length * seconds)
    name, start, length = OUTAGE
    mocks.set_fault(name, "refuse", at_s=start * seconds, for_s=length * seconds)


def _story(seconds: float) -> str:
    slow, from_s, length_s, factor = BROWNOUT
    down, down_s, down_length_s = OUTAGE
    return (
        f"{slow} is {factor:.0f} times slower from {from_s * seconds:.0f} to {(from_s + length_s) * seconds:.0f} s, "
        f"{down} is down from {down_s * seconds:.0f} to {(down_s + down_length_s) * seconds:.0f} s"
    )


async def _load(client: Client, seconds: float, rate: float, rng: random.Random) -> None:
    """Poisson arrivals, open loop: a slow answer delays no other request."""
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed:.0f}/{task.total:.0f} s"),
        TimeRemainingColumn(),
    )
    started_s, at_s = time.monotonic(), 0.0
    async with asyncio.TaskGroup() as group:
        with Progress(*columns, transient=True, disable=not sys.stdout.isatty()) as progress:
            task = progress.add_task("sending", total=seconds)
            while at_s < seconds:
                group.create_task(client.ask())
                at_s += rng.expovariate(rate)
                await asyncio.sleep(max(0.0, started_s + at_s - time.monotonic()))
                progress.update(task, completed=min(seconds, time.monotonic() - started_s))


def _report(console: Console, app: App, asked: list[Asked], trails: list[Trail]) -> None:
    table = Table(title="What clients saw and what it cost", title_justify="left")
    columns = (
        "route",
        "requests",
        "failures",
        "TTFT p50 / p99 ms",
        "total p50 / p99 ms",
        "objective met",
        "USD",
        "all premium USD",
    )
    for column in columns:
        table.add_column(column, justify="left" if column == "route" else "right", no_wrap=True)
    for route in app.catalog.routes.values():
        mine = [a for a in asked if a.route == route.name]
        theirs = [t for t in trails if t.route == route.name]
        if mine:
            table.add_row(f"{route.name}\n{_promise(route.objective)}", *_cells(mine, theirs, app.catalog.endpoints[PREMIUM]))
    console.print(table)
    console.print("Times are in ms, quantiles over the requests of the row (TTFT: streams only). Failures: as clients saw them.")


def _cells(mine: list[Asked], theirs: list[Trail], premium: Endpoint) -> Sequence[str]:
    ttfts = [t.ttft_s for t in theirs if t.ttft_s is not None]
    totals = [a.total_s for a in mine if a.total_s is not None]
    verdicts = [t.objective_met for t in theirs if t.objective_met is not None]
    met = f"{100 * sum(verdicts) / len(verdicts):.1f} % of {len(verdicts)}" if verdicts else "-"
    spent = sum(t.cost_pusd or 0 for t in theirs)
    return (
        str(len(mine)),
        str(sum(not a.ok for a in mine)),
        _quantiles(ttfts),
        _quantiles(totals),
        met,
        f"{to_usd(spent):.4f}",
        f"{to_usd(sum(_all_premium(t, premium) for t in theirs)):.4f}",
    )


def _promise(objective: Objective) -> str:
    parts = [f"{name} {limit_s:g} s" for name, limit_s in (("TTFT", objective.ttft_s), ("all", objective.total_s)) if limit_s]
    return f"{', '.join(parts)} for {100 * objective.target:.0f} %" if parts else "no objective"


def _all_premium(trail: Trail, premium: Endpoint) -> int:
    """What the winning attempt's tokens would have cost on the premium model."""
    outcome = trail.winner.outcome if trail.winner else None
    return (charge(premium.price, outcome.usage) or 0) if outcome and outcome.usage else 0


def _quantiles(seconds: list[float]) -> str:
    if not seconds:
        return "-"
    ranked = sorted(seconds)
    p50, p99 = (ranked[min(len(ranked) - 1, int(q * len(ranked)))] for q in (0.5, 0.99))
    return f"{p50 * 1000:.0f} / {p99 * 1000:.0f}"


def _write(ledger: Path, trails: list[Trail]) -> None:
    ledger.parent.mkdir(parents=True, exist_ok=True)
    ledger.write_bytes(b"".join(orjson.dumps(t.to_dict(), option=orjson.OPT_APPEND_NEWLINE) for t in trails))


def _close(console: Console, ledger: Path, trails: list[Trail], bill: dict[str, Any]) -> None:
    attempts = sum(len(t.attempts) for t in trails)
    spent = to_usd(sum(t.cost_pusd or 0 for t in trails))
    retried = sum(len(t.attempts) > 1 for t in trails)
    console.print(f"attempts: {attempts} for {len(trails)} requests; {retried} needed more than one")
    console.print(f"ledger: {ledger} ({len(trails)} requests, USD {spent:.6f})")
    console.print(f"the mock providers' bill: {orjson.dumps(bill).decode()}", soft_wrap=True, highlight=False)
