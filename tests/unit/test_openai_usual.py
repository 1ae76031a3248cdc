"""What is recognised as usual needs no mend: the long way, taken over the same bytes, changes nothing and says the same."""

import json
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_support import HEAD, USAGE, call

from fastroute.core.types import Usage
from fastroute.dialects.openai_frames import Head, Raw
from fastroute.dialects.openai_mend import ChoiceState
from fastroute.dialects.openai_usual import UNREADABLE, ends, quiet_chunk, usage_chunk, usual_reply
from fastroute.dialects.openai_whole import whole_reply

Json = dict[str, Any]

ANSWER: Json = {"role": "assistant", "content": "Hi", "refusal": None}


def body(message: Json | None = None, finish: Any = "stop", choice: Json | None = None, **members: Any) -> Json:
    first = {"index": 0, "message": ANSWER if message is None else message, "logprobs": None, "finish_reason": finish}
    found = {"id": "c", "object": "chat.completion", "created": 1, "model": "m", "choices": [first | (choice or {})]}
    return {**found, "usage": USAGE, **members}


def calls(*items: Json) -> Json:
    return {"role": "assistant", "content": None, "tool_calls": list(items)}


def long_way(data: bytes, reasoning_in_output: bool = True) -> tuple[bool, Usage | None]:
    reply = whole_reply(data, "req-1", Head(Raw(b'"c-0"'), Raw(b"7"), Raw(b'"m-0"')), reasoning_in_output)
    return reply.fault is None and reply.body == data, reply.usage


# --- whole replies ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "data",
    [
        body(),
        body(finish="length"),
        body(finish="content_filter"),
        body(usage=None),
        body(error=None, service_tier="default", x=[1, {"a": 1e300}]),
        body({"role": "assistant", "content": "é", "tool_calls": [], "function_call": None, "audio": None}),
        body({"role": "assistant"}),
        body(calls(call(None)), "tool_calls"),
        body(calls(call(None), call(None, "call_b", "mul", '{"a":1}')), "tool_calls"),
        body(calls(call(None)), "length"),
        body(choice={"error": None, "stop_reason": None}),
        body(usage=USAGE | {"prompt_tokens_details": {"cached_tokens": 5}, "completion_tokens_details": {"reasoning_tokens": 2}}),
    ],
)
def test_usual_replies(data: Json) -> None:
    sent = json.dumps(data).encode()
    usual, usage = usual_reply(sent, True)
    assert usual
    assert (usual, usage) == long_way(sent)


@pytest.mark.parametrize(
    "data",
    [
        body(finish=None),
        body(finish="eos"),
        body(finish="error"),
        body(id=None),
        body(created=None),
        body(created="1"),
        body(object=""),
        body(choices=[]),
        body(choices=None),
        body(error={"message": "x"}),
        body(choice={"error": {"message": "x"}}),
        body(choice={"index": None}),
        body(choice={"index": True}),
        body({"content": "x"}),
        body({"role": "", "content": "x"}),
        body({"role": "assistant", "content": [{"type": "text", "text": "x"}]}),
        body({"role": "assistant", "function_call": {"name": "f", "arguments": ""}}, "function_call"),
        body(calls(call(None))),
        body(calls(call(0)), "tool_calls"),
        body(calls(call(None), call(None)), "tool_calls"),
        body(calls(call(None, "")), "tool_calls"),
        body(calls(call(None, arguments=" ")), "tool_calls"),
        body(calls(call(None) | {"type": "custom", "custom": {"name": "f"}}), "tool_calls"),
        body(usage=[]),
        body(usage=USAGE | {"prompt_tokens": -1}),
        body(usage=USAGE | {"prompt_tokens": 2**63}),
        body(usage=USAGE | {"prompt_tokens_details": []}),
        body(usage=USAGE | {"prompt_tokens_details": {"cached_tokens": 9}}),
        body(usage=USAGE | {"cache_creation_input_tokens": 3}),
    ],
)
def test_others_are_looked_at_closely(data: Json) -> None:
    assert usual_reply(json.dumps(data).encode(), True) == (False, None)


@pytest.mark.parametrize("data", [b"", b"[]", b"{", b"null", json.dumps(body()).encode() + b"x", b'{"choices":' + b"[" * 100_000])
def test_what_is_no_reply(data: bytes) -> None:
    assert usual_reply(data, True) == (False, None)


