"""Converse replies as events: what recordings do not show, and the traps."""

import json

import pytest
from bedrock_support import DIALECT, START, chat, delta, ending, endpoint, event, exception, stop, tool_start

from fastroute.core.failures import Failure
from fastroute.dialects.aws_event_stream import encoded
from fastroute.dialects.bedrock_reply import BLOCKS_KEY, EVENTS_KEY, ConverseReader
from fastroute.dialects.canonical import (
    Ended,
    Event,
    Extra,
    Failed,
    Finished,
    FinishReason,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolStarted,
    UsageSeen,
)


def read(*frames: bytes) -> list[Event]:
    reader = ConverseReader("r1", {"sent_name": "own.name"})
    return [*reader.feed(b"".join(frames)), *reader.end()]


def fault_of(*frames: bytes):
    last = read(*frames)[-1]
    assert isinstance(last, Failed)
    return last.fault


def test_a_plain_stream() -> None:
    events = read(START, delta(0, text="He"), delta(0, text=""), delta(0, text="llo"), stop(0), ending())
    assert [e for e in events if not isinstance(e, UsageSeen)] == [
        *(Started(), TextDelta("He"), TextDelta("llo"), Finished(FinishReason.STOP, "end_turn"), Ended()),
    ]


def test_trap_2_block_index_is_neither_choice_nor_call() -> None:
    events = read(
        START,
        delta(0, text="Let me see."),
        stop(0),
        tool_start(1, "a", "sent_name"),
        delta(1, toolUse={"input": ""}),
        delta(1, toolUse={"input": '{"x":'}),
        delta(1, toolUse={"input": "1}"}),
        stop(1),
        tool_start(4, "b", "two"),
        stop(4),
        ending("tool_use"),
    )
    assert [e for e in events if isinstance(e, ToolStarted | ToolArguments)] == [
        *(ToolStarted(0, "a", "own.name"), ToolArguments(0, '{"x":'), ToolArguments(0, "1}")),
        *(ToolStarted(1, "b", "two"), ToolArguments(1, "{}")),
    ]
    assert all(getattr(e, "choice", 0) == 0 for e in events)


def test_ids_are_there_and_unique() -> None:
    events = read(
        START, tool_start(0, "", "a"), stop(0), tool_start(1, "x", "a"), stop(1), tool_start(2, "x", "a"), ending("tool_use")
    )
    ids = [e.id for e in events if isinstance(e, ToolStarted)]
    assert ids[1] == "x"
    assert len(set(ids)) == 3
    assert all(ids)


def test_reasoning_with_signature_and_redacted() -> None:
    events = read(
        START,
        delta(0, reasoningContent={"text": "hm"}),
        delta(0, reasoningContent={"signature": "sig"}),
        stop(0),
        delta(1, reasoningContent={"redactedContent": "AAA="}),
        stop(1),
        ending(),
    )
    assert [e for e in events if isinstance(e, ThinkingDelta)] == [
        *(ThinkingDelta("hm", block=0), ThinkingDelta(signature="sig", block=0), ThinkingDelta(redacted="AAA=", block=1)),
    ]


def test_what_has_no_word_goes_out_whole() -> None:
    events = read(
        START,
        tool_start(0, "s", "nova_code_interpreter", type="server_tool_use"),
        delta(0, toolUse={"input": '{"a":1}'}),
        stop(0),
        event("contentBlockStart", contentBlockIndex=1, start={"toolResult": {"toolUseId": "s"}}),
        delta(1, toolResult=[{"text": "7"}]),
        stop(1),
        delta(2, text="7"),
        delta(2, citation={"title": "t"}),
        stop(2),
        event("newEvent", x=1),
        delta(3, unheardOf={"y": 2}),
        ending(),
    )
    extras = [(e.key, e.value) for e in events if isinstance(e, Extra)]
    server = {"toolUseId": "s", "name": "nova_code_interpreter", "type": "server_tool_use", "input": {"a": 1}}
    assert extras == [
        (BLOCKS_KEY, [{"toolUse": server}]),
        (BLOCKS_KEY, [{"toolResult": {"toolUseId": "s"}, "deltas": [{"toolResult": [{"text": "7"}]}]}]),
        ("citations", [{"title": "t"}]),
        (EVENTS_KEY, [{"newEvent": {"x": 1}}]),
        (EVENTS_KEY, [{"contentBlockDelta": {"contentBlockIndex": 3, "delta": {"unheardOf": {"y": 2}}}}]),
    ]
    assert not [e for e in events if isinstance(e, ToolStarted)]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        ("stop_sequence", FinishReason.STOP),
        ("max_tokens", FinishReason.LENGTH),
        ("model_context_window_exceeded", FinishReason.LENGTH),
        ("guardrail_intervened", FinishReason.CONTENT_FILTER),
        ("content_filtered", FinishReason.CONTENT_FILTER),
        ("tool_use", FinishReason.TOOL_CALLS),
        ("new_reason", FinishReason.STOP),
    ],
)
def test_finish_reasons(raw: str, reason: FinishReason) -> None:
    assert Finished(reason, raw) in read(START, ending(raw))


def test_end_turn_with_calls_is_tool_calls() -> None:
    assert Finished(FinishReason.TOOL_CALLS, "end_turn") in read(START, tool_start(0, "a", "f"), stop(0), ending("end_turn"))


@pytest.mark.parametrize("raw", ["malformed_model_output", "malformed_tool_use"])
def test_a_malformed_answer_is_a_failure(raw: str) -> None:
    fault = fault_of(START, delta(0, text="x"), ending(raw))
    assert (fault.failure, fault.type) == (Failure.GENERATION_FAILED, raw)


