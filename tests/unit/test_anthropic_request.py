"""Whole conversations as Messages bodies: every setting, and what is refused, dropped or weakened."""

from typing import Any

import msgspec
import pytest
from anthropic.types import MessageCreateParams
from pydantic import TypeAdapter

from fastroute.core.failures import Failure, FaultError
from fastroute.core.types import Capabilities, Endpoint, Profile
from fastroute.dialects.anthropic_request import JSON_INSTRUCTION, messages_body, messages_request
from fastroute.dialects.canonical import (
    Conversation,
    Document,
    ResponseFormat,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)

PARAMS: TypeAdapter[Any] = TypeAdapter(MessageCreateParams)
PROFILE = Profile("anthropic", "anthropic_messages", "/v1/messages", auth="x-api-key")
HELLO = (Turn("user", (Text("hello"),)),)
MARK = {"type": "ephemeral"}
WEATHER = Tool("get_weather", "Weather", {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]})
LOOP = (
    *HELLO,
    Turn("assistant", (ToolCall("c1", "get_weather", '{"city": "Bonn"}'),)),
    Turn("user", (ToolResult("c1", (Text("sunny"),)),)),
)
STRICT = {"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"], "additionalProperties": False}


def endpoint(model: str = "claude-sonnet-4-0", **capabilities: Any) -> Endpoint:
    return Endpoint("e", "anthropic", PROFILE, "http://x", model, capabilities=Capabilities(**capabilities))


def translated(
    *, model: str = "claude-sonnet-4-0", turns: tuple[Turn, ...] = HELLO, **asked: Any
) -> tuple[dict[str, Any], tuple[str, ...]]:
    if "extras" in asked:
        asked["extras"] = {key: msgspec.Raw(msgspec.json.encode(value)) for key, value in asked["extras"].items()}
    request = messages_request(Conversation("auto", turns, **asked), endpoint(model))
    body = msgspec.json.decode(request.body)
    PARAMS.validate_python(body)
    return body, request.dropped


def body(**asked: Any) -> dict[str, Any]:
    return translated(**asked)[0]


def dropped(**asked: Any) -> tuple[str, ...]:
    return translated(**asked)[1]


def refusal(**asked: Any) -> tuple[Failure, str | None]:
    with pytest.raises(FaultError) as caught:
        translated(**asked)
    return caught.value.fault.failure, caught.value.fault.param


def test_the_least_request() -> None:
    assert translated() == (
        {"model": "claude-sonnet-4-0", "max_tokens": 4096, "messages": [{"role": "user", "content": "hello"}]},
        (),
    )
    assert (
        messages_body(Conversation("auto", HELLO), endpoint()) == messages_request(Conversation("auto", HELLO), endpoint()).body
    )


def test_the_model_is_the_endpoints_and_streams_are_asked_for() -> None:
    assert body(model="claude-opus-4-6", stream=True)["model"] == "claude-opus-4-6"
    assert body(stream=True)["stream"] is True
    assert "stream" not in body(stream=False)


def test_system_prompt() -> None:
    assert body(turns=(Turn("system", (Text("Be brief."),)), *HELLO))["system"] == "Be brief."


# --- refused ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"choices": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"top_logprobs": 3}, "top_logprobs"),
        ({"stop": ("ok", "\n")}, "stop"),
        ({"extras": {"audio": {"voice": "alloy"}}}, "audio"),
        ({"extras": {"functions": [{"name": "f"}]}}, "functions"),
        ({"extras": {"web_search_options": {}}}, "web_search_options"),
        ({"extras": {"modalities": ["text", "audio"]}}, "modalities"),
        ({"reasoning_effort": "turbo"}, "reasoning_effort"),
        ({"response_format": ResponseFormat("json_schema", STRICT)}, "response_format"),
        ({"model": "claude-fable-5-1", "tools": (WEATHER,), "tool_choice": ToolChoice("required")}, "tool_choice"),
    ],
)
def test_what_the_client_would_miss_is_refused(asked: dict[str, Any], param: str) -> None:
    assert refusal(**asked) == (Failure.UNSUPPORTED, param)


