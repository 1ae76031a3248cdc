"""Responses requests as the chat requests they amount to, and their heads."""

import json
from typing import Any

import pytest

from fastroute.config.presets import GENERIC, presets
from fastroute.core.failures import Failure, FaultError
from fastroute.core.types import ChatRequest, Endpoint
from fastroute.dialects.registry import dialects
from fastroute.dialects.responses_api import ResponsesApi
from fastroute.dialects.responses_chat import responses_as_chat
from fastroute.dialects.responses_seal import MARK, opened, seal

Json = dict[str, Any]
API = ResponsesApi()
CALL = {"type": "function_call", "call_id": "c1", "name": "f", "arguments": "{}", "id": "fc_1", "status": "completed"}
PIXEL = "data:image/png;base64,AAAA"


def decoded(**asked: Any) -> ChatRequest:
    return API.decode(json.dumps({"model": "auto", "input": "Hi", **asked}).encode(), "req-1", 1.0)


def chat(dialect: str = "openai_chat", **asked: Any) -> Json:
    request = responses_as_chat(decoded(**asked), dialect)
    assert request.api == "openai_chat"
    return {name: json.loads(bytes(raw)) for name, raw in request.fields.items()}


def refused(**asked: Any) -> tuple[Failure, str | None]:
    with pytest.raises(FaultError) as caught:
        chat(**asked)
    return caught.value.fault.failure, caught.value.fault.param


def test_the_head() -> None:
    image = {"role": "user", "content": [{"type": "input_image", "image_url": PIXEL + "A" * 4000}]}
    form = {"format": {"type": "json_schema", "name": "n", "schema": {}}}
    head = decoded(input=[image], stream=True, max_output_tokens=9, tools=[{"type": "function", "name": "f"}], text=form)
    assert (head.api, head.model, head.stream, head.max_output_tokens, head.include_usage) == (
        "openai_responses",
        "auto",
        True,
        9,
        True,
    )
    assert (head.needs.vision, head.needs.tools, head.needs.json_schema) == (True, True, True)
    assert head.input_bytes < 300, "media is not counted as text"
    assert decoded().needs == type(head.needs)()


@pytest.mark.parametrize(
    ("body", "param"),
    [
        (b"{", None),
        (b"[]", None),
        (b'{"model": "m"}', "input"),
        (b'{"input": "Hi"}', "model"),
        (b'{"model": "m", "input": ""}', "input"),
        (b'{"model": "m", "input": []}', "input"),
        (b'{"model": "a\\nb", "input": "Hi"}', "model"),
        (b'{"model": "m", "input": "Hi", "temperature": 3}', "temperature"),
        (b'{"model": "m", "input": "Hi", "max_output_tokens": 0}', "max_output_tokens"),
        (b'{"model": "m", "input": "\xff"}', None),
    ],
)
def test_bad_bodies(body: bytes, param: str | None) -> None:
    with pytest.raises(FaultError) as caught:
        API.decode(body, "r", 1.0)
    fault = caught.value.fault
    assert (fault.failure, fault.param) == (Failure.BAD_REQUEST, param)
    assert set(json.loads(API.error(fault, 400))["error"]) == {"message", "type", "param", "code"}


