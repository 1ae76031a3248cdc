"""Finish reasons of every provider in OpenAI's words."""

import pytest

from fastroute.core.failures import Failure
from fastroute.dialects.canonical import FinishReason
from fastroute.dialects.openai_finish import finish_reason


@pytest.mark.parametrize("word", ["stop", "length", "tool_calls", "content_filter"])
def test_openais_own_words_stay(word: str) -> None:
    assert finish_reason(word) == word


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("eos", FinishReason.STOP),
        ("end_turn", FinishReason.STOP),
        ("STOP", FinishReason.STOP),
        ("COMPLETE", FinishReason.STOP),
        ("model_length", FinishReason.LENGTH),
        ("MAX_TOKENS", FinishReason.LENGTH),
        ("function_call", FinishReason.TOOL_CALLS),
        ("tool-calls", FinishReason.TOOL_CALLS),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("SAFETY", FinishReason.CONTENT_FILTER),
        ("content_filter: PROHIBITED_CONTENT", FinishReason.CONTENT_FILTER),
        ("sensitive", FinishReason.CONTENT_FILTER),
    ],
)
def test_other_providers_words(raw: str, expected: FinishReason) -> None:
    assert finish_reason(raw) is expected


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        ("error", Failure.SERVER_ERROR),
        ("network_error", Failure.SERVER_ERROR),
        ("insufficient_system_resource", Failure.OVERLOADED),
        ("MALFORMED_FUNCTION_CALL", Failure.GENERATION_FAILED),
        ("function_call_filter: MALFORMED_FUNCTION_CALL", Failure.GENERATION_FAILED),
    ],
)
def test_failures_dressed_as_finishes(raw: str, expected: Failure) -> None:
    assert finish_reason(raw) is expected
    assert finish_reason(raw, called=True) is expected


def test_a_stop_after_calls_is_a_request_to_run_them() -> None:
    assert finish_reason("stop", called=True) is FinishReason.TOOL_CALLS
    assert finish_reason("eos", called=True) is FinishReason.TOOL_CALLS
    assert finish_reason("length", called=True) is FinishReason.LENGTH, "cut calls must not be run"
    assert finish_reason("content_filter", called=True) is FinishReason.CONTENT_FILTER


def test_an_unknown_word_is_a_stop() -> None:
    assert finish_reason("whatever_next") is FinishReason.STOP
