"""Anthropic clients' requests in canonical form: nothing lost, what only Anthropic has refused by name."""

from typing import Any

import pytest
from messages_support import asked, turns

from fastroute.core.failures import Failure, FaultError
from fastroute.dialects.canonical import Document, Image, Opaque, ResponseFormat, Text, Thinking, Tool, ToolCall, ToolChoice
from fastroute.dialects.canonical import ToolResult as Result
from fastroute.dialects.messages_conversation import messages_conversation as canonical
from fastroute.dialects.messages_marks import UNSIGNED, marked

MARK = {"type": "ephemeral"}


def test_system_text_and_cache_marks() -> None:
    system = [{"type": "text", "text": "Be brief.", "cache_control": MARK}]
    said = canonical(asked(system=system, messages=[{"role": "user", "content": [{"type": "text", "text": "Hi"}]}]))
    assert [(turn.role, turn.parts) for turn in said.turns] == [
        ("system", (Text("Be brief.", MARK),)),
        ("user", (Text("Hi"),)),
    ]
    assert canonical(asked(system="Short.")).turns[0].parts == (Text("Short."),)


def test_settings() -> None:
    said = canonical(
        asked(
            temperature=0.5,
            top_p=0.9,
            top_k=5,
            stop_sequences=["END"],
            metadata={"user_id": "u"},
            thinking={"type": "enabled", "budget_tokens": 2000},
            output_config={"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}},
            service_tier="standard_only",
            tool_choice={"type": "any", "disable_parallel_tool_use": True},
            tools=[{"name": "f", "input_schema": {"type": "object"}, "description": "d", "cache_control": MARK}],
            novel=1,
        )
    )
    assert (said.temperature, said.top_p, said.top_k, said.stop, said.user) == (0.5, 0.9, 5, ("END",), "u")
    assert said.thinking == {"type": "enabled", "budget_tokens": 2000}
    assert (said.reasoning_effort, said.service_tier, said.max_output_tokens) == ("low", "default", 100)
    assert said.response_format == ResponseFormat("json_schema", {"type": "object"}, "output", True)
    assert (said.tool_choice, said.parallel_tool_calls) == (ToolChoice("required"), False)
    assert said.tools == (Tool("f", "d", {"type": "object"}, None, MARK),)
    assert {name: bytes(raw) for name, raw in said.extras.items()} == {"novel": b"1"}


@pytest.mark.parametrize(
    ("choice", "wanted"),
    [
        ({"type": "auto"}, ToolChoice("auto")),
        ({"type": "none"}, ToolChoice("none")),
        ({"type": "tool", "name": "f"}, ToolChoice("named", "f")),
    ],
)
def test_tool_choice(choice: dict[str, Any], wanted: ToolChoice) -> None:
    assert canonical(asked(tool_choice=choice)).tool_choice == wanted


def test_blocks() -> None:
    inline = {"type": "base64", "media_type": "image/png", "data": "AAAA"}
    said = canonical(
        turns(
            [
                {"type": "image", "source": inline, "cache_control": MARK},
                {"type": "image", "source": {"type": "url", "url": "https://e.com/a.png"}},
                {"type": "document", "title": "T", "source": {"type": "text", "media_type": "text/plain", "data": "words"}},
                {"type": "document", "source": {**inline, "media_type": "application/pdf"}},
                {"type": "document", "source": {"type": "url", "url": "https://e.com/a.pdf"}},
                {"type": "document", "source": {"type": "file", "file_id": "f1"}},
            ],
            [
                {"type": "thinking", "thinking": "hm", "signature": "SIG"},
                {"type": "redacted_thinking", "data": "XXX"},
                {"type": "text", "text": "let me see"},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {"a": 1}},
                {"type": "server_tool_use", "id": "s1", "name": "web_search", "input": {}},
            ],
            [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "image", "source": inline}], "is_error": True}],
        )
    )
    user, assistant, result = (turn.parts for turn in said.turns)
    assert user == (
        Image(data="AAAA", media_type="image/png", cache_control=MARK),
        Image(url="https://e.com/a.png"),
        Document(data="words", media_type="text/plain", name="T"),
        Document(data="AAAA", media_type="application/pdf"),
        Document(url="https://e.com/a.pdf"),
        Document(file_id="f1"),
    )
    assert assistant[:4] == (Thinking("hm", "SIG"), Thinking(redacted="XXX"), Text("let me see"), ToolCall("t1", "f", '{"a":1}'))
    assert isinstance(assistant[4], Opaque)
    assert result == (Result("t1", (Image(data="AAAA", media_type="image/png"),), is_error=True),)


def test_marks_become_signatures_again() -> None:
    said = canonical(
        turns(
            "Hi",
            [
                {"type": "thinking", "thinking": "hm", "signature": UNSIGNED},
                {"type": "text", "text": "so"},
                {"type": "redacted_thinking", "data": marked("S1", before=False)},
                {"type": "redacted_thinking", "data": marked("S2", before=True)},
                {"type": "tool_use", "id": "t1", "name": "f", "input": {}},
                {"type": "tool_use", "id": "t2", "name": "f", "input": {}},
            ],
        )
    )
    assert said.turns[1].parts == (
        Thinking("hm"),
        Text("so", signature="S1"),
        ToolCall("t1", "f", "{}", "S2"),
        ToolCall("t2", "f", "{}"),
    )


@pytest.mark.parametrize(
    ("members", "failure", "param"),
    [
        ({"tools": [{"type": "web_search_20250305", "name": "web_search"}]}, Failure.UNSUPPORTED, "tools[0].type"),
        ({"mcp_servers": [{"url": "x"}]}, Failure.UNSUPPORTED, "mcp_servers"),
        ({"container": "c"}, Failure.UNSUPPORTED, "container"),
        ({"tools": [{"input_schema": {}}]}, Failure.BAD_REQUEST, "tools[0].name"),
        ({"tools": [{"name": "f", "input_schema": []}]}, Failure.BAD_REQUEST, "tools[0].input_schema"),
        ({"tool_choice": {"type": "some"}}, Failure.BAD_REQUEST, "tool_choice.type"),
        ({"tool_choice": {"type": "tool"}}, Failure.BAD_REQUEST, "tool_choice.name"),
        ({"output_config": {"format": {"type": "xml"}}}, Failure.BAD_REQUEST, "output_config.format"),
        ({"messages": [{"role": "robot", "content": "x"}]}, Failure.BAD_REQUEST, "messages[0].role"),
        ({"messages": [{"role": "user", "content": [{"type": "text"}]}]}, Failure.BAD_REQUEST, "messages[0].content[0].text"),
        ({"messages": [{"role": "user", "content": [{"type": "image"}]}]}, Failure.BAD_REQUEST, "messages[0].content[0].source"),
    ],
)
def test_refusals_name_the_member(members: dict[str, Any], failure: Failure, param: str) -> None:
    with pytest.raises(FaultError) as caught:
        canonical(asked(**members))
    assert (caught.value.fault.failure, caught.value.fault.param) == (failure, param)
