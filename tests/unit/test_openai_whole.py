"""Whole replies: checked to be answers, sent on as they came, mended only where they need it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_support import USAGE, call, chunks

from fastroute.core.failures import Failure, Fault
from fastroute.core.types import Usage
from fastroute.dialects.openai_frames import Head, Raw
from fastroute.dialects.openai_whole import WholeReply, whole_as_chunks, whole_reply

Json = dict[str, Any]

ANSWER: Json = {"role": "assistant", "content": "Hi", "refusal": None, "annotations": []}


def body(message: Json | None = None, finish: Any = "stop", **members: Any) -> Json:
    choice = {"index": 0, "message": ANSWER if message is None else message, "logprobs": None, "finish_reason": finish}
    return {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [choice], "usage": USAGE} | members


def reply(data: bytes | Json, *, reasoning_in_output: bool = True) -> WholeReply:
    sent = data if isinstance(data, bytes) else json.dumps(data).encode()
    return whole_reply(sent, "req-1", Head(Raw(b'"c-0"'), Raw(b"7"), Raw(b'"m-0"')), reasoning_in_output)


def answered(data: Json, **kwargs: Any) -> Json:
    found = reply(data, **kwargs)
    assert found.fault is None
    made: Json = json.loads(found.body)
    return made


def faulted(data: bytes | Json) -> Fault:
    found = reply(data)
    assert (found.body, found.usage) == (b"", None)
    assert found.fault is not None
    return found.fault


@pytest.mark.parametrize(
    "data",
    [
        b'{ "id":"c","object":"chat.completion","created":1.0,"model":"m","choices":[ {"index":0,"finish_reason":"stop",'
        b'"message":{"role":"assistant","content":"\\u00e9"}} ],"usage":null, "x":[1 , 2]}',
        b"\n\n \r\n" + json.dumps(body()).encode(),  # DeepSeek's keep-alive
        json.dumps(body({"role": "assistant", "content": None, "tool_calls": [call(None)]}, "tool_calls")).encode(),
        json.dumps(body({"role": "assistant", "content": None, "function_call": {"name": "f"}}, "function_call")).encode(),
        json.dumps(body({"role": "assistant", "content": "", "tool_calls": []})).encode(),
        json.dumps(body(error=None)).encode(),
    ],
)
def test_a_proper_answer_is_sent_byte_for_byte(data: bytes) -> None:
    assert reply(data).body == data


def test_usage_is_read() -> None:
    assert reply(body()).usage == Usage(7, 3)
    assert reply(body(usage=None)).usage is None
    assert reply(body(usage=[])).usage is None


# --- mends --------------------------------------------------------------------------------------------------------------


def test_other_finish_reasons() -> None:
    [choice] = answered(body(finish="eos"))["choices"]
    assert (choice["finish_reason"], choice["native_finish_reason"]) == ("stop", "eos")
    [choice] = answered(body({"role": "assistant", "content": None, "tool_calls": [call(None)]}))["choices"]
    assert choice["finish_reason"] == "tool_calls"


@pytest.mark.parametrize("finish", [None, ""])
def test_a_whole_answer_has_ended_even_if_the_provider_forgot_to_say(finish: str | None) -> None:
    assert answered(body(finish=finish))["choices"][0]["finish_reason"] == "stop"
    calls = {"role": "assistant", "content": None, "tool_calls": [call(None)]}
    assert answered(body(calls, finish))["choices"][0]["finish_reason"] == "tool_calls"


def test_calls() -> None:
    calls = [call(None, "", "f", ""), call(None, "a", "g", '{"x":1}'), call(None, "a", "g", '{"x":2}')]
    made = answered(body({"role": "assistant", "content": None, "tool_calls": calls}))["choices"][0]["message"]["tool_calls"]
    assert [c["function"] for c in made] == [
        {"name": "f", "arguments": "{}"},
        {"name": "g", "arguments": '{"x":1}'},
        {"name": "g", "arguments": '{"x":2}'},
    ]
    assert len({c["id"] for c in made}) == 3
    assert all(c["id"] and "index" not in c for c in made)


def test_lists_of_parts() -> None:
    content = [{"type": "thinking", "thinking": [{"type": "text", "text": "Hm"}]}, {"type": "text", "text": "4"}]
    message = answered(body({"role": "assistant", "content": content}))["choices"][0]["message"]
    assert (message["content"], message["reasoning_content"]) == ("4", "Hm")


def test_members_clients_require() -> None:
    bare = {"choices": [{"message": {"content": "x"}, "finish_reason": "stop"}]}
    made = answered(bare)
    assert (made["id"], made["created"], made["model"], made["object"]) == ("c-0", 7, "m-0", "chat.completion")
    assert made["choices"] == [{"finish_reason": "stop", "index": 0, "message": {"content": "x", "role": "assistant"}}]


def test_usage_is_mended_alone() -> None:
    raw = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 30, "completion_tokens_details": {"reasoning_tokens": 20}}
    sent = body(usage=raw)
    made = answered(sent)
    assert made["usage"]["completion_tokens"] == 23
    assert made | {"usage": raw} == sent
    assert reply(sent).usage == Usage(7, 23, reasoning_tokens=20)
    silent = body(usage={k: v for k, v in raw.items() if k != "total_tokens"} | {"completion_tokens": 25})
    assert answered(silent, reasoning_in_output=False)["usage"]["completion_tokens"] == 45


def test_several_choices() -> None:
    sent = body()
    sent["choices"] = [sent["choices"][0] | {"index": 1}, sent["choices"][0] | {"finish_reason": "eos"}]
    made = answered(sent)["choices"]
    assert [(c["index"], c["finish_reason"]) for c in made] == [(1, "stop"), (0, "stop")]


# --- what is no answer --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("data", "failure"),
    [
        (b"", Failure.MALFORMED),
        (b" \n", Failure.MALFORMED),
        (b"<html>busy</html>", Failure.MALFORMED),
        (b"7", Failure.MALFORMED),
        (b"[]", Failure.MALFORMED),
        (b"{}", Failure.MALFORMED),
        (b'{"choices":[]}', Failure.MALFORMED),
        (b'{"choices":null,"id":"c"}', Failure.MALFORMED),
        (b'{"choices":[{"index":0}]}', Failure.MALFORMED),
        (b'{"choices":[{"index":0,"message":null}]}', Failure.MALFORMED),
        (b'{"choices":[{"index":0,"message":"Hi"}]}', Failure.MALFORMED),
        (b'{"choices":[{"index":0,"message":{"tool_calls":7}}]}', Failure.MALFORMED),
        (b'{"choices":"no"}', Failure.MALFORMED),
        (b'data: {"choices":[]}\n\n', Failure.MALFORMED),
        (b"[" * 5000, Failure.MALFORMED),
        (b'{"error":{"message":"slow","code":429}}', Failure.RATE_LIMITED),
        (b'{"error":{"message":"slow","code":429},"choices":[]}', Failure.RATE_LIMITED),
        (b'{"error":"model overloaded","code":"overloaded_error"}', Failure.OVERLOADED),
        (b'[{"error":{"message":"x","code":503}}]', Failure.OVERLOADED),
        (b'{"object":"error","message":"no","code":"rate_limit_exceeded"}', Failure.RATE_LIMITED),
        (b'{"detail":"no"}', Failure.SERVER_ERROR),
    ],
)
def test_what_is_no_answer_is_a_fault(data: bytes, failure: Failure) -> None:
    assert faulted(data).failure is failure


def test_a_failed_choice_is_a_fault() -> None:
    assert faulted(body(finish="error")).failure is Failure.SERVER_ERROR
    sent = body(finish="error")
    sent["choices"][0]["error"] = {"code": 502, "message": "upstream"}
    assert faulted(sent).message == "upstream"


def test_what_came_instead_is_told_without_keys() -> None:
    fault = faulted(b"<p>bad key sk-abcdefghijkl</p>")
    assert "<p>bad key" in fault.message
    assert "abcdefghijkl" not in fault.message


@given(st.binary(max_size=100))
def test_any_bytes_are_an_answer_or_a_fault(data: bytes) -> None:
    assert reply(data).fault is not None


# --- as a stream --------------------------------------------------------------------------------------------------------


def test_a_whole_answer_as_chunks() -> None:
    message = {"role": "assistant", "content": None, "tool_calls": [call(None, "a"), call(None, "b")]}
    sent = reply(body(message, "tool_calls")).body
    first, last = chunks(whole_as_chunks(sent, include_usage=True))
    [choice] = first["choices"]
    assert first["object"] == "chat.completion.chunk"
    assert [c["index"] for c in choice["delta"]["tool_calls"]] == [0, 1]
    assert choice["finish_reason"] == "tool_calls"
    assert (last["choices"], last["usage"]) == ([], USAGE)
    assert len(chunks(whole_as_chunks(sent, include_usage=False))) == 1
    assert len(chunks(whole_as_chunks(reply(body(usage=None)).body, include_usage=True))) == 1
