"""Whole Anthropic replies as canonical events."""

from typing import Any

import msgspec
import pytest

from fastroute.core.failures import Failure
from fastroute.core.types import Usage
from fastroute.dialects.anthropic_reply import BLOCKS_KEY, AnthropicReader
from fastroute.dialects.canonical import (
    Ended,
    Event,
    Extra,
    Failed,
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

Json = dict[str, Any]


def whole(*blocks: Json, reason: str | None = "end_turn", **more: Any) -> list[Event]:
    usage = {"input_tokens": 10, "output_tokens": 7}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "model": "claude-x", "content": blocks, "usage": usage}
    return AnthropicReader().whole(msgspec.json.encode(message | {"stop_reason": reason, "stop_sequence": None} | more))


def test_a_whole_reply_gives_the_events_of_a_stream() -> None:
    out = whole(
        {"type": "thinking", "thinking": "hm", "signature": "sig"},
        {"type": "redacted_thinking", "data": "blob"},
        {"type": "text", "text": "hi"},
        {"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": 1}},
        {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
        {"type": "tool_use", "id": "t2", "name": "g", "input": {}},
        reason="tool_use",
    )
    assert out == [
        Started("msg_1", "claude-x"),
        UsageSeen(Usage(10, 7), {"input_tokens": 10, "output_tokens": 7}),
        ThinkingDelta("hm", "sig"),
        ThinkingDelta(redacted="blob", block=1),
        TextDelta("hi"),
        Extra(BLOCKS_KEY, [{"type": "server_tool_use", "id": "s", "name": "web_search", "input": {"q": 1}}]),
        ToolStarted(0, "t1", "f"),
        ToolArguments(0, '{"a":1}'),
        ToolStarted(1, "t2", "g"),
        ToolArguments(1, "{}"),
        Finished(FinishReason.TOOL_CALLS, "tool_use"),
        Ended(),
    ]


def test_arguments_of_a_whole_reply_are_as_written() -> None:
    body = b'{"id":"m","content":[{"type":"tool_use","id":"t","name":"f","input":{"n": 1.50, "big": 123456789012345678901}}]}'
    out = AnthropicReader().whole(body)
    assert ToolArguments(0, '{"n": 1.50, "big": 123456789012345678901}') in out


def test_details_of_a_whole_reply() -> None:
    out = whole(reason="refusal", stop_details={"explanation": "No."}, container=None, context_management={"a": 1})
    assert out[2:] == [
        Extra("stop_details", {"explanation": "No."}),
        Extra("context_management", {"a": 1}),
        RefusalDelta("No."),
        Finished(FinishReason.CONTENT_FILTER, "refusal"),
        Ended(),
    ]


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>",
        b"[]",
        b"{}",
        b'{"content": 5}',
        b'{"content": [5]}',
        b'{"content": [{"text": "no type"}]}',
        b'{"content": [], "usage": []',
        b'{"content": [{"type": "tool_use"}]}',
    ],
)
def test_a_whole_body_that_is_no_reply_is_malformed(body: bytes) -> None:
    [event] = AnthropicReader().whole(body)
    assert isinstance(event, Failed)
    assert event.fault.failure is Failure.MALFORMED


def test_an_error_in_a_whole_200() -> None:
    [event] = AnthropicReader().whole(b'{"type": "error", "error": {"type": "overloaded_error", "message": "Overloaded"}}')
    assert isinstance(event, Failed)
    assert event.fault.failure is Failure.OVERLOADED
