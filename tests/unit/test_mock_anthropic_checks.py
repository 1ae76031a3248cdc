"""What the mock refuses in an Anthropic messages request, and what it lets pass."""

from typing import Any

import pytest

from fastroute.mock.anthropic_checks import check
from fastroute.mock.ask import Rejected

USER = {"role": "user", "content": "hi"}
SAID = {"role": "assistant", "content": "hello"}
CALL = {"type": "tool_use", "id": "t1", "name": "w", "input": {}}
CALL2 = {"type": "tool_use", "id": "t2", "name": "w", "input": {}}
RESULT = {"type": "tool_result", "tool_use_id": "t1", "content": "18"}
RESULT2 = {"type": "tool_result", "tool_use_id": "t2", "content": "19"}
TEXT = {"type": "text", "text": "and?"}
TOOL = {"name": "w", "input_schema": {"type": "object"}}


def body(*messages: Any, **members: Any) -> dict[str, Any]:
    return {"model": "m", "max_tokens": 2000, "messages": list(messages) or [USER], **members}


def user(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "user", "content": list(blocks)}


def assistant(*blocks: dict[str, Any]) -> dict[str, Any]:
    return {"role": "assistant", "content": list(blocks)}


@pytest.mark.parametrize(
    "request_body",
    [
        body(),
        body(USER, SAID, USER),
        body(USER, SAID),
        body(user(TEXT, {"type": "image", "source": {"type": "url", "url": "u"}})),
        body(user({"type": "document", "source": {"type": "text", "data": "d"}})),
        body(USER, assistant(TEXT, CALL), user(RESULT)),
        body(USER, assistant(CALL, CALL2), user(RESULT2, RESULT, TEXT)),
        body(USER, assistant(CALL), user(RESULT), assistant(CALL2), user(RESULT2)),
        body(USER, assistant({"type": "thinking", "thinking": "t", "signature": "s"}, CALL), user(RESULT)),
        body(USER, assistant({"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}}), USER),
        body(system="s", temperature=1, top_p=0.5, top_k=5, stop_sequences=["END"], stream=True, metadata={"user_id": "u"}),
        body(system=[{"type": "text", "text": "s", "cache_control": {"type": "ephemeral"}}]),
        body(tools=[TOOL], tool_choice={"type": "any", "disable_parallel_tool_use": True}),
        body(tools=[TOOL, {"type": "web_search_20250305", "name": "web_search"}]),
        body(thinking={"type": "enabled", "budget_tokens": 1024}),
        body(thinking={"type": "adaptive"}, output_config={"effort": "low"}),
    ],
)
def test_good_requests_pass(request_body: dict[str, Any]) -> None:
    check(request_body, strict=True)


@pytest.mark.parametrize(
    ("request_body", "told"),
    [
        ({"model": "m", "messages": [USER]}, "max_tokens: Field required"),
        ({"max_tokens": 1, "messages": [USER]}, "model: Field required"),
        ({"model": "m", "max_tokens": 1}, "messages: Field required"),
        (body(max_tokens=0), "max_tokens"),
        (body(max_tokens="9"), "max_tokens"),
        (body(model=3), "model"),
        (body(n=2), "n: Extra inputs are not permitted"),
        (body(max_completion_tokens=2), "max_completion_tokens: Extra inputs"),
        (body(temperature=1.5), "temperature"),
        (body(top_p=True), "top_p"),
        (body(stream="yes"), "stream"),
        (body(metadata={"team": "x"}), "metadata.team"),
        (body(stop_sequences=[" \n"]), "non-whitespace"),
        (body(thinking={"type": "on"}), "'on'"),
        (body(thinking={"type": "enabled", "budget_tokens": 100}), "1024"),
        (body(thinking={"type": "enabled", "budget_tokens": 4000}), "`max_tokens` must be greater"),
        (body(system=5), "system"),
        (body(system=[{"type": "image"}]), "system.0.type"),
        (body(system=[{"type": "text", "text": ""}]), "non-empty"),
        ({"model": "m", "max_tokens": 1, "messages": []}, "at least one message"),
        (body("hi"), "messages.0.role"),
        (body({"role": "system", "content": "s"}, USER), 'Unexpected role "system"'),
        (body(USER, {"role": "tool", "content": "x"}), 'Unexpected role "tool"'),
        (body(SAID), "first message must use"),
        (body(USER, USER), "roles must alternate"),
        (body(USER, SAID, SAID), "roles must alternate"),
        (body({"role": "user", "content": "x", "name": "ada"}), "messages.0.name"),
        (body({"role": "user", "content": 5}), "messages.0.content"),
        (body({"role": "user", "content": []}), "non-empty content"),
        (body({"role": "user", "content": ""}), "non-empty"),
        (body(user({"type": "text", "text": "  "})), "non-whitespace"),
        (body(user({"type": "text"})), "text.text: Field required"),
        (body(user({"type": "image_url", "image_url": {}})), "'image_url'"),
        (body(user({"type": "image"})), "image.source"),
        (body(user(CALL)), "'tool_use'"),
        (body(USER, assistant(RESULT)), "'tool_result'"),
        (body(USER, assistant(CALL)), "without `tool_result` blocks immediately after: t1"),
        (body(USER, assistant(CALL), USER), "without `tool_result` blocks immediately after: t1"),
        (body(USER, assistant(CALL, CALL2), user(RESULT)), "immediately after: t2"),
        (body(user(RESULT)), "unexpected `tool_use_id`"),
        (body(USER, assistant(CALL), user(RESULT2)), "unexpected `tool_use_id`"),
        (body(USER, assistant(CALL), user(RESULT, RESULT)), "single result"),
        (body(USER, assistant(CALL), user(TEXT, RESULT)), "must come before other content"),
        (body(USER, assistant({**CALL, "id": "a b"}), user(RESULT)), "tool_use.id"),
        (body(USER, assistant({**CALL, "input": "{}"}), user(RESULT)), "valid dictionary"),
        (body(USER, {"role": "assistant", "content": "so "}), "trailing whitespace"),
        (body(USER, assistant({"type": "text", "text": "so "})), "trailing whitespace"),
        (body(tools=[{"name": "a.b", "input_schema": {"type": "object"}}]), "tools.0.custom.name"),
        (body(tools=[{"type": "function", "function": {"name": "w"}}]), "tools.0.custom.name"),
        (body(tools=[{"name": "w", "input_schema": {}}]), "input_schema.type"),
        (body(tools=[TOOL, TOOL]), "unique"),
        (body(tool_choice={"type": "auto"}), "while providing tools"),
        (body(tools=[TOOL], tool_choice="auto"), "tool_choice"),
        (body(tools=[TOOL], tool_choice={"type": "required"}), "tool_choice"),
        (body(tools=[TOOL], tool_choice={"type": "tool", "name": "x"}), "'x'"),
    ],
)
def test_bad_requests_are_named(request_body: dict[str, Any], told: str) -> None:
    with pytest.raises(Rejected) as caught:
        check(request_body, strict=True)
    assert (caught.value.status, caught.value.kind) == (400, "invalid_request_error")
    assert told in caught.value.message


def test_a_lax_endpoint_takes_members_it_does_not_know() -> None:
    check(body(n=2), strict=False)
