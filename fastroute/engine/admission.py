"""Who may be used right now: breakers, suspect rings, rate-limit gates, switches and limits, beside the statistics.

Theory of operation. Each endpoint has one `Gatekeeper`. An attempt is a *flight*: it takes off in `Admission.flight` and lands
exactly once, on every path, so in-flight counts cannot drift. What it taught goes to the scoreboard (times), the breaker
(blame) and the gate (retry hints). `tick`, four times a second, marks flights whose objective has passed as
overdue, so that a hanging endpoint is known before its first answer.
"""

from collections.abc import Iterable
from types import TracebackType
from typing import Self

from fastroute.core.failures import Blame, Failure, Fault
from fastroute.core.ports import Clock, Rng
from fastroute.core.types import BreakerState, Endpoint, EndpointView, Outcome, Route
from fastroute.engine.exchange import Exchange
from fastroute.policy.breaker import Breaker
from fastroute.policy.suspect import Suspicion
from fastroute.stats.board import Flight as Sample
from fastroute.stats.board import Scoreboard

MAX_GATE_S = 120.0
MAX_PASSING = 1000  # endpoints made on demand that are remembered
UNHINTED_GATE_S = 0.25  # doubled per consecutive refusal, up to MAX_UNHINTED_GATE_S
MAX_UNHINTED_GATE_S = 8.0


