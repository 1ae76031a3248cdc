"""Anthropic's usage, stop reasons and errors in canonical terms."""

from typing import Any

import pytest

from fastroute.core.failures import Failure, Fault
from fastroute.core.types import Usage
from fastroute.dialects.anthropic_terms import canonical_usage, finish_reason, reported_fault, reread
from fastroute.dialects.canonical import FinishReason


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("end_turn", FinishReason.STOP),
        ("stop_sequence", FinishReason.STOP),
        ("pause_turn", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("refusal", FinishReason.CONTENT_FILTER),
        ("something_new", FinishReason.STOP),
        (None, FinishReason.STOP),
    ],
)
def test_stop_reasons(raw: str | None, reason: FinishReason) -> None:
    assert finish_reason(raw, called=False) is reason


@pytest.mark.parametrize("raw", ["end_turn", "stop_sequence", "tool_use", "something_new", None])
def test_a_reply_with_calls_ended_for_them(raw: str | None) -> None:
    assert finish_reason(raw, called=True) is FinishReason.TOOL_CALLS


def test_a_reply_cut_short_says_so_even_with_calls() -> None:
    assert finish_reason("max_tokens", called=True) is FinishReason.LENGTH
    assert finish_reason("refusal", called=True) is FinishReason.CONTENT_FILTER


def test_input_contains_what_came_from_and_went_to_the_cache() -> None:
    raw = {
        "input_tokens": 3,
        "cache_read_input_tokens": 1636,
        "cache_creation_input_tokens": 10,
        "output_tokens": 106,
        "output_tokens_details": {"thinking_tokens": 67},
    }
    assert canonical_usage(raw) == Usage(1649, 106, 1636, 10, 67)


@pytest.mark.parametrize(
    ("raw", "usage"),
    [
        ({}, Usage()),
        ({"output_tokens": 5}, Usage(output_tokens=5)),
        ({"input_tokens": 0, "output_tokens": 0}, Usage(0, 0)),
        ({"input_tokens": "7", "output_tokens": True, "output_tokens_details": []}, Usage()),
        ({"cache_read_input_tokens": 9}, Usage(cached_input_tokens=9)),
    ],
)
def test_what_is_not_told_is_not_known(raw: dict[str, Any], usage: Usage) -> None:
    assert canonical_usage(raw) == usage


@pytest.mark.parametrize(
    ("kind", "failure"),
    [
        ("overloaded_error", Failure.OVERLOADED),
        ("api_error", Failure.SERVER_ERROR),
        ("timeout_error", Failure.SERVER_ERROR),
        ("rate_limit_error", Failure.RATE_LIMITED),
        ("invalid_request_error", Failure.BAD_REQUEST),
        ("authentication_error", Failure.AUTH),
        ("permission_error", Failure.AUTH),
        ("billing_error", Failure.QUOTA_EXHAUSTED),
        ("not_found_error", Failure.NOT_FOUND),
        ("request_too_large", Failure.BAD_REQUEST),
        ("new_error", Failure.SERVER_ERROR),
    ],
)
def test_errors_inside_a_200(kind: str, failure: Failure) -> None:
    fault = reported_fault({"type": kind, "message": "Words"})
    assert (fault.failure, fault.message, fault.type, fault.status) == (failure, "Words", kind, None)


@pytest.mark.parametrize("error", [None, [], {}, {"type": 5, "message": {"a": 1}}, ""])
def test_an_error_of_no_known_shape_still_is_one(error: Any) -> None:
    fault = reported_fault(error)
    assert fault.failure is Failure.SERVER_ERROR
    assert fault.message


def test_an_error_that_is_a_text() -> None:
    assert reported_fault("upstream went away").message == "upstream went away"


def test_keys_do_not_get_into_faults() -> None:
    message = "bad key sk-ant-api03-abcdefghijklmnop used"
    assert "abcdefghijklmnop" not in reported_fault({"type": "authentication_error", "message": message}).message


def test_context_length_by_its_text() -> None:
    said = {"type": "invalid_request_error", "message": "prompt is too long: 210000 tokens > 200000 maximum"}
    assert reported_fault(said).failure is Failure.CONTEXT_LENGTH


@pytest.mark.parametrize(
    ("message", "failure"),
    [
        ("Your credit balance is too low to access the Anthropic API.", Failure.QUOTA_EXHAUSTED),
        ("Output blocked by content filtering policy", Failure.CONTENT_FILTER),
        ("max_tokens: Field required", Failure.BAD_REQUEST),
    ],
)
def test_plain_400s_that_are_something_else(message: str, failure: Failure) -> None:
    assert reread(Fault(Failure.BAD_REQUEST, message)).failure is failure


def test_only_400s_are_read_again() -> None:
    fault = Fault(Failure.SERVER_ERROR, "credit balance is too low")
    assert reread(fault) is fault
