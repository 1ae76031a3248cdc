"""A request's whole life. Read `Router.serve` first."""

import asyncio
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.ports import ClientApi, ClientGone, Clock, Dialect, ReplyPort, Rng, Sink, Strategy, Transport
from fastroute.core.trail import Attempt, Trail
from fastroute.core.types import Candidate, ChatRequest, Endpoint, Outcome, Route, Verdict
from fastroute.engine.admission import Admission
from fastroute.engine.attempt import LOST, Sending
from fastroute.engine.billing import Charge, attempt_cost, billed_usage
from fastroute.engine.choice import Choice, Chooser
from fastroute.engine.exchange import Exchange
from fastroute.engine.hedge import Hedge
from fastroute.engine.watchdog import Alarms, Watchdog
from fastroute.policy import retrying

CLIENT_LEFT = Fault(Failure.CLIENT_GONE, "the client closed its connection")
INTERNAL = Fault(Failure.INTERNAL, "internal error", code="internal_error")
BROKEN = Outcome(INTERNAL)


@dataclass(frozen=True, kw_only=True)
class Parts:
    """What `app` wires into a router. Mappings are by dialect, client API and strategy name."""

    route_for: Callable[[str], Route | None]
    dialects: Mapping[str, Dialect]
    apis: Mapping[str, ClientApi]
    strategies: Mapping[str, Strategy]
    transport_for: Callable[[Endpoint], Transport]
    charge: Charge
    admission: Admission
    clock: Clock
    rng: Rng
    sinks: Sequence[Sink] = ()
    on_sink_error: Callable[[Sink, Exception], None] = lambda sink, error: None