class Gatekeeper:
    """What stands between the router and one endpoint."""

    __slots__ = (
        "breaker", "enabled", "endpoint", "gate_until_s", "in_flight", "limit", "refusals", "suspicion",
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.limit = endpoint.max_in_flight
        self.breaker = Breaker()
        self.suspicion = Suspicion()
        self.gate_until_s = 0.0
        self.refusals = 0  # consecutive rate-limit answers
        self.enabled = True
        self.in_flight = 0

    def admits(self, now_s: float, panic: bool) -> bool:
        if not self.enabled or (self.limit is not None and self.in_flight >= self.limit):
            return False
        return panic or (self.breaker.admits(now_s) and self.suspicion.admits(now_s, self.in_flight))

    def calm(self, now_s: float) -> bool:
        """Nothing stands in the way, and only an event can change that: no breaker, suspicion, gate or switch, and room."""
        open_to_all = self.enabled and self.breaker.closed and not self.suspicion.suspect and self.gate_until_s <= now_s
        return open_to_all and (self.limit is None or self.in_flight < self.limit)

    def refuse(self, fault: Fault, now_s: float, jitter: float) -> None:
        """Closes the gate for as long as the provider asked, or backs off where it named no time. `jitter` in 0..1 spreads."""
        self.refusals += 1
        if fault.retry_after_s is not None:
            hold_s = min(fault.retry_after_s, MAX_GATE_S) * (1.0 + 0.1 * jitter)
        else:
            hold_s = min(UNHINTED_GATE_S * 2 ** (self.refusals - 1), MAX_UNHINTED_GATE_S) * (0.8 + 0.4 * jitter)
        self.gate_until_s = max(self.gate_until_s, now_s + hold_s)


class Flight:
    """One attempt in flight, counted from the entry of its `with` block to its end whatever happens in it.

    `land` says how the attempt ended; what it taught is learned at the end of the block, when the client has its answer.
    """

    __slots__ = ("_admission", "_outcome", "_pace_end_s", "_x", "keeper", "probe", "sample")

    def __init__(self, admission: "Admission", keeper: Gatekeeper, x: Exchange) -> None:
        self._admission, self.keeper, self._x = admission, keeper, x
        self._outcome: Outcome | None = None
        self._pace_end_s = 0.0

    def __enter__(self) -> Self:
        keeper, now_s = self.keeper, self._x.clock.now_s()
        self.probe = keeper.breaker.take_off(now_s)  # holds the breaker's half-open place
        if keeper.suspicion.suspect:
            keeper.suspicion.take_off(now_s)
        keeper.in_flight += 1
        request = self._x.request
        self.sample: Sample = self._admission.board.begin(
            keeper.endpoint, now_s, request.input_tokens, self._x.patience_s(now_s), request.stream
        )
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.keeper.in_flight -= 1
        if self._outcome is None:  # it taught nothing
            self._admission.forget(self)
        else:
            self._admission.learn(self, self._outcome, self._pace_end_s)

    def first_content(self, now_s: float) -> None:
        self._admission.board.first_content(self.sample, now_s)

    def land(self, outcome: Outcome, pace_end_s: float) -> None:
        """Notes the lesson. `pace_end_s`: when the last upstream bytes came, less the time a slow client took."""
        self._outcome, self._pace_end_s = outcome, pace_end_s


class Admission:
    """Mutable; touched only by the loop's thread."""

    def __init__(self, board: Scoreboard, endpoints: Iterable[Endpoint], clock: Clock, rng: Rng) -> None:
        self.board, self._clock, self._rng = board, clock, rng
        self.epoch = 0  # what was decided before it last changed must be decided anew
        self._keepers: dict[str, Gatekeeper] = {}
        self._passing: dict[str, None] = {}  # names of endpoints that no configuration holds, oldest first
        for endpoint in endpoints:
            self.keeper(endpoint)
        self._passing.clear()

    def keeper(self, endpoint: Endpoint) -> Gatekeeper:
        """The endpoint's gatekeeper, made at first sight."""
        keeper = self._keepers.get(endpoint.name)
        if keeper is None:
            keeper = self._keepers[endpoint.name] = Gatekeeper(endpoint)
            self.board.add(endpoint)
            self._passing[endpoint.name] = None
            self._make_room()
        return keeper

    def _make_room(self) -> None:
        """Clients can name models that no configuration holds: of those, only the latest are remembered."""
        for name in list(self._passing)[: max(0, len(self._passing) - MAX_PASSING)]:
            if self._keepers[name].in_flight == 0:
                del self._passing[name]
                self.board.remove(self._keepers.pop(name).endpoint)

    def keepers(self) -> list[Gatekeeper]:
        return list(self._keepers.values())

    def views(self, endpoints: Iterable[Endpoint], now_s: float, panic: bool = False) -> tuple[EndpointView, ...]:
        """Frozen statistics and state of each endpoint. In a panic, breakers and suspicion are overlooked; gates never."""
        return tuple(self.view(self.keeper(e), now_s, panic) for e in endpoints)

    def view(self, keeper: Gatekeeper, now_s: float, panic: bool = False) -> EndpointView:
        state = keeper.breaker.state(now_s)
        return self.board.view(
            keeper.endpoint,
            now_s,
            breaker=BreakerState.HALF_OPEN if panic and state is BreakerState.OPEN else state,
            suspect=keeper.suspicion.suspect,
            admits=keeper.admits(now_s, panic),
            gate_left_s=max(0.0, keeper.gate_until_s - now_s),
        )

    def any_open(self, route: Route, now_s: float) -> bool:
        """Whether any endpoint of the route would take a request by its breaker and suspicion."""
        return any(self.keeper(e).admits(now_s, panic=False) for tier in route.tiers for e in tier)

    def earliest_s(self, route: Route, now_s: float) -> float | None:
        """Seconds until the first closed gate or open breaker of the route lets someone in; None when nothing is waited for."""
        keepers = [self.keeper(e) for tier in route.tiers for e in tier]
        waits = [
            max(k.gate_until_s - now_s, k.breaker.opens_in_s(now_s), k.suspicion.admits_in_s(now_s)) for k in keepers if k.enabled
        ]
        return min((w for w in waits if w > 0), default=None)

    def flight(self, endpoint: Endpoint, x: Exchange) -> Flight:
        """One attempt in flight: a context."""
        return Flight(self, self.keeper(endpoint), x)

    def tick(self, now_s: float) -> None:
        """Marks overdue flights and refreshes the tail tables. Call four times a second."""
        self.epoch += 1
        for sample in self.board.tick(now_s):
            self._bad(self._keepers[sample.endpoint], now_s, self._rng.random())

    def learn(self, flight: Flight, outcome: Outcome, pace_end_s: float) -> None:
        """Gives an attempt's end to statistics, breaker, suspicion and gate."""
        fault = outcome.fault
        if fault is not None and fault.failure in (Failure.CLIENT_GONE, Failure.UNSUPPORTED, Failure.INTERNAL):
            self.forget(flight)
            return
        usage = outcome.usage
        tokens = usage.output_tokens if usage is not None and not usage.estimated else None
        if fault is None:
            self.board.answered(flight.sample, pace_end_s, tokens)
            self._well(flight)
            return
        blame, stream = fault.rule.blame, flight.sample.stream
        self.board.finish(flight.sample, pace_end_s, ok=False, stream=stream, output_tokens=tokens, blame=blame)
        if blame is Blame.NONE:  # the request's own fault: the endpoint answered as it should
            flight.keeper.breaker.release(self._clock.now_s(), flight.probe)
        else:
            self._judge(flight, fault, blame)

    def forget(self, flight: Flight) -> None:
        """Ends a flight that says nothing about the endpoint (the client left): neutral everywhere."""
        now_s = self._clock.now_s()
        self.board.abandon(flight.sample, now_s)
        flight.keeper.breaker.release(now_s, flight.probe)

    def _well(self, flight: Flight) -> None:
        keeper, now_s = flight.keeper, self._clock.now_s()
        calm = keeper.breaker.closed and not keeper.suspicion.suspect
        if calm:
            keeper.breaker.went_well(now_s)
        else:
            keeper.breaker.land(Blame.NONE, now_s, 0.0, flight.probe)
        keeper.refusals = 0
        if not flight.sample.overdue and keeper.suspicion.good(now_s):
            self.board.recovered(keeper.endpoint)
        if not calm or self.board.is_young(flight.sample):
            self.epoch += 1

    def _judge(self, flight: Flight, fault: Fault, blame: Blame) -> None:
        keeper, now_s, jitter = flight.keeper, self._clock.now_s(), self._rng.random()
        self.epoch += 1
        keeper.breaker.land(blame, now_s, jitter, flight.probe)
        if fault.rule.gate and (fault.retry_after_s is not None or fault.failure is Failure.RATE_LIMITED):
            keeper.refuse(fault, now_s, jitter)
        if blame in (Blame.ERROR, Blame.SLOW) and not flight.sample.overdue:
            self._bad(keeper, now_s, jitter)

    def _bad(self, keeper: Gatekeeper, now_s: float, jitter: float) -> None:
        if keeper.suspicion.bad(now_s, jitter):
            self.board.suspected(keeper.endpoint)
