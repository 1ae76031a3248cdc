"""Breakers, gates and limits with the mistakes in them."""

from contextlib import contextmanager
from unittest.mock import patch

import msgspec

from fastroute.core import failures
from fastroute.core.failures import RULES, Blame, Failure, Rule
from fastroute.engine import admission
from fastroute.policy.breaker import Breaker


@contextmanager
def rule(failure: Failure, **changes: object):
    """Another row in the table of failures."""
    with patch.dict(RULES, {failure: msgspec.structs.replace(RULES[failure], **changes)}):
        yield


def rate_limits_are_errors():
    """24: a 429 counts as the server's failure."""
    return rule(Failure.RATE_LIMITED, blame=Blame.ERROR)


@contextmanager
def rate_limits_ignored():
    """24: nobody reads Retry-After."""
    with patch.object(admission.Gatekeeper, "refuse", lambda self, fault, now_s, jitter: None):
        yield


@contextmanager
def classified_by_status():
    """26: the status says it all: an exhausted quota is a 429 like any other."""
    with patch.dict(failures._BY_CODE, clear=True):
        yield


def bad_requests_fail_over():
    """26: what one refused, another may take: every provider is paid for the same mistake."""
    return rule(Failure.BAD_REQUEST, failover=True)


def overload_is_our_rate():
    """26: a 529 is taken for a limit of our own."""
    with_gate: Rule = RULES[Failure.RATE_LIMITED]
    return rule(Failure.OVERLOADED, blame=with_gate.blame)


class AdmitsEveryone(Breaker):
    """27: half open is as good as closed."""

    def admits(self, now_s: float) -> bool:
        return self.closed or now_s >= self._opens_s


class LeaksItsPlace(Breaker):
    """27: the half-open place is given back by good and bad ends only."""

    def release(self, now_s: float, probe: bool = True) -> None:
        pass


class AHundredCalls(Breaker):
    """28: no verdict before a hundred calls."""

    def _count(self, blame: Blame, now_s: float, jitter: float) -> None:
        self._counts.add(blame, now_s)
        outcomes, errors, _ = self._counts.totals()
        if outcomes >= 100 and errors >= 0.5 * outcomes:
            self._trip(now_s, jitter)


class AveragedByTime(Breaker):
    """28: an average over time: whatever happens within ten milliseconds moves it by next to nothing."""

    _ratio, _at_s = 0.0, None

    def _count(self, blame: Blame, now_s: float, jitter: float) -> None:
        elapsed_s = 0.0 if self._at_s is None else now_s - self._at_s
        kept, self._at_s = 2.0 ** (-elapsed_s / 5.0), now_s
        self._ratio = kept * self._ratio + (1.0 - kept) * (blame is not Blame.NONE)
        if self._ratio >= 0.5:
            self._trip(now_s, jitter)


@contextmanager
def breaker(kind: type[Breaker]):
    with patch("fastroute.engine.admission.Breaker", kind):
        yield


@contextmanager
def no_panic():
    """29: open is open."""
    with patch.object(admission.Admission, "any_open", lambda self, route, now_s: True):
        yield


@contextmanager
def panic_overlooks_gates():
    """29: in a panic even a rate limit is run into."""
    view = admission.Admission.view

    def overlooking(self, keeper, now_s, panic=False, *rest):
        seen = view(self, keeper, now_s, panic, *rest)
        return msgspec.structs.replace(seen, gate_left_s=0.0, paced_s=0.0, admits=True) if panic else seen

    with patch.object(admission.Admission, "view", overlooking):
        yield


@contextmanager
def counted_when_done():
    """31: what is in flight counts once it has ended."""

    def enter(self):
        flight = entered(self)
        self.keeper.in_flight -= 1
        return flight

    def leave(self, *error):
        self.keeper.in_flight += 1
        return left(self, *error)

    entered, left = admission.Flight.__enter__, admission.Flight.__exit__
    with patch.object(admission.Flight, "__enter__", enter), patch.object(admission.Flight, "__exit__", leave):
        yield
