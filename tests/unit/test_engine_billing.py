import msgspec
import pytest
from engine_world import PROFILE, endpoint

from fastroute.core.failures import Failure, Fault
from fastroute.core.types import ChatRequest, EndpointView, Outcome, TailTable, Usage
from fastroute.engine.billing import NOTHING, attempt_cost, billed_usage, expected_output_tokens
from fastroute.prices.charge import charge

CANCEL_STOPS = endpoint("a")
BILLS_ON = endpoint("a", profile=msgspec.structs.replace(PROFILE, cancel_stops_billing=False))
UNKNOWN = endpoint("a", profile=msgspec.structs.replace(PROFILE, cancel_stops_billing=None))


def view(on=CANCEL_STOPS, output_tokens=120.0):
    return EndpointView(on, TailTable((1.0,), (0.0,)), 0.5, 0.0, 0.01, output_tokens, 0.0)


def request(max_output_tokens=None):
    return ChatRequest("r", "fake", "auto", {}, 0.0, 4000, max_output_tokens=max_output_tokens)


def failed(failure, **kwargs):
    return Outcome(fault=Fault(failure, "x"), **kwargs)


def test_reported_usage_is_the_bill():
    reported = Usage(10, 20, cached_input_tokens=5)
    assert billed_usage(request(), view(), Outcome(usage=reported), 7) is reported


def test_a_complete_reply_without_usage_is_estimated_and_says_so():
    usage = billed_usage(request(), view(), Outcome(), 33)
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (1000, 33, True)
    usage = billed_usage(request(), view(), Outcome(body=b"x" * 400), 0)
    assert usage.output_tokens == 100


def test_half_reported_usage_is_completed():
    usage = billed_usage(request(), view(), Outcome(usage=Usage(input_tokens=44)), 9)
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (44, 9, True)


@pytest.mark.parametrize(
    "outcome", [failed(Failure.CONNECT), failed(Failure.SERVER_ERROR, status=500), failed(Failure.RATE_LIMITED, status=429)]
)
def test_what_was_refused_costs_nothing(outcome):
    usage = billed_usage(request(), view(BILLS_ON), outcome, 0)
    assert usage == NOTHING
    assert attempt_cost(BILLS_ON, usage, charge) == (0, False)


@pytest.mark.parametrize("failure", [Failure.CLIENT_GONE, Failure.FIRST_CONTENT_TIMEOUT, Failure.STALL, Failure.DEADLINE])
def test_what_was_given_up_costs_what_was_written_where_cancelling_stops_the_bill(failure):
    usage = billed_usage(request(), view(), failed(failure, status=200), 12)
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (1000, 12, True)


@pytest.mark.parametrize("on", [BILLS_ON, UNKNOWN], ids=["bills-on", "unknown"])
def test_and_the_whole_expected_answer_where_it_does_not(on):
    usage = billed_usage(request(), view(on), failed(Failure.CLIENT_GONE, status=200), 12)
    assert usage.output_tokens == 120
    usage = billed_usage(request(max_output_tokens=50), view(on), failed(Failure.CLIENT_GONE, status=200), 12)
    assert usage.output_tokens == 50
    usage = billed_usage(request(), view(on), failed(Failure.CLIENT_GONE, status=200), 700)
    assert usage.output_tokens == 700


def test_a_cut_stream_keeps_the_reported_prompt_and_counts_what_came():
    early = Usage(input_tokens=77, output_tokens=1)  # Anthropic's message_start says 1
    usage = billed_usage(request(), view(), failed(Failure.RESET, status=200, usage=early), 40)
    assert (usage.input_tokens, usage.output_tokens, usage.estimated) == (77, 40, True)


def test_an_empty_or_garbled_200_costs_nothing():
    assert billed_usage(request(), view(), failed(Failure.MALFORMED, status=200), 0) == NOTHING


def test_expected_output_is_capped_by_the_client():
    assert expected_output_tokens(request(), view(output_tokens=99.6)) == 100
    assert expected_output_tokens(request(max_output_tokens=5), view()) == 5


def test_unpriced_stays_unpriced():
    unpriced = endpoint("a", price=None)
    assert attempt_cost(unpriced, Usage(1, 1), charge) == (None, False)
    assert attempt_cost(unpriced, NOTHING, charge) == (0, False)
