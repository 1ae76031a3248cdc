"""Who may be used right now: breakers, suspect rings, rate-limit gates, switches and limits, beside the statistics.

Theory of operation. Each endpoint has one `Gatekeeper`. An attempt is a *flight*: it takes off in `Admission.flight` and lands
exactly once, on every path, so in-flight counts cannot drift. What it taught goes to the scoreboard (times), the breaker
(blame) and the gate (retry hints). `tick`, four times a second, marks flights whose objective has passed as
overdue, so that a hanging endpoint is known before its first answer.
"""

import math
from collections.abc import Iterable, Mapping
from types import TracebackType
from typing import Protocol, Self

from fastroute.core.failures import Blame, Failure, Fault
from fastroute.core.ports import Clock, Rng
from fastroute.core.types import BreakerState, Endpoint, EndpointView, Outcome, Route
from fastroute.engine.exchange import Exchange
from fastroute.engine.lag import Lag
from fastroute.engine.pacers import Pacers, account_of
from fastroute.policy.breaker import Breaker
from fastroute.policy.budget import Budget, budget_of
from fastroute.policy.limits import CROWD, SLOW_RATIO, Ceiling
from fastroute.policy.pacing import Pacer
from fastroute.policy.suspect import Suspicion
from fastroute.stats.board import Flight as Sample
from fastroute.stats.board import Scoreboard

MAX_GATE_S = 120.0
MAX_PASSING = 1000  # endpoints made on demand that are remembered
GATE_SPREAD = 0.25  # so that those who were refused together do not come back together
UNHINTED_GATE_S = 0.25  # doubled per consecutive refusal, up to MAX_UNHINTED_GATE_S
MAX_UNHINTED_GATE_S = 8.0
LONG = 2  # of the five points of an answer's length: about its 90th percentile
_SAYS_NOTHING = {Failure.CLIENT_GONE, Failure.SUPERSEDED, Failure.UNSUPPORTED, Failure.INTERNAL}
ALARM_S = 20.0
PACE_TOKENS, USUAL_TOKENS = 16, 200  # seen so many, a stream is judged by how long it would take for a usual answer


class Gatekeeper:
    """What stands between the router and one endpoint."""

    __slots__ = (
        "breaker", "ceiling", "enabled", "endpoint", "gate_until_s", "in_flight", "limit", "overdue", "pacer", "refusals",
        "suspicion", "usual_ttft",
    )  # fmt: skip

    def __init__(self, endpoint: Endpoint, pacer: Pacer | None = None) -> None:
        self.endpoint = endpoint
        self.pacer = pacer or Pacer()
        self.limit = endpoint.max_in_flight
        self.breaker, self.ceiling = Breaker(), Ceiling()
        self.usual_ttft = (math.inf, 0.0)  # (s, s per input token) in the long run; until it is known, nothing is slow
        self.suspicion = Suspicion()
        self.gate_until_s = 0.0
        self.refusals = 0  # consecutive rate-limit answers
        self.enabled = True
        self.in_flight = 0
        self.overdue = 0  # of these, past their objective

    def admits(self, now_s: float, panic: bool) -> bool:
        if not self.enabled or (self.limit is not None and self.in_flight >= self.limit):
            return False
        return panic or (self.breaker.admits(now_s) and self.suspicion.admits(now_s, self.in_flight))

    def calm(self, now_s: float) -> bool:
        """Nothing stands in the way, and only an event can change that: no breaker, suspicion, gate or switch, and room."""
        open_to_all = self.enabled and self.breaker.closed and not self.suspicion.suspect and self.gate_until_s <= now_s
        return open_to_all and (self.limit is None or self.in_flight < self.limit) and self.roomy(now_s)

    @property
    def crowded(self) -> bool:
        """One more in flight would be more than experience says is good."""
        return self.in_flight + 1 > self.ceiling.most

    def roomy(self, now_s: float) -> bool:
        """Neither its rate limits nor those in flight speak against one more."""
        return self.in_flight + 1 <= self.ceiling.most and self.paced_s(now_s) == 0.0

    def paced_s(self, now_s: float) -> float:
        """Seconds until the rate limits have room for one more request; 0.0: now."""
        return self.pacer.wait_s(now_s) if self.pacer.binds else 0.0

    def refuse(self, fault: Fault, now_s: float, jitter: float) -> None:
        """Closes the gate for as long as the provider asked, or backs off where it named no time. `jitter` in 0..1 spreads."""
        self.refusals += 1
        if fault.retry_after_s:  # 0 is no hint: it would be refused again at once
            hold_s = min(fault.retry_after_s, MAX_GATE_S) * (1.0 + GATE_SPREAD * jitter)
        else:
            hold_s = min(UNHINTED_GATE_S * 2 ** (self.refusals - 1), MAX_UNHINTED_GATE_S) * (0.8 + 0.4 * jitter)
        self.gate_until_s = max(self.gate_until_s, now_s + hold_s)


