"""Canonical events as Anthropic's streams and messages."""

import json
from typing import Any

import pytest
from messages_support import added_up, asked, told

from fastroute.core.failures import Failure, Fault
from fastroute.core.types import Usage
from fastroute.dialects.canonical import (
    Ended,
    Event,
    Extra,
    Finished,
    FinishReason,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolStarted,
    UsageSeen,
)
from fastroute.dialects.messages_marks import UNSIGNED, marked
from fastroute.dialects.messages_writer import MessagesWriter

STOP = [Finished(FinishReason.STOP), UsageSeen(Usage(12, 7, cached_input_tokens=4)), Ended()]


def both(*events: Event) -> dict[str, Any]:
    """The message, checked to be the same streamed in any pieces and whole."""
    whole = json.loads(MessagesWriter(asked(), "m").whole(events))
    writer = MessagesWriter(asked(), "m")
    assert added_up(told(b"".join([writer.write([event]) for event in events]))) == whole
    assert added_up(told(MessagesWriter(asked(), "m").write(events))) == whole
    return whole


def test_a_stream() -> None:
    data = MessagesWriter(asked(), "m").write([Started("msg_1", "gpt"), TextDelta("Hel"), TextDelta("lo"), *STOP])
    events = told(data)
    assert [event["type"] for event in events] == [
        *("message_start", "ping", "content_block_start", "content_block_delta", "content_block_delta"),
        *("content_block_stop", "message_delta", "message_stop"),
    ]
    assert events[0]["message"]["usage"] == {"input_tokens": asked().input_tokens, "output_tokens": 0}
    assert events[-2] == {
        "type": "message_delta",
        "delta": {"stop_reason": "end_turn", "stop_sequence": None},
        "usage": {"input_tokens": 8, "cache_read_input_tokens": 4, "output_tokens": 7},
    }


def test_thinking_text_and_calls() -> None:
    message = both(
        Started("msg_1", "gpt"),
        ThinkingDelta("hm"),
        ThinkingDelta(signature="SIG"),
        ThinkingDelta(redacted="XX", block=1),
        TextDelta("so"),
        ToolStarted(0, "t0", "f"),
        ToolArguments(0, '{"a"'),
        ToolArguments(0, ": 1}"),
        ToolStarted(1, "t1", "g"),
        *[Finished(FinishReason.TOOL_CALLS), UsageSeen(Usage(5, 6)), Ended()],
    )
    assert message["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "SIG"},
        {"type": "redacted_thinking", "data": "XX"},
        {"type": "text", "text": "so"},
        {"type": "tool_use", "id": "t0", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "t1", "name": "g", "input": {}},
    ]
    assert (message["id"], message["model"], message["stop_reason"]) == ("msg_1", "gpt", "tool_use")


def test_calls_told_at_once_arrive_one_by_one() -> None:
    message = both(
        ToolStarted(0, "t0", "f"),
        ToolStarted(1, "t1", "g"),
        ToolArguments(1, '{"b":'),
        ToolArguments(0, '{"a":'),
        ToolArguments(1, "2}"),
        TextDelta("meanwhile"),
        ToolArguments(0, "1}"),
        *[Finished(FinishReason.TOOL_CALLS), Ended()],
    )
    assert [block.get("input", block.get("text")) for block in message["content"]] == [{"a": 1}, {"b": 2}, "meanwhile"]


def test_signatures_of_others_are_marked() -> None:
    google = {"google": {"thought_signature": "S1"}}
    message = both(
        ThinkingDelta("hm"),
        TextDelta("so"),
        Extra("extra_content", google),
        ToolStarted(0, "t0", "f", signature="S2"),
        ToolArguments(0, "{}"),
        *STOP,
    )
    assert [block.get("signature") or block.get("data") for block in message["content"]] == [
        *(UNSIGNED, None, marked("S1", before=False), marked("S2", before=True), None)
    ]


@pytest.mark.parametrize(
    ("finished", "reason"),
    [
        (Finished(FinishReason.STOP), "end_turn"),
        (Finished(FinishReason.STOP, stop_sequence="END"), "stop_sequence"),
        (Finished(FinishReason.LENGTH), "max_tokens"),
        (Finished(FinishReason.TOOL_CALLS), "tool_use"),
        (Finished(FinishReason.CONTENT_FILTER), "refusal"),
    ],
)
def test_stop_reasons(finished: Finished, reason: str) -> None:
    message = both(TextDelta("x"), finished, Ended())
    assert (message["stop_reason"], message["stop_sequence"]) == (reason, finished.stop_sequence)


def test_refusals_are_text_with_their_reason() -> None:
    message = both(RefusalDelta("I won't."), *STOP)
    assert (message["content"], message["stop_reason"]) == ([{"type": "text", "text": "I won't."}], "refusal")


def test_arguments_that_were_cut_are_seen() -> None:
    writer = MessagesWriter(asked(), "m")
    events = [ToolStarted(0, "t", "f"), ToolArguments(0, '{"a": '), Finished(FinishReason.LENGTH), Ended()]
    assert json.loads(writer.whole(events))["content"][0]["input"] == {"_unreadable": '{"a":'}


def test_an_empty_answer_and_other_choices() -> None:
    assert both(Started(), *STOP)["content"] == []
    assert both(TextDelta("mine"), TextDelta("not mine", choice=1), *STOP)["content"] == [{"type": "text", "text": "mine"}]


def test_interruption() -> None:
    writer = MessagesWriter(asked(), "m")
    [event] = told(writer.interrupted(Fault(Failure.STALL, "it stalled"), Usage(3, 4)))
    assert event == {
        "type": "error",
        "error": {"type": "timeout_error", "message": "it stalled"},
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }
    [event] = told(writer.interrupted(Fault(Failure.OVERLOADED, "busy", status=529), None))
    assert event["error"]["type"] == "overloaded_error"