@pytest.mark.parametrize(
    "asked",
    [
        {"logprobs": False, "top_logprobs": 0},
        {"extras": {"functions": [], "audio": None, "web_search_options": None}},
        {"extras": {"modalities": ["text"]}},
        {"response_format": ResponseFormat("text")},
    ],
)
def test_neutral_values_are_not_refused(asked: dict[str, Any]) -> None:
    assert translated(**asked) == translated()


def test_a_broken_call_is_a_bad_request() -> None:
    turns = (*HELLO, Turn("assistant", (ToolCall("c", "f", "{"),)))
    assert refusal(turns=turns) == (Failure.BAD_REQUEST, "messages[1].tool_calls[0].function.arguments")


# --- settings ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("asked", "sent"), [(0.0, 0.0), (0.7, 0.7), (1.0, 1.0), (1.7, 1.0), (2, 1.0)])
def test_temperature_is_clamped(asked: float, sent: float) -> None:
    out, lost = translated(temperature=asked)
    assert out["temperature"] == sent
    assert lost == (("temperature",) if asked != sent else ())


def test_sampling_goes_with_older_models() -> None:
    out = body(temperature=0.5, top_p=0.9, top_k=40)
    assert (out["temperature"], out["top_p"], out["top_k"]) == (0.5, 0.9, 40)


def test_models_that_take_one_of_temperature_and_top_p_get_the_temperature() -> None:
    out, lost = translated(model="claude-sonnet-4-5", temperature=0.5, top_p=0.9)
    assert (out["temperature"], "top_p" in out, lost) == (0.5, False, ("top_p",))
    assert body(model="claude-sonnet-4-5", top_p=0.9)["top_p"] == 0.9
    assert dropped(model="claude-sonnet-4-5", temperature=0.5, top_p=1.0) == (), "1 is the default: nothing is lost"


def test_models_without_sampling_get_none_of_it() -> None:
    out, lost = translated(model="claude-opus-4-7", temperature=0.5, top_p=0.9, top_k=40)
    assert not {"temperature", "top_p", "top_k"} & out.keys()
    assert lost == ("temperature", "top_p", "top_k")
    assert dropped(model="claude-opus-4-7", temperature=1, top_p=1) == ()


def test_thinking_excludes_temperature_and_top_k() -> None:
    out, lost = translated(reasoning_effort="low", temperature=0.2, top_k=5, top_p=0.97)
    assert out["thinking"] == {"type": "enabled", "budget_tokens": 1024}
    assert not {"temperature", "top_k"} & out.keys()
    assert out["top_p"] == 0.97
    assert lost == ("temperature", "top_k")
    assert dropped(reasoning_effort="low", top_p=0.5) == ("top_p",)


def test_stop_user_and_tier() -> None:
    out = body(stop=("END", "\nUser:"), user="u-1", service_tier="default")
    assert out["stop_sequences"] == ["END", "\nUser:"]
    assert out["metadata"] == {"user_id": "u-1"}
    assert out["service_tier"] == "standard_only"
    assert body(service_tier="auto")["service_tier"] == "auto"
    assert translated(service_tier="flex") == (body(), ("service_tier",))
    assert len(body(user="x" * 300)["metadata"]["user_id"]) == 64


def test_effort_on_an_adaptive_model() -> None:
    out = body(model="claude-opus-4-6", reasoning_effort="medium")
    assert (out["thinking"], out["output_config"]) == ({"type": "adaptive"}, {"effort": "medium"})


def test_a_forced_tool_wins_over_budgeted_thinking() -> None:
    forced: dict[str, Any] = {"tools": (WEATHER,), "tool_choice": ToolChoice("required"), "reasoning_effort": "high"}
    out, lost = translated(**forced)
    assert ("thinking" in out, out["tool_choice"], lost) == (False, {"type": "any"}, ("reasoning_effort",))
    out, lost = translated(model="claude-opus-4-6", **forced)
    assert (out["thinking"], out["tool_choice"], lost) == ({"type": "adaptive"}, {"type": "any"}, ())


