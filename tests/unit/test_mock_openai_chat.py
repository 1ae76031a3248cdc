"""The mock's OpenAI dialect: requests read, answers whole and streamed."""

import json
from random import Random
from typing import Any

import pytest

from fastroute.mock.answer import compose
from fastroute.mock.ask import Ask, Rejected
from fastroute.mock.dialect import Bill
from fastroute.mock.openai_chat import OpenAIChat
from fastroute.mock.schema import OutputSpec

DIALECT = OpenAIChat()
BILL = Bill(input_tokens=12, cached_tokens=4, output_tokens=6)
USER = {"role": "user", "content": "hi there"}
TOOL = {"type": "function", "function": {"name": "w", "parameters": {"type": "object", "properties": {"c": {"type": "string"}}}}}


def read(**members: Any) -> Ask:
    return DIALECT.read({}, json.dumps({"model": "m", "messages": [USER], **members}).encode(), strict=True)


def whole(**members: Any) -> dict[str, Any]:
    ask = read(**members)
    return json.loads(DIALECT.whole(ask, compose(ask, "s", OutputSpec(mean=6), Random(1)), BILL))


def stream(**members: Any) -> tuple[list[Any], list[bytes]]:
    """All events decoded, and the pieces that carry one token each."""
    ask = read(stream=True, **members)
    rendered = DIALECT.stream(ask, compose(ask, "s", OutputSpec(mean=6), Random(1)), BILL)
    return decoded(b"".join((rendered.prelude, *rendered.chunks, rendered.tail))), list(rendered.chunks)


def decoded(data: bytes) -> list[Any]:
    events = [e.removeprefix("data: ") for e in data.decode().split("\n\n") if e]
    return [e if e == "[DONE]" else json.loads(e) for e in events]


def test_reads_what_matters() -> None:
    ask = read(max_completion_tokens=9, n=2, stop="x", logprobs=True, parallel_tool_calls=False, tools=[TOOL])
    assert (ask.model, ask.max_output_tokens, ask.choices, ask.stop) == ("m", 9, 2, ("x",))
    assert ask.logprobs
    assert not ask.parallel
    assert not ask.stream
    assert ask.tools[0].name == "w"


def test_max_tokens_in_its_older_spelling() -> None:
    assert read(max_tokens=7).max_output_tokens == 7
    assert read().max_output_tokens is None


def test_input_tokens_count_messages_and_tools() -> None:
    plain = read()
    assert plain.input_tokens == len("userhi there") // 4
    assert read(tools=[TOOL]).input_tokens > plain.input_tokens + 10


def test_results_of_the_last_turn_are_found_in_order() -> None:
    calls = [{"id": i, "type": "function", "function": {"name": "w", "arguments": "{}"}} for i in ("a", "b")]
    results = [{"role": "tool", "tool_call_id": i, "content": text} for i, text in (("a", "one"), ("b", "two"))]
    turns = [USER, {"role": "assistant", "tool_calls": calls}, *results]
    assert read(messages=turns).tool_results == ("one", "two")
    assert read(messages=[*turns, USER]).tool_results == ()


def test_a_named_tool() -> None:
    ask = read(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "w"}})
    assert (ask.tool_mode, ask.named_tool) == ("named", "w")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b'"x"', b"[" * 100_000])
def test_a_body_that_is_no_object_is_refused(body: bytes) -> None:
    with pytest.raises(Rejected) as caught:
        DIALECT.read({}, body, strict=True)
    assert caught.value.status == 400


def test_a_whole_text_answer() -> None:
    reply = whole()
    (choice,) = reply["choices"]
    assert reply["object"] == "chat.completion"
    assert choice["message"]["role"] == "assistant"
    assert len(choice["message"]["content"].split()) == 6
    assert choice["finish_reason"] == "stop"
    assert "tool_calls" not in choice["message"]


def test_usage_has_cached_tokens_inside_the_prompt() -> None:
    usage = whole()["usage"]
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (12, 6, 18)
    assert usage["prompt_tokens_details"]["cached_tokens"] == 4


def test_a_whole_answer_with_calls() -> None:
    (choice,) = whole(tools=[TOOL])["choices"]
    calls = choice["message"]["tool_calls"]
    assert choice["finish_reason"] == "tool_calls"
    assert choice["message"]["content"] is None
    assert len({c["id"] for c in calls}) == 2
    assert all(c["id"].startswith("call_") and c["type"] == "function" for c in calls)
    assert all(set(json.loads(c["function"]["arguments"])) == {"c"} for c in calls)


def test_logprobs_match_the_text() -> None:
    (choice,) = whole(logprobs=True)["choices"]
    assert "".join(t["token"] for t in choice["logprobs"]["content"]) == choice["message"]["content"]
    assert whole()["choices"][0]["logprobs"] is None


