"""Gemini replies as canonical events: each rule, and the traps that gateways fell into."""

import json
from typing import Any

import pytest
from gemini_support import DIALECT, Json, candidate, chat, endpoint, stream

from fastroute.core.failures import Failure
from fastroute.core.types import Usage
from fastroute.dialects.canonical import (
    Ended,
    Extra,
    Failed,
    Finished,
    FinishReason,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolStarted,
    UsageSeen,
)
from fastroute.dialects.gemini_reply import GeminiReader

WEATHER: Json = {"functionCall": {"name": "weather", "args": {"city": "Oslo"}}}


def read(*chunks: Json) -> list[Any]:
    reader = GeminiReader("r1")
    return [*reader.feed(stream(*chunks)), *reader.end()]


def said(*parts: Json, finish: str | None = None, **members: Any) -> Json:
    return {"candidates": [candidate(*parts, finish=finish, **members)]}


def failure(events: list[Any]) -> Any:
    [failed] = [event for event in events if isinstance(event, Failed)]
    assert failed is events[-1], "after it nothing is told"
    return failed.fault


def test_text_and_thoughts() -> None:
    events = read(said({"text": "hm", "thought": True}, {"text": "a"}), said({"text": "b"}, finish="STOP"))
    assert events == [ThinkingDelta("hm"), TextDelta("a"), TextDelta("b"), Finished(FinishReason.STOP, "STOP"), Ended()]


def test_trap_1_and_4_calls_are_numbered_across_the_stream() -> None:
    events = read(said(WEATHER, WEATHER), said(WEATHER), said({"text": ""}, finish="STOP"))
    started = [event for event in events if isinstance(event, ToolStarted)]
    assert [event.index for event in started] == [0, 1, 2]
    assert len({event.id for event in started}) == 3
    assert events[-2] == Finished(FinishReason.TOOL_CALLS, "STOP")


def test_trap_6_ids_are_kept_where_given_and_made_where_not_or_repeated() -> None:
    call = {"functionCall": {"name": "f", "id": "g1", "args": {}}}
    ids = [e.id for e in read(said(call, call, WEATHER, finish="STOP")) if isinstance(e, ToolStarted)]
    assert ids[0] == "g1"
    assert all(ids)
    assert len(set(ids)) == 3
    again = [e.id for e in read(said(call, call, WEATHER, finish="STOP")) if isinstance(e, ToolStarted)]
    assert again == ids


def test_trap_8_no_arguments_are_an_empty_object() -> None:
    for call in ({"name": "f"}, {"name": "f", "args": None}, {"name": "f", "args": {}}):
        assert ToolArguments(0, "{}") in read(said({"functionCall": call}, finish="STOP"))


def test_trap_9_stop_with_a_call_is_tool_calls_and_stop_on_every_chunk_is_one_stop() -> None:
    events = read(said({"text": "a"}, finish="STOP"), said({"text": "b"}, finish="STOP"), said(WEATHER, finish="STOP"))
    assert [event for event in events if isinstance(event, Finished)] == [Finished(FinishReason.TOOL_CALLS, "STOP")]
    assert isinstance(events[-2], Finished)


def test_trap_10_an_early_end_is_no_end() -> None:
    assert read(said({"text": "a"})) == [TextDelta("a")]
    reader = GeminiReader("r1")
    reader.feed(stream(said({"text": "a"}, finish="STOP"), {"candidates": [{"index": 1, "content": {"parts": [{"text": "b"}]}}]}))
    assert reader.end() == [], "the second candidate gave no reason"


def test_trap_11_and_13_an_error_inside_the_stream() -> None:
    error = {"error": {"code": 503, "status": "UNAVAILABLE", "message": "overloaded"}}
    assert failure(read(said({"text": "a"}), error)).failure is Failure.OVERLOADED
    assert failure(GeminiReader("r").feed(b"data: [" + json.dumps(error).encode() + b"]\n\n")).failure is Failure.OVERLOADED
    assert failure(GeminiReader("r").whole(json.dumps([error]).encode())).failure is Failure.OVERLOADED