def test_thinking_goes_on_in_a_tool_loop_only_with_its_signature() -> None:
    assert dropped(turns=LOOP, tools=(WEATHER,), reasoning_effort="low") == ("reasoning_effort",)
    signed = Turn("assistant", (Thinking("hm", "sig"), *LOOP[1].parts))
    out, lost = translated(turns=(LOOP[0], signed, LOOP[2]), tools=(WEATHER,), reasoning_effort="low")
    assert out["thinking"]["type"] == "enabled"
    assert out["messages"][1]["content"][0] == {"type": "thinking", "thinking": "hm", "signature": "sig"}
    assert lost == ()


# --- output format ----------------------------------------------------------------------------------------------------


def test_json_schema() -> None:
    out, lost = translated(model="claude-sonnet-4-5", response_format=ResponseFormat("json_schema", STRICT, "n", True))
    assert out["output_config"] == {"format": {"type": "json_schema", "schema": STRICT}}
    assert lost == ()


def test_json_schema_beside_the_effort() -> None:
    out = body(model="claude-opus-4-6", reasoning_effort="low", response_format=ResponseFormat("json_schema", STRICT))
    assert out["output_config"] == {"effort": "low", "format": {"type": "json_schema", "schema": STRICT}}


def test_a_weakened_schema_is_told() -> None:
    bounded = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}
    out, lost = translated(model="claude-sonnet-4-5", response_format=ResponseFormat("json_schema", bounded))
    assert out["output_config"]["format"]["schema"]["properties"]["n"] == {"type": "integer", "description": "{minimum: 1}"}
    assert lost == ("response_format.json_schema.schema: minimum",)


def test_what_the_configuration_says_of_schemas_wins() -> None:
    asked = Conversation("auto", HELLO, response_format=ResponseFormat("json_schema", STRICT))
    assert b"json_schema" in messages_body(asked, endpoint("claude-3-opus", json_schema=True))
    with pytest.raises(FaultError):
        messages_body(asked, endpoint("claude-sonnet-4-5", json_schema=False))


def test_a_missing_schema_is_a_bad_request() -> None:
    asked = {"model": "claude-sonnet-4-5", "response_format": ResponseFormat("json_schema")}
    assert refusal(**asked) == (Failure.BAD_REQUEST, "response_format.json_schema.schema")


def test_a_json_object_is_asked_for_in_words_and_told() -> None:
    out, lost = translated(turns=(Turn("system", (Text("Hi."),)), *HELLO), response_format=ResponseFormat("json_object"))
    assert out["system"] == f"Hi.\n\n{JSON_INSTRUCTION}"
    assert lost == ("response_format",)


# --- tools ------------------------------------------------------------------------------------------------------------


def test_tools() -> None:
    out = body(tools=(WEATHER, Tool("ping"), Tool("open", schema={"properties": {"a": {}}}, cache_control=MARK)))
    assert out["tools"] == [
        {"name": "get_weather", "description": "Weather", "input_schema": WEATHER.schema},
        {"name": "ping", "input_schema": {"type": "object", "properties": {}}},
        {"name": "open", "input_schema": {"type": "object", "properties": {"a": {}}}, "cache_control": MARK},
    ]
    assert "tool_choice" not in out


@pytest.mark.parametrize(
    ("choice", "parallel", "sent"),
    [
        (None, None, None),
        (None, True, None),
        (None, False, {"type": "auto", "disable_parallel_tool_use": True}),
        (ToolChoice("none"), False, {"type": "none"}),
        (ToolChoice("auto"), None, {"type": "auto"}),
        (ToolChoice("required"), None, {"type": "any"}),
        (ToolChoice("required"), False, {"type": "any", "disable_parallel_tool_use": True}),
        (ToolChoice("named", "get_weather"), None, {"type": "tool", "name": "get_weather"}),
    ],
)
def test_tool_choice(choice: ToolChoice | None, parallel: bool | None, sent: dict[str, Any] | None) -> None:
    assert body(tools=(WEATHER,), tool_choice=choice, parallel_tool_calls=parallel).get("tool_choice") == sent


