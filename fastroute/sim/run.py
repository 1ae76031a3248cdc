"""One run: the production router over simulated endpoints, on virtual time, for one configuration and one seed.

Rules. Nothing of the router is modelled: `Router`, `Admission`, `Scoreboard`, strategies and billing are those that serve real
traffic, ticked four times a second. Same run, same seed: the same record, byte for byte.

Theory of operation. `play` makes a fresh virtual loop, wires the parts, lets the trace's requests arrive, and turns each
Trail into one small `Line` at once, so that a long run needs little memory.
"""

import asyncio
import contextvars
import random
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, runtime_checkable

import msgspec

from fastroute.core.failures import Failure
from fastroute.core.ports import Sink, Strategy
from fastroute.core.trail import Attempt, Trail
from fastroute.core.types import ChatRequest, Endpoint, HedgeRule, Role, Route
from fastroute.engine.admission import Admission
from fastroute.engine.router import Parts, Router
from fastroute.policy.registry import BUILT_IN, strategy
from fastroute.prices.charge import charge
from fastroute.sim.crew import ALONE, Crew, Worker, crew_of, shares
from fastroute.sim.loop import VirtualClock, run_virtual
from fastroute.sim.oracle import current_job
from fastroute.sim.traces import Row, Trace
from fastroute.sim.weather import Phase, phases
from fastroute.sim.wire import NAME, SimulatedApi, SimulatedClient, SimulatedDialect, SimulatedTransport
from fastroute.sim.world import Job, Provider, job_of
from fastroute.sim.worldfile import World

TICK_S = 0.25


@runtime_checkable
class Learner(Protocol):
    """A strategy with statistics of its own: it is shown every Trail."""

    def emit(self, trail: Trail) -> None: ...


class Sight(msgspec.Struct, frozen=True):
    """What an oracle may look at; other strategies have no business with it."""

    providers: Mapping[str, Provider]
    now_s: Callable[[], float]
    lengths: tuple[int, ...]


Make = Callable[[Sight], Strategy]
"""Makes a strategy for one run. See `Learner`."""


NO_HEDGES = HedgeRule(0.0, 0.0)  # oracles and other routers' rules choose, and that is all


class Contender(msgspec.Struct, frozen=True):
    """A route under a name. `make`: another strategy in place of the route's own; must be importable, for other processes."""

    name: str
    route: Route
    make: Make | None = None
    tick_s: float = TICK_S  # as in production; who does not look at the statistics can do with fewer
    crew: Crew = ALONE


class Setting(msgspec.Struct, frozen=True):
    """What all contenders of a comparison share."""

    world: World
    trace: Trace
    requests: int
    rate_per_s: float | None = None  # None: the trace's own
    stream: bool = True


class Try(msgspec.Struct, frozen=True, gc=False):
    """One attempt, for the report. `bill_pusd`: what the provider charged; `cost_pusd`: what the router booked."""

    endpoint: str
    role: Role
    started_s: float
    won: bool
    failure: Failure | None
    bill_pusd: int
    cost_pusd: int | None
    ttft_s: float | None


class Line(msgspec.Struct, frozen=True, gc=False):
    """One request, for the report. `p_miss`: predicted for the first attempt; `missed`: whether that attempt missed."""

    at_s: float
    met: bool | None
    tries: tuple[Try, ...]
    p_miss: float | None
    missed: bool | None
    total_s: float
    ttft_s: float | None


class Change(msgspec.Struct, frozen=True, gc=False):
    """At this tick the router began, or ceased, to mistrust an endpoint (breaker, suspicion or gate)."""

    at_s: float
    endpoint: str
    uneasy: bool


class Played(msgspec.Struct, frozen=True):
    """The record of one run."""

    contender: str
    seed: int
    lines: tuple[Line, ...]
    changes: tuple[Change, ...]
    phases: tuple[Phase, ...]
    ended_s: float


def play(contender: Contender, setting: Setting, seed: int) -> Played:
    """Runs it. Raises whatever broke inside."""
    return run_virtual(_play(contender, setting, seed))


async def _play(contender: Contender, setting: Setting, seed: int) -> Played:
    return await Run(contender, setting, seed).go()