def test_a_guardrails_trace_is_kept() -> None:
    events = read(
        START, event("messageStop", stopReason="guardrail_intervened"), event("metadata", trace={"guardrail": {"a": 1}})
    )
    assert Extra("trace", {"guardrail": {"a": 1}}) in events
    assert events[-1] == Ended()


@pytest.mark.parametrize(
    ("name", "message", "failure"),
    [
        ("throttlingException", "Too many requests", Failure.RATE_LIMITED),
        ("throttlingException", "Too many tokens per day, please wait", Failure.QUOTA_EXHAUSTED),
        ("serviceUnavailableException", "x", Failure.OVERLOADED),
        ("internalServerException", "x", Failure.SERVER_ERROR),
        ("modelStreamErrorException", "x", Failure.SERVER_ERROR),
        ("validationException", "Input is too long for requested model.", Failure.CONTEXT_LENGTH),
        ("validationException", "x", Failure.BAD_REQUEST),
        ("unheardOfException", "x", Failure.SERVER_ERROR),
    ],
)
def test_trap_42_exceptions_inside_a_200(name: str, message: str, failure: Failure) -> None:
    fault = fault_of(START, exception(name, message), delta(0, text="never read"))
    assert (fault.failure, fault.message, fault.type) == (failure, message, name)


def test_a_models_own_status_counts() -> None:
    assert fault_of(START, exception("modelStreamErrorException", originalStatusCode=529)).failure is Failure.OVERLOADED


def test_errors_of_the_transport() -> None:
    headers = {":message-type": "error", ":error-code": "InternalFailure", ":error-message": "broken"}
    fault = fault_of(START, encoded(headers, b""))
    assert (fault.failure, fault.message) == (Failure.SERVER_ERROR, "broken")


def test_an_exception_after_content_leaves_no_finish() -> None:
    translator = DIALECT.translator(chat(stream=True), endpoint())
    out = translator.feed(START + delta(0, text="Hel") + exception("throttlingException"))
    assert (translator.content_started, translator.finished) == (True, False)
    assert translator.fault.failure is Failure.RATE_LIMITED
    assert b"Hel" in out
    said = translator.interrupted(translator.fault)
    assert b'"error"' in said
    assert b'finish_reason":"' not in out + said


def test_damage_ends_the_stream() -> None:
    frame = bytearray(delta(0, text="x"))
    frame[-1] ^= 1
    assert fault_of(START, bytes(frame)).failure is Failure.MALFORMED
    assert fault_of(b"<html>502 Bad Gateway</html>").failure is Failure.MALFORMED
    assert fault_of(START, encoded({":event-type": "messageStop", ":message-type": "event"}, b"[]")).failure is Failure.MALFORMED
    assert fault_of(START, event("contentBlockDelta", delta=7)).failure is Failure.MALFORMED
    assert fault_of(START, event("messageStop")).failure is Failure.MALFORMED


def test_nothing_after_the_end() -> None:
    reader = ConverseReader("r1")
    assert isinstance(reader.feed(START + ending())[-1], Ended)
    assert reader.feed(delta(0, text="x")) == []
    assert reader.end() == []


def whole(*blocks, reason: str = "end_turn", **members) -> bytes:
    usage = {"inputTokens": 3, "outputTokens": 2, "totalTokens": 15, "cacheReadInputTokens": 10, "cacheWriteInputTokens": 0}
    message = {"role": "assistant", "content": list(blocks)}
    return json.dumps({"output": {"message": message}, "stopReason": reason, "usage": usage, **members}).encode()


def test_a_whole_reply() -> None:
    blocks = (
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "AA=="}},
        {"citationsContent": {"content": [{"text": "Ruby."}], "citations": [{"title": "t"}]}},
        {"image": {"format": "png"}},
        {"toolUse": {"toolUseId": "a", "name": "f", "input": {"n": 1.50}}},
    )
    fields = {"additionalModelResponseFields": {"stop_sequence": "END"}}
    events = ConverseReader("r1").whole(whole(*blocks, reason="tool_use", **fields))
    assert events[:-2] == [
        *(Started(), ThinkingDelta("hm", "s", block=0), ThinkingDelta(redacted="AA==", block=1), TextDelta("Ruby.")),
        *(Extra("citations", [{"title": "t"}]), Extra(BLOCKS_KEY, [{"image": {"format": "png"}}])),
        *(ToolStarted(0, "a", "f"), ToolArguments(0, '{"n": 1.5}')),
        Extra("additionalModelResponseFields", {"stop_sequence": "END"}),
        Finished(FinishReason.TOOL_CALLS, "tool_use", "END"),
    ]
    [usage] = [e.usage for e in events if isinstance(e, UsageSeen)]
    assert (usage.input_tokens, usage.output_tokens, usage.cached_input_tokens, usage.cache_write_tokens) == (13, 2, 10, 0)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"output":{}}', b"<html>", whole(7), whole({"toolUse": 1}), whole({"text": 1})]
)
def test_a_whole_body_that_is_none(body: bytes) -> None:
    translator = DIALECT.translator(chat(), endpoint())
    assert translator.whole(body) == b""
    assert translator.fault.failure is Failure.MALFORMED


def test_a_whole_reply_that_failed() -> None:
    [*_, last] = ConverseReader("r1").whole(whole(reason="malformed_tool_use"))
    assert isinstance(last, Failed)
