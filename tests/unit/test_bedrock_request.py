"""Requests as Converse has them: what each field becomes, what is refused, what is dropped and listed."""

import base64
import json
from typing import Any

import pytest
from bedrock_support import CLAUDE, NOVA, USER, Json, called, dropped, endpoint, result, sent, tool

from fastroute.core.failures import Failure, FaultError
from fastroute.core.types import Capabilities
from fastroute.dialects.bedrock_blocks import BlockMaker
from fastroute.dialects.bedrock_request import converse_request, is_claude
from fastroute.dialects.canonical import Conversation, Opaque, Text, ToolResult, Turn

PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
LLAMA = "meta.llama3-3-70b-instruct-v1:0"


def refused(*messages: Json, **members: Any) -> tuple[Failure, str | None]:
    with pytest.raises(FaultError) as caught:
        sent(*messages, **members)
    return caught.value.fault.failure, caught.value.fault.param


def system(text: str) -> Json:
    return {"role": "system", "content": text}


def content(*parts: Json, role: str = "user") -> Json:
    return {"role": role, "content": list(parts)}


def test_a_plain_request() -> None:
    assert sent(system("Be brief."), {"role": "developer", "content": "And kind."}, USER) == {
        "system": [{"text": "Be brief."}, {"text": "And kind."}],
        "messages": [{"role": "user", "content": [{"text": "Hi"}]}],
        "inferenceConfig": {},
    }


def test_roles_alternate_and_blank_text_is_left_out() -> None:
    said = sent(USER, {"role": "assistant", "content": ""}, USER, {"role": "assistant", "content": "Well, "})
    assert said["messages"] == [
        {"role": "user", "content": [{"text": "Hi"}, {"text": "Hi"}]},
        {"role": "assistant", "content": [{"text": "Well,"}]},
    ]
    assert sent(system("Say hi"))["messages"] == [{"role": "user", "content": [{"text": "Say hi"}]}]
    assert refused({"role": "user", "content": " "}) == (Failure.BAD_REQUEST, "messages")


def test_calls_and_their_results() -> None:
    calls = called(("a", "f.g", '{"x": 1.50}'), ("b", "h", ""))
    said = sent(USER, calls, result("a", "1"), result("b", [{"type": "text", "text": "2"}]), USER, tools=[tool("f.g"), tool("h")])
    _, assistant, answers = said["messages"]
    assert [b["toolUse"]["toolUseId"] for b in assistant["content"]] == ["a", "b"]
    assert [b["toolUse"]["input"] for b in assistant["content"]] == [{"x": 1.5}, {}]
    name = assistant["content"][0]["toolUse"]["name"]
    assert name == said["toolConfig"]["tools"][0]["toolSpec"]["name"] != "f.g"
    assert answers["content"] == [
        {"toolResult": {"toolUseId": "a", "content": [{"text": "1"}]}},
        {"toolResult": {"toolUseId": "b", "content": [{"text": "2"}]}},
        {"text": "Hi"},
    ]


def test_arguments_must_be_an_object() -> None:
    for arguments in ("[1]", "{", "7"):
        assert refused(USER, called(("a", "f", arguments)), result("a", "x"))[0] is Failure.BAD_REQUEST
    said = sent(USER, called(("a", "f", "null")), result("a", ""))
    assert said["messages"][1]["content"][0]["toolUse"]["input"] == {}
    assert said["messages"][2]["content"][0]["toolResult"]["content"] == [{"text": "(no output)"}]


def test_trap_26_history_with_tools_always_has_tool_config() -> None:
    history = (USER, called(("a", "f", "{}")), result("a", "1"))
    assert [t["toolSpec"]["name"] for t in sent(*history)["toolConfig"]["tools"]] == ["f"]
    said = sent(*history, tools=[tool("g")], tool_choice="none")
    assert said["toolConfig"].keys() == {"tools"}
    assert "tool_choice" in dropped(*history, tools=[tool("g")], tool_choice="none")
    assert "toolConfig" not in sent(USER, tools=[tool("g")], tool_choice="none")
    assert dropped(USER, tools=[tool("g")], tool_choice="none") == ()


