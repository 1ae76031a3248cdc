"""Canonical events as OpenAI chat completions: streamed and whole say the same."""

import json
from typing import Any

import pytest
from openai.lib.streaming._deltas import accumulate_delta
from openai.types.chat import ChatCompletion, ChatCompletionChunk
from openai_support import DONE, ask, chunks, entries, finishes, joined_calls, streaming

from fastroute.core.failures import Failure, Fault
from fastroute.core.types import ChatRequest, Usage
from fastroute.dialects.canonical import (
    Ended,
    Event,
    Extra,
    Finished,
    FinishReason,
    RefusalDelta,
    Started,
    TextDelta,
    Thinking,
    ThinkingDelta,
    ToolArguments,
    ToolCall,
    ToolStarted,
    UsageSeen,
)
from fastroute.dialects.openai_conversation import conversation
from fastroute.dialects.openai_writer import OpenAIWriter

Json = dict[str, Any]
STOP = Finished(FinishReason.STOP)
CALLS = Finished(FinishReason.TOOL_CALLS)


def stream(*events: Event, request: ChatRequest | None = None) -> bytes:
    writer = OpenAIWriter(request or streaming(usage=True), 1_700_000_000, "fallback")
    out = b"".join([writer.write([event]) for event in events])
    together = OpenAIWriter(request or streaming(usage=True), 1_700_000_000, "fallback").write(events)
    assert out == together, "however the events come"
    for found in chunks(out):
        ChatCompletionChunk.model_validate(found, strict=True)
    return out


def whole(*events: Event) -> Json:
    body: Json = json.loads(OpenAIWriter(ask(), 1_700_000_000, "fallback").whole(events))
    ChatCompletion.model_validate(body, strict=True)
    return body


def deltas(out: bytes, index: int = 0) -> list[Json]:
    return [entry["delta"] for entry in entries(out, index)]


def client_joined(out: bytes, index: int = 0) -> Json:
    """The message as OpenAI's own client joins it."""
    message: dict[object, object] = {}
    for delta in deltas(out, index):
        message = accumulate_delta(message, delta)
    return {str(key): value for key, value in message.items()}


def test_the_head_is_the_same_on_every_chunk() -> None:
    out = stream(Started("msg_1", "claude", 5), TextDelta("a"), TextDelta("b"), STOP, UsageSeen(Usage(7, 3)), Ended())
    assert {(c["id"], c["model"], c["created"], c["object"]) for c in chunks(out)} == {
        ("msg_1", "claude", 5, "chat.completion.chunk")
    }
    unnamed = stream(Started(), TextDelta("a"), STOP, Ended())
    assert {(c["id"], c["model"], c["created"]) for c in chunks(unnamed)} == {("chatcmpl-req-1", "fallback", 1_700_000_000)}
    assert whole(Started("msg_1", "claude", 5), TextDelta("a"), STOP)["id"] == "msg_1"


def test_text() -> None:
    events = (Started(), TextDelta("Grüß "), TextDelta("dich\n"), STOP, Ended())
    out = stream(*events)
    assert [delta.get("role") for delta in deltas(out)] == ["assistant", None, None]
    assert client_joined(out)["content"] == "Grüß dich\n"
    assert "Grüß".encode() in out, "text is not escaped"
    assert finishes(out) == ["stop"]
    assert out.endswith(DONE)
    [choice] = whole(*events)["choices"]
    assert choice["message"] == {"role": "assistant", "content": "Grüß dich\n", "refusal": None}
    assert choice["finish_reason"] == "stop"


def test_nothing_is_sent_for_what_says_nothing() -> None:
    writer = OpenAIWriter(streaming(), 0, "m")
    assert writer.write([Started("x"), UsageSeen(Usage(1)), ThinkingDelta(), ToolArguments(0, "")]) == b""


def test_calls() -> None:
    events = (
        TextDelta("I add."),
        ToolStarted(0, "a", "add"),
        ToolArguments(0, '{"x":'),
        ToolStarted(1, "b", "now"),
        ToolArguments(0, "1}"),
        Finished(FinishReason.TOOL_CALLS, "tool_use"),
        Ended(),
    )
    expected = [{"id": "a", "name": "add", "arguments": '{"x":1}'}, {"id": "b", "name": "now", "arguments": "{}"}]
    out = stream(*events)
    assert joined_calls(out) == expected
    assert finishes(out) == ["tool_calls"]
    assert entries(out)[-1]["native_finish_reason"] == "tool_use"
    joined = client_joined(out)["tool_calls"]
    assert [call["function"]["arguments"] for call in joined] == ['{"x":1}', "{}"]
    [choice] = whole(*events)["choices"]
    assert [{"id": c["id"], **c["function"]} for c in choice["message"]["tool_calls"]] == expected
    assert all("index" not in c for c in choice["message"]["tool_calls"])
    assert (choice["finish_reason"], choice["native_finish_reason"]) == ("tool_calls", "tool_use")


def test_calls_alone_have_no_content() -> None:
    assert whole(ToolStarted(0, "a", "f"), CALLS)["choices"][0]["message"]["content"] is None
    assert whole(RefusalDelta("no"), STOP)["choices"][0]["message"] == {"role": "assistant", "content": None, "refusal": "no"}
    assert whole(STOP)["choices"][0]["message"]["content"] == ""


def test_cut_calls_are_not_filled_in() -> None:
    out = stream(ToolStarted(0, "a", "f"), Finished(FinishReason.LENGTH), Ended())
    assert joined_calls(out)[0]["arguments"] == ""


def test_blank_arguments_are_none() -> None:
    for blank in ("", " \n"):
        out = stream(ToolStarted(0, "a", "f"), ToolArguments(0, blank), CALLS, Ended())
        assert json.loads(joined_calls(out)[0]["arguments"]) == {}


