"""The client API: what is refused, how it is named, and what is carried through."""

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.types import AS_CONFIGURED, ChatRequest, Needs
from fastroute.dialects.openai_chat import OpenAIChatApi

Json = dict[str, Any]
API = OpenAIChatApi()
USER = {"role": "user", "content": "Hi"}


def decode(body: bytes | Json) -> ChatRequest:
    return API.decode(body if isinstance(body, bytes) else json.dumps(body).encode(), "req-1", 12.5)


def body(**members: Any) -> Json:
    return {"model": "auto", "messages": [USER], **members}


def outcome(data: bytes) -> ChatRequest | Fault:
    try:
        return decode(data)
    except FaultError as caught:
        return caught.fault


def refused(data: bytes | Json) -> Fault:
    with pytest.raises(FaultError) as caught:
        decode(data)
    fault = caught.value.fault
    assert fault.failure is Failure.BAD_REQUEST
    assert fault.type == "invalid_request_error"
    assert fault.message
    return fault


def test_the_head_of_a_request() -> None:
    request = decode(body(stream=True, stream_options={"include_usage": True}, max_tokens=50, n=3))
    assert (request.id, request.api, request.model, request.accepted_s) == ("req-1", "openai_chat", "auto", 12.5)
    assert (request.stream, request.include_usage, request.max_output_tokens, request.choices) == (True, True, 50, 3)
    plain = decode(body())
    assert (plain.stream, plain.include_usage, plain.max_output_tokens, plain.choices) == (False, False, None, 1)
    assert plain.overrides is AS_CONFIGURED, "headers are read by others"


def test_members_are_carried_byte_for_byte() -> None:
    sent = b'{"model":"auto", "messages": [ {"role":"user","content":"\\u00e9 1.0"} ],"seed":1.50e1,"x":{"y" : [1 ]},"z":1e400}'
    request = decode(sent)
    assert {name: bytes(raw) for name, raw in request.fields.items()} == {
        "model": b'"auto"',
        "messages": b'[ {"role":"user","content":"\\u00e9 1.0"} ]',
        "seed": b"1.50e1",
        "x": b'{"y" : [1 ]}',
        "z": b"1e400",
    }


@pytest.mark.parametrize(
    ("data", "code"),
    [
        (b"", "invalid_json"),
        (b"{", "invalid_json"),
        (b"nonsense", "invalid_json"),
        (b"\xff\xfe", "invalid_json"),
        (b'{"model":"a","messages":[{"role":"user","content":"\xff"}]}', "invalid_json"),
        (b'{"model":"a","messages":[{"role":"user"}],"x":NaN}', "invalid_json"),
        (b'{"model":"a","messages":[{"role":"user"}],"x":-Infinity}', "invalid_json"),
        (b'{"model":"a","messages":[{"role":"user"}]} trailing', "invalid_json"),
        (b'{"model":"\\ud800","messages":[{"role":"user"}]}', "invalid_json"),
        (b'{"model":"a","messages":[{"role":"user"}],"x":' + b"[" * 100_000 + b"]" * 100_000 + b"}", "invalid_json"),
        (b"[]", "invalid_type"),
        (b"null", "invalid_type"),
        (b'"text"', "invalid_type"),
        (b"17", "invalid_type"),
    ],
)
def test_bodies_that_are_no_json_object(data: bytes, code: str) -> None:
    fault = refused(data)
    assert (fault.code, fault.param) == (code, None)