def test_trap_26_list_content_of_results() -> None:
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + PNG}}
    said = sent(USER, called(("a", "f", "{}")), result("a", [{"type": "text", "text": "see"}, part]))
    assert said["messages"][2]["content"][0]["toolResult"]["content"] == [
        {"text": "see"},
        {"image": {"format": "png", "source": {"bytes": PNG}}},
    ]


def test_an_error_of_a_tool_is_told() -> None:
    turns = (Turn("user", (ToolResult("a", (Text("no"),), is_error=True),)),)
    said = json.loads(converse_request(Conversation("m", turns), endpoint()).body)
    assert said["messages"][0]["content"] == [{"toolResult": {"toolUseId": "a", "content": [{"text": "no"}], "status": "error"}}]


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("auto", {"auto": {}}),
        ("required", {"any": {}}),
        ({"type": "function", "function": {"name": "f"}}, {"tool": {"name": "f"}}),
    ],
)
def test_tool_choices(choice: Any, expected: Json) -> None:
    assert sent(USER, tools=[tool("f")], tool_choice=choice)["toolConfig"]["toolChoice"] == expected


def test_tools() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}}
    said = sent(USER, tools=[tool("f", description="d", parameters=schema, strict=True), tool("g")])["toolConfig"]
    assert said["tools"] == [
        {"toolSpec": {"name": "f", "description": "d", "inputSchema": {"json": schema}, "strict": True}},
        {"toolSpec": {"name": "g", "inputSchema": {"json": {"type": "object", "properties": {}}}}},
    ]
    assert "toolChoice" not in said
    assert refused(USER, tools=[{"type": "web_search"}])[0] is Failure.UNSUPPORTED
    assert refused(USER, functions=[{"name": "f"}]) == (Failure.UNSUPPORTED, "functions")


def test_one_call_at_a_time() -> None:
    said = sent(USER, tools=[tool("f")], tool_choice="required", parallel_tool_calls=False)
    assert said["additionalModelRequestFields"] == {"tool_choice": {"type": "any", "disable_parallel_tool_use": True}}
    assert "toolChoice" not in said["toolConfig"]
    assert refused(USER, tools=[tool("f")], parallel_tool_calls=False, model=NOVA) == (Failure.UNSUPPORTED, "parallel_tool_calls")


def test_settings() -> None:
    said = sent(USER, max_completion_tokens=9, stop=["END", ""], temperature=1.7, top_p=0.5, model=LLAMA)
    assert said["inferenceConfig"] == {"maxTokens": 9, "stopSequences": ["END"], "temperature": 1.0, "topP": 0.5}
    assert dropped(USER, temperature=1.7, seed=1, logit_bias={"1": 2}, top_k=4, model=LLAMA) == (
        *("temperature", "top_k", "seed", "logit_bias"),
    )
    assert sent(USER, temperature=0.5, top_k=4)["additionalModelRequestFields"] == {"top_k": 4}
    assert sent(USER, top_k=4, model=NOVA)["additionalModelRequestFields"] == {"inferenceConfig": {"topK": 4}}
    assert sent(USER, temperature=0.5, top_p=0.5)["inferenceConfig"] == {"temperature": 0.5}, "newer Claudes take one of them"
    assert dropped(USER, temperature=0.5, top_p=0.5) == ("top_p",)


def test_a_limit_of_the_model_holds() -> None:
    turns = (Turn("user", (Text("hi"),)),)
    for model in (CLAUDE, LLAMA):
        place = endpoint(model, capabilities=Capabilities(max_output_tokens=100))
        said = json.loads(converse_request(Conversation("m", turns, max_output_tokens=500), place).body)
        assert said["inferenceConfig"]["maxTokens"] == 100


