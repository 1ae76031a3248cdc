"""The Trail: everything that happened to one request, append-only.

It alone feeds response headers, `GET /v1/requests/{id}`, the log line, metrics and (later) the ledger. No prompt, no
answer and no credential ever enters it.
"""

from typing import Any

import msgspec

from fastroute.core.failures import Failure, Fault
from fastroute.core.money import Pusd, to_usd
from fastroute.core.types import Candidate, ChatRequest, Decision, Objective, Outcome, Role, Usage


class Attempt(msgspec.Struct, gc=False):
    """One upstream send, from its start to its classified end. Instants are monotonic seconds."""

    endpoint: str
    provider: str
    model: str
    tier: int
    role: Role
    started_s: float
    first_content_s: float | None = None
    ended_s: float | None = None
    outcome: Outcome | None = None
    cost_pusd: Pusd | None = None  # None: unpriced, or not known yet
    cost_estimated: bool = False

    @property
    def failure(self) -> Failure | None:
        return self.outcome.fault.failure if self.outcome and self.outcome.fault else None


class Trail(msgspec.Struct, gc=False):
    """One request's record. Written by the engine only; sinks read it after `ended_s` is set."""

    request: ChatRequest
    started_wall_s: float
    route: str | None = None
    objective: Objective | None = None
    decisions: list[Decision] = []
    attempts: list[Attempt] = []
    decide_s: float = 0.0  # time spent choosing
    upstream_s: float = 0.0  # time spent waiting for providers (and, after commit, for the client)
    first_content_s: float | None = None  # monotonic: when the client got its first content
    ended_s: float | None = None
    status: int | None = None  # towards the client
    fault: Fault | None = None  # how the request ended, where it did not end well
    winner: Attempt | None = None

    def waited_for(self, attempt: Attempt) -> None:
        """Adds an attempt that has ended to the time spent waiting. Time that two attempts share counts once."""
        if len(self.attempts) == 1 and attempt.ended_s is not None:
            self.upstream_s = attempt.ended_s - attempt.started_s
            return
        waited_s, until_s = 0.0, 0.0
        for started_s, ended_s in sorted((a.started_s, a.ended_s) for a in self.attempts if a.ended_s is not None):
            waited_s += max(0.0, ended_s - max(started_s, until_s))
            until_s = max(until_s, ended_s)
        self.upstream_s = waited_s

    @property
    def total_s(self) -> float | None:
        """Accept to end; None while it runs."""
        return None if self.ended_s is None else self.ended_s - self.request.accepted_s

    @property
    def ttft_s(self) -> float | None:
        """Accept to the client's first content; None for whole replies, which have no first token to see."""
        return None if self.first_content_s is None else self.first_content_s - self.request.accepted_s

    def overhead_s(self, now_s: float) -> float:
        """What the router itself added so far: everything but waiting for providers."""
        return max(0.0, (self.ended_s or now_s) - self.request.accepted_s - self.upstream_s)

    @property
    def cost_pusd(self) -> Pusd | None:
        """Sum over all attempts; None when any attempt that may have been billed is unpriced, or none was sent."""
        attempts = self.attempts
        if len(attempts) == 1:
            return attempts[0].cost_pusd
        total = 0
        for attempt in attempts:
            if attempt.cost_pusd is None:
                return None
            total += attempt.cost_pusd
        return Pusd(total) if attempts else None

    @property
    def objective_met(self) -> bool | None:
        """None: no objective, or no verdict (the client left, or the request itself was at fault)."""
        if self.objective is None or (self.objective.ttft_s is None and self.objective.total_s is None):
            return None
        if self.fault is not None:
            return None if self.fault.rule.about_request or self.fault.failure is Failure.CLIENT_GONE else False
        late_start = self.objective.ttft_s is not None and self.ttft_s is not None and self.ttft_s > self.objective.ttft_s
        late_end = self.objective.total_s is not None and self.total_s is not None and self.total_s > self.objective.total_s
        return not (late_start or late_end)

    def to_dict(self) -> dict[str, Any]:
        """The public shape of `GET /v1/requests/{id}`: JSON-ready, times in ms since accept, money in USD."""
        return {
            "id": self.request.id,
            "route": self.route,
            "api": self.request.api,
            "model": self.request.model,
            "stream": self.request.stream,
            "started_at_s": self.started_wall_s,
            "grade": None,
            "tags": self.request.overrides.tags,
            "objective": _objective(self.objective),
            "objective_met": self.objective_met,
            "decisions": [_decision(d, self.request) for d in self.decisions],
            "attempts": [self._attempt(a) for a in self.attempts],
            "endpoint": self.winner.endpoint if self.winner else None,
            "status": self.status,
            "failure": self.fault.failure.value if self.fault else None,
            "ttft_ms": _ms(self.ttft_s),
            "total_ms": _ms(self.total_s),
            "overhead_ms": None if self.ended_s is None else _ms(self.overhead_s(self.ended_s)),
            "decide_ms": _ms(self.decide_s),
            "cost_usd": _usd(self.cost_pusd),
        }

    def _attempt(self, attempt: Attempt) -> dict[str, Any]:
        outcome, start = attempt.outcome, self.request.accepted_s
        fault = outcome.fault if outcome else None
        return {
            "endpoint": attempt.endpoint,
            "provider": attempt.provider,
            "model": attempt.model,
            "tier": attempt.tier,
            "role": attempt.role.value,
            "started_ms": _ms(attempt.started_s - start),
            "first_content_ms": None if attempt.first_content_s is None else _ms(attempt.first_content_s - start),
            "ended_ms": None if attempt.ended_s is None else _ms(attempt.ended_s - start),
            "outcome": None if outcome is None else _ended(outcome),
            "failure": fault.failure.value if fault else None,
            "detail": fault.message if fault else None,
            "status": outcome.status if outcome else None,
            "usage": usage_dict(outcome.usage) if outcome else None,
            "cost_usd": _usd(attempt.cost_pusd),
            "estimated": attempt.cost_estimated,
        }


