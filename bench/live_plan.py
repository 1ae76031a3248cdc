"""The live check's world, translated: a simulator's world file as mock providers, control calls, and requests.

Rules. What the mock cannot do is said, never left out: `Unplayable`. Every distribution and every limit of the world has its
counterpart in the mock, with the same meaning; only the luck is drawn anew.
"""

from collections.abc import Mapping, Sequence
from itertools import takewhile
from pathlib import Path
from typing import Any

import msgspec
import yaml

from fastroute.core.types import Endpoint, Route
from fastroute.sim.traces import Row, Trace
from fastroute.sim.weather import Phase
from fastroute.sim.world import BURST_S, ERROR_S
from fastroute.sim.worldfile import EndpointWorld, Fault, World

ROLE_CHARS = 4  # the mock counts the role of a message as text
PATH = "/v1/chat/completions"


class Unplayable(ValueError):
    """The world has something that mock providers cannot do. The message says what."""


def fixed_trace(trace: Trace, rate_per_s: float, seconds: float, seed: int) -> Trace:
    """The arrivals of one seed, as a trace of its own: with a seed from `luck_seed`, a simulation begins at its first row.

    The rate is the whole trace's mean: so many seconds of it may hold more requests, or fewer.
    """
    arrivals = trace.arrivals(rate_per_s, max(1, round(10 * rate_per_s * seconds)), seed)
    return Trace(tuple(takewhile(lambda row: row.at_s < seconds, arrivals)), name=trace.name)


def luck_seed(times: int, requests: int) -> int:
    """The seed of the `times`-th simulation of a fixed trace of so many requests: other luck, the same arrivals."""
    return times * requests


def request_bytes(row: Row, number: int, model: str) -> bytes:
    """One streamed chat request of a row's size, which asks the mock for the row's answer length."""
    asked = f"#reply={row.output_tokens}# "
    prompt = asked + "word " * (max(0, 4 * row.input_tokens - ROLE_CHARS - len(asked)) // 5)
    body = f'{{"model":"{model}","stream":true,"messages":[{{"role":"user","content":"{prompt}"}}]}}'
    head = f"POST {PATH} HTTP/1.1\r\nhost: live\r\ncontent-type: application/json\r\nauthorization: Bearer live\r\n"
    return f"{head}x-request-id: live-{number}\r\ncontent-length: {len(body)}\r\n\r\n{body}".encode()


def endpoints_of(route: Route) -> dict[str, Endpoint]:
    """Those of all tiers, by name."""
    return {e.name: e for tier in route.tiers for e in tier}


def routed_config(source: Path, urls: Mapping[str, str], port: int, admin_port: int) -> str:
    """The configuration with every endpoint at a URL of its own, and listening on these ports; the rest as it is."""
    plain: dict[str, Any] = yaml.safe_load(source.read_text(encoding="utf-8"))
    for name, url in urls.items():
        provider = plain["providers"][plain["endpoints"][name]["provider"]]
        plain["providers"][f"live-{name}"] = {**provider, "base_url": url, "api_key": "live"}
        plain["endpoints"][name]["provider"] = f"live-{name}"
    used = {spec["provider"] for spec in plain["endpoints"].values()}
    plain["providers"] = {name: spec for name, spec in plain["providers"].items() if name in used}
    plain["listen"] = {"host": "127.0.0.1", "port": port, "admin_port": admin_port}
    return yaml.safe_dump(plain, sort_keys=False)


def mock_config(world: World, endpoints: Mapping[str, Endpoint], ports: Mapping[str, int], seed: int) -> dict[str, Any]:
    """The mock's configuration, as plain data. `ports`: by endpoint, and `control`. Raises `Unplayable`."""
    specs = [_endpoint(e, world.of(name), ports[name]) for name, e in endpoints.items()]
    return {"seed": seed, "control_port": ports["control"], "endpoints": specs}


def _endpoint(endpoint: Endpoint, spec: EndpointWorld, port: int) -> dict[str, Any]:
    if spec.tokens_per_minute is not None:
        raise Unplayable(f"{endpoint.name}: tokens_per_minute: mock providers limit requests only")
    price = endpoint.price
    scale = spec.price_factor / 1e6  # pico-dollars a token to dollars a million
    charged = {} if price is None else {
        "input_usd_per_mtok": price.input_pusd * scale,
        "output_usd_per_mtok": price.output_pusd * scale,
        "request_usd": price.request_pusd * scale / 1e6,
    }  # fmt: skip
    limited = {} if spec.requests_per_minute is None else {"requests_per_minute": spec.requests_per_minute, "burst_s": BURST_S}
    return {
        "name": endpoint.name,
        "port": port,
        "latency": _latency(spec),
        "output_tokens": {"as_asked": True},
        "price": charged,
        "bills_after_cancel": not spec.cancel_stops_billing,
        "limits": limited,
    }


def _latency(spec: EndpointWorld) -> dict[str, Any]:
    same = ("ttft_ms", "per_input_token_ms", "sigma", "straggler_ratio", "tpot_ms", "tpot_sigma", "slope_ratio")
    found = {name: getattr(spec, name) for name in same}
    if spec.straggler_factor < 1.0:
        raise Unplayable("straggler_factor below 1: a mock provider's stragglers are slow")
    return {**found, "straggler_factor": spec.straggler_factor, "knee_in_flight": spec.knee_in_flight, "scatter_all": True}


def control_calls(schedule: Sequence[Phase]) -> list[dict[str, Any]]:
    """What to POST to the control port before the first arrival; each fault begins and ends by itself. Raises `Unplayable`."""
    return [
        {"endpoint": endpoint, "at_s": phase.start_s, "for_s": phase.end_s - phase.start_s, **_members(phase.fault)}
        for phase in schedule
        for endpoint in phase.fault.endpoints or ("*",)
    ]


def _members(fault: Fault) -> dict[str, Any]:
    factor = {"factor": fault.factor}
    match fault.kind:
        case "brownout" | "spike":
            return {"fault": "brownout", **factor}
        case "slow_drip" | "rate_cut":
            return {"fault": fault.kind, **factor}
        case "cold_start":
            return {"fault": "late_start", **factor}
        case "tail_shape":
            return {"fault": "tail_shape", **factor, "straggler_ratio": fault.share}
        case "cut":
            return {"fault": "reset", "at_ratio": "any", "ratio": fault.share}
        case "down":
            return {**_failing(fault.how), "cuts": True}
        case "gray" if fault.how != "refuse":
            return {**_failing(fault.how), "ratio": fault.share}
        case "gray":
            return {"fault": "reset", "ratio": fault.share}  # a socket cannot be closed to some; a reset is as quick
    raise Unplayable(f"{fault.name}: a {fault.kind} cannot be played by mock providers")


def _failing(how: str | None) -> dict[str, Any]:
    if how == "error":
        return {"fault": "status", "status": 500, "delay_ms": ERROR_S * 1000}
    return {"fault": "refuse" if how == "refuse" else "hang_before_headers"}


class Seen(msgspec.Struct, frozen=True):
    """One live request: what its client saw, and what the router's log line says of it (None: it said nothing)."""

    at_s: float
    met: bool
    failure: str
    ttft_s: float | None
    total_s: float
    lag_s: float
    tried: tuple[str, ...] = ()
    met_by_log: bool | None = None
    cost_usd: float | None = None
