"""What the mock refuses in an OpenAI chat request, and what it lets pass."""

from typing import Any

import pytest

from fastroute.mock.ask import Rejected
from fastroute.mock.openai_checks import check

USER = {"role": "user", "content": "hi"}
CALL = {"id": "c1", "type": "function", "function": {"name": "w", "arguments": "{}"}}
CALL2 = {"id": "c2", "type": "function", "function": {"name": "w", "arguments": "{}"}}
ASKED = {"role": "assistant", "content": None, "tool_calls": [CALL]}
RESULT = {"role": "tool", "tool_call_id": "c1", "content": "18"}
TOOL = {"type": "function", "function": {"name": "w", "parameters": {"type": "object"}}}


def body(*messages: Any, **members: Any) -> dict[str, Any]:
    return {"model": "m", "messages": list(messages) or [USER], **members}


def refusal(request: dict[str, Any]) -> Rejected:
    with pytest.raises(Rejected) as caught:
        check(request, strict=True)
    return caught.value


@pytest.mark.parametrize(
    "request_body",
    [
        body(),
        body({"role": "system", "content": "s"}, {"role": "developer", "content": "d"}, USER),
        body({"role": "user", "content": [{"type": "text", "text": "t"}, {"type": "image_url", "image_url": {"url": "u"}}]}),
        body(USER, ASKED, RESULT),
        body(USER, {**ASKED, "tool_calls": [CALL, CALL2]}, {**RESULT, "tool_call_id": "c2"}, RESULT, USER),
        body(USER, {"role": "assistant", "content": "a"}, USER),
        body(USER, {"role": "assistant", "content": None, "refusal": "no"}, USER),
        body(USER, USER),
        body(stream=True, stream_options={"include_usage": True}),
        body(tools=[TOOL], tool_choice="required", parallel_tool_calls=False),
        body(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "w"}}),
        body(n=2, temperature=2, top_p=0.5, max_completion_tokens=5, seed=1, stop=["a"], user="u", metadata={"a": "b"}),
        body(max_tokens=5, max_completion_tokens=None, temperature=None),
        body(response_format={"type": "json_schema", "json_schema": {"name": "n", "schema": {}}}),
        body(response_format={"type": "json_object"}),
        body(logprobs=True, top_logprobs=2),
    ],
)
def test_good_requests_pass(request_body: dict[str, Any]) -> None:
    check(request_body, strict=True)


@pytest.mark.parametrize(
    ("request_body", "told"),
    [
        ({"messages": [USER]}, "'model'"),
        ({"model": "m"}, "'messages'"),
        ({"model": 3, "messages": [USER]}, "'model'"),
        ({"model": "m", "messages": []}, "non-empty array"),
        ({"model": "m", "messages": 5}, "non-empty array"),
        (body("hi"), "messages[0].role"),
        (body({"role": "robot", "content": "x"}), "messages[0].role"),
        (body({"role": "user"}), "messages[0].content"),
        (body({"role": "user", "content": 5}), "messages[0].content"),
        (body({"role": "assistant", "content": None}), "messages[0].content"),
        (body({"role": "user", "content": [{"type": "input_text", "text": "x"}]}), "content[].type"),
        (body(top_k=3), "Unrecognized request argument supplied: top_k"),
        (body(max_output_tokens=3), "max_output_tokens"),
        (body(temperature=2.1), "'temperature'"),
        (body(temperature="hot"), "'temperature'"),
        (body(max_tokens=0), "'max_tokens'"),
        (body(max_tokens=1.5), "'max_tokens'"),
        (body(max_tokens=True), "'max_tokens'"),
        (body(n=0), "'n'"),
        (body(stream="yes"), "'stream'"),
        (body(stream_options={"include_usage": True}), "stream_options"),
        (body(top_logprobs=2), "top_logprobs"),
        (body(max_tokens=1, max_completion_tokens=1), "max_completion_tokens"),
        (body(tools=[]), "empty array"),
        (body(tool_choice="auto"), "tool_choice"),
        (body(parallel_tool_calls=True), "parallel_tool_calls"),
        (body(tools=[{"name": "w", "input_schema": {}}]), "tools[0].type"),
        (body(tools=[{"type": "function", "function": {"name": "a.b"}}]), "tools[0].function.name"),
        (body(tools=[{"type": "function", "function": {"name": "a" * 65}}]), "tools[0].function.name"),
        (body(tools=[TOOL], tool_choice="any"), "'any'"),
        (body(tools=[TOOL], tool_choice={"type": "function", "function": {"name": "x"}}), "'x'"),
        (body(response_format={"type": "xml"}), "'xml'"),
        (body(response_format={"type": "json_schema", "schema": {}}), "json_schema.name"),
        (body(USER, RESULT), "preceeding message with 'tool_calls'"),
        (body(USER, ASKED), "did not have response messages: c1"),
        (body(USER, ASKED, USER), "did not have response messages: c1"),
        (body(USER, {**ASKED, "tool_calls": [CALL, CALL2]}, RESULT, USER), "did not have response messages: c2"),
        (body(USER, ASKED, {**RESULT, "tool_call_id": "other"}), "'tool'"),
        (body(USER, ASKED, RESULT, RESULT), "'tool'"),
        (body(USER, ASKED, {**RESULT, "content": None}), "messages[2].content"),
        (body(USER, {**ASKED, "tool_calls": [CALL, CALL]}, RESULT), "repeated"),
        (body(USER, {**ASKED, "tool_calls": [{**CALL, "function": {"name": "w", "arguments": {}}}]}, RESULT), "a string"),
    ],
)
def test_bad_requests_are_named(request_body: dict[str, Any], told: str) -> None:
    rejected = refusal(request_body)
    assert (rejected.status, rejected.kind) == (400, "invalid_request_error")
    assert told in rejected.message


def test_a_lax_endpoint_takes_members_it_does_not_know() -> None:
    check(body(top_k=3), strict=False)


def test_a_lax_endpoint_still_checks_the_rest() -> None:
    with pytest.raises(Rejected):
        check(body(temperature=9), strict=False)