def test_a_stream_tells_the_same_as_the_whole_answer() -> None:
    events, chunks = stream()
    assert events[-1] == "[DONE]"
    deltas = [e["choices"][0]["delta"] for e in events[:-1]]
    assert deltas[0]["role"] == "assistant"
    assert all("role" not in d for d in deltas[1:])
    assert "".join(d.get("content", "") for d in deltas) == whole()["choices"][0]["message"]["content"]
    assert len(chunks) == 6


def test_a_stream_keeps_one_id_and_one_model() -> None:
    events, _ = stream()
    assert len({(e["id"], e["model"], e["created"]) for e in events[:-1]}) == 1


def test_one_finish_reason_in_the_last_chunk() -> None:
    events, _ = stream()
    assert [e["choices"][0]["finish_reason"] for e in events[:-1]] == [None] * 7 + ["stop"]


def test_usage_only_when_asked_and_last() -> None:
    events, _ = stream(stream_options={"include_usage": True})
    assert events[-2]["choices"] == []
    assert events[-2]["usage"]["total_tokens"] == 18
    assert all(e["usage"] is None for e in events[:-2])
    assert all("usage" not in e for e in stream()[0][:-1])


def test_streamed_calls_have_an_index_each() -> None:
    events, _ = stream(tools=[TOOL])
    calls: dict[int, dict[str, str]] = {}
    for event in events[:-1]:
        for part in event["choices"][0]["delta"].get("tool_calls", []):
            call = calls.setdefault(part["index"], {"id": part.get("id", ""), "arguments": ""})
            call["arguments"] += part["function"].get("arguments", "")
    assert sorted(calls) == [0, 1]
    assert all(c["id"].startswith("call_") and json.loads(c["arguments"]) for c in calls.values())
    assert events[-2]["choices"][0]["finish_reason"] == "tool_calls"


def test_several_choices_stream_interleaved_each_with_role_and_finish() -> None:
    events, chunks = stream(n=2)
    seen = [(e["choices"][0]["index"], e["choices"][0]["delta"], e["choices"][0]["finish_reason"]) for e in events[:-1]]
    assert [i for i, delta, _ in seen if "role" in delta] == [0, 1]
    assert [i for i, _, finish in seen if finish] == [0, 1]
    assert len(chunks) == 12


def test_streamed_logprobs_ride_with_their_token() -> None:
    events, _ = stream(logprobs=True)
    for event in events[1:-2]:
        choice = event["choices"][0]
        assert choice["logprobs"]["content"][0]["token"] == choice["delta"]["content"]


def test_parts_for_faults() -> None:
    ask = read(stream=True)
    rendered = DIALECT.stream(ask, compose(ask, "s", OutputSpec(mean=6), Random(1)), BILL)
    assert decoded(rendered.filler)[0]["choices"][0]["delta"]["content"] == " and"
    assert decoded(rendered.error)[0]["error"]["type"] == "server_error"
    with pytest.raises(json.JSONDecodeError):
        decoded(rendered.broken)


@pytest.mark.parametrize(
    ("headers", "key", "good"),
    [
        ({}, None, True),
        ({"authorization": "Bearer x"}, None, True),
        ({"authorization": "Bearer x", "x-api-key": "y"}, None, True),
        ({"authorization": "Bearer x"}, "x", True),
        ({"authorization": "Bearer y"}, "x", False),
        ({"authorization": "x"}, None, False),
        ({"authorization": "Basic x"}, None, False),
        ({"x-api-key": "x"}, None, False),
        ({"x-api-key": "x"}, "x", False),
        ({}, "x", False),
    ],
)
def test_keys_come_as_bearer(headers: dict[str, str], key: str | None, good: bool) -> None:
    if good:
        DIALECT.authorise(headers, key)
        return
    with pytest.raises(Rejected) as caught:
        DIALECT.authorise(headers, key)
    assert caught.value.status == 401


@pytest.mark.parametrize(
    ("status", "kind", "code"),
    [
        (400, "invalid_request_error", None),
        (401, "invalid_request_error", "invalid_api_key"),
        (404, "invalid_request_error", "model_not_found"),
        (429, "requests", "rate_limit_exceeded"),
        (500, "server_error", None),
        (503, "server_error", None),
        (529, "server_error", None),
    ],
)
def test_errors_have_the_providers_shape(status: int, kind: str, code: str | None) -> None:
    rejected = DIALECT.refusal(status)
    error = json.loads(DIALECT.error(rejected))["error"]
    assert rejected.status == status
    assert (error["type"], error["code"], error["param"]) == (kind, code, None)
    assert error["message"]


def test_an_exhausted_quota_is_a_429_of_its_own_type() -> None:
    error = json.loads(DIALECT.error(DIALECT.refusal(429, code="insufficient_quota")))["error"]
    assert (error["type"], error["code"]) == ("insufficient_quota", "insufficient_quota")


def test_the_list_of_models() -> None:
    listed = json.loads(DIALECT.models(["a", "b"]))
    assert [m["id"] for m in listed["data"]] == ["a", "b"]
    assert listed["object"] == "list"


def test_there_is_no_other_path() -> None:
    assert DIALECT.other("/embeddings", {}, b"{}") is None
