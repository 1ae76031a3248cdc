"""What to do after an attempt, from its outcome alone. Pure."""

from fastroute.core.failures import Failure, Fault
from fastroute.core.types import Outcome, Verdict

_CONNECTION_LEVEL = (Failure.CONNECT, Failure.RESET)
_OVERLOADED = 529


def verdict(outcome: Outcome) -> Verdict:
    """ACCEPT what went well or already reached the client, RETRY elsewhere what the failure table allows, else GIVE_UP."""
    if outcome.fault is None or outcome.committed:
        return Verdict.ACCEPT
    return Verdict.RETRY if outcome.fault.rule.failover else Verdict.GIVE_UP


def may_repeat(fault: Fault | None, times_tried: int) -> bool:
    """Whether the same endpoint may be tried once more when no other is left: after a connection-level failure, once."""
    return fault is not None and fault.failure in _CONNECTION_LEVEL and times_tried < 2


def final_fault(faults: list[Fault], hint_s: float | None, deadline_passed: bool, budget_spent: bool = False) -> Fault:
    """The one fault a client is told when its chain ended without an answer.

    A verdict on the request itself is told as it came; else the deadline, where it passed; else what every endpoint
    did. `hint_s`: the earliest instant at which trying again makes sense, in seconds from now. `budget_spent`: endpoints were
    left, but the route's retry budget was not.
    """
    about = next((f for f in reversed(faults) if f.rule.about_request), None)
    if about is not None:
        return about
    hints = [f.retry_after_s for f in faults if f.retry_after_s is not None]
    hint_s = min([*hints, hint_s] if hint_s is not None else hints, default=None)
    if deadline_passed:
        return Fault(Failure.DEADLINE, "no endpoint answered before the deadline", code="deadline_exceeded", retry_after_s=hint_s)
    if not faults:
        return Fault(Failure.NO_CAPACITY, "no endpoint can take the request now", code="no_capacity", retry_after_s=hint_s)
    limited = all(f.failure is Failure.RATE_LIMITED for f in faults)
    kinds = ", ".join(dict.fromkeys(f.failure.value.replace("_", " ") for f in faults))
    return Fault(
        Failure.RATE_LIMITED if limited else Failure.SERVER_ERROR,
        f"{'the retry budget is spent' if budget_spent else 'every endpoint failed'} ({kinds})",
        code="rate_limited" if limited else "all_endpoints_failed",
        status=_OVERLOADED if all(f.status == _OVERLOADED for f in faults) else None,
        retry_after_s=hint_s,
    )


def client_status(fault: Fault, api: str = "") -> int:
    """The HTTP status a client of this API is given: the upstream's own for a verdict on the request, else the failure table's.

    Only Anthropic's clients know a 529, and are given it where every endpoint said so.
    """
    if fault.status == _OVERLOADED and api == "anthropic_messages":
        return _OVERLOADED
    if fault.rule.about_request and fault.status is not None and 400 <= fault.status < 500:
        return fault.status
    return fault.rule.status
