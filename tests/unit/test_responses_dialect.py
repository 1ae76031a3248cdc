"""The Responses dialect upstream: what is sent for its own clients and for others, and what comes back."""

import json
from typing import Any

import pytest

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.types import ChatRequest, Endpoint, Profile
from fastroute.dialects.messages_api import MessagesApi
from fastroute.dialects.openai_chat import OpenAIChatApi
from fastroute.dialects.responses_api import ResponsesApi
from fastroute.dialects.responses_dialect import ResponsesDialect

Json = dict[str, Any]
DIALECT = ResponsesDialect(lambda: 1_780_000_000.0)
ENDPOINT = Endpoint(
    name="e",
    provider="p",
    profile=Profile(name="p", dialect="openai_responses", chat_path="/responses"),
    base_url="https://api.example/v1",
    model="m-1",
    key="k",
)


def chat(**members: Any) -> ChatRequest:
    body = {"model": "auto", "messages": [{"role": "user", "content": "Hi"}], **members}
    return OpenAIChatApi().decode(json.dumps(body).encode(), "r", 1.0)


def own(**members: Any) -> ChatRequest:
    return ResponsesApi().decode(json.dumps({"model": "auto", "input": "Hi", **members}).encode(), "r", 1.0)


def sent(request: ChatRequest) -> Json:
    return json.loads(DIALECT.encode(request, ENDPOINT).body)


def test_own_clients_members_travel_as_they_came() -> None:
    asked = {"previous_response_id": "resp_1", "tools": [{"type": "web_search"}], "background": True, "new": {"a": 1}}
    upstream = DIALECT.encode(own(**asked, fastroute={"x": 1}), ENDPOINT)
    assert upstream.url == "https://api.example/v1/responses"
    assert dict(upstream.headers)["authorization"] == "Bearer k"
    assert json.loads(upstream.body) == {"model": "m-1", "input": "Hi", **asked}


def test_a_chat_request_as_items() -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "f", "arguments": '{"a":1}'}}
    image = {"type": "image_url", "image_url": {"url": "https://x/y.png", "detail": "low"}}
    messages = [
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": [{"type": "text", "text": "Look."}, image]},
        {"role": "assistant", "content": "I look.", "tool_calls": [call], "reasoning_content": "Hm"},
        {"role": "tool", "tool_call_id": "c1", "content": "seen"},
    ]
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}}
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    body = sent(
        chat(
            messages=messages,
            tools=[tool],
            tool_choice={"type": "function", "function": {"name": "f"}},
            response_format=form,
            max_tokens=7,
            reasoning_effort="low",
            verbosity="high",
            seed=3,
            stream=True,
            stream_options={"include_usage": True},
        )
    )
    assert body["input"] == [
        {"type": "message", "role": "system", "content": [{"type": "input_text", "text": "Be brief."}]},
        {
            "type": "message",
            "role": "user",
            "content": [
                {"type": "input_text", "text": "Look."},
                {"type": "input_image", "image_url": "https://x/y.png", "detail": "low"},
            ],
        },
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I look."}]},
        {"type": "function_call", "call_id": "c1", "name": "f", "arguments": '{"a":1}'},
        {"type": "function_call_output", "call_id": "c1", "output": "seen"},
    ]
    del body["input"]
    assert body == {
        "model": "m-1",
        "store": False,
        "stream": True,
        "max_output_tokens": 7,
        "tools": [{"type": "function", "strict": False, "name": "f", "parameters": {"type": "object"}}],
        "tool_choice": {"type": "function", "name": "f"},
        "text": {
            "format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True},
            "verbosity": "high",
        },
        "reasoning": {"effort": "low"},
    }


@pytest.mark.parametrize(
    ("members", "param"),
    [({"stop": ["x"]}, "stop"), ({"n": 2}, "n"), ({"logprobs": True}, "logprobs"), ({"modalities": ["audio"]}, "modalities")],
)
def test_what_has_no_word_there_is_refused(members: Json, param: str) -> None:
    with pytest.raises(FaultError) as caught:
        sent(chat(**members))
    assert (caught.value.fault.failure, caught.value.fault.param) == (Failure.UNSUPPORTED, param)