def test_a_choice_without_tools_is_left_out() -> None:
    assert "tool_choice" not in body(tool_choice=ToolChoice("auto"), parallel_tool_calls=False)


def test_one_name_everywhere() -> None:
    turns = (*HELLO, Turn("assistant", (ToolCall("c", "a.b", ""),)), Turn("user", (ToolResult("c"),)))
    out = body(turns=turns, tools=(Tool("a.b"),), tool_choice=ToolChoice("named", "a.b"))
    name = out["tools"][0]["name"]
    assert "." not in name
    assert out["messages"][1]["content"][0]["name"] == name == out["tool_choice"]["name"]


def test_strict_tools() -> None:
    strict = Tool("f", schema=STRICT, strict=True)
    assert body(model="claude-sonnet-4-5", tools=(strict,))["tools"][0] == {"name": "f", "input_schema": STRICT, "strict": True}
    out, lost = translated(tools=(strict,))
    assert ("strict" in out["tools"][0], lost) == (False, ("tools[].function.strict",)), "the model does not know strict tools"
    bounded = Tool("f", schema={"type": "object", "properties": {"n": {"type": "integer", "minimum": 1}}}, strict=True)
    out, lost = translated(model="claude-sonnet-4-5", tools=(bounded,))
    assert out["tools"][0] == {"name": "f", "input_schema": bounded.schema}, "a tool keeps its schema before its strictness"
    assert lost == ("tools[].function.strict",)


def test_used_tools_that_are_offered_no_more_are_declared_and_forbidden() -> None:
    out = body(turns=LOOP)
    assert out["tools"] == [{"name": "get_weather", "input_schema": {"type": "object", "properties": {}}}]
    assert out["tool_choice"] == {"type": "none"}


# --- the rest ---------------------------------------------------------------------------------------------------------


def test_what_only_tunes_is_dropped_and_told() -> None:
    out, lost = translated(
        seed=7,
        metadata={"a": "b"},
        extras={
            "presence_penalty": 0.5,
            "logit_bias": {"1": 2},
            "store": True,
            "frequency_penalty": 0,
            "stream_options": {"a": 1},
        },
    )
    assert out == body()
    assert lost == ("seed", "metadata", "presence_penalty", "logit_bias", "store")


def test_anthropics_own_members_pass() -> None:
    out, lost = translated(extras={"cache_control": MARK, "speed": "fast", "output_config": {"effort": "max"}})
    assert (out["cache_control"], out["speed"], out["output_config"]) == (MARK, "fast", {"effort": "max"})
    assert lost == ()


def test_cache_marks_of_tools_system_and_messages_are_counted_together() -> None:
    turns = (Turn("system", (Text("s", cache_control=MARK),)), *[Turn("user", (Text("u", cache_control=MARK),))] * 3)
    out, lost = translated(turns=turns, tools=(Tool("f", cache_control=MARK),))
    assert msgspec.json.encode(out).count(b"cache_control") == 4
    assert "cache_control" in out["tools"][0]
    assert lost == ("cache_control beyond four",)


def test_a_file_id_asks_for_its_beta() -> None:
    turns = (Turn("user", (Text("read"), Document(file_id="file_1"))),)
    assert messages_request(Conversation("auto", turns), endpoint()).betas == ("files-api-2025-04-14",)
    assert messages_request(Conversation("auto", HELLO), endpoint()).betas == ()


def test_the_conversation_is_not_touched_and_gives_the_same_body_again() -> None:
    turns = (Turn("system", (Text("s", cache_control=MARK),)), *LOOP)
    asked = Conversation("auto", turns, tools=(WEATHER,), reasoning_effort="low", response_format=ResponseFormat("json_object"))
    before = msgspec.json.encode(asked)
    first, second = (messages_body(asked, endpoint()) for _ in range(2))
    assert first == second
    assert msgspec.json.encode(asked) == before