def test_reasoning_comes_back_signed() -> None:
    """Trap 18: what a client joins and sends back is the block as it was signed."""
    events = (
        ThinkingDelta("Let me ", block=0),
        ThinkingDelta("see.", block=0),
        ThinkingDelta(signature="sig1", block=0),
        ThinkingDelta(redacted="blob", block=2),
        ThinkingDelta("Again.", "sig2", block=3),
        ThinkingDelta(signature="sig3", block=5),
        ToolStarted(0, "a", "f"),
        CALLS,
        Ended(),
    )
    expected = (Thinking("Let me see.", "sig1"), Thinking(redacted="blob"), Thinking("Again.", "sig2"), Thinking("", "sig3"))
    streamed, complete = client_joined(stream(*events)), whole(*events)["choices"][0]["message"]
    for message in (streamed, complete):
        assert message["reasoning_content"] == "Let me see.Again."
        answer = {"role": "assistant", **message}
        [turn] = conversation(ask(messages=[answer])).turns
        assert turn.parts[:4] == expected
        assert isinstance(turn.parts[-1], ToolCall)


def test_unsigned_reasoning_is_only_text() -> None:
    events = (ThinkingDelta("Hm"), TextDelta("4"), STOP, Ended())
    assert "thinking_blocks" not in client_joined(stream(*events))
    assert "thinking_blocks" not in whole(*events)["choices"][0]["message"]


def test_refusals() -> None:
    out = stream(RefusalDelta("I "), RefusalDelta("won't."), Finished(FinishReason.CONTENT_FILTER, "refusal"), Ended())
    assert client_joined(out)["refusal"] == "I won't."
    assert finishes(out) == ["content_filter"]


def test_extras_are_joined_by_openais_client() -> None:
    """It cannot join lists of objects from several deltas, so these come at once, with the finish."""
    events = (
        Extra("citations", [{"n": 1}]),
        TextDelta("a"),
        Extra("citations", [{"n": 2}]),
        Extra("container", {"id": "c"}),
        STOP,
        Ended(),
    )
    joined, complete = client_joined(stream(*events)), whole(*events)["choices"][0]["message"]
    for message in (joined, complete):
        assert message["citations"] == [{"n": 1}, {"n": 2}]
        assert message["container"] == {"id": "c"}


def test_logprobs_are_beside_the_delta() -> None:
    probs = {"content": [{"token": "a", "logprob": -0.1, "bytes": None, "top_logprobs": []}], "refusal": None}
    events = (TextDelta("a"), Extra("logprobs", probs), STOP, Ended())
    assert [entry.get("logprobs") for entry in entries(stream(*events))] == [None, probs, None]
    assert whole(*events)["choices"][0]["logprobs"] == probs


def test_one_finish_a_choice() -> None:
    out = stream(TextDelta("a"), STOP, Finished(FinishReason.LENGTH), Ended())
    assert finishes(out) == ["stop"]


def test_what_the_provider_said_beyond_the_word() -> None:
    finish = Finished(FinishReason.STOP, "stop_sequence", "END")
    last = entries(stream(TextDelta("a"), finish, Ended()))[-1]
    assert (last["finish_reason"], last["native_finish_reason"], last["stop_sequence"]) == ("stop", "stop_sequence", "END")
    assert "native_finish_reason" not in entries(stream(TextDelta("a"), Finished(FinishReason.STOP, "stop"), Ended()))[-1]


def test_several_choices() -> None:
    events = (TextDelta("a"), TextDelta("b", 1), Finished(FinishReason.STOP), Finished(FinishReason.LENGTH, choice=1), Ended())
    out = stream(*events)
    assert (client_joined(out)["content"], client_joined(out, 1)["content"]) == ("a", "b")
    assert (finishes(out), finishes(out, 1)) == (["stop"], ["length"])
    assert [delta.get("role") for index in (0, 1) for delta in deltas(out, index)] == ["assistant", None, "assistant", None]
    assert [c["message"]["content"] for c in whole(*events)["choices"]] == ["a", "b"]


def test_usage_is_last_and_only_if_asked() -> None:
    events = (UsageSeen(Usage(7)), TextDelta("a"), STOP, UsageSeen(Usage(7, 3, 5, 1, 2)), Ended())
    out = stream(*events)
    assert [bool(found.get("usage")) for found in chunks(out)] == [False, False, True]
    last = chunks(out)[-1]
    assert last["choices"] == []
    assert last["usage"]["prompt_tokens_details"] == {"cached_tokens": 5, "cache_write_tokens": 1}
    assert b"usage" not in stream(*events, request=streaming())
    assert whole(*events)["usage"] == last["usage"]
    assert "usage" not in whole(TextDelta("a"), STOP)


def test_done_only_after_a_proper_end() -> None:
    assert b"[DONE]" not in stream(TextDelta("a"), STOP)
    assert stream(TextDelta("a"), STOP, Ended()).count(DONE) == 1


@pytest.mark.parametrize(("usage", "completion"), [(Usage(7, 9), 9), (Usage(7), 2), (None, 2)])
def test_an_interruption_has_the_usage_so_far_and_no_done(usage: Usage | None, completion: int) -> None:
    writer = OpenAIWriter(streaming(), 0, "m")
    writer.write([TextDelta("a"), TextDelta("b")])
    event = writer.interrupted(Fault(Failure.TRUNCATED, "cut"), usage)
    error = json.loads(event[6:])["error"]
    assert (error["message"], error["code"]) == ("cut", "truncated")
    assert error["usage"]["completion_tokens"] == completion
    assert b"[DONE]" not in event