def test_settings() -> None:
    said = chat(
        instructions="Be brief.",
        max_output_tokens=5,
        temperature=0.2,
        top_p=0.9,
        reasoning={"effort": "low", "summary": "auto"},
        metadata={"a": "b"},
        store=True,
        truncation="auto",
        text={"format": {"type": "json_schema", "name": "n", "schema": {"type": "object"}, "strict": True}, "verbosity": "low"},
        tools=[{"type": "function", "name": "f", "description": "d", "parameters": {"type": "object"}, "strict": False}],
        tool_choice={"type": "function", "name": "f"},
        parallel_tool_calls=False,
        prompt_cache_key="k",
    )
    assert said == {
        "model": "auto",
        "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Hi"}],
        "max_completion_tokens": 5,
        "temperature": 0.2,
        "top_p": 0.9,
        "reasoning_effort": "low",
        "response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "object"}, "strict": True}},
        "verbosity": "low",
        "tools": [
            {"type": "function", "function": {"name": "f", "description": "d", "parameters": {"type": "object"}, "strict": False}}
        ],
        "tool_choice": {"type": "function", "function": {"name": "f"}},
        "parallel_tool_calls": False,
        "prompt_cache_key": "k",
    }
    assert (
        not {"verbosity", "prompt_cache_key"} & chat("anthropic_messages", text={"verbosity": "low"}, prompt_cache_key="k").keys()
    )
    assert "parallel_tool_calls" not in chat(parallel_tool_calls=True, tool_choice="auto")
    assert chat(text={"format": {"type": "json_object"}})["response_format"] == {"type": "json_object"}


