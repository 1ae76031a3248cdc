"""Deadlines, timeouts and failover with the mistakes in them."""

import asyncio
from contextlib import contextmanager
from unittest.mock import patch

from fastroute.core.deadline import Deadline
from fastroute.engine import exchange, router
from fastroute.policy import budget, timeouts
from fastroute.sim.loop import VirtualClock


@contextmanager
def waits_until_the_deadline():
    """20: an attempt may take all that is left."""
    with patch.object(timeouts, "first_content_timeout_s", lambda route, view, others, left_s, request, attempts_left: left_s):
        yield


@contextmanager
def restarts_per_attempt():
    """21: every attempt has the whole deadline."""
    opened = exchange.Exchange.open_attempt

    def open_attempt(self, endpoint, tier, role):
        self.deadline = Deadline.after(self.clock.now_s(), self.deadline_s)
        return opened(self, endpoint, tier, role)

    with patch.object(exchange.Exchange, "open_attempt", open_attempt):
        yield


@contextmanager
def wall_clock():
    """21: intervals are differences of the wall clock."""
    with patch.object(VirtualClock, "now_s", lambda self: self.wall_s()):
        yield


@contextmanager
def failover_waits_for_the_hedge():
    """19: the second attempt is the hedge's, and that has its time."""
    attempt = router.Router._attempt

    async def patient(self, x, choice):
        verdict = await attempt(self, x, choice)
        if choice.hedge_after_s is not None and len(x.trail.attempts) == 1:
            await asyncio.sleep(max(0.0, choice.hedge_after_s - x.elapsed_s()))
        return verdict

    with patch.object(router.Router, "_attempt", patient):
        yield


@contextmanager
def retries_times_hedges():
    """19: hedges are not attempts, and nobody's budget counts both."""

    def uncounted(self):
        return self.route.max_attempts - sum(a.role.value != "hedge" for a in self.trail.attempts)

    with (
        patch.object(exchange.Exchange, "attempts_left", property(uncounted)),
        patch.object(budget.Budget, "retry", lambda self, now_s, tokens=1.0: True),
    ):
        yield
