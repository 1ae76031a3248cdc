"""A world without sockets for engine tests: scripted endpoints on virtual time."""

import asyncio
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import msgspec

from fastroute.core.failures import Failure, Fault, FaultError, classify
from fastroute.core.ports import ClientGone
from fastroute.core.trail import Trail
from fastroute.core.types import ChatRequest, Endpoint, Objective, Price, Profile, Route, UpstreamRequest, Usage
from fastroute.engine.admission import Admission
from fastroute.engine.router import Parts, Router
from fastroute.policy.registry import strategy
from fastroute.prices.charge import charge
from fastroute.sim.loop import VirtualClock
from fastroute.stats.board import Scoreboard

PROFILE = Profile("fake", "fake", "/chat", cancel_stops_billing=True)


def endpoint(name: str, usd_per_mtok: float = 1.0, **kwargs: object) -> Endpoint:
    price = Price(int(usd_per_mtok * 1e6), int(usd_per_mtok * 4e6))
    return msgspec.structs.replace(Endpoint(name, "fake", PROFILE, f"http://{name}", f"model-{name}", price=price), **kwargs)


@dataclass
class Script:
    """What an endpoint does: pieces as (delay before it, bytes or exception). `C` is content, `.` is not, `!` ends it well."""

    pieces: list[tuple[float, bytes | Exception]] = field(default_factory=lambda: [(0.2, b"C"), (0.1, b"C"), (0.1, b"!")])
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    headers_delay_s: float = 0.05
    open_error: Exception | None = None


class FakeReply:
    def __init__(self, script: Script, log: list[str], name: str) -> None:
        self.status, self.headers = script.status, script.headers
        self._pieces, self._log, self._name = list(script.pieces), log, name
        self.closed = False

    async def read(self) -> bytes:
        if not self._pieces:
            return b""
        delay_s, piece = self._pieces.pop(0)
        await asyncio.sleep(delay_s)
        if isinstance(piece, Exception):
            raise piece
        return piece

    async def pour(self, take: Callable[[bytes], bool]) -> bool:
        while data := await self.read():
            if not take(data):
                return False
        return True

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._log.append(f"close {self._name}")


class FakeTransport:
    """Serves the script of whichever endpoint is asked; a callable script is asked anew for each send."""

    def __init__(self, scripts: Mapping[str, Script | Callable[[], Script]]) -> None:
        self.scripts, self.log = dict(scripts), []
        self.sent: list[str] = []

    async def open(self, request: UpstreamRequest) -> FakeReply:
        name = request.url.removeprefix("http://")
        self.sent.append(name)
        self.log.append(f"open {name}")
        made = self.scripts[name]
        script = made if isinstance(made, Script) else made()
        try:
            await asyncio.sleep(script.headers_delay_s)
        except asyncio.CancelledError:
            self.log.append(f"cancel {name}")
            raise
        if script.open_error:
            raise script.open_error
        return FakeReply(script, self.log, name)

    async def aclose(self) -> None: ...


class FakeTranslator:
    """`C` content, `.` nothing, `!` proper end, `E` an error inside the reply, `U` usage of 10 in, 5 out."""

    def __init__(self) -> None:
        self.content_started = self.finished = False
        self.fault: Fault | None = None
        self.usage: Usage | None = None
        self.output_tokens_seen = 0

    def feed(self, data: bytes) -> bytes:
        for symbol in data.decode():
            if symbol == "C":
                self.content_started = True
                self.output_tokens_seen += 1
            elif symbol == "!":
                self.finished = True
            elif symbol == "E":
                self.fault = Fault(Failure.OVERLOADED, "overloaded")
            elif symbol == "U":
                self.usage = Usage(10, 5)
        return data

    def end(self) -> bytes:
        if not self.finished and self.fault is None:
            self.fault = Fault(Failure.TRUNCATED, "cut")
        return b""

    def whole(self, body: bytes) -> bytes:
        self.feed(body)
        self.end()
        return body

    def interrupted(self, fault: Fault) -> bytes:
        return b"<" + fault.failure.value.encode() + b">"


