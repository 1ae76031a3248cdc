"""How typed code uses fastroute. Never run: `mypy` reads it, and fails where an advertised type changes or is lost."""

import datetime
from pathlib import Path
from typing import assert_type

import fastroute
from fastroute import Config, Router, load_config
from fastroute.core.failures import Failure, Fault, FaultError, classify
from fastroute.core.money import Pusd, from_usd, per_token, show_usd
from fastroute.core.ports import ClientApi, Dialect, Rng, Sink, Strategy, Transport
from fastroute.core.trail import Trail
from fastroute.core.types import (
    Candidate,
    ChatRequest,
    Decision,
    Endpoint,
    Exclusion,
    Price,
    Situation,
    TailTable,
    Usage,
)
from fastroute.engine.router import Parts
from fastroute.prices.catalog import PriceBook
from fastroute.prices.charge import charge
from fastroute.telemetry.recent import RecentTrails

assert_type(fastroute.__version__, str)
assert_type(load_config(Path("fastroute.yaml")), Config)


def make(parts: Parts) -> Router:
    return Router(parts)


class CheapestFirst:
    """A strategy of one's own needs no base class."""

    name = "cheapest_first"

    def decide(self, situation: Situation, rng: Rng) -> Decision:
        ranked = [Candidate(view, 0.0, None, rng.random()) for view in situation.views if view.admits]
        excluded = [Exclusion(view.endpoint, "full") for view in situation.views if not view.admits]
        return Decision(self.name, tuple(ranked), tuple(excluded), "as an example")


class Printer:
    """A sink of one's own."""

    def emit(self, trail: Trail) -> None:
        assert_type(trail.ttft_s, float | None)
        assert_type(trail.cost_pusd, Pusd | None)
        assert_type(trail.objective_met, bool | None)
        assert_type(trail.request, ChatRequest)


strategy: Strategy = CheapestFirst()
sinks: list[Sink] = [Printer(), RecentTrails(10)]


async def ports(dialect: Dialect, api: ClientApi, transport: Transport, endpoint: Endpoint) -> None:
    request = api.decode(b"{}", "req-1", 0.0)
    assert_type(request, ChatRequest)
    upstream = dialect.encode(request, endpoint)
    assert_type(dialect.fault(500, {}, b""), Fault)
    assert_type(upstream.body, bytes)
    reply = await transport.open(upstream)
    assert_type(await reply.read(), bytes)
    reply.close()


def money(book: PriceBook) -> str:
    price = book.price_of("openai", "gpt-4o")
    assert_type(price, Price | None)
    cost = charge(price, Usage(input_tokens=1, output_tokens=1))
    assert_type(cost, Pusd | None)
    assert_type(per_token("2.5"), Pusd)
    assert_type(from_usd(1), Pusd)
    assert_type(book.age_days(datetime.date(2026, 1, 1)), int)
    return show_usd(cost)


def failures(error: FaultError) -> bool:
    assert_type(classify(429, None, "x"), Failure)
    assert_type(error.fault.retry_after_s, float | None)
    return error.fault.rule.failover


def wrong(table: TailTable) -> None:
    """What must not type-check: mypy reports an unused ignore where it does."""
    table.bounds = ()  # type: ignore[misc]
    charge(Price(1, 2), "usage")  # type: ignore[arg-type]
    Decision("s", [], (), "why")  # type: ignore[arg-type]
