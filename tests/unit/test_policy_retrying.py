import pytest

from fastroute.core.failures import RULES, Failure, Fault
from fastroute.core.types import Outcome, Verdict
from fastroute.policy.retrying import client_status, final_fault, may_repeat, verdict


def fault(failure, **kwargs):
    return Fault(failure, "why", **kwargs)


@pytest.mark.parametrize("failure", list(Failure))
def test_verdict_follows_the_table(failure):
    expected = Verdict.RETRY if RULES[failure].failover else Verdict.GIVE_UP
    assert verdict(Outcome(fault=fault(failure))) is expected


@pytest.mark.parametrize("failure", list(Failure))
def test_nothing_follows_a_committed_attempt(failure):
    assert verdict(Outcome(fault=fault(failure), committed=True)) is Verdict.ACCEPT


def test_success_is_accepted():
    assert verdict(Outcome()) is Verdict.ACCEPT


def test_only_lost_connections_are_repeated_and_only_once():
    assert may_repeat(fault(Failure.CONNECT), 1)
    assert may_repeat(fault(Failure.RESET), 1)
    assert not may_repeat(fault(Failure.CONNECT), 2)
    assert not may_repeat(fault(Failure.SERVER_ERROR), 1)
    assert not may_repeat(None, 0)


def test_a_verdict_on_the_request_outranks_everything():
    told = final_fault([fault(Failure.CONTEXT_LENGTH, status=400), fault(Failure.CONNECT)], 3.0, deadline_passed=True)
    assert told.failure is Failure.CONTEXT_LENGTH


def test_the_deadline_outranks_what_endpoints_did():
    told = final_fault([fault(Failure.CONNECT)], None, deadline_passed=True)
    assert (told.failure, client_status(told)) == (Failure.DEADLINE, 504)


def test_all_limited_gives_the_earliest_hint():
    faults = [fault(Failure.RATE_LIMITED, retry_after_s=30.0), fault(Failure.RATE_LIMITED, retry_after_s=9.0)]
    told = final_fault(faults, 12.0, deadline_passed=False)
    assert (told.code, told.retry_after_s, client_status(told)) == ("rate_limited", 9.0, 503)
    assert final_fault(faults, 4.0, deadline_passed=False).retry_after_s == 4.0


def test_mixed_failures_are_named_once_each():
    told = final_fault([fault(Failure.CONNECT), fault(Failure.CONNECT), fault(Failure.OVERLOADED)], None, deadline_passed=False)
    assert told.message == "every endpoint failed (connect, overloaded)"
    assert client_status(told) == 503


def test_nothing_tried_is_no_capacity():
    told = final_fault([], 7.0, deadline_passed=False)
    assert (told.failure, told.retry_after_s, client_status(told)) == (Failure.NO_CAPACITY, 7.0, 503)


@pytest.mark.parametrize(("status", "told"), [(400, 400), (413, 413), (422, 422), (404, 404), (500, 400), (None, 400)])
def test_an_upstreams_own_4xx_passes_through(status, told):
    assert client_status(fault(Failure.BAD_REQUEST, status=status)) == told


def test_an_endpoints_401_is_not_the_clients():
    assert client_status(fault(Failure.AUTH, status=401)) == 503
