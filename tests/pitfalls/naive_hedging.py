"""Hedging with the mistakes in it."""

import math
from contextlib import ExitStack, contextmanager
from unittest.mock import patch

from fastroute.core.trail import Attempt
from fastroute.core.types import Verdict
from fastroute.engine import billing, hedge, router
from fastroute.policy import budget, hedging
from fastroute.policy.budget import Budget


class AssumedRate(Budget):
    """14: 5 % of ten requests a second, whatever there are."""

    def may_hedge(self, now_s, cost_pusd):
        self._settle(now_s)
        return True

    def hedge(self, now_s, cost_pusd):
        since_s = getattr(self, "_since_s", None)
        self._since_s = now_s
        self._saved = min(100.0, getattr(self, "_saved", 3.0) + (0.0 if since_s is None else 0.05 * 10.0 * (now_s - since_s)))
        if self._saved < 1.0:
            return False
        self._saved -= 1.0
        return True

    __slots__ = ("_saved", "_since_s")


class FreeReserve(Budget):
    """14: one hedge every ten seconds is free."""

    __slots__ = ("_last_s",)

    def hedge(self, now_s, cost_pusd):
        if now_s - getattr(self, "_last_s", -math.inf) < 10.0:
            return False
        self._last_s = now_s
        return True


@contextmanager
def no_budget():
    """15: hedges and retries are sent whenever they might help this one request."""
    with ExitStack() as all_:
        for name in ("hedge", "may_hedge", "retry"):
            all_.enter_context(patch.object(budget.Budget, name, lambda self, *args: True))
        all_.enter_context(patch.object(hedging, "healthy", lambda view: view.gate_left_s <= 0.0))
        all_.enter_context(patch.object(hedging, "best", lambda lost, worth, candidates: next(iter(candidates), None)))
        yield


@contextmanager
def at_once():
    """12: an empty histogram's p95 is 0, so the duplicate goes out at once, and nobody counts."""
    with ExitStack() as all_:
        all_.enter_context(patch.object(hedging, "moment_s", lambda *args: 0.001))
        all_.enter_context(patch.object(hedging, "best", lambda lost, worth, candidates: next(iter(candidates), None)))
        all_.enter_context(patch.object(budget.Budget, "hedge", lambda self, now_s, cost: True))
        yield


@contextmanager
def an_error_may_win():
    """16: whoever is first with anything wins, an error too."""

    async def settle(self, verdict):
        return Verdict.GIVE_UP if verdict is Verdict.RETRY else verdict

    with patch.object(hedge.Hedge, "settle", settle):
        yield


@contextmanager
def losers_run_on():
    """17: whoever loses is left alone."""

    def won_by(self, attempt: Attempt) -> None:
        pass

    async def left_alone(self) -> None:
        pass

    with patch.object(hedge.Hedge, "won_by", won_by), patch.object(hedge.Hedge, "stop", left_alone):
        yield


@contextmanager
def losers_are_free():
    """18: what was cancelled costs nothing."""
    billed = billing.billed_usage

    def free(request, view, outcome, seen):
        return billing.NOTHING if outcome.fault is not None else billed(request, view, outcome, seen)

    with patch.object(router, "billed_usage", free):
        yield


@contextmanager
def cancelling_stops_every_bill():
    """18: every provider stops generating, and charging, when we leave."""
    billed = billing.billed_usage

    def as_seen(request, view, outcome, seen):
        if outcome.fault is None:
            return billed(request, view, outcome, seen)
        return billing.Usage(request.input_tokens, seen, estimated=True)

    with patch.object(router, "billed_usage", as_seen):
        yield