class _SteppedClock(VirtualClock):
    """Its wall clock can be put forward or back, which must change nothing."""

    step_s = 0.0

    def wall_s(self) -> float:
        return super().wall_s() + self.step_s


class Run:
    """A run under way. Make it inside a virtual loop."""

    def __init__(self, contender: Contender, setting: Setting, seed: int) -> None:
        self._loop = asyncio.get_running_loop()
        self._clock = _SteppedClock(self._loop)
        self._contender, self._setting, self._seed = contender, setting, seed
        rows = tuple(setting.trace.arrivals(setting.rate_per_s, setting.requests, seed))
        self._rows = rows
        self._phases = phases(setting.world, rows[-1].at_s if rows else 0.0, seed)
        self._route = simulated_route(contender.route)
        endpoints = _endpoints(self._route)
        self.providers = {e.name: Provider(e, setting.world.of(e.name), self._phases, i, seed) for i, e in enumerate(endpoints)}
        self._jobs: dict[int, Job] = {}
        self._watched = Watched()
        self._lines: list[Line] = []
        self._broke: BaseException | None = None
        self._workers = crew_of(contender.crew, endpoints, self._clock, seed)
        self._routers = [self._wired(worker) for worker in self._workers]
        self._goes_to = shares(contender.crew, len(rows), random.Random(f"{seed} shares"))

    def _wired(self, worker: Worker) -> Router:
        strategies: dict[str, Strategy] = {name: strategy(name) for name in BUILT_IN}
        sinks: list[Sink] = [self]
        if self._contender.make is not None:
            made = self._contender.make(Sight(self.providers, self._clock.now_s, self._setting.trace.output_points()))
            strategies[made.name] = made
            self._route = msgspec.structs.replace(self._route, strategy=made.name, hedge=NO_HEDGES)
            if isinstance(made, Learner):
                sinks.append(made)
        transports = {name: SimulatedTransport(p, self._jobs, self._loop) for name, p in self.providers.items()}
        return Router(
            Parts(
                route_for=lambda name: self._route,
                dialects={NAME: SimulatedDialect()},
                apis={NAME: SimulatedApi()},
                strategies=strategies,
                transport_for=lambda endpoint: transports[endpoint.name],
                charge=charge,
                admission=worker.admission,
                clock=self._clock,
                rng=worker.rng,
                sinks=sinks,
                on_sink_error=self._sink_broke,
            )
        )

    async def go(self) -> Played:
        """All requests, from the first arrival to the last end."""
        self._done: asyncio.Future[None] = self._loop.create_future()
        self._loop.set_exception_handler(self._loop_broke)
        for phase in self._phases:
            if phase.fault.step_s is not None:
                self._loop.call_at(phase.start_s, self._step, phase.fault.step_s)
        self._tasks: set[asyncio.Task[None]] = set()
        for worker in self._workers:
            self._loop.call_at(self._contender.tick_s * (1.0 + worker.offset_ratio), self._tick, worker)
            worker.repeat(self._loop, self._clock, lambda: not self._done.done())
        self._arrive(0)
        await self._done
        if self._broke is not None:
            raise self._broke
        self._lines.sort(key=lambda line: line.at_s)
        changes = tuple(self._watched.changes)
        return Played(self._contender.name, self._seed, tuple(self._lines), changes, self._phases, self._clock.now_s())

    # --- what happens by itself ---

    def _arrive(self, i: int) -> None:
        """Request `i` comes; the next one is set."""
        rows = self._rows
        job = self._jobs[i] = job_of(i, rows[i])
        context = contextvars.copy_context()
        context.run(current_job.set, job)
        task = self._loop.create_task(self._serve(i, rows[i], job), context=context)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        if i + 1 < len(rows):
            self._loop.call_at(rows[i + 1].at_s, self._arrive, i + 1)

    async def _serve(self, i: int, row: Row, job: Job) -> None:
        stream = self._setting.stream
        request = ChatRequest(
            f"{i}{'s' if stream else 'w'}", NAME, self._route.name, {}, self._clock.now_s(), 4 * row.input_tokens, stream
        )
        await self._routers[self._goes_to[i]].serve(request, SimulatedClient())

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._broke = self._broke or error
        if (self._broke is not None or len(self._lines) == len(self._rows)) and not self._done.done():
            self._done.set_result(None)

    def _tick(self, worker: Worker) -> None:
        now_s = self._clock.now_s()
        worker.admission.tick(now_s)
        if worker is self._workers[-1]:
            self._watched.look([w.admission for w in self._workers], now_s)
        if not self._done.done():
            self._loop.call_at(now_s + self._contender.tick_s, self._tick, worker)

    def _step(self, by_s: float) -> None:
        self._clock.step_s += by_s

    def _sink_broke(self, sink: Sink, error: Exception) -> None:
        self._broke = self._broke or error

    def _loop_broke(self, loop: asyncio.AbstractEventLoop, told: dict[str, Any]) -> None:
        """An error in a callback would otherwise be printed, and its request would wait for ever."""
        self._broke = self._broke or told.get("exception") or RuntimeError(told["message"])
        if not self._done.done():
            self._done.set_result(None)

    # --- what is noted ---

    def emit(self, trail: Trail) -> None:
        """Sink: one request has ended."""
        number = int(trail.request.id[:-1])
        self._lines.append(line_of(trail, self._jobs.pop(number)))