class Pouring(Protocol):
    """A stream under way."""

    @property
    def output_tokens_seen(self) -> int:
        """So far."""

    @property
    def pace_end_s(self) -> float:
        """When the latest of them came, less the time a slow client took."""


class Flight:
    """One attempt in flight, counted from the entry of its `with` block to its end whatever happens in it.

    `land` says how the attempt ended; what it taught is learned at the end of the block, when the client has its answer.
    """

    __slots__ = ("_admission", "_outcome", "_pace_end_s", "_reserved_tokens", "_x", "drips", "keeper", "probe", "sample")

    def __init__(self, admission: "Admission", keeper: Gatekeeper, x: Exchange) -> None:
        self._admission, self.keeper, self._x = admission, keeper, x
        self._outcome: Outcome | None = None
        self._pace_end_s = 0.0
        self.drips = False  # its stream was found to be too slow, and counted as bad
        self._reserved_tokens: float | None = None  # None: nothing limits it

    def __enter__(self) -> Self:
        keeper, now_s = self.keeper, self._x.clock.now_s()
        self.probe = keeper.breaker.take_off(now_s)  # holds the breaker's half-open place
        if keeper.suspicion.suspect:
            keeper.suspicion.take_off(now_s)
        keeper.in_flight += 1
        if keeper.in_flight + 1 > keeper.ceiling.most:
            self._admission.epoch += 1  # plans that send more there are over
        request = self._x.request
        self.sample: Sample = self._admission.board.begin(
            keeper.endpoint, now_s, request.input_tokens, self._x.patience_s(), request.stream
        )
        if keeper.pacer.binds:
            self._reserve(now_s)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self.keeper.in_flight -= 1
        self._admission.streaming.pop(self, None)
        if self.sample.overdue:
            self.keeper.overdue -= 1
        if self._reserved_tokens is not None:
            self._settle(self._reserved_tokens)
        if self._outcome is None:  # it taught nothing
            self._admission.forget(self)
        else:
            self._admission.learn(self, self._outcome, self._pace_end_s)

    def _reserve(self, now_s: float) -> None:
        """Counts the request, its prompt and its likely answer against the rate limits. Plans end where they are used up."""
        pacer, request = self.keeper.pacer, self._x.request
        longest_tokens = self.sample.record.scalars(now_s).output_points[LONG][0]
        asked_tokens = request.max_output_tokens
        output_tokens = longest_tokens if asked_tokens is None else min(longest_tokens, asked_tokens)
        self._reserved_tokens = request.input_tokens + output_tokens
        pacer.take(self._reserved_tokens, now_s)
        if pacer.wait_s(now_s) > 0.0:
            self._admission.epoch += 1

    def _settle(self, reserved_tokens: float) -> None:
        """What was used in place of what was reserved: nothing, where the provider refused; unknown, as reserved."""
        outcome = self._outcome
        usage, fault = (outcome.usage, outcome.fault) if outcome is not None else (None, None)
        if fault is not None and fault.failure in (Failure.RATE_LIMITED, Failure.CONNECT, Failure.UNSUPPORTED):
            used_tokens = 0.0
        elif usage is not None and usage.input_tokens is not None and usage.output_tokens is not None:
            used_tokens = usage.input_tokens + usage.output_tokens
        else:
            return
        self.keeper.pacer.settle(used_tokens - reserved_tokens, self.sample.started_s, self._x.clock.now_s())

    def heard(self, headers: Mapping[str, str]) -> None:
        """What the reply tells of the provider's limits. Call where `keeper.pacer.look_s` has come."""
        read, clock, pacer = self._admission.pacers.read, self._x.clock, self.keeper.pacer
        if read is not None:
            bound = pacer.binds
            pacer.heard(read(headers, clock.wall_s()), clock.now_s())
            if pacer.binds and not bound:
                self._admission.epoch += 1

    def first_content(self, now_s: float, pouring: Pouring | None = None) -> None:
        """`pouring`: the stream from here on; its pace is judged as soon as it shows."""
        board = self._admission.board
        if self._admission.lag.late(now_s):
            board.overlook(self.sample, now_s)
            return
        board.first_content(self.sample, now_s)
        if pouring is not None and self.sample.stream:
            self._admission.streaming[self] = pouring

    def will_be_late(self, output_tokens: int, until_s: float) -> bool:
        """Whether a usual answer would end after the objective at the pace of the tokens that had come by then."""
        first_s, total_s = self.sample.first_content_s, self._x.objective.total_s or self._x.deadline_s
        if first_s is None or output_tokens < PACE_TOKENS:
            return False
        return first_s - self.sample.started_s + USUAL_TOKENS * (until_s - first_s) / (output_tokens - 1) > total_s

    def land(self, outcome: Outcome, pace_end_s: float) -> None:
        """Notes the lesson. `pace_end_s`: when the last upstream bytes came, less the time a slow client took."""
        self._outcome, self._pace_end_s = outcome, pace_end_s