@pytest.mark.parametrize("word", ["SAFETY", "RECITATION", "BLOCKLIST", "PROHIBITED_CONTENT", "SPII", "LANGUAGE", "IMAGE_SAFETY"])
def test_filtered_answers(word: str) -> None:
    assert Finished(FinishReason.CONTENT_FILTER, word) in read(said({"text": "a"}, finish=word))


@pytest.mark.parametrize("word", ["MALFORMED_FUNCTION_CALL", "UNEXPECTED_TOOL_CALL", "TOO_MANY_TOOL_CALLS", "OTHER"])
def test_failures_dressed_as_a_finish(word: str) -> None:
    fault = failure(read(said(finish=word, finishMessage="print(x)")))
    assert (fault.failure, fault.code) == (Failure.GENERATION_FAILED, word.lower())
    assert "print(x)" in fault.message


def test_a_blocked_prompt_is_a_content_filter_failure() -> None:
    blocked = {"promptFeedback": {"blockReason": "SAFETY"}, "usageMetadata": {"promptTokenCount": 4, "totalTokenCount": 4}}
    fault = failure(read(blocked))
    assert (fault.failure, fault.code, fault.rule.status) == (Failure.CONTENT_FILTER, "content_filter", 400)
    assert not fault.rule.failover


def test_trap_44_thoughts_may_eat_the_limit() -> None:
    events = read({"candidates": [{"content": {"role": "model"}, "finishReason": 2}]})
    assert events == [Finished(FinishReason.LENGTH, "MAX_TOKENS"), Ended()]


def test_trap_14_and_15_usage_is_cumulative_and_the_last_wins() -> None:
    first = {**said({"text": "a"}), "usageMetadata": {"promptTokenCount": 9, "totalTokenCount": 9, "trafficType": "X"}}
    counts = {"promptTokenCount": 5, "toolUsePromptTokenCount": 2, "candidatesTokenCount": 3, "thoughtsTokenCount": 4}
    last = {**said(finish="STOP"), "usageMetadata": {**counts, "cachedContentTokenCount": 1, "totalTokenCount": 14}}
    seen = [event.usage for event in read(first, last) if isinstance(event, UsageSeen)]
    assert seen == [Usage(9, None), Usage(7, 7, 1, None, 4)]
    assert not [e for e in read({**said(finish="STOP"), "usageMetadata": {"trafficType": "X"}}) if isinstance(e, UsageSeen)]


def test_signatures_stay_with_what_they_sign() -> None:
    events = read(said({**WEATHER, "thoughtSignature": "S1"}), said({"text": "", "thoughtSignature": "S2"}, finish="STOP"))
    assert events[0].signature == "S1"
    assert Extra("extra_content", {"google": {"thought_signature": "S2"}}) in events


def test_images_and_parts_without_a_name_are_kept() -> None:
    code = {"executableCode": {"language": "PYTHON", "code": "1"}}
    events = read(said({"inlineData": {"mimeType": "image/png", "data": "AA"}}, code, finish="STOP", groundingMetadata={"a": 1}))
    assert Extra("images", [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}]) in events
    assert Extra("gemini_parts", [code]) in events
    assert Extra("groundingMetadata", {"a": 1}) in events


def test_arguments_in_pieces() -> None:
    pieces = [
        {"name": "f", "willContinue": True},
        {"partialArgs": [{"jsonPath": "$.a", "stringValue": "x", "willContinue": True}], "willContinue": True},
        {
            "partialArgs": [{"jsonPath": "$.a", "stringValue": "y"}, {"jsonPath": "$.b[1].c", "numberValue": 2}],
            "willContinue": True,
        },
        {"partialArgs": [{"jsonPath": "$['d']", "boolValue": True}], "willContinue": True},
        {},
    ]
    events = read(*(said({"functionCall": piece}) for piece in pieces), said(finish="STOP"))
    [arguments] = [event for event in events if isinstance(event, ToolArguments)]
    assert json.loads(arguments.text) == {"a": "xy", "b": [None, {"c": 2}], "d": True}