def test_anthropics_clients_reach_it_too() -> None:
    asked = {"model": "auto", "max_tokens": 9, "system": "Be brief.", "messages": [{"role": "user", "content": "Hi"}]}
    request = MessagesApi().decode(json.dumps(asked).encode(), "r", 1.0)
    body = sent(request)
    assert (body["max_output_tokens"], [item["role"] for item in body["input"]]) == (9, ["system", "user"])
    told = json.loads(DIALECT.translator(request, ENDPOINT).whole(WHOLE))
    assert (told["type"], told["content"][0]["text"]) == ("message", "Hello")


USAGE = {"input_tokens": 5, "output_tokens": 2, "input_tokens_details": {"cached_tokens": 3}, "total_tokens": 7}
MESSAGE = {"type": "message", "id": "msg_1", "role": "assistant", "content": [{"type": "output_text", "text": "Hello"}]}
RESPONSE = {"id": "resp_1", "object": "response", "status": "completed", "model": "m", "output": [MESSAGE], "usage": USAGE}
WHOLE = json.dumps(RESPONSE).encode()


def stream(*events: Json) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


def test_items_without_deltas_are_told_when_they_are_done() -> None:
    call = {"type": "function_call", "call_id": "c", "name": "f", "arguments": "{}"}
    events = [{"type": "response.output_item.done", "output_index": i, "item": item} for i, item in enumerate((MESSAGE, call))]
    told = DIALECT.translator(chat(stream=True), ENDPOINT)
    out = told.feed(stream(*events, {"type": "response.completed", "response": RESPONSE})) + told.end()
    assert b'"content":"Hello"' in out
    assert b'"finish_reason":"tool_calls"' in out
    assert (told.finished, told.usage.cached_input_tokens) == (True, 3)


@pytest.mark.parametrize(
    ("event", "failure"),
    [
        ({"type": "error", "error": {"code": "insufficient_quota", "message": "m"}}, Failure.QUOTA_EXHAUSTED),
        ({"type": "error", "code": "server_error", "message": "m"}, Failure.SERVER_ERROR),
        (
            {"type": "response.failed", "response": {"error": {"code": "rate_limit_exceeded", "message": "m"}}},
            Failure.RATE_LIMITED,
        ),
        ({"no": "type"}, Failure.MALFORMED),
    ],
)
@pytest.mark.parametrize("request_of", [chat, own])
def test_failures_inside_a_stream(event: Json, failure: Failure, request_of: Any) -> None:
    told = DIALECT.translator(request_of(stream=True), ENDPOINT)
    out = told.feed(stream(event, {"type": "response.completed", "response": RESPONSE})) + told.end()
    assert (out, told.finished, told.fault.failure) == (b"", False, failure)


@pytest.mark.parametrize("request_of", [chat, own])
def test_a_cut_stream_and_unreadable_replies(request_of: Any) -> None:
    told = DIALECT.translator(request_of(stream=True), ENDPOINT)
    told.feed(stream({"type": "response.output_text.delta", "output_index": 0, "delta": "Hel"}))
    told.end()
    assert (told.fault.failure, told.content_started) == (Failure.TRUNCATED, True)
    assert b"gone" in told.interrupted(Fault(Failure.TRUNCATED, "gone"))
    for body in (b"<html>", b"[]", b"{}", b'{"output": 3}'):
        told = DIALECT.translator(request_of(), ENDPOINT)
        assert told.whole(body) == b""
        assert told.fault is not None


def test_incomplete_replies() -> None:
    cut = {**RESPONSE, "status": "incomplete", "incomplete_details": {"reason": "max_output_tokens"}}
    told = json.loads(DIALECT.translator(chat(), ENDPOINT).whole(json.dumps(cut).encode()))
    assert (told["choices"][0]["finish_reason"], told["usage"]["total_tokens"]) == ("length", 7)
