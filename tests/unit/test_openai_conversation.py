"""OpenAI chat requests in canonical form: every member has its place, and what is wrong is named."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai_support import ask, streaming

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.dialects.canonical import (
    Conversation,
    Image,
    Opaque,
    Refusal,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from fastroute.dialects.openai_conversation import conversation

Json = dict[str, Any]
USER = {"role": "user", "content": "Hi"}
MARK = {"type": "ephemeral"}
CALL = {"id": "c1", "type": "function", "function": {"name": "add", "arguments": '{"a": 1.0}'}}


def read(body: Json | None = None, **members: Any) -> Conversation:
    return conversation(ask(body, **members))


def turns(*messages: Json) -> tuple[Turn, ...]:
    return read(messages=list(messages)).turns


def refused(failure: Failure = Failure.BAD_REQUEST, **members: Any) -> Fault:
    request = ask(**members)
    with pytest.raises(FaultError) as caught:
        conversation(request)
    fault = caught.value.fault
    assert fault.failure is failure
    assert fault.param is not None
    return fault


# --- turns --------------------------------------------------------------------------------------------------------------


def test_roles() -> None:
    said = turns(
        {"role": "system", "content": "Be kind."},
        {"role": "developer", "content": "Be brief."},
        {"role": "user", "content": "Hi", "name": "Ann"},
        {"role": "assistant", "content": "Hello"},
    )
    assert said == (
        Turn("system", (Text("Be kind."),)),
        Turn("system", (Text("Be brief."),)),
        Turn("user", (Text("Hi"),), "Ann"),
        Turn("assistant", (Text("Hello"),)),
    )


def test_parts_keep_their_order() -> None:
    content = [{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://x"}}, {"type": "odd"}, "b"]
    [turn] = turns({"role": "user", "content": content})
    assert turn.parts == (Text("a"), Image("https://x"), Opaque("openai_chat", {"type": "odd"}), Text("b"))


def test_an_answer_is_reasoning_then_text_then_calls() -> None:
    [turn] = turns({"role": "assistant", "content": "I add.", "reasoning_content": "Hm", "refusal": "no", "tool_calls": [CALL]})
    assert turn.parts == (Thinking("Hm"), Text("I add."), Refusal("no"), ToolCall("c1", "add", '{"a": 1.0}'))


def test_arguments_are_kept_as_written_and_may_be_missing() -> None:
    def arguments(value: Any) -> str:
        [turn] = turns({"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": value}}]})
        [part] = turn.parts
        assert isinstance(part, ToolCall)
        return part.arguments

    assert arguments('{ "x" : 1.0 }') == '{ "x" : 1.0 }'
    assert arguments("not json") == "not json", "what the model wrote is not ours to judge"
    assert (arguments(""), arguments(None)) == ("", "")
    assert json.loads(arguments({"x": 1})) == {"x": 1}


@pytest.mark.parametrize(
    ("message", "parts"),
    [
        ({"reasoning": "Hm"}, (Thinking("Hm"),)),
        ({"reasoning_content": "", "reasoning": None}, ()),
        (
            {"reasoning_content": "Hm", "thinking_blocks": [{"type": "thinking", "thinking": "Hm", "signature": "s"}]},
            (Thinking("Hm", "s"),),
        ),
        (
            {
                "thinking_blocks": [
                    {"type": "redacted_thinking", "data": "x"},
                    {"type": "thinking", "thinking": "", "signature": "s"},
                ]
            },
            (Thinking(redacted="x"), Thinking("", "s")),
        ),
        ({"reasoning_details": [{"type": "reasoning.text", "text": "Hm", "signature": "s"}]}, (Thinking("Hm", "s"),)),
        ({"thinking_blocks": [], "reasoning_content": "Hm"}, (Thinking("Hm"),)),
        ({"thinking_blocks": [{"type": "thinking", "thinking": ""}]}, ()),
    ],
)
def test_reasoning_of_earlier_turns(message: Json, parts: tuple[Any, ...]) -> None:
    """Trap 18: signed blocks go back as they came, also those with a signature alone."""
    [turn] = turns({"role": "assistant", "content": None, **message})
    assert turn.parts == parts


def test_results_that_follow_one_another_are_one_turn() -> None:
    """Trap 24."""
    said = turns(
        USER,
        {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "c2"}]},
        {"role": "tool", "tool_call_id": "c1", "content": "1"},
        {"role": "tool", "tool_call_id": "c2", "content": [{"type": "text", "text": "2"}], "is_error": True},
        USER,
        {"role": "tool", "tool_call_id": "c3", "content": None, "cache_control": MARK},
    )
    assert [turn.role for turn in said] == ["user", "assistant", "user", "user", "user"]
    assert said[2].parts == (ToolResult("c1", (Text("1"),)), ToolResult("c2", (Text("2"),), True))
    assert said[4].parts == (ToolResult("c3", (), cache_control=MARK),)


def test_legacy_calls_and_results_find_each_other() -> None:
    _, called, answered = turns(
        USER,
        {"role": "assistant", "content": None, "function_call": {"name": "add", "arguments": "{}"}},
        {"role": "function", "name": "add", "content": "3"},
    )
    [call], [result] = called.parts, answered.parts
    assert isinstance(call, ToolCall)
    assert isinstance(result, ToolResult)
    assert (call.name, call.arguments, call.id) == ("add", "{}", result.call_id)


def test_cache_marks() -> None:
    [turn] = turns({"role": "user", "content": [{"type": "text", "text": "a", "cache_control": MARK}, "b"]})
    assert turn.parts == (Text("a", MARK), Text("b"))
    [turn] = turns({"role": "system", "content": "abc", "cache_control": MARK})
    assert turn.parts == (Text("abc", MARK),)


# --- settings -----------------------------------------------------------------------------------------------------------


def test_nothing_said_is_nothing_known() -> None:
    assert read() == Conversation("auto", (Turn("user", (Text("Hi"),)),))
    nulls = dict.fromkeys(("temperature", "top_p", "tools", "tool_choice", "stop", "seed", "user", "metadata", "n", "logprobs"))
    assert read(nulls) == read()


def test_every_setting_has_its_place() -> None:
    given = {
        "temperature": 0,
        "top_p": 0.5,
        "top_k": 40,
        "parallel_tool_calls": False,
        "reasoning_effort": "low",
        "thinking": {"type": "enabled", "budget_tokens": 2000},
        "logprobs": True,
        "top_logprobs": 3,
        "seed": 7,
        "user": "u",
        "metadata": {"k": "v"},
        "service_tier": "flex",
    }
    found = read(given)
    assert {name: getattr(found, name) for name in given} == given
    assert found.extras == {}
    assert read(n=4).choices == 4
    assert conversation(streaming()).stream


def test_output_limits() -> None:
    assert read(max_tokens=5).max_output_tokens == 5
    assert read(max_completion_tokens=6).max_output_tokens == 6
    assert read(max_tokens=5, max_completion_tokens=6).max_output_tokens == 6


def test_stop() -> None:
    assert read(stop="a").stop == ("a",)
    assert read(stop=["a", "b"]).stop == ("a", "b")


def test_other_members_are_extras_as_sent() -> None:
    found = read(frequency_penalty=0.5, modalities=["text"], verbosity=None, fastroute_x=1, models=["a"])
    assert {name: bytes(raw) for name, raw in found.extras.items()} == {
        "frequency_penalty": b"0.5",
        "modalities": b'["text"]',
        "models": b'["a"]',
    }


# --- tools and formats --------------------------------------------------------------------------------------------------

SCHEMA = {"type": "object", "properties": {"a": {"type": "number"}}}


def test_tools() -> None:
    function = {"name": "add", "description": "Adds", "parameters": SCHEMA, "strict": True}
    assert read(tools=[{"type": "function", "function": function}]).tools == (Tool("add", "Adds", SCHEMA, True),)
    assert read(tools=[{"function": {"name": "add"}, "cache_control": MARK}]).tools == (Tool("add", cache_control=MARK),)
    assert read(functions=[function]).tools == (Tool("add", "Adds", SCHEMA, True),)


@pytest.mark.parametrize(
    ("choice", "expected"),
    [
        ("none", ToolChoice("none")),
        ("auto", ToolChoice("auto")),
        ("required", ToolChoice("required")),
        ("any", ToolChoice("required")),
        ({"type": "function", "function": {"name": "f"}}, ToolChoice("named", "f")),
    ],
)
def test_tool_choices(choice: Any, expected: ToolChoice) -> None:
    assert read(tool_choice=choice).tool_choice == expected


def test_a_legacy_choice() -> None:
    assert read(function_call={"name": "f"}).tool_choice == ToolChoice("named", "f")
    assert read(function_call="auto").tool_choice == ToolChoice("auto")


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "text"}, ResponseFormat("text")),
        ({"type": "json_object"}, ResponseFormat("json_object")),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "schema": SCHEMA, "strict": True}},
            ResponseFormat("json_schema", SCHEMA, "n", True),
        ),
        ({"type": "json_schema", "json_schema": {"name": "n"}}, ResponseFormat("json_schema", None, "n")),
    ],
)
def test_response_formats(given: Json, expected: ResponseFormat) -> None:
    assert read(response_format=given).response_format == expected


# --- refusals -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"messages": [{"role": "tool", "content": "x"}]}, "messages[0].tool_call_id"),
        ({"messages": [USER, {"role": "assistant", "tool_calls": 7}]}, "messages[1].tool_calls"),
        ({"messages": [{"role": "assistant", "tool_calls": [7]}]}, "messages[0].tool_calls[0]"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "c"}]}]}, "messages[0].tool_calls[0].function"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "f"}}]}]}, "messages[0].tool_calls[0].id"),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "function": {}}]}]},
            "messages[0].tool_calls[0].function.name",
        ),
        (
            {"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "function": {"name": "f", "arguments": 7}}]}]},
            "messages[0].tool_calls[0].function.arguments",
        ),
        ({"tools": [{"type": "function"}]}, "tools[0].function"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function.name"),
        ({"tools": [{"function": {"name": "f", "parameters": []}}]}, "tools[0].function.parameters"),
        ({"tool_choice": "maybe"}, "tool_choice"),
        ({"tool_choice": {"type": "function"}}, "tool_choice"),
        ({"tool_choice": 7}, "tool_choice"),
        ({"stop": 7}, "stop"),
        ({"stop": [7]}, "stop"),
        ({"top_k": "many"}, "top_k"),
        ({"top_k": True}, "top_k"),
        ({"seed": 1.5}, "seed"),
        ({"user": 7}, "user"),
        ({"metadata": []}, "metadata"),
        ({"thinking": "much"}, "thinking"),
        ({"logprobs": "yes"}, "logprobs"),
        ({"reasoning_effort": 3}, "reasoning_effort"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"response_format": {"type": "json_schema", "json_schema": {"schema": 7}}}, "response_format.json_schema"),
    ],
)
def test_what_is_malformed_is_named(members: Json, param: str) -> None:
    fault = refused(**members)
    assert fault.param == param
    assert param in fault.message


@pytest.mark.parametrize(
    ("members", "param"),
    [
        ({"messages": [{"role": "narrator", "content": "x"}]}, "messages[0].role"),
        ({"messages": [{"role": "assistant", "tool_calls": [{"id": "c", "type": "custom"}]}]}, "messages[0].tool_calls[0].type"),
        ({"tools": [{"type": "custom", "custom": {"name": "sql"}}]}, "tools[0].type"),
        ({"tool_choice": {"type": "allowed_tools", "allowed_tools": {}}}, "tool_choice"),
        ({"response_format": {"type": "grammar"}}, "response_format.type"),
    ],
)
def test_what_only_openai_may_know_is_for_another_endpoint(members: Json, param: str) -> None:
    fault = refused(Failure.UNSUPPORTED, **members)
    assert fault.param == param
    assert fault.rule.failover


ANY = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 5) | st.text(max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["type", "text", "role", "content", "id", "function", "name", "arguments", "url", "image_url", "thinking"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=10,
)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["system", "user", "assistant", "tool", "function", "x"])},
    optional={"content": ANY, "tool_calls": ANY, "thinking_blocks": ANY, "tool_call_id": ANY, "name": ANY, "function_call": ANY},
)


@given(st.lists(MESSAGE, min_size=1, max_size=3), st.dictionaries(st.sampled_from(["tools", "tool_choice", "stop", "user"]), ANY))
def test_any_request_the_api_lets_in_is_read_or_refused(messages: list[Json], members: Json) -> None:
    def outcome() -> Conversation | Fault:
        try:
            return read({"messages": messages, **members})
        except FaultError as caught:
            return caught.fault

    found = outcome()
    assert isinstance(found, Conversation) or found.failure in (Failure.BAD_REQUEST, Failure.UNSUPPORTED)
