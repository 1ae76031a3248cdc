"""Canonical events as Responses replies: order, ids, parallel calls in turns, sealed reasoning, refusals, failures."""

import json
from typing import Any

import pytest

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
from fastroute.dialects.responses_seal import opened
from fastroute.dialects.responses_writer import ResponsesWriter, responses_usage

Json = dict[str, Any]
STARTED = Started("chatcmpl-9", "m-2", 1_780_000_000)
USAGE = Usage(10, 7, cached_input_tokens=4, reasoning_tokens=5)


def end(reason: FinishReason = FinishReason.STOP) -> list[Event]:
    return [Finished(reason), UsageSeen(USAGE), Ended()]


def writer(**asked: Any) -> ResponsesWriter:
    return ResponsesWriter("req/1", {"model": "auto", "input": "Hi", **asked}, "m-1")


def parsed(data: bytes) -> list[Json]:
    frames = [frame for frame in data.decode().split("\n\n") if frame]
    events = []
    for frame in frames:
        name, line = frame.split("\n")
        events.append(json.loads(line.removeprefix("data: ")))
        assert name == f"event: {events[-1]['type']}"
    return events


def streamed(*events: Event) -> list[Json]:
    said = writer()
    return parsed(b"".join(said.write([event]) for event in events))


def both(*events: Event) -> Json:
    """The response, the same whole and streamed."""
    whole = json.loads(writer().whole(events))
    assert streamed(*events)[-1]["response"] == whole
    return whole


def test_text_comes_in_openais_order() -> None:
    events = streamed(STARTED, TextDelta("Hel"), TextDelta("lo"), *end())
    assert [e["type"].removeprefix("response.") for e in events] == [
        *("created", "in_progress", "output_item.added", "content_part.added", "output_text.delta", "output_text.delta"),
        *("output_text.done", "content_part.done", "output_item.done", "completed"),
    ]
    assert [e["sequence_number"] for e in events] == list(range(10))
    assert [e["item_id"] for e in events[3:8]] == ["msg_req1_0"] * 5
    assert events[6]["text"] == events[7]["part"]["text"] == events[8]["item"]["content"][0]["text"] == "Hello"
    response = events[-1]["response"]
    assert (response["id"], response["model"], response["created_at"]) == ("resp_req1", "m-2", 1_780_000_000)
    assert events[0]["response"]["status"] == "in_progress"
    assert events[2]["item"]["content"] == [], "what came later does not show in what was said before"
    assert "chatcmpl" not in json.dumps(events)


def test_usage_has_its_parts() -> None:
    assert both(STARTED, TextDelta("x"), *end())["usage"] == {
        "input_tokens": 10,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 5},
        "total_tokens": 17,
    }
    assert responses_usage(Usage())["total_tokens"] == 0


@pytest.mark.parametrize(
    ("reason", "said"), [(FinishReason.LENGTH, "max_output_tokens"), (FinishReason.CONTENT_FILTER, "content_filter")]
)
def test_incomplete_answers_say_why(reason: FinishReason, said: str) -> None:
    response = both(STARTED, ToolStarted(0, "c0", "f"), ToolArguments(0, '{"a'), *end(reason))
    assert (response["status"], response["incomplete_details"]) == ("incomplete", {"reason": said})
    assert (response["output"][0]["status"], response["output"][0]["arguments"]) == ("incomplete", '{"a')
    assert response["usage"]["total_tokens"] == 17


def test_parallel_calls_in_turns_and_a_call_without_arguments() -> None:
    calls = [ToolStarted(0, "c0", "f"), ToolArguments(0, '{"a":'), ToolStarted(1, "c1", "g"), ToolArguments(1, '{"b":')]
    calls += [ToolArguments(0, "1}"), ToolArguments(1, "2}"), ToolStarted(2, "c2", "h")]
    response = both(STARTED, *calls, *end(FinishReason.TOOL_CALLS))
    said = [(item["call_id"], item["name"], item["arguments"], item["status"]) for item in response["output"]]
    assert said == [("c0", "f", '{"a":1}', "completed"), ("c1", "g", '{"b":2}', "completed"), ("c2", "h", "{}", "completed")]
    assert response["status"] == "completed"


