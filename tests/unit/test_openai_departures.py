"""What providers do not take of OpenAI's request, one test for each departure that wire notes name; by the shipped presets."""

import json
import re
from typing import Any

import pytest

from fastroute.config.presets import presets
from fastroute.core.failures import Failure, FaultError
from fastroute.core.types import Departures, Endpoint, Profile
from fastroute.dialects.openai_chat import OpenAIChatApi
from fastroute.dialects.openai_dialect import OpenAIDialect

Json = dict[str, Any]
DIALECT, API = OpenAIDialect(lambda: 1.0), OpenAIChatApi()
USER = {"role": "user", "content": "Hi"}
SCHEMA = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object"}}}
CALL = {"id": "call_0123456789abcdef", "type": "function", "function": {"name": "f", "arguments": "{}"}}


def sent(provider: str | Profile, **members: Any) -> Json:
    """The body that goes to the provider."""
    profile = presets()[provider].profile if isinstance(provider, str) else provider
    endpoint = Endpoint("e", profile.name, profile, "https://x.example", "m-1", key="k")
    body = {"model": "m", "messages": [USER], **members}
    got: Json = json.loads(DIALECT.encode(API.decode(json.dumps(body).encode(), "req-1", 0.0), endpoint).body)
    return got


def refused(provider: str, **members: Any) -> str | None:
    with pytest.raises(FaultError) as error:
        sent(provider, **members)
    assert error.value.fault.failure is Failure.UNSUPPORTED, "another endpoint may be asked"
    return error.value.fault.param


# --- members ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, p in presets().items() if p.profile.dialect == "openai_chat"])
def test_a_plain_request_goes_to_every_provider(name: str) -> None:
    body = sent(name, temperature=0.5, stop=["x"], max_tokens=5)
    limit = presets()[name].profile.max_tokens_field
    assert body == {"model": "m-1", "messages": [USER], "temperature": 0.5, "stop": ["x"], limit: 5}


@pytest.mark.parametrize(
    ("provider", "members", "param"),
    [
        ("groq", {"logprobs": True}, "logprobs"),
        ("groq", {"n": 2}, "n"),
        ("groq", {"logit_bias": {"1": 5}}, "logit_bias"),
        ("mistral", {"logprobs": True, "top_logprobs": 3}, "logprobs"),
        ("cerebras", {"frequency_penalty": 0.5}, "frequency_penalty"),
        ("perplexity", {"tools": [{"type": "function", "function": {"name": "f"}}]}, "tools"),
        ("deepseek", {"response_format": SCHEMA}, "response_format"),
        ("deepseek", {"n": 3}, "n"),
        ("cohere", {"n": 2}, "n"),
        ("sambanova", {"logprobs": True}, "logprobs"),
    ],
)
def test_what_shapes_the_answer_is_refused_and_named(provider: str, members: Json, param: str) -> None:
    assert refused(provider, **members) == param


@pytest.mark.parametrize("value", [None, False, 0, {}, []])
def test_a_refused_member_that_asks_for_nothing_is_left_out(value: Any) -> None:
    assert "logit_bias" not in sent("groq", logit_bias=value)
    assert "n" not in sent("groq", n=1)


def test_json_object_is_no_schema() -> None:
    assert sent("deepseek", response_format={"type": "json_object"})["response_format"] == {"type": "json_object"}
    assert sent("groq", response_format=SCHEMA)["response_format"] == SCHEMA


def test_members_that_change_no_answer_are_left_out() -> None:
    extra = {"store": True, "user": "u", "service_tier": "auto", "safety_identifier": "s"}
    assert sent("mistral", **extra) == {"model": "m-1", "messages": [USER]}
    assert sent("openai", **extra) == {"model": "m-1", "messages": [USER], **extra}


def test_mistral_has_its_own_name_for_the_seed() -> None:
    body = sent("mistral", seed=7)
    assert (body["random_seed"], "seed" in body) == (7, False)


def test_mistral_is_not_asked_for_usage_in_streams() -> None:
    assert "stream_options" not in sent("mistral", stream=True, stream_options={"include_usage": True})


def test_trap_32_the_output_limit_is_spelled_as_reasoning_models_want_it() -> None:
    assert sent("openai", max_tokens=5)["max_completion_tokens"] == 5
    assert sent("azure", max_tokens=5)["max_completion_tokens"] == 5
    assert sent("groq", max_completion_tokens=5)["max_tokens"] == 5


