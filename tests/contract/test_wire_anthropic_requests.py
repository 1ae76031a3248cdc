"""Recorded requests of OpenAI clients put to Anthropic: nothing they say may be lost on the way."""

import json
import sys
from typing import Any

import pytest
from anthropic.types import MessageCreateParams
from anthropic_recordings import DIALECT, Json, chat, endpoint, named, over, recordings
from pydantic import TypeAdapter

from fastroute.core.failures import Failure, FaultError
from fastroute.dialects.anthropic_names import tool_id, tool_name

PARAMS: TypeAdapter[Any] = TypeAdapter(MessageCreateParams)

REFUSABLE = {
    "n",
    "logprobs",
    "top_logprobs",
    "functions",
    "web_search_options",
    "audio",
    "modalities",
    "stop",
    "reasoning_effort",
}


def texts(content: Any) -> list[str]:
    """Every text of some content, of either API."""
    if isinstance(content, str):
        return [content]
    found = []
    for part in content or []:
        if part.get("type") in ("text", "refusal"):
            found.append(part.get("text") or part.get("refusal") or "")
        elif part.get("type") == "tool_result":
            found += texts(part.get("content"))
    return found


def check_order(messages: list[Json]) -> None:
    for before, message in zip([None, *messages], messages, strict=False):
        assert before is None or before["role"] != message["role"], "roles alternate"
        blocks = message["content"] if isinstance(message["content"], list) else []
        results = [block["type"] == "tool_result" for block in blocks]
        assert results == sorted(results, reverse=True), "results lead"
        assert all(text.strip() for text in texts(message["content"])), "no blank text"
        answered = {block["tool_use_id"] for block in blocks if block["type"] == "tool_result"}
        if answered:
            assert before is not None
            assert answered <= {b["id"] for b in before["content"] if b["type"] == "tool_use"}, "results follow their calls"


def check_request(asked: Json, sent: Json) -> None:
    PARAMS.validate_python(sent)
    check_order(sent["messages"])
    everything = "\n\n".join([*texts(sent.get("system")), *(text for m in sent["messages"] for text in texts(m["content"]))])
    for message in asked["messages"]:
        for text in texts(message.get("content")):
            assert text.strip() in everything, "every text is there"
    blocks = [b for m in sent["messages"] if isinstance(m["content"], list) for b in m["content"]]
    calls = [call for message in asked["messages"] for call in message.get("tool_calls") or []]
    used = [block for block in blocks if block["type"] == "tool_use"]
    assert [(b["name"], b["input"]) for b in used] == [
        (tool_name(c["function"]["name"]), json.loads(c["function"]["arguments"] or "{}")) for c in calls
    ]
    ids = [call["id"] for call in calls]
    if len(set(ids)) == len(ids):
        assert [block["id"] for block in used] == [tool_id(i) for i in ids]
    assert len({block["id"] for block in used}) == len(used)
    tools = {tool["name"]: tool for tool in sent.get("tools", [])}
    for tool in asked.get("tools") or []:
        function = tool["function"]
        schema = tools[tool_name(function["name"])]["input_schema"]
        assert schema == (function.get("parameters") or {"type": "object", "properties": {}})
    images = [part for m in asked["messages"] for part in parts(m) if part.get("type") == "image_url"]
    assert sum(block["type"] == "image" for block in blocks) == len(images)
    form = asked.get("response_format") or {}
    if form.get("type") == "json_schema":
        assert sent["output_config"]["format"]["schema"] == form["json_schema"]["schema"]
    assert sent["max_tokens"] >= (asked.get("max_tokens") or asked.get("max_completion_tokens") or 1)


def parts(message: Json) -> list[Json]:
    return message["content"] if isinstance(message.get("content"), list) else []


@over("openai")
def test_recorded_openai_requests(name: str) -> None:
    asked = recordings()[name]["request"]["body"]
    try:
        sent = DIALECT.encode(chat(asked), endpoint())
    except FaultError as error:
        fault = error.fault
        assert fault.param
        if fault.failure is Failure.UNSUPPORTED:
            assert fault.param in REFUSABLE or fault.param.startswith("messages["), fault
        return
    assert sent.url == "http://upstream/v1/messages"
    check_request(asked, json.loads(sent.body))


def test_parallel_calls_go_round() -> None:
    """A reply with two calls and signed thinking, answered by a client in OpenAI's form, comes back to Anthropic complete."""
    reply = {
        "id": "msg_1",
        "model": "claude",
        "stop_reason": "tool_use",
        "usage": {"input_tokens": 1, "output_tokens": 2},
        "content": [
            {"type": "thinking", "thinking": "Both at once.", "signature": "c2ln"},
            {"type": "redacted_thinking", "data": "b3BhcXVl"},
            {"type": "text", "text": "Looking."},
            {"type": "tool_use", "id": "toolu_1", "name": tool_name("geo.weather"), "input": {"city": "Köln"}},
            {"type": "tool_use", "id": "toolu_2", "name": tool_name("geo.time"), "input": {}},
        ],
    }
    tools = [{"type": "function", "function": {"name": n, "parameters": {"type": "object"}}} for n in ("geo.weather", "geo.time")]
    first: Json = {"model": "auto", "messages": [{"role": "user", "content": "Weather and time?"}], "tools": tools}
    translator = DIALECT.translator(chat(first), endpoint())
    message = json.loads(translator.whole(json.dumps(reply).encode()))["choices"][0]["message"]
    assert [call["function"]["name"] for call in message["tool_calls"]] == ["geo.weather", "geo.time"]
    results = [
        {"role": "tool", "tool_call_id": call["id"], "content": f"result {i}"} for i, call in enumerate(message["tool_calls"])
    ]
    second = {**first, "messages": [*first["messages"], message, *results, {"role": "user", "content": "Go on."}]}
    second["reasoning_effort"] = "low"
    sent = json.loads(DIALECT.encode(chat(second), endpoint()).body)
    PARAMS.validate_python(sent)
    user, assistant, answers = sent["messages"]
    assert user == {"role": "user", "content": "Weather and time?"}
    assert assistant["content"] == reply["content"], "byte for byte what Anthropic said, signature and all"
    assert answers["content"] == [
        {"type": "tool_result", "tool_use_id": "toolu_1", "content": "result 0"},
        {"type": "tool_result", "tool_use_id": "toolu_2", "content": "result 1"},
        {"type": "text", "text": "Go on."},
    ]
    assert sent["thinking"]["type"] == "enabled", "the signed reasoning is back, so thinking may go on"


def test_count(capsys: pytest.CaptureFixture[str]) -> None:
    counts = {kind: len(named(of=kind)) for kind in ("stream", "whole", "error", "openai")}
    served = 0
    for name in named(of="openai"):
        try:
            DIALECT.translate(chat(recordings()[name]["request"]["body"]), endpoint())
            served += 1
        except FaultError:
            pass
    with capsys.disabled():
        sys.stdout.write(f"\nwire, Anthropic: {counts} recordings; {served} of the OpenAI requests could be put to Claude\n")
    assert served >= counts["openai"] * 0.85, "few recorded requests may be refused"