def test_an_assistants_items_become_one_message() -> None:
    block = {"type": "thinking", "thinking": "Hm", "signature": "s"}
    turns: list[Json] = [
        {"role": "user", "content": [{"type": "input_text", "text": "Go."}]},
        {"type": "reasoning", "id": "rs_1", "summary": [], "encrypted_content": seal([block])},
        {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I go.", "annotations": []}]},
        CALL,
        {**CALL, "call_id": "c2"},
        {"type": "function_call_output", "call_id": "c2", "output": "two"},
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "one"}]},
        {"role": "developer", "content": "Stop."},
    ]
    messages = chat("anthropic_messages", input=turns)["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "tool", "developer"]
    assert messages[1]["content"] == "I go."
    assert messages[1]["thinking_blocks"] == [block]
    assert [call["id"] for call in messages[1]["tool_calls"]] == ["c1", "c2"]
    assert [(m["tool_call_id"], m["content"]) for m in messages[2:4]] == [("c2", "two"), ("c1", "one")]
    assert "thinking_blocks" not in chat(input=turns)["messages"][1], "OpenAI's chat takes no reasoning back"


def test_geminis_signature_goes_back_on_its_call() -> None:
    sealed = seal([{"type": "google_thought_signature", "signature": "sig"}])
    turns = [{"role": "user", "content": "Go."}, {"type": "reasoning", "summary": [], "encrypted_content": sealed}, CALL]
    [call] = chat("gemini", input=turns)["messages"][1]["tool_calls"]
    assert call["extra_content"] == {"google": {"thought_signature": "sig"}}
    [call] = chat(input=turns)["messages"][1]["tool_calls"]
    assert "extra_content" not in call


def test_images_of_results_follow_all_results() -> None:
    outputs = [
        {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_image", "image_url": PIXEL}]},
        {"type": "function_call_output", "call_id": "c2", "output": "two"},
    ]
    turns = [{"role": "user", "content": "Go."}, CALL, {**CALL, "call_id": "c2"}, *outputs]
    messages = chat(input=turns)["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant", "tool", "tool", "user"]
    assert messages[4]["content"] == [{"type": "image_url", "image_url": {"url": PIXEL}}]
    messages = chat("anthropic_messages", input=turns)["messages"]
    assert messages[2]["content"] == [{"type": "image_url", "image_url": {"url": PIXEL}}]


def test_assistant_messages_stay_apart_unless_a_call_stands_between() -> None:
    said = [{"role": "assistant", "content": text} for text in ("a", "b")]
    assert [m["content"] for m in chat(input=said)["messages"]] == ["a", "b"]
    result = {"type": "function_call_output", "call_id": "c1", "output": "r"}
    messages = chat(input=[said[0], CALL, said[1], result])["messages"]
    assert [m["role"] for m in messages] == ["assistant", "tool"]
    assert [part["text"] for part in messages[0]["content"]] == ["a", "b"]


def test_files() -> None:
    part = {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}
    message = chat(input=[{"role": "user", "content": [part]}])["messages"][0]
    assert message["content"] == [{"type": "file", "file": {"filename": "a.pdf", "file_data": part["file_data"]}}]


UNSUPPORTED, BAD = Failure.UNSUPPORTED, Failure.BAD_REQUEST


def in_user(part: Any) -> Json:
    return {"input": [{"role": "user", "content": [part]}]}


@pytest.mark.parametrize(
    ("asked", "failure", "param"),
    [
        ({"previous_response_id": "r"}, UNSUPPORTED, "previous_response_id"),
        ({"conversation": {"id": "c"}}, UNSUPPORTED, "conversation"),
        ({"background": True}, UNSUPPORTED, "background"),
        ({"prompt": {"id": "p"}}, UNSUPPORTED, "prompt"),
        ({"include": ["message.output_text.logprobs"]}, UNSUPPORTED, "top_logprobs"),
        ({"tools": [{"type": "function", "name": "f"}, {"type": "mcp"}]}, UNSUPPORTED, "tools[1].type"),
        ({"tools": [{"type": "function"}]}, BAD, "tools[0].name"),
        ({"tools": [{"type": "function", "name": "f"}], "tool_choice": {"type": "mcp"}}, UNSUPPORTED, "tool_choice"),
        ({"text": {"format": {"type": "text"}}, "reasoning": "high"}, BAD, "reasoning"),
        ({"input": [{"type": "web_search_call", "id": "w"}]}, UNSUPPORTED, "input[0]"),
        ({"input": [{"id": "w"}]}, BAD, "input[0].type"),
        ({"input": [{"role": "tool", "content": "x"}]}, BAD, "input[0].role"),
        ({"input": [{"type": "function_call_output", "call_id": "c9", "output": "x"}]}, BAD, "input[0]"),
        ({"input": [{"type": "function_call", "name": "f", "arguments": "{}"}]}, BAD, "input[0].call_id"),
        (in_user({"type": "input_image", "file_id": "f"}), UNSUPPORTED, "input[0].content[0].file_id"),
        (in_user({"type": "input_image"}), BAD, "input[0].content[0].image_url"),
        (in_user({"type": "input_file", "file_url": "https://x"}), UNSUPPORTED, "input[0].content[0].file_url"),
        (in_user({"type": "input_file"}), BAD, "input[0].content[0]"),
        (in_user({"type": "hologram"}), UNSUPPORTED, "input[0].content[0].type"),
        (in_user("x"), BAD, "input[0].content[0]"),
        ({"input": [{"role": "user", "content": 3}]}, BAD, "input[0].content"),
    ],
)
def test_refusals_name_the_member(asked: Json, failure: Failure, param: str) -> None:
    assert refused(**asked) == (failure, param)


def test_background_false_and_nulls_are_no_requests() -> None:
    assert chat(background=False, previous_response_id=None, conversation=None, top_logprobs=0, tools=None)["messages"]


@pytest.mark.parametrize("sealed", [None, 3, "gAAAAABq", MARK + "%%%", MARK + "AAAA", MARK + "é"])
def test_what_others_sealed_opens_to_nothing(sealed: Any) -> None:
    assert opened(sealed) == []
    reasoning = {"type": "reasoning", "summary": [], "encrypted_content": sealed}
    assert [m["role"] for m in chat("anthropic_messages", input=[reasoning, {"role": "user", "content": "x"}])["messages"]] == [
        "user"
    ]


@pytest.mark.parametrize("preset", GENERIC.values())
def test_every_dialect_takes_the_request_and_its_failures_are_told(preset: str) -> None:
    profile = presets()[preset].profile
    dialect = dialects(lambda: 1.0)[profile.dialect]
    endpoint = Endpoint(name="e", provider="p", profile=profile, base_url="https://api.example", model="m-1", key="k")
    request = decoded(
        stream=True, tools=[{"type": "function", "name": "f", "parameters": {"type": "object"}}], tool_choice="auto"
    )
    assert b"Hi" in dialect.encode(request, endpoint).body
    told = dialect.translator(request, endpoint)
    assert told.end() == b""
    assert told.fault is not None
    assert b"response.failed" in told.interrupted(told.fault)