def test_a_complete_call_is_done_as_soon_as_the_next_begins() -> None:
    events = streamed(STARTED, ToolStarted(0, "c0", "f"), ToolArguments(0, "{}"), ToolStarted(1, "c1", "g"), *end())
    kinds = [(e["type"].removeprefix("response."), e["output_index"]) for e in events if "output_item" in e["type"]]
    assert kinds == [("output_item.added", 0), ("output_item.done", 0), ("output_item.added", 1), ("output_item.done", 1)]


def test_reasoning_text_refusal_and_calls_are_items_in_order() -> None:
    said = [ThinkingDelta("Hm"), ThinkingDelta("m."), TextDelta("No: "), RefusalDelta("never."), ToolStarted(0, "c", "f")]
    response = both(STARTED, *said, ToolArguments(0, "{}"), *end())
    assert [item["type"] for item in response["output"]] == ["reasoning", "message", "function_call"]
    assert response["output"][0]["summary"] == [{"type": "summary_text", "text": "Hmm."}]
    assert [part["type"] for part in response["output"][1]["content"]] == ["output_text", "refusal"]
    assert response["output"][1]["content"][1] == {"type": "refusal", "refusal": "never."}
    indexes = [
        e["content_index"] for e in streamed(STARTED, *said, *end()) if e["type"].endswith("delta") and "content_index" in e
    ]
    assert indexes == [0, 1]


def test_signed_reasoning_is_sealed_block_by_block() -> None:
    blocks = [{"type": "thinking", "thinking": "Hm", "signature": "s1"}, {"type": "redacted_thinking", "data": "xyz"}]
    streamed_blocks = [{"index": i, **block} for i, block in enumerate(blocks)]
    events = [ThinkingDelta("Hm"), *(Extra("thinking_blocks", [b]) for b in streamed_blocks), TextDelta("Hi")]
    response = both(STARTED, *events, *end())
    first, second, message = response["output"]
    assert opened(first["encrypted_content"]) + opened(second["encrypted_content"]) == blocks
    assert (first["summary"][0]["text"], second["summary"], message["type"]) == ("Hm", [], "message")


def test_geminis_signature_goes_before_its_call() -> None:
    response = both(STARTED, ToolStarted(0, "c", "f", signature="sig"), ToolArguments(0, "{}"), *end())
    reasoning, call = response["output"]
    assert opened(reasoning["encrypted_content"]) == [{"type": "google_thought_signature", "signature": "sig"}]
    assert call["call_id"] == "c"


def test_what_was_asked_is_repeated_and_nothing_is_stored() -> None:
    said = writer(temperature=0.5, tools=[{"type": "function", "name": "f"}], store=True, metadata={"a": "b"}, user=None)
    response = json.loads(said.whole([STARTED, TextDelta("x"), *end()]))
    assert (response["temperature"], response["tools"][0]["name"], response["metadata"]) == (0.5, "f", {"a": "b"})
    assert response["store"] is False
    assert "input" not in response


def test_other_choices_and_empty_pieces_say_nothing() -> None:
    response = both(STARTED, TextDelta(""), TextDelta("x"), TextDelta("other", choice=1), ToolArguments(3, "{}"), *end())
    assert [item["content"][0]["text"] for item in response["output"]] == ["x"]
    assert both(STARTED, *end())["output"] == []


@pytest.mark.parametrize(
    ("failure", "code"), [(Failure.TRUNCATED, "server_error"), (Failure.RATE_LIMITED, "rate_limit_exceeded")]
)
def test_an_interrupted_stream_fails(failure: Failure, code: str) -> None:
    said = writer()
    events = parsed(said.write([STARTED, ThinkingDelta("Hm"), TextDelta("Hel")]) + said.interrupted(Fault(failure, "gone"), None))
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    error, failed = events[-2:]
    assert (error["type"], error["message"], error["error"]["message"]) == ("error", "gone", "gone")
    assert (failed["type"], failed["response"]["status"]) == ("response.failed", "failed")
    assert failed["response"]["error"] == {"code": code, "message": "gone"}
    assert failed["response"]["usage"]["output_tokens"] == 2
    assert [item["type"] for item in failed["response"]["output"]] == ["reasoning"], "only what was completed"
    assert not any(e["type"] == "response.output_item.done" and e["item"]["type"] == "message" for e in events)


def test_a_failure_before_the_first_event_still_begins() -> None:
    events = parsed(writer().interrupted(Fault(Failure.STALL, "slow"), None))
    assert [e["type"] for e in events] == ["response.created", "response.in_progress", "error", "response.failed"]