class FakeDialect:
    name = "fake"

    def __init__(self, unsupported: tuple[str, ...] = ()) -> None:
        self.unsupported = unsupported

    def encode(self, request: ChatRequest, endpoint: Endpoint) -> UpstreamRequest:
        if endpoint.name in self.unsupported:
            raise FaultError(Fault(Failure.UNSUPPORTED, "cannot say this", param="logprobs"))
        return UpstreamRequest(endpoint.base_url, (), b"{}")

    def fault(self, status: int, headers: Mapping[str, str], body: bytes) -> Fault:
        hint = headers.get("retry-after")
        return Fault(classify(status, message=body.decode()), body.decode(), status, retry_after_s=float(hint) if hint else None)

    def translator(self, request: ChatRequest, endpoint: Endpoint) -> FakeTranslator:
        return FakeTranslator()


class FakeApi:
    name = "fake"

    def decode(self, body: bytes, request_id: str, accepted_s: float) -> ChatRequest:
        raise NotImplementedError

    def error(self, fault: Fault, status: int) -> bytes:
        return f"{status} {fault.failure.value} {fault.message}".encode()


class FakeClient:
    """Collects what a client sees. `leaves_after`: how many writes it reads before it goes."""

    def __init__(self, clock: VirtualClock, leaves_after: int | None = None, read_s: float = 0.0) -> None:
        self.clock, self.leaves_after, self.read_s = clock, leaves_after, read_s
        self.status: int | None = None
        self.body = b""
        self.complete: bool | None = None
        self.answered_at_s: float | None = None
        self.first_at_s: float | None = None
        self.trail: Trail | None = None
        self.answers = 0

    async def whole(self, trail: Trail, status: int, body: bytes) -> None:
        self.status, self.body, self.complete, self.trail = status, body, True, trail
        self.answered_at_s = self.clock.now_s()
        self.answers += 1

    def open_stream(self, trail: Trail) -> None:
        self.status, self.trail = 200, trail
        self.first_at_s = self.clock.now_s()
        self.answers += 1

    def push(self, data: bytes) -> bool:
        if not data:
            return True
        if self.leaves_after is not None:
            self.leaves_after -= 1
            if self.leaves_after < 0:
                raise ClientGone
        self.body += data
        return self.read_s == 0.0

    async def drain(self) -> None:
        await asyncio.sleep(self.read_s)

    async def write(self, data: bytes) -> None:
        if not self.push(data):
            await self.drain()

    async def close_stream(self, complete: bool) -> None:
        self.complete, self.answered_at_s = complete, self.clock.now_s()


class World:
    """A router over scripted endpoints. Make it inside `run_virtual`."""

    def __init__(
        self, scripts: Mapping[str, Script | Callable[[], Script]], route: Route, unsupported: tuple[str, ...] = ()
    ) -> None:
        self.clock = VirtualClock(asyncio.get_running_loop())
        self.transport = FakeTransport(scripts)
        self.trails: list[Trail] = []
        rng = random.Random(7)
        endpoints = [e for tier in route.tiers for e in tier]
        self.admission = Admission(Scoreboard(), endpoints, self.clock, rng)
        self.route = route
        self.router = Router(
            Parts(
                route_for=lambda name: route if name == route.name else None,
                dialects={"fake": FakeDialect(unsupported)},
                apis={"fake": FakeApi()},
                strategies={name: strategy(name) for name in ("cost_slo", "round_robin", "weighted", "least_latency")},
                transport_for=lambda endpoint: self.transport,
                charge=charge,
                admission=self.admission,
                clock=self.clock,
                rng=rng,
                sinks=[self],
            )
        )
        self.count = 0

    def emit(self, trail: Trail) -> None:
        self.trails.append(trail)

    def request(self, **kwargs: object) -> ChatRequest:
        self.count += 1
        plain = ChatRequest(f"r{self.count}", "fake", self.route.name, {}, self.clock.now_s(), 400, stream=True)
        return msgspec.structs.replace(plain, **kwargs)

    async def ask(self, client: FakeClient | None = None, **kwargs: object) -> FakeClient:
        client = client or FakeClient(self.clock)
        await self.router.serve(self.request(**kwargs), client)
        return client

    def in_flight(self) -> list[int]:
        return [k.in_flight for k in self.admission.keepers()]


def route(*tiers: tuple[Endpoint, ...], **kwargs: object) -> Route:
    return msgspec.structs.replace(Route("auto", tiers, Objective(ttft_s=2.0, total_s=8.0)), **kwargs)