def test_reasoning() -> None:
    said = sent(USER, reasoning_effort="low", max_tokens=5000)
    assert said["additionalModelRequestFields"]["thinking"] == {"type": "enabled", "budget_tokens": 1024}
    assert said["inferenceConfig"]["maxTokens"] == 5000
    said = sent(USER, reasoning_effort="high", model="us.anthropic.claude-sonnet-4-6")
    assert said["additionalModelRequestFields"] == {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}
    said = sent(USER, reasoning_effort="high", model=NOVA)
    assert said["additionalModelRequestFields"] == {"reasoningConfig": {"type": "enabled", "maxReasoningEffort": "high"}}
    said = sent(USER, reasoning_effort="low", model="openai.gpt-oss-120b-1:0")
    assert said["additionalModelRequestFields"] == {"reasoning_effort": "low"}
    assert dropped(USER, reasoning_effort="low", model=LLAMA) == ("reasoning_effort",)
    assert "thinking" not in sent(USER, tools=[tool("f")], tool_choice="required", reasoning_effort="low").get(
        "additionalModelRequestFields", {}
    ), "not with a forced tool"


def test_reasoning_of_earlier_turns() -> None:
    blocks = [{"type": "thinking", "thinking": "hm", "signature": "s"}, {"type": "redacted_thinking", "data": "AA=="}]
    assistant = called(("a", "f", "{}"), thinking_blocks=blocks, content="Well")
    said = sent(USER, assistant, result("a", "1"))["messages"][1]["content"]
    assert said[:2] == [
        {"reasoningContent": {"reasoningText": {"text": "hm", "signature": "s"}}},
        {"reasoningContent": {"redactedContent": "AA=="}},
    ]
    unsigned = {"role": "assistant", "content": "Well", "reasoning_content": "hm"}
    assert sent(USER, unsigned, USER)["messages"][1]["content"] == [{"text": "Well"}]
    assert dropped(USER, unsigned, USER) == ("reasoning without signature",)
    kimi = sent(USER, unsigned, USER, model="moonshot.kimi-k2-thinking")["messages"][1]["content"]
    assert kimi[0] == {"reasoningContent": {"reasoningText": {"text": "hm"}}}


def test_images() -> None:
    def image(url: str) -> Json:
        return content({"type": "image_url", "image_url": {"url": url}})

    assert sent(image("data:image/jpeg;base64," + PNG))["messages"][0]["content"] == [
        {"image": {"format": "png", "source": {"bytes": PNG}}},
    ], "as its bytes say"
    assert refused(image("https://x/y.png")) == (Failure.UNSUPPORTED, "messages[0].content[0]")
    assert refused(image("data:image/tiff;base64,AAAA"))[0] is Failure.UNSUPPORTED


def test_documents_have_proper_names_and_a_text_beside_them() -> None:
    def file(name: str, kind: str, data: bytes) -> Json:
        url = f"data:{kind};base64," + base64.b64encode(data).decode()
        return {"type": "file", "file": {"filename": name, "file_data": url}}

    said = sent(content(file("a_b.pdf", "application/pdf", b"%PDF"), file("a.b.pdf", "application/pdf", b"%PDF")))
    first, second, text = said["messages"][0]["content"]
    assert first["document"] == {"format": "pdf", "name": "a b pdf", "source": {"bytes": "JVBERg=="}}
    assert second["document"]["name"] == "a b pdf 2"
    assert text == {"text": "See the document."}
    [csv, *_] = sent(content(file("t.csv", "text/csv", b"a,b")))["messages"][0]["content"]
    assert (csv["document"]["format"], csv["document"]["source"]["bytes"]) == ("csv", "YSxi")
    assert refused(content(file("t.zip", "application/zip", b"PK")))[0] is Failure.UNSUPPORTED
    assert refused(content({"type": "file", "file": {"file_id": "f"}}))[0] is Failure.UNSUPPORTED