# --- messages -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("provider", ["groq", "mistral", "cerebras"])
def test_strict_providers_get_no_reasoning_back(provider: str) -> None:
    said = {"role": "assistant", "content": "Yes", "reasoning_content": "hm", "refusal": None, "annotations": []}
    body = sent(provider, messages=[USER, said, USER])
    assert body["messages"] == [USER, {"role": "assistant", "content": "Yes"}, USER]


def test_trap_20_deepseek_gets_its_reasoning_back() -> None:
    said = {"role": "assistant", "content": None, "reasoning_content": "hm", "tool_calls": [CALL]}
    result = {"role": "tool", "tool_call_id": CALL["id"], "content": "1"}
    assert sent("deepseek", messages=[USER, said, result])["messages"] == [USER, said, result]


def test_groq_takes_no_names_of_speakers() -> None:
    assert sent("groq", messages=[{**USER, "name": "Ann"}])["messages"] == [USER]


def test_trap_7_mistral_gets_ids_of_nine_characters_that_still_match() -> None:
    said = {"role": "assistant", "content": None, "tool_calls": [CALL, {**CALL, "id": "call_other"}, {**CALL, "id": "AbCdEf123"}]}
    results = [{"role": "tool", "tool_call_id": i, "content": "1"} for i in (CALL["id"], "call_other", "AbCdEf123")]
    first = sent("mistral", messages=[USER, said, *results])["messages"]
    ids = [call["id"] for call in first[1]["tool_calls"]]
    assert [message["tool_call_id"] for message in first[2:]] == ids
    assert all(re.fullmatch(r"[A-Za-z0-9]{9}", i) for i in ids)
    assert len(set(ids)) == 3
    assert ids[2] == "AbCdEf123", "its own ids stay"
    assert sent("mistral", messages=[USER, said, *results])["messages"] == first, "nothing is remembered, and nothing is random"
    assert first[1]["tool_calls"][0]["function"] == CALL["function"]


def test_mistral_is_told_that_a_last_message_is_the_beginning_of_the_answer() -> None:
    begun = {"role": "assistant", "content": "Sure:"}
    assert sent("mistral", messages=[USER, begun])["messages"][-1] == {**begun, "prefix": True}
    assert sent("mistral", messages=[USER, begun, USER])["messages"] == [USER, begun, USER]
    kept = {**begun, "prefix": False}
    assert sent("mistral", messages=[USER, kept])["messages"][-1] == kept
    assert sent("openai", messages=[USER, begun])["messages"][-1] == begun


def test_trap_25_perplexity_gets_roles_by_turns() -> None:
    messages = [
        {"role": "system", "content": "A"},
        {"role": "user", "content": "one"},
        {"role": "user", "content": "two"},
        {"role": "assistant", "content": "yes"},
        {"role": "system", "content": "B"},
        {"role": "user", "content": [{"type": "text", "text": "three"}]},
        {"role": "user", "content": "four"},
    ]
    assert sent("perplexity", messages=messages)["messages"] == [
        {"role": "system", "content": "A"},
        {"role": "system", "content": "B"},
        {"role": "user", "content": "one\n\ntwo"},
        {"role": "assistant", "content": "yes"},
        {"role": "user", "content": [{"type": "text", "text": "three"}, {"type": "text", "text": "four"}]},
    ]


def test_a_message_that_is_more_than_content_is_not_joined() -> None:
    named = {**USER, "name": "Ann"}
    assert sent("perplexity", messages=[USER, named])["messages"] == [USER, named]


def test_what_needs_no_mend_travels_byte_for_byte() -> None:
    raw = b'{"model":"m","messages":[ {"role":"user",  "content":"\\u00e9"} ]}'
    endpoint = Endpoint("e", "groq", presets()["groq"].profile, "https://x.example", "m-1")
    assert b'[ {"role":"user",  "content":"\\u00e9"} ]' in DIALECT.encode(API.decode(raw, "r", 0.0), endpoint).body


def test_messages_that_are_no_objects_are_refused() -> None:
    request = API.decode(b'{"model":"m","messages":[{"role":"user","content":"Hi"}]}', "r", 0.0)
    request.fields["messages"] = type(request.fields["messages"])(b'["name"]')
    profile = Profile("p", "openai_chat", "/c", departures=Departures(left_out_of_messages=("name",)))
    with pytest.raises(FaultError) as error:
        DIALECT.encode(request, Endpoint("e", "p", profile, "https://x.example", "m"))
    assert error.value.fault.failure is Failure.BAD_REQUEST