class Watched:
    """Notes, tick by tick, whom the router mistrusts; of several workers, any."""

    def __init__(self) -> None:
        self.changes: list[Change] = []
        self._uneasy: dict[str, bool] = {}

    def look(self, admissions: Sequence[Admission], now_s: float) -> None:
        for keepers in zip(*(admission.keepers() for admission in admissions), strict=True):
            name = keepers[0].endpoint.name
            uneasy = any(not k.breaker.closed or k.suspicion.suspect or k.gate_until_s > now_s for k in keepers)
            if uneasy != self._uneasy.get(name, False):
                self._uneasy[name] = uneasy
                self.changes.append(Change(now_s, name, uneasy))


def line_of(trail: Trail, job: Job) -> Line:
    """A Trail in short."""
    tries = tuple(_try(a, a is trail.winner, bill) for a, bill in zip(trail.attempts, job.bills_pusd, strict=True))
    predicted = _predicted(trail)
    total_s = trail.total_s or 0.0
    return Line(trail.request.accepted_s, trail.objective_met, tries, predicted, _first_missed(trail), total_s, trail.ttft_s)


def _try(attempt: Attempt, won: bool, bill_pusd: int) -> Try:
    first_s = attempt.first_content_s
    ttft_s = None if first_s is None else first_s - attempt.started_s
    return Try(attempt.endpoint, attempt.role, attempt.started_s, won, attempt.failure, bill_pusd, attempt.cost_pusd, ttft_s)


def _predicted(trail: Trail) -> float | None:
    """P(miss) as predicted for the endpoint that was tried first."""
    if not trail.attempts:
        return None
    first = trail.attempts[0].endpoint
    found = (c.p_miss for d in trail.decisions for c in d.ranked if c.view.endpoint.name == first)
    return next(found, None)


def _first_missed(trail: Trail) -> bool | None:
    """Whether the first attempt, by itself, missed the objective; None where it failed for another reason than lateness."""
    if not trail.attempts or trail.objective_met is None:
        return None
    first = trail.attempts[0]
    if first.failure in (Failure.FIRST_CONTENT_TIMEOUT, Failure.DEADLINE, Failure.STALL):
        return True
    if first.failure is not None:
        return None
    return not trail.objective_met


def simulated_route(route: Route) -> Route:
    """The same route with every endpoint spoken to through the simulated wire."""
    return msgspec.structs.replace(route, tiers=tuple(tuple(_simulated(e) for e in tier) for tier in route.tiers))


def _simulated(endpoint: Endpoint) -> Endpoint:
    return msgspec.structs.replace(endpoint, profile=msgspec.structs.replace(endpoint.profile, dialect=NAME), key=None)


def _endpoints(route: Route) -> tuple[Endpoint, ...]:
    return tuple({e.name: e for tier in route.tiers for e in tier}.values())