def test_parts_without_a_block_are_refused() -> None:
    maker = BlockMaker([], claude=True)
    assert maker.blocks(Opaque("bedrock_converse", {"guardContent": {}}), "x") == [{"guardContent": {}}]
    with pytest.raises(FaultError) as caught:
        maker.blocks(Opaque("gemini", {"type": "fileData"}), "messages[3]")
    assert (caught.value.fault.failure, caught.value.fault.param) == (Failure.UNSUPPORTED, "messages[3]")
    assert refused(content({"type": "text", "text": "x"}, {"type": "video_url", "video_url": {}}))[0] is Failure.UNSUPPORTED


def test_cache_marks_are_blocks_after_what_they_mark() -> None:
    mark = {"cache_control": {"type": "ephemeral"}}
    said = sent(
        content({"type": "text", "text": "long", **mark}, role="system"),
        content(
            {"type": "text", "text": "a", "cache_control": {"type": "ephemeral", "ttl": "1h"}}, {"type": "text", "text": "b"}
        ),
        tools=[tool("f") | mark],
    )
    assert said["system"] == [{"text": "long"}, {"cachePoint": {"type": "default"}}]
    assert said["messages"][0]["content"] == [{"text": "a"}, {"cachePoint": {"type": "default", "ttl": "1h"}}, {"text": "b"}]
    assert said["toolConfig"]["tools"][1] == {"cachePoint": {"type": "default"}}


def test_at_most_four_cache_marks() -> None:
    parts = [{"type": "text", "text": str(i), "cache_control": {"type": "ephemeral"}} for i in range(6)]
    blocks = sent(content(*parts))["messages"][0]["content"]
    assert [blocks[i - 1]["text"] for i, block in enumerate(blocks) if "cachePoint" in block] == ["0", "3", "4", "5"]
    assert dropped(content(*parts)) == ("cache_control beyond four",)


def test_response_formats() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "integer", "minimum": 1}}}
    form = {"type": "json_schema", "json_schema": {"name": "thing", "schema": schema, "strict": True}}
    said = sent(USER, response_format=form)["outputConfig"]["textFormat"]
    assert (said["type"], said["structure"]["jsonSchema"]["name"]) == ("json_schema", "thing")
    assert json.loads(said["structure"]["jsonSchema"]["schema"])["additionalProperties"] is False
    assert dropped(USER, response_format=form) == ("response_format.json_schema.schema: minimum",)
    assert refused(USER, response_format=form, model="anthropic.claude-3-haiku-20240307-v1:0") == (
        *(Failure.UNSUPPORTED, "response_format"),
    )
    assert "JSON" in sent(USER, response_format={"type": "json_object"})["system"][0]["text"]
    assert dropped(USER, response_format={"type": "json_object"}) == ("response_format",)


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"modalities": ["text", "audio"]}, "modalities"),
        ({"audio": {"voice": "x"}}, "audio"),
    ],
)
def test_what_a_client_would_miss_is_refused(members: Json, param: str) -> None:
    assert refused(USER, **members) == (Failure.UNSUPPORTED, param)


def test_identity_and_tier() -> None:
    said = sent(USER, user="u-1", metadata={"team": "a"}, service_tier="priority")
    assert said["requestMetadata"] == {"team": "a", "user": "u-1"}
    assert said["serviceTier"] == {"type": "priority"}
    assert dropped(USER, user="ü", service_tier="scale") == ("service_tier", "user")
    assert dropped(USER, user="u-1", service_tier="auto") == ()


def test_bedrocks_own_members_pass() -> None:
    guard = {"guardrailIdentifier": "g", "guardrailVersion": "1"}
    said = sent(USER, guardrailConfig=guard, top_k=3, additionalModelRequestFields={"x": 1})
    assert said["guardrailConfig"] == guard
    assert said["additionalModelRequestFields"] == {"top_k": 3, "x": 1}
    assert refused(USER, additionalModelRequestFields=7)[0] is Failure.BAD_REQUEST


def test_whose_model_it_is() -> None:
    assert is_claude("arn:aws:bedrock:us-east-1:1:inference-profile/us.anthropic.claude-sonnet-4-6")
    assert not is_claude(NOVA)