class Router:
    """Serves chat requests. One per event loop; touched by its thread only."""

    def __init__(self, parts: Parts) -> None:
        self.parts = parts
        self._clock, self._admission = parts.clock, parts.admission
        self._chooser = Chooser(parts.strategies, parts.admission, parts.clock, parts.rng)
        self._alarms = Alarms(parts.clock)

    async def serve(self, request: ChatRequest, reply: ReplyPort) -> None:
        """Answers one request through `reply`, exactly once, and emits its Trail, exactly once.

        Choose, attempt, judge; again while the chain, its attempts and its deadline last. An attempt that is accepted has
        answered the client. Raises only `CancelledError` and `ClientGone`.
        """
        trail = Trail(request, started_wall_s=self._clock.wall_s())
        try:
            route = self._match(request)
            exchange = Exchange(request, reply, route, trail, self._clock, self._admission.budget(route))
            while (choice := self._choose(exchange)) is not None:
                match await self._attempt(exchange, choice):
                    case Verdict.ACCEPT:
                        return
                    case Verdict.GIVE_UP:
                        break
            await self._refuse(reply, trail, self._verdict_on(exchange))
        except FaultError as error:
            await self._refuse(reply, trail, error.fault)
        except (asyncio.CancelledError, ClientGone):
            trail.status, trail.fault = CLIENT_LEFT.rule.status, CLIENT_LEFT
            raise
        finally:
            self._emit(trail)

    def _match(self, request: ChatRequest) -> Route:
        name = request.overrides.route or request.model
        route = self.parts.route_for(name)
        if route is None:
            param = "x-fastroute-route" if request.overrides.route else "model"
            raise FaultError(
                Fault(
                    Failure.BAD_REQUEST,
                    f"there is no route, endpoint or model {name!r}",
                    404,
                    code="model_not_found",
                    param=param,
                )
            )
        return route

    def _choose(self, x: Exchange) -> Choice | None:
        """The next endpoint to try; None when attempts, time, budget or endpoints have run out."""
        now_s = self._clock.now_s()
        if x.deadline.passed(now_s) or (x.trail.attempts and not self._may_go_on(x, now_s)):
            return None
        choice = self._chooser.choose(x)
        x.trail.decide_s += self._clock.now_s() - now_s
        return choice

    def _may_go_on(self, x: Exchange, now_s: float) -> bool:
        """Whether one more attempt is allowed after those that failed."""
        return x.attempts_left > 0 and x.draw_retry(now_s)

    async def _attempt(self, x: Exchange, choice: Choice) -> Verdict:
        """Sends to the chosen endpoint, and once more elsewhere if it is late for its objective: what the two come to."""
        attempt = x.open_attempt(choice.candidate.view.endpoint, choice.tier, choice.role)
        watchdog = Watchdog(self._alarms, min(attempt.started_s + choice.first_content_s, x.deadline.at_s))
        if choice.hedge_after_s is not None and x.may_hedge:
            watchdog.remind(choice.hedge_after_s + x.request.accepted_s, partial(self._hedge, x, choice, attempt, watchdog))
        try:
            verdict = await self._send(x, choice.candidate, attempt, watchdog, choice.stall_s)
            return verdict if x.hedge is None else await x.hedge.settle(verdict)
        finally:
            if x.hedge is not None:
                await x.hedge.stop()
                x.hedge = None

    def _hedge(self, x: Exchange, choice: Choice, first: Attempt, watchdog: Watchdog) -> None:
        """The latest useful moment has come, and there is no content yet."""
        x.may_hedge = False
        x.hedge = Hedge(first, watchdog, self._duplicate(x, choice, first))

    async def _duplicate(self, x: Exchange, choice: Choice, first: Attempt) -> Verdict:
        """The course of a hedge. Where it is not worth it yet it may still be, when half of what is left has passed."""
        second = self._chooser.duplicate(x, choice, first)
        if second is None:
            await asyncio.sleep(max(0.0, x.patience_s() - x.elapsed_s()) / 2)
            second = self._chooser.duplicate(x, choice, first)
        if second is None:
            return Verdict.RETRY
        attempt = x.open_attempt(second.candidate.view.endpoint, second.tier, second.role)
        return await self._send(x, second.candidate, attempt, Watchdog(self._alarms, x.deadline.at_s), second.stall_s)

    async def _send(self, x: Exchange, candidate: Candidate, attempt: Attempt, watchdog: Watchdog, stall_s: float) -> Verdict:
        """Sends, books what it cost, answers where the outcome is accepted, and then learns from it."""
        endpoint = candidate.view.endpoint
        sending = Sending(x, attempt, endpoint, self.parts.dialects[endpoint.profile.dialect], self.parts.transport_for(endpoint))
        outcome = BROKEN  # what stands if something unexpected passes through
        with self._admission.flight(endpoint, x) as flight:
            try:
                outcome = await sending.run(flight, watchdog, stall_s)
            except (asyncio.CancelledError, ClientGone):
                lost = x.is_lost(attempt)
                attempt.ended_s = self._clock.now_s() if lost else attempt.ended_s
                outcome = Outcome(LOST if lost else CLIENT_LEFT, sending.committed, sending.status)
                raise
            finally:
                attempt.ended_s = attempt.ended_s or self._clock.now_s()
                outcome = self._book(x, candidate, sending, outcome)
                attempt.outcome = outcome
                x.trail.waited_for(attempt)
                flight.land(outcome, sending.pace_end_s)
            verdict = retrying.verdict(outcome)
            if verdict is Verdict.ACCEPT:
                await self._deliver(x, outcome)
        return verdict

    def _book(self, x: Exchange, candidate: Candidate, sending: Sending, outcome: Outcome) -> Outcome:
        """Fills in the attempt's usage and cost."""
        seen = sending.translator.output_tokens_seen if sending.translator else 0
        usage = billed_usage(x.request, candidate.view, outcome, seen)
        attempt = sending.attempt
        attempt.cost_pusd, attempt.cost_estimated = attempt_cost(candidate.view.endpoint, usage, self.parts.charge)
        x.budget.spent_pusd += attempt.cost_pusd or 0
        if usage is outcome.usage:
            return outcome
        return Outcome(outcome.fault, outcome.committed, outcome.status, outcome.ttft_s, usage, outcome.body)

    async def _deliver(self, x: Exchange, outcome: Outcome) -> None:
        """Hands over a whole reply; a stream has already been relayed, well or with an error event at its end."""
        x.trail.fault = outcome.fault
        x.trail.status = 200
        if not outcome.committed:
            await x.reply.whole(x.trail, 200, outcome.body)

    def _verdict_on(self, x: Exchange) -> Fault:
        faults = [a.outcome.fault for a in x.trail.attempts if a.outcome and a.outcome.fault]
        hint_s = self._admission.earliest_s(x.route, self._clock.now_s())
        return retrying.final_fault(faults, hint_s, x.deadline.passed(self._clock.now_s() + 0.002), x.budget_spent)

    async def _refuse(self, reply: ReplyPort, trail: Trail, fault: Fault) -> None:
        trail.fault, trail.status = fault, retrying.client_status(fault, trail.request.api)
        body = self.parts.apis[trail.request.api].error(fault, trail.status)
        await reply.whole(trail, trail.status, body)

    def _emit(self, trail: Trail) -> None:
        trail.ended_s = self._clock.now_s()
        if trail.status is None:  # something unexpected is on its way to the outer wall
            trail.status, trail.fault = INTERNAL.rule.status, INTERNAL
        for sink in self.parts.sinks:
            try:
                sink.emit(trail)
            except Exception as error:  # noqa: BLE001 # the outer wall: a sink's fault is never a request's
                self.parts.on_sink_error(sink, error)
