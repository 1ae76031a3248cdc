"""What `fastroute simulate` does: files in, a comparison out."""

from collections.abc import Sequence
from pathlib import Path

import msgspec

from fastroute.config.load import load_config
from fastroute.config.problems import ConfigError, closest, listed
from fastroute.config.resolve import resolve
from fastroute.core.types import Route
from fastroute.prices.catalog import PriceBook
from fastroute.sim.crew import Crew
from fastroute.sim.report import Comparison, compare
from fastroute.sim.run import Contender, Setting
from fastroute.sim.traces import MODEL, TraceError, load_trace
from fastroute.sim.worldfile import EndpointWorld, World, find_world, load_world


class Wrong(ValueError):
    """The files or options do not make a simulation. The message says which and why."""


class Asked(msgspec.Struct, frozen=True):
    """The command's options."""

    trace: str
    configs: tuple[Path, ...]
    route: str | None = None  # None: each configuration's first
    world: str | None = None  # None: every endpoint as expected, and no faults
    requests: int = 10_000  # of each configuration, shared out among the seeds
    rate_per_s: float | None = None
    seeds: int = 3
    stream: bool = True
    oracle: bool = True
    workers: int = 1  # of each configuration, learning from each other
    processes: int | None = None


def simulate(asked: Asked) -> Comparison:
    """Plays every configuration in one world. Raises `Wrong`."""
    if asked.trace == MODEL and asked.rate_per_s is None:
        raise Wrong("the model `poisson` needs --rate")
    try:
        trace = load_trace(asked.trace)
        routes = [route_of(path, asked.route) for path in asked.configs]
        world = None if asked.world is None else load_world(find_world(asked.world))
    except (TraceError, ConfigError) as error:
        raise Wrong(str(error)) from None
    world = world or expected_world(routes)
    _check_known(routes, world, asked.world or "")
    names = contender_names(asked.configs)
    contenders = [Contender(name, route, crew=Crew(asked.workers)) for name, route in zip(names, routes, strict=True)]
    each = max(1, asked.requests // asked.seeds)
    setting = Setting(world, trace, each, asked.rate_per_s, asked.stream)
    return compare(contenders, setting, asked.seeds, oracle=asked.oracle, processes=asked.processes)


def route_of(path: Path, name: str | None) -> Route:
    """The route of that name in a configuration; None: its first. Raises `ConfigError`, `Wrong`."""
    prices = PriceBook.load()
    routes = resolve(load_config(path), prices.price_of, prices.capabilities_of).routes
    if not routes:
        raise Wrong(f"{path}: has no routes to simulate")
    if name is None:
        return next(iter(routes.values()))
    if name not in routes:
        near = closest(name, routes)
        hint = f" (did you mean {near!r}?)" if near else f" (it has {listed(routes)})"
        raise Wrong(f"{path}: there is no route {name!r}{hint}")
    return routes[name]


def expected_world(routes: Sequence[Route]) -> World:
    """Every endpoint as its configuration expects, with 300 ms and 15 ms a token where it says nothing; no faults."""
    endpoints = {}
    for endpoint in (e for route in routes for tier in route.tiers for e in tier):
        ttft_s, tpot_s = endpoint.prior_ttft_s or 0.3, endpoint.prior_tpot_s or 0.015
        endpoints[endpoint.name] = EndpointWorld(ttft_ms=ttft_s * 1000, tpot_ms=tpot_s * 1000, straggler_ratio=0.005)
    return World(endpoints=endpoints, about="endpoints as the configurations expect, no faults")


def _check_known(routes: Sequence[Route], world: World, name: str) -> None:
    if world.default is not None:
        return
    wanted = {e.name for route in routes for tier in route.tiers for e in tier}
    unknown = sorted(wanted - set(world.endpoints))
    if unknown:
        raise Wrong(f"{name}: endpoints: says nothing of {listed(unknown)} (name it, or give a default)")


def contender_names(paths: Sequence[Path]) -> list[str]:
    """File stems; whole paths, or numbers, where those are not enough."""
    for names in ([p.stem for p in paths], [str(p) for p in paths]):
        if len(set(names)) == len(names):
            return names
    return [f"{p} ({i})" for i, p in enumerate(paths, 1)]