class Admission:
    """Mutable; touched only by the loop's thread."""

    def __init__(
        self, board: Scoreboard, endpoints: Iterable[Endpoint], clock: Clock, rng: Rng, pacers: Pacers | None = None
    ) -> None:
        self.board, self._clock, self._rng = board, clock, rng
        self.pacers, self.lag = pacers or Pacers(), Lag()
        self.epoch = 0  # what was decided before it last changed must be decided anew
        self._keepers: dict[str, Gatekeeper] = {}
        self._budgets: dict[str, Budget] = {}
        self._alarmed_until_s = 0.0  # an endpoint has become suspect: the next one may be as well
        self.streaming: dict[Flight, Pouring] = {}  # begun, and too short so far to tell their pace
        self._passing: dict[str, None] = {}  # names of endpoints that no configuration holds, oldest first
        for endpoint in endpoints:
            self.keeper(endpoint)
        self._passing.clear()

    def keeper(self, endpoint: Endpoint) -> Gatekeeper:
        """The endpoint's gatekeeper, made at first sight."""
        keeper = self._keepers.get(endpoint.name)
        if keeper is None:
            keeper = self._keepers[endpoint.name] = Gatekeeper(endpoint, self.pacers.of(endpoint))
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

    def budget(self, route: Route) -> Budget:
        """What the route may spend on extra attempts, made at first sight."""
        budget = self._budgets.get(route.name)
        if budget is None:
            budget = self._budgets[route.name] = budget_of(route)
            if len(self._budgets) > MAX_PASSING:
                del self._budgets[next(iter(self._budgets))]
        return budget

    def keepers(self) -> list[Gatekeeper]:
        return list(self._keepers.values())

    def views(self, endpoints: Iterable[Endpoint], now_s: float, panic: bool = False) -> tuple[EndpointView, ...]:
        """Frozen statistics and state of each endpoint. In a panic, breakers and suspicion are overlooked; gates never.

        Where all that could serve are crowded, being crowded does not matter.
        """
        keepers = [self.keeper(e) for e in endpoints]
        spare = any(k.admits(now_s, panic) and k.gate_until_s <= now_s and k.roomy(now_s) for k in keepers)
        return tuple([self.view(k, now_s, panic, spare) for k in keepers])

    def view(self, keeper: Gatekeeper, now_s: float, panic: bool = False, spare: bool = True) -> EndpointView:
        """One endpoint. `spare`: others are not crowded, so that it should not be used where it is."""
        crowded = spare and keeper.crowded
        state, paced_s = keeper.breaker.state(now_s), keeper.paced_s(now_s)
        return self.board.view(
            keeper.endpoint,
            now_s,
            breaker=BreakerState.HALF_OPEN if panic and state is BreakerState.OPEN else state,
            suspect=keeper.suspicion.suspect,
            goods=keeper.suspicion.goods,
            admits=paced_s == 0.0 and not crowded and keeper.admits(now_s, panic),
            gate_left_s=max(0.0, keeper.gate_until_s - now_s),
            paced_s=paced_s,
            crowd_limit=int(keeper.ceiling.most) if crowded else None,
        )

    def any_open(self, route: Route, now_s: float) -> bool:
        """Whether any endpoint of the route would take a request by its breaker and suspicion."""
        return any(self.keeper(e).admits(now_s, panic=False) for tier in route.tiers for e in tier)

    def earliest_s(self, route: Route, now_s: float) -> float | None:
        """Seconds until the first closed gate or open breaker of the route lets someone in; None when nothing is waited for."""
        keepers = [self.keeper(e) for tier in route.tiers for e in tier]
        waits = [
            max(k.gate_until_s - now_s, k.paced_s(now_s), k.breaker.opens_in_s(now_s), k.suspicion.admits_in_s(now_s))
            for k in keepers
            if k.enabled
        ]
        return min((w for w in waits if w > 0), default=None)

    def flight(self, endpoint: Endpoint, x: Exchange) -> Flight:
        """One attempt in flight: a context."""
        return Flight(self, self.keeper(endpoint), x)

    def tick(self, now_s: float) -> None:
        """Marks overdue flights and refreshes the tail tables. Call four times a second."""
        self.epoch += 1
        if self.lag.late(now_s):  # content may have come that nobody has read yet
            return
        for flight in [f for f, p in self.streaming.items() if p.output_tokens_seen >= PACE_TOKENS]:
            self._judge_pace(flight, self.streaming.pop(flight), now_s)
        for sample in self.board.tick(now_s):
            keeper = self._keepers[sample.endpoint]
            keeper.overdue += 1
            self._bad(keeper, now_s, self._rng.random())
        for keeper in self._keepers.values():
            if keeper.in_flight or keeper.ceiling.most < math.inf:
                keeper.usual_ttft = self.board.usual_ttft(keeper.endpoint, now_s)
                keeper.ceiling.rest(now_s)

    def learn(self, flight: Flight, outcome: Outcome, pace_end_s: float) -> None:
        """Gives an attempt's end to statistics, breaker, suspicion and gate."""
        fault, late = outcome.fault, self.lag.late(self._clock.now_s())
        if fault is not None and (fault.failure in _SAYS_NOTHING or (late and fault.rule.blame is Blame.SLOW)):
            self.forget(flight)
            return
        flight.sample.thinned = flight.sample.thinned or late
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
        if keeper.in_flight >= CROWD or keeper.ceiling.most < math.inf:
            self._crowd(flight, now_s)
        if not (flight.sample.overdue or flight.drips) and keeper.suspicion.good(now_s):
            self.board.recovered(keeper.endpoint)
        if not calm or self.board.is_young(flight.sample):
            self.epoch += 1

    def _crowd(self, flight: Flight, now_s: float) -> None:
        """A good answer with a crowd in flight: says whether it was too large a crowd."""
        keeper, sample = flight.keeper, flight.sample
        in_flight, usual_s = keeper.in_flight + 1, keeper.usual_ttft[0] + keeper.usual_ttft[1] * sample.input_tokens
        if sample.first_content_s is not None and sample.first_content_s - sample.started_s > SLOW_RATIO * usual_s:
            keeper.ceiling.slow(in_flight, now_s, usual_s)
            self.epoch += 1
        else:
            keeper.ceiling.good(in_flight, now_s)

    def _judge_pace(self, flight: Flight, pouring: Pouring, now_s: float) -> None:
        """A stream has shown its pace: bad where a usual answer would be late by it. A slow client's pauses do not count."""
        tokens, until_s = pouring.output_tokens_seen, pouring.pace_end_s
        if flight.will_be_late(tokens, until_s):
            flight.drips = True
            self.epoch += 1
            self.board.drips(flight.sample, tokens, until_s)
            self._bad(flight.keeper, now_s, self._rng.random())

    def _judge(self, flight: Flight, fault: Fault, blame: Blame) -> None:
        keeper, now_s, jitter = flight.keeper, self._clock.now_s(), self._rng.random()
        self.epoch += 1
        keeper.breaker.land(blame, now_s, jitter, flight.probe)
        if fault.failure is Failure.OVERLOADED or (fault.failure is Failure.RATE_LIMITED and not fault.retry_after_s):
            keeper.ceiling.cut(keeper.in_flight + 1, now_s, min(keeper.usual_ttft[0], 1.0))
        if fault.failure is Failure.QUOTA_EXHAUSTED:
            self._spent(keeper, now_s, jitter)
        if fault.rule.gate and (fault.retry_after_s is not None or fault.failure is Failure.RATE_LIMITED):
            keeper.refuse(fault, now_s, jitter)
            if fault.failure is Failure.RATE_LIMITED:
                keeper.pacer.refused(flight.sample.record.scalars(now_s).rate_per_s, keeper.gate_until_s)
        if blame in (Blame.ERROR, Blame.SLOW) and not (flight.sample.overdue or flight.drips):
            self._bad(keeper, now_s, jitter)

    def _spent(self, keeper: Gatekeeper, now_s: float, jitter: float) -> None:
        """The account has no money or quota left: so none of its endpoints has, until a probe says otherwise."""
        account = account_of(keeper.endpoint)
        for other in self._keepers.values():
            if other is not keeper and account_of(other.endpoint) == account:
                other.breaker.land(Blame.KEY, now_s, jitter, False)

    def _bad(self, keeper: Gatekeeper, now_s: float, jitter: float) -> None:
        if keeper.suspicion.bad(now_s, jitter, now_s < self._alarmed_until_s):
            self.board.suspected(keeper.endpoint)
            self._alarmed_until_s = now_s + ALARM_S