counts = st.sampled_from([None, 0, 1, 3, 2.0, -1, True, 2**63])
messages = st.fixed_dictionaries(
    {},
    optional={
        "role": st.sampled_from(["assistant", "assistant", "assistant", "", None, "user", 5]),
        "content": st.sampled_from(["x", "", None, ["x"], 5, "\ud800"]),
        "tool_calls": st.none()
        | st.lists(
            st.fixed_dictionaries(
                {
                    "id": st.sampled_from(["a", "b", "", None]),
                    "type": st.sampled_from(["function", "function", None]),
                    "function": st.fixed_dictionaries(
                        {"name": st.sampled_from(["f", "g", ""]), "arguments": st.sampled_from(["{}", "", " ", None])}
                    ),
                },
                optional={"index": st.sampled_from([0, 1, None])},
            ),
            max_size=2,
        ),
        "function_call": st.none() | st.just({"name": "f"}),
    },
)
finish_words = st.sampled_from(["stop", "stop", "tool_calls", "length", "content_filter", "eos", "", None, "error"])
usages = st.none() | st.fixed_dictionaries(
    {"prompt_tokens": counts, "completion_tokens": counts, "total_tokens": counts},
    optional={
        "prompt_tokens_details": st.sampled_from([None, {}, [], [1], {"cached_tokens": 1}, {"cached_tokens": 4}]),
        "completion_tokens_details": st.sampled_from([None, {"reasoning_tokens": 0}, {"reasoning_tokens": 2}]),
        "prompt_cache_hit_tokens": counts,
        "cached_tokens": counts,
        "cache_write_tokens": counts,
    },
)


@given(messages, finish_words, usages, st.sampled_from([{}, {"id": None}, {"object": ""}, {"error": {}}]), st.booleans())
def test_the_long_way_comes_to_the_same(message: Json, finish: str | None, usage: Any, more: Json, in_output: bool) -> None:
    data = json.dumps(body(message, finish, usage=usage, **more)).encode()
    usual, found = usual_reply(data, in_output)
    assert not usual or (usual, found) == long_way(data, in_output)


# --- the first and the last chunk of a stream ---------------------------------------------------------------------------


def quiet(delta: Json, finish: Any = None, choice: Json | None = None, **members: Any) -> bytes:
    return json.dumps(
        {**HEAD, "choices": [{"index": 0, "delta": delta, "finish_reason": finish, **(choice or {})}], **members}
    ).encode()


@pytest.mark.parametrize(
    "data",
    [
        quiet({"role": "assistant", "content": "", "refusal": None}),
        quiet({"role": "assistant"}),
        quiet({}, "stop"),
        quiet({"content": "", "tool_calls": []}, "length", {"logprobs": None, "stop_reason": None}, usage=None),
    ],
)
def test_quiet_chunks(data: bytes) -> None:
    assert len(quiet_chunk.decode(data).choices) == 1


@pytest.mark.parametrize(
    "data",
    [
        quiet({"role": "assistant", "content": "x"}),
        quiet({"role": None, "content": ""}),  # a role that has to go
        quiet({"role": "assistant", "audio": {"id": "a"}}),
        quiet({"tool_calls": [call()]}),
        quiet({"function_call": {"name": "f"}}),
        quiet({}, "tool_calls"),
        quiet({}, "eos"),
        quiet({}, "stop", {"error": {"message": "x"}}),
        quiet({}, "stop", usage=USAGE),
        quiet({}, "stop", x_groq={"usage": USAGE}),
        quiet({}, "stop", error={"message": "x"}),
        quiet({}, "stop", id=""),
        quiet({}, "stop", object="chat.completion"),
        quiet({}, "stop", choices=[]),
        json.dumps({**HEAD, "choices": [{"index": 0, "delta": {}}]}).encode(),
        json.dumps({**HEAD, "choices": [{"index": 0, "delta": None, "finish_reason": None}]}).encode(),
    ],
)
def test_chunks_that_are_not_quiet(data: bytes) -> None:
    with pytest.raises(UNREADABLE):
        quiet_chunk.decode(data)


def test_what_ends_an_answer() -> None:
    state = ChoiceState("r", 0)
    last = quiet_chunk.decode(quiet({}, "stop")).choices[0]
    assert ends(last, state)
    assert not ends(quiet_chunk.decode(quiet({})).choices[0], state)
    assert not ends(quiet_chunk.decode(quiet({"role": "assistant"}, "stop")).choices[0], state), "a role to be taken out"
    state.calls.mend([call()])
    assert not ends(last, state), "a stop after calls is another word"
    state = ChoiceState("r", 0)
    state.finished = True
    assert not ends(last, state)


def test_usage_chunks() -> None:
    chunk = usage_chunk.decode(json.dumps({**HEAD, "choices": [], "usage": USAGE}).encode())
    assert chunk.usage.prompt_tokens == 7
    for members in ({"choices": [None]}, {"usage": None}, {"usage": {"prompt_tokens": "7"}}, {"id": ""}, {"error": {"a": 1}}):
        with pytest.raises(msgspec.ValidationError):
            usage_chunk.decode(json.dumps({**HEAD, "choices": [], "usage": USAGE, **members}).encode())