@pytest.mark.parametrize(
    ("members", "param", "code"),
    [
        ({"model": None}, "model", "invalid_type"),
        ({"model": ""}, "model", "invalid_value"),
        ({"model": 5}, "model", "invalid_type"),
        ({"model": "a" * 513}, "model", "invalid_value"),
        ({"model": "a\nb"}, "model", "invalid_value"),
        ({"model": "a\x00"}, "model", "invalid_value"),
        ({"model": "a\x7f"}, "model", "invalid_value"),
        ({"messages": None}, "messages", "invalid_type"),
        ({"messages": {}}, "messages", "invalid_type"),
        ({"messages": "Hi"}, "messages", "invalid_type"),
        ({"messages": []}, "messages", "invalid_value"),
        ({"messages": ["Hi"]}, "messages[0]", "invalid_type"),
        ({"messages": [USER, None]}, "messages[1]", "invalid_type"),
        ({"messages": [USER, {}]}, "messages[1].role", "missing_required_parameter"),
        ({"messages": [{"role": 5}]}, "messages[0].role", "invalid_type"),
        ({"messages": [{"role": None}]}, "messages[0].role", "invalid_type"),
        ({"messages": [{"role": "user", "content": 5}]}, "messages[0].content", "invalid_type"),
        ({"messages": [{"role": "user", "content": {"text": "x"}}]}, "messages[0].content", "invalid_type"),
        ({"messages": [{"role": "user", "content": [7]}]}, "messages[0].content[0]", "invalid_type"),
        ({"messages": [{"role": "user", "content": [{}]}]}, "messages[0].content[0].type", "missing_required_parameter"),
        ({"messages": [{"role": "user", "content": [{"type": 1}]}]}, "messages[0].content[0].type", "invalid_type"),
        ({"stream": "yes"}, "stream", "invalid_type"),
        ({"stream": 1}, "stream", "invalid_type"),
        ({"stream_options": []}, "stream_options", "invalid_type"),
        ({"stream_options": {"include_usage": "yes"}}, "stream_options.include_usage", "invalid_type"),
        ({"max_tokens": 0}, "max_tokens", "invalid_value"),
        ({"max_tokens": -5}, "max_tokens", "invalid_value"),
        ({"max_tokens": 2**31 + 1}, "max_tokens", "invalid_value"),
        ({"max_tokens": 10**30}, "max_tokens", "invalid_value"),
        ({"max_tokens": "10"}, "max_tokens", "invalid_type"),
        ({"max_tokens": 1.5}, "max_tokens", "invalid_type"),
        ({"max_tokens": True}, "max_tokens", "invalid_type"),
        ({"max_completion_tokens": 0}, "max_completion_tokens", "invalid_value"),
        ({"n": 0}, "n", "invalid_value"),
        ({"n": 129}, "n", "invalid_value"),
        ({"n": "2"}, "n", "invalid_type"),
        ({"temperature": "hot"}, "temperature", "invalid_type"),
        ({"temperature": -0.1}, "temperature", "invalid_value"),
        ({"temperature": 2.1}, "temperature", "invalid_value"),
        ({"temperature": True}, "temperature", "invalid_type"),
        ({"tools": {}}, "tools", "invalid_type"),
        ({"tools": ["f"]}, "tools[0]", "invalid_type"),
        ({"response_format": "json"}, "response_format", "invalid_type"),
    ],
)
def test_members_that_make_no_sense_are_named(members: Json, param: str, code: str) -> None:
    fault = refused(body(**members))
    assert (fault.param, fault.code) == (param, code)
    assert param in fault.message


@pytest.mark.parametrize("name", ["model", "messages"])
def test_members_that_must_be_there(name: str) -> None:
    sent = body()
    del sent[name]
    fault = refused(sent)
    assert (fault.param, fault.code) == (name, "missing_required_parameter")
    assert fault.message == f"Missing required parameter: '{name}'."


def test_a_number_beyond_all_numbers_is_named() -> None:
    fault = refused(b'{"model":"a","messages":[{"role":"user"}],"temperature":1e400}')
    assert fault.param == "temperature"
    assert refused(b'{"model":"a","messages":[{"role":"user"}],"presence_penalty":-1e400}').param == "presence_penalty"


@pytest.mark.parametrize(
    "members",
    [
        {"stream": None, "max_tokens": None, "temperature": None, "tools": None, "n": None, "stream_options": None},
        {"messages": [{"role": "narrator", "content": None, "unknown": 1}]},
        {"messages": [{"role": "user", "content": [{"type": "hologram", "x": 1}, "text"]}]},
        {"messages": [{"role": "user", "content": []}]},
        {"messages": [{"role": "assistant", "tool_calls": [{"id": 1}]}]},
        {"temperature": 0, "top_p": 7, "unknown_member": {"a": [1]}},
        {"temperature": 2},
        {"model": "a" * 512},
        {"model": "org/model:free ünï"},
        {"max_tokens": 2**31},
        {"tools": []},
    ],
)
def test_what_a_provider_may_know_passes(members: Json) -> None:
    assert decode(body(**members)).fields.keys() >= {"model", "messages"}


