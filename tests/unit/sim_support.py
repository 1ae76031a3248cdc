"""Small routes, worlds and runs for tests of the simulator."""

import msgspec

from fastroute.core.types import Endpoint, Objective, Price, Profile, Role, Route
from fastroute.sim.run import Change, Contender, Line, Played, Setting, Try, play
from fastroute.sim.traces import Row, Trace
from fastroute.sim.weather import Phase
from fastroute.sim.worldfile import EndpointWorld, Fault, World

PROFILE = Profile("test", "openai_chat", "/chat", cancel_stops_billing=True)


def endpoint(name: str, usd_per_mtok: float = 1.0) -> Endpoint:
    return Endpoint(
        name, "test", PROFILE, "http://127.0.0.1:9", name, price=Price(int(usd_per_mtok * 1e6), int(usd_per_mtok * 4e6))
    )


CHEAP, DEAR = endpoint("cheap", 0.1), endpoint("dear", 1.0)
ROUTE = Route("auto", ((CHEAP, DEAR),), Objective(ttft_s=2.0, total_s=8.0))
STEADY = EndpointWorld(ttft_ms=300, sigma=0.2, tpot_ms=10)


def route(**changes: object) -> Route:
    return msgspec.structs.replace(ROUTE, **changes)


def world(*faults: Fault, **endpoints: EndpointWorld) -> World:
    return World(endpoints={"cheap": STEADY, "dear": STEADY, **endpoints}, faults=faults)


def trace(input_tokens: int = 400, output_tokens: int = 100, rows: int = 50, gap_s: float = 0.5) -> Trace:
    return Trace(tuple(Row(i * gap_s, input_tokens, output_tokens) for i in range(rows)), name="even")


def setting(*faults: Fault, requests: int = 200, rate_per_s: float = 2.0, **kwargs: object) -> Setting:
    return msgspec.structs.replace(Setting(world(*faults), trace(), requests, rate_per_s), **kwargs)


def played(*faults: Fault, seed: int = 1, on: Route = ROUTE, **kwargs: object) -> Played:
    return play(Contender("it", on), setting(*faults, **kwargs), seed)


def attempt(endpoint: str = "cheap", started_s: float = 0.0, **changes: object) -> Try:
    return msgspec.structs.replace(Try(endpoint, Role.PRIMARY, started_s, True, None, 1000, 1000, 0.3), **changes)


def line(at_s: float = 0.0, met: bool | None = True, *tries: Try, **changes: object) -> Line:
    mine = tries or (attempt(started_s=at_s),)
    return msgspec.structs.replace(Line(at_s, met, mine, 0.005, not met if met is not None else None, 1.0, 0.3), **changes)


def record(
    lines: list[Line], phases: tuple[Phase, ...] = (), changes: tuple[Change, ...] = (), ended_s: float = 1000.0
) -> Played:
    return Played("it", 1, tuple(lines), changes, phases, ended_s)