def _ended(outcome: Outcome) -> str:
    if outcome.fault is None:
        return "ok"
    return "superseded" if outcome.fault.failure is Failure.SUPERSEDED else "failed"


def usage_dict(usage: Usage | None) -> dict[str, Any] | None:
    """Usage as JSON-ready members; None stays None."""
    return None if usage is None else msgspec.to_builtins(usage)


def candidate_dict(candidate: Candidate, input_tokens: int, output_tokens: float | None = None) -> dict[str, Any]:
    """One candidate as `explain` and `/v1/requests/{id}` show it; predictions in ms from the frozen statistics."""
    view = candidate.view
    length = output_tokens if output_tokens is not None else view.output_tokens
    p50, p99 = (view.ttft_quantile_s(q, input_tokens) for q in (0.5, 0.99))
    rest = length * view.tpot_s
    return {
        "endpoint": view.endpoint.name,
        "predicted_ttft_ms": {"p50": _ms(p50), "p99": _ms(p99)},
        "predicted_total_ms": {"p50": _ms(p50 + rest), "p99": _ms(p99 + rest)},
        "p_miss": round(candidate.p_miss, 4),
        "p_fail": round(view.p_fail, 4),
        "expected_cost_usd": _usd(candidate.cost_pusd),
        "n": view.samples,
        "effective_n": round(view.effective_n, 1),
        "age_s": None if view.age_s is None else round(view.age_s, 3),
        "in_flight": view.in_flight,
        "breaker": view.breaker.value,
        "suspect": view.suspect,
    }


def _decision(decision: Decision, request: ChatRequest) -> dict[str, Any]:
    return {
        "strategy": decision.strategy,
        "why": decision.why,
        "candidates": [candidate_dict(c, request.input_tokens) for c in decision.ranked],
        "excluded": [{"endpoint": e.endpoint.name, "reason": e.reason} for e in decision.excluded],
    }


def _objective(objective: Objective | None) -> dict[str, Any] | None:
    if objective is None:
        return None
    return {"ttft_ms": _ms(objective.ttft_s), "total_ms": _ms(objective.total_s), "target": objective.target}


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _usd(amount: int | None) -> float | None:
    return None if amount is None else to_usd(amount)
