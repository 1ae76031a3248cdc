"""Anthropic's Messages as a client API: what is refused and how, what is read of the head."""

import json
from typing import Any

import pytest
from messages_support import asked

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.types import Usage
from fastroute.dialects.messages_api import MessagesApi, error_body, messages_usage

API = MessagesApi()


def refused(body: Any) -> Fault:
    with pytest.raises(FaultError) as caught:
        API.decode(body if isinstance(body, bytes) else json.dumps(body).encode(), "r", 0.0)
    return caught.value.fault


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"max_tokens": None}, "max_tokens"),
        ({"max_tokens": 0}, "max_tokens"),
        ({"max_tokens": "9"}, "max_tokens"),
        ({"model": ""}, "model"),
        ({"model": "a\nb"}, "model"),
        ({"messages": []}, "messages"),
        ({"messages": [{"role": "user", "content": None}]}, "messages[0].content"),
        ({"messages": [{"role": "user", "content": [{"text": "no type"}]}]}, "messages[0].content[0].type"),
        ({"temperature": 1.5}, "temperature"),
        ({"top_k": -1}, "top_k"),
        ({"stop_sequences": "END"}, "stop_sequences"),
        ({"system": 5}, "system"),
        ({"tools": {}}, "tools"),
        ({"tool_choice": "auto"}, "tool_choice"),
        ({"thinking": True}, "thinking"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(members: dict[str, Any], param: str) -> None:
    fault = refused({"model": "auto", "max_tokens": 9, "messages": [{"role": "user", "content": "Hi"}], **members})
    assert (fault.failure, fault.param) == (Failure.BAD_REQUEST, param)
    error = json.loads(API.error(fault, 400))
    assert (error["type"], error["error"]["type"]) == ("error", "invalid_request_error")
    assert param in error["error"]["message"]


@pytest.mark.parametrize("body", [b"{", b"[]", b'{"model": "\xff"}', b"[" * 100_000, b""])
def test_bodies_that_are_no_json_object(body: bytes) -> None:
    assert refused(body).failure is Failure.BAD_REQUEST


def test_members_travel_as_they_came() -> None:
    body = b'{"model":"auto","max_tokens":5 ,"messages":[ {"role":"user","content":"Hi"}],"novel":{"a": 1.0}}'
    request = API.decode(body, "r", 7.0)
    assert bytes(request.fields["novel"]) == b'{"a": 1.0}'
    assert bytes(request.fields["messages"]) == b'[ {"role":"user","content":"Hi"}]'
    assert (request.api, request.max_output_tokens, request.stream, request.accepted_s) == ("anthropic_messages", 5, False, 7.0)


def test_needs() -> None:
    image = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "A" * 4000}}
    assert asked(messages=[{"role": "user", "content": [image]}]).needs.vision
    result = {"type": "tool_result", "tool_use_id": "t", "content": [image]}
    nested = asked(messages=[{"role": "user", "content": [result]}])
    assert nested.needs.vision
    assert nested.input_bytes < 400, "media say nothing about tokens"
    assert asked(tools=[{"name": "f", "input_schema": {}}]).needs.tools
    assert asked(output_config={"format": {"type": "json_schema", "schema": {}}}).needs.json_schema
    plain = asked(output_config={"effort": "low"}, tools=[]).needs
    assert (plain.vision, plain.tools, plain.json_schema) == (False, False, False)


@pytest.mark.parametrize(
    ("failure", "status", "kind"),
    [
        (Failure.BAD_REQUEST, 413, "request_too_large"),
        (Failure.NOT_FOUND, 404, "not_found_error"),
        (Failure.RATE_LIMITED, 503, "rate_limit_error"),
        (Failure.NO_CAPACITY, 503, "overloaded_error"),
        (Failure.SERVER_ERROR, 503, "api_error"),
        (Failure.SERVER_ERROR, 529, "overloaded_error"),
        (Failure.DEADLINE, 504, "timeout_error"),
        (Failure.INTERNAL, 500, "api_error"),
        (Failure.BAD_REQUEST, 418, "api_error"),
    ],
)
def test_errors(failure: Failure, status: int, kind: str) -> None:
    said = error_body(Fault(failure, "what happened"), status)
    assert said == {"type": "error", "error": {"type": kind, "message": "what happened"}}


def test_usage_counts_cached_input_apart() -> None:
    usage = Usage(100, 20, cached_input_tokens=60, cache_write_tokens=30)
    assert messages_usage(usage) == {
        "input_tokens": 10,
        "output_tokens": 20,
        "cache_read_input_tokens": 60,
        "cache_creation_input_tokens": 30,
    }
    assert messages_usage(Usage(5, None)) == {"input_tokens": 5, "output_tokens": 0}


def test_counting_needs_no_limit_and_is_marked() -> None:
    body = json.dumps({"model": "auto", "messages": [{"role": "user", "content": "x" * 400}]}).encode()
    counted = json.loads(MessagesApi(counts=True).counted(body))
    assert counted["estimated"] is True
    assert 100 <= counted["input_tokens"] <= 120