def test_trap_5_candidates_keep_their_index() -> None:
    both = {"candidates": [candidate(WEATHER, finish="STOP"), {**candidate({"text": "b"}, finish="STOP"), "index": 1}]}
    events = read(both)
    assert [(e.choice, e.reason) for e in events if isinstance(e, Finished)] == [
        (0, FinishReason.TOOL_CALLS),
        (1, FinishReason.STOP),
    ]
    assert TextDelta("b", 1) in events


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"[]", b"{}", b'{"candidates": 1}', b'{"candidates": [{"content": {"parts": [1]}}]}', b'"x"']
)
def test_what_is_no_answer_is_malformed(body: bytes) -> None:
    assert failure(GeminiReader("r").whole(body)).failure is Failure.MALFORMED


def test_an_event_that_is_no_chunk_is_malformed() -> None:
    assert failure(GeminiReader("r").feed(b"data: {oops\n\n")).failure is Failure.MALFORMED


# --- the dialect ----------------------------------------------------------------------------------------------------------


def test_where_requests_go() -> None:
    whole = DIALECT.encode(chat(), endpoint("models/gemini-3.8-flash", query=(("a", "b"),)))
    assert whole.url == "http://g/v1beta/models/gemini-3.8-flash:generateContent?a=b"
    streamed = DIALECT.encode(chat(stream=True), endpoint(query=(("a", "b"),)))
    assert streamed.url == "http://g/v1beta/models/gemini-3.8-flash:streamGenerateContent?alt=sse&a=b"
    assert dict(streamed.headers) == {"content-type": "application/json", "x-goog-api-key": "k"}


def fault(status: int, word: str, message: str = "x", *details: Json) -> Any:
    body = {"error": {"code": status, "status": word, "message": message, "details": list(details)}}
    return DIALECT.fault(status, {}, json.dumps(body).encode())


def test_a_wrong_key_is_a_400_that_blames_the_key() -> None:
    got = fault(400, "INVALID_ARGUMENT", "API key not valid.", {"reason": "API_KEY_INVALID"})
    assert (got.failure, got.status) == (Failure.AUTH, 400)


def test_trap_38_a_minutes_limit_and_a_days_quota() -> None:
    retry = {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "29.5s"}
    minute = {"violations": [{"quotaId": "GenerateRequestsPerMinutePerProjectPerModel", "quotaValue": "15"}]}
    day = {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier", "quotaValue": "50"}]}
    never = {"violations": [{"quotaId": "GenerateRequestsPerMinute", "quotaValue": "0"}]}
    got = fault(429, "RESOURCE_EXHAUSTED", "quota", retry, minute)
    assert (got.failure, got.retry_after_s) == (Failure.RATE_LIMITED, 29.5)
    assert fault(429, "RESOURCE_EXHAUSTED", "quota", day, retry).failure is Failure.QUOTA_EXHAUSTED
    assert fault(429, "RESOURCE_EXHAUSTED", "quota", never).failure is Failure.QUOTA_EXHAUSTED
    assert DIALECT.fault(429, {}, b"<html>").failure is Failure.RATE_LIMITED


@pytest.mark.parametrize(
    ("status", "word", "message", "expected"),
    [
        (
            400,
            "INVALID_ARGUMENT",
            "The input token count (9) exceeds the maximum number of tokens allowed (8).",
            Failure.CONTEXT_LENGTH,
        ),
        (400, "FAILED_PRECONDITION", "User location is not supported for the API use.", Failure.AUTH),
        (400, "FAILED_PRECONDITION", "Please enable billing on your project.", Failure.QUOTA_EXHAUSTED),
        (400, "INVALID_ARGUMENT", "the user asked about billing", Failure.BAD_REQUEST),
        (403, "PERMISSION_DENIED", "x", Failure.AUTH),
        (404, "NOT_FOUND", "x", Failure.NOT_FOUND),
        (500, "INTERNAL", "x", Failure.SERVER_ERROR),
        (503, "UNAVAILABLE", "The model is overloaded.", Failure.OVERLOADED),
        (504, "DEADLINE_EXCEEDED", "x", Failure.SERVER_ERROR),
    ],
)
def test_errors(status: int, word: str, message: str, expected: Failure) -> None:
    assert fault(status, word, message).failure is expected