@pytest.mark.parametrize(
    ("roles", "found"),
    [(["user"], False), (["developer", "user"], True), (["user", "developer"], True), (["Developer"], False)],
)
def test_developers_are_found(roles: list[str], found: bool) -> None:
    assert decode(body(messages=[{"role": role, "content": "developer"} for role in roles])).has_developer is found


def test_the_newer_output_limit_outranks_the_older() -> None:
    assert decode(body(max_tokens=5, max_completion_tokens=9)).max_output_tokens == 9


# --- what the request needs ---------------------------------------------------------------------------------------------


def image(url: str = "https://x/y.png") -> Json:
    return {"role": "user", "content": [{"type": "text", "text": "see"}, {"type": "image_url", "image_url": {"url": url}}]}


@pytest.mark.parametrize(
    ("members", "needs"),
    [
        ({}, Needs()),
        ({"messages": [image()]}, Needs(vision=True)),
        ({"messages": [{"role": "user", "content": 'the text "image_url" is no image'}]}, Needs()),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": '"type":"image_url"'}]}]}, Needs()),
        ({"tools": [{"type": "function", "function": {"name": "f"}}]}, Needs(tools=True)),
        ({"functions": [{"name": "f"}]}, Needs(tools=True)),
        ({"tools": []}, Needs()),
        ({"response_format": {"type": "json_schema", "json_schema": {}}}, Needs(json_schema=True)),
        ({"response_format": {"type": "json_object"}}, Needs()),
        ({"response_format": {"type": "text"}}, Needs()),
    ],
)
def test_needs(members: Json, needs: Needs) -> None:
    assert decode(body(**members)).needs == needs


def test_input_bytes_are_of_messages_and_tools() -> None:
    small, large = decode(body()), decode(body(messages=[{"role": "user", "content": "x" * 4000}]))
    assert large.input_bytes - small.input_bytes == 4000 - 2
    assert large.input_tokens == large.input_bytes // 4
    tools = [{"type": "function", "function": {"name": "f", "description": "y" * 1000}}]
    assert decode(body(tools=tools)).input_bytes > small.input_bytes + 1000
    assert decode(body(metadata={"k": "z" * 1000})).input_bytes == small.input_bytes


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,MEDIA"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,MEDIA"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "MEDIA"}},
        {"type": "input_audio", "input_audio": {"format": "wav", "data": "MEDIA"}},
    ],
)
def test_media_do_not_count(part: Json) -> None:
    """Their bytes say nothing about their tokens, and would make every forecast absurd."""
    media = base64.b64encode(b"\x00" * 30_000).decode()
    sent = json.dumps(body(messages=[{"role": "user", "content": [part, {"type": "text", "text": "t" * 400}]}]))
    request = decode(sent.replace("MEDIA", media).encode())
    assert 400 < request.input_bytes < 800


# --- whatever comes -----------------------------------------------------------------------------------------------------


@given(st.binary(max_size=200))
def test_any_bytes_are_a_request_or_a_refusal(data: bytes) -> None:
    with pytest.raises(FaultError) as caught:
        decode(data)
    assert caught.value.fault.failure is Failure.BAD_REQUEST


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
KNOWN = ("model", "messages", "stream", "max_tokens", "n", "temperature", "tools", "stream_options", "response_format", "user")


@given(st.dictionaries(st.sampled_from(KNOWN), ANY))
def test_any_members_are_a_request_or_a_refusal(members: Json) -> None:
    sent = json.dumps(body(**members), ensure_ascii=False).encode("utf-8", "surrogatepass")
    found = outcome(sent)
    assert found.input_bytes > 0 if isinstance(found, ChatRequest) else found.failure is Failure.BAD_REQUEST


def test_errors_have_openais_shape() -> None:
    fault = refused(body(n=0))
    assert json.loads(API.error(fault, 400)) == {
        "error": {"message": fault.message, "type": "invalid_request_error", "param": "n", "code": "invalid_value"}
    }
    assert json.loads(API.error(Fault(Failure.NO_CAPACITY, "all busy"), 503))["error"]["code"] == "no_capacity"
