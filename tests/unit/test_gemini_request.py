"""Requests of OpenAI clients as Gemini takes them: each rule, and the traps that gateways fell into."""

import json
from typing import Any

import pytest
from gemini_support import DIALECT, USER, Json, called, chat, dropped, endpoint, result, sent, tool

from fastroute.core.failures import Failure, FaultError
from fastroute.core.types import Capabilities
from fastroute.dialects.gemini_turns import NO_SIGNATURE

PNG = "iVBORw0KGgo="


def refused(*messages: Json, **members: Any) -> Any:
    with pytest.raises(FaultError) as caught:
        sent(*messages, **members)
    return caught.value.fault


def test_a_plain_request() -> None:
    body = sent({"role": "system", "content": "Be brief."}, {"role": "developer", "content": "Really."}, USER, max_tokens=5)
    assert body == {
        "contents": [{"role": "user", "parts": [{"text": "Hi"}]}],
        "systemInstruction": {"parts": [{"text": "Be brief."}, {"text": "Really."}]},
        "generationConfig": {"maxOutputTokens": 5},
    }


def test_settings() -> None:
    body = sent(
        temperature=0.5, top_p=0.9, top_k=3, seed=7, stop=["a", "b"], n=2, presence_penalty=0.5, frequency_penalty=0, user="u"
    )
    assert body["generationConfig"] == {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 3,
        "seed": 7,
        "stopSequences": ["a", "b"],
        "candidateCount": 2,
        "presencePenalty": 0.5,
    }
    assert dropped(user="u", logit_bias={"1": 2}, store=False) == ("user", "logit_bias")
    assert refused(stop=list("abcdef")).param == "stop"


def test_trap_25_same_role_messages_merge_and_system_may_be_in_the_middle() -> None:
    body = sent(USER, {"role": "system", "content": "s"}, USER, {"role": "assistant", "content": "a"}, USER)
    assert [(c["role"], len(c["parts"])) for c in body["contents"]] == [("user", 2), ("model", 1), ("user", 1)]
    assert body["systemInstruction"] == {"parts": [{"text": "s"}]}


def test_trap_23_empty_texts_are_left_out() -> None:
    assert sent({"role": "user", "content": [{"type": "text", "text": ""}, {"type": "text", "text": "x"}]})["contents"] == [
        {"role": "user", "parts": [{"text": "x"}]}
    ]
    assert refused({"role": "user", "content": ""}).failure is Failure.BAD_REQUEST


def test_instructions_alone_become_the_users_words() -> None:
    body = sent({"role": "system", "content": "Go."})
    assert body == {"contents": [{"role": "user", "parts": [{"text": "Go."}]}]}


# --- tools --------------------------------------------------------------------------------------------------------------


def test_tools_are_one_object_with_their_schemas_as_they_came() -> None:
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/x"}}, "$defs": {"x": {}}, "additionalProperties": False}
    body = sent(tools=[tool("f", description="d", parameters=schema), tool("g")], tool_choice="auto")
    assert body["tools"] == [
        {"functionDeclarations": [{"name": "f", "description": "d", "parametersJsonSchema": schema}, {"name": "g"}]}
    ]
    assert body["toolConfig"] == {"functionCallingConfig": {"mode": "AUTO"}}


@pytest.mark.parametrize(
    ("choice", "config"),
    [
        ("none", {"mode": "NONE"}),
        ("required", {"mode": "ANY"}),
        ({"type": "function", "function": {"name": "f"}}, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_tool_choice(choice: Any, config: Json) -> None:
    assert sent(tools=[tool("f")], tool_choice=choice)["toolConfig"]["functionCallingConfig"] == config


def test_strict_tools_are_validated() -> None:
    assert sent(tools=[tool("f", strict=True)])["toolConfig"]["functionCallingConfig"] == {"mode": "VALIDATED"}
    assert "toolConfig" not in sent(tools=[tool("f", strict=True)], model="gemini-2.0-flash")
    assert dropped(tools=[tool("f", strict=True)], model="gemini-2.0-flash") == ("tools[].function.strict",)


def test_what_would_be_missed_is_refused() -> None:
    assert refused(tools=[tool("f")], parallel_tool_calls=False).param == "parallel_tool_calls"
    assert "tools" not in sent(parallel_tool_calls=False)
    assert refused(functions=[{"name": "f"}]).param == "functions"
    assert refused(web_search_options={}).param == "web_search_options"
    assert refused(modalities=["text", "audio"]).param == "modalities"
    assert refused(logprobs=True, stream=True).param == "logprobs"
    assert refused(tools=[{"type": "web_search"}]).failure is Failure.UNSUPPORTED
    assert sent(modalities=["text", "image"])["generationConfig"] == {"responseModalities": ["TEXT", "IMAGE"]}


def test_trap_41_log_probabilities() -> None:
    assert sent(logprobs=True, top_logprobs=3)["generationConfig"] == {"responseLogprobs": True, "logprobs": 3}


def test_trap_27_names_gemini_does_not_take_are_changed_and_changed_back() -> None:
    name = "1." + "long" * 30
    [declared] = sent(tools=[tool(name)])["tools"][0]["functionDeclarations"]
    assert declared["name"] != name
    assert len(declared["name"]) <= 64
    assert sent(tools=[tool("a.b")])["tools"][0]["functionDeclarations"] == [{"name": "a.b"}]
    call = {"candidates": [{"content": {"parts": [{"functionCall": {"name": declared["name"]}}]}, "finishReason": "STOP"}]}
    translator = DIALECT.translator(chat(tools=[tool(name)]), endpoint())
    message = json.loads(translator.whole(json.dumps(call).encode()))["choices"][0]["message"]
    assert message["tool_calls"][0]["function"] == {"name": name, "arguments": "{}"}


# --- calls and results --------------------------------------------------------------------------------------------------

PAIR = called(("i1", "f", '{"a": 1.0}'), ("i2", "g", ""))


def test_trap_24_and_30_results_follow_their_calls_in_order_and_in_one_content() -> None:
    body = sent(USER, PAIR, result("i2", "two"), result("i1", '{"x": 1}'), USER)
    roles = [content["role"] for content in body["contents"]]
    assert roles == ["user", "model", "user", "user"], "what the user says then stands apart"
    answers = [part["functionResponse"] for part in body["contents"][2]["parts"]]
    assert answers == [
        {"name": "f", "response": {"x": 1}, "id": "i1"},
        {"name": "g", "response": {"output": "two"}, "id": "i2"},
    ]


def test_arguments_go_out_as_the_model_wrote_them() -> None:
    body = DIALECT.encode(chat(USER, PAIR, result("i1", "x"), result("i2", "y")), endpoint()).body
    assert b'"args":{"a": 1.0}' in body
    assert b'"args":{}' in body
    assert refused(USER, called(("i", "f", "[1]")), result("i", "x")).failure is Failure.BAD_REQUEST


def test_ids_are_for_models_that_know_them() -> None:
    parts = sent(USER, PAIR, result("i1", "x"), result("i2", "y"), model="gemini-2.5-flash")["contents"][1]["parts"]
    assert all("id" not in part["functionCall"] for part in parts)
    assert all("thoughtSignature" not in part for part in parts)


def test_a_result_of_no_call_is_a_bad_request() -> None:
    fault = refused(USER, result("nobody", "x"))
    assert (fault.failure, fault.param) == (Failure.BAD_REQUEST, "messages[1].content")


def test_trap_29_a_reference_in_a_result_is_only_text() -> None:
    text = '{"$ref": "#/x"}'
    body = sent(USER, called(("i", "f", "{}")), result("i", text))
    assert body["contents"][2]["parts"][0]["functionResponse"]["response"] == {"output": text}


def test_errors_of_tools_are_errors() -> None:
    body = sent(USER, called(("i", "f", "{}")), {**result("i", "no"), "is_error": True})
    assert body["contents"][2]["parts"][0]["functionResponse"]["response"] == {"error": "no"}


@pytest.mark.parametrize("model", ["gemini-2.5-flash", "gemini-3.8-flash"])
def test_images_in_results(model: str) -> None:
    picture = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PNG}"}}
    body = sent(USER, called(("i", "f", "{}")), result("i", [{"type": "text", "text": "see"}, picture]), model=model)
    parts, inline = body["contents"][2]["parts"], {"inlineData": {"mimeType": "image/png", "data": PNG}}
    if model == "gemini-2.5-flash":
        assert parts[1:] == [inline]
    else:
        assert parts[0]["functionResponse"]["parts"] == [inline]
        assert len(parts) == 1


# --- signatures ---------------------------------------------------------------------------------------------------------


def signed(signature: str) -> Json:
    return {"extra_content": {"google": {"thought_signature": signature}}}


def test_trap_19_signatures_go_back_with_their_calls() -> None:
    message = called(("i1", "f", "{}"), ("i2", "g", "{}"))
    message["tool_calls"][0] |= signed("SIG")
    parts = sent(USER, message, result("i1", "x"), result("i2", "y"))["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == ["SIG", None]


def test_trap_19_a_call_of_another_provider_is_vouched_for() -> None:
    parts = sent(USER, PAIR, result("i1", "x"), result("i2", "y"))["contents"][1]["parts"]
    assert [part.get("thoughtSignature") for part in parts] == [NO_SIGNATURE, None]


def test_trap_18_the_signature_of_a_text() -> None:
    body = sent(USER, {"role": "assistant", "content": "a", **signed("S")}, USER)
    assert body["contents"][1]["parts"] == [{"text": "a", "thoughtSignature": "S"}]
    body = sent(USER, {"role": "assistant", "content": "", **signed("S")}, USER)
    assert body["contents"][1]["parts"] == [{"text": "", "thoughtSignature": "S"}]


def test_reasoning_of_others_stays_here() -> None:
    message = {
        "role": "assistant",
        "content": "a",
        "reasoning_content": "hm",
        "thinking_blocks": [{"type": "thinking", "thinking": "hm", "signature": "anthropic's"}],
    }
    assert sent(USER, message, USER)["contents"][1]["parts"] == [{"text": "a"}]
    assert dropped(USER, message, USER) == ("reasoning of earlier turns",)


# --- media ----------------------------------------------------------------------------------------------------------------


def user(*parts: Json) -> Json:
    return {"role": "user", "content": list(parts)}


def image(url: str) -> Json:
    return {"type": "image_url", "image_url": {"url": url}}


def test_trap_31_media_types_are_looked_at_not_believed() -> None:
    [content] = sent(user(image(f"data:image/jpeg;base64,{PNG}")))["contents"]
    assert content["parts"] == [{"inlineData": {"mimeType": "image/png", "data": PNG}}]


def test_media_by_url() -> None:
    url = "https://example.com/a.png?x=1"
    expected = [{"fileData": {"fileUri": url, "mimeType": "image/png"}}]
    assert sent(user(image(url)))["contents"][0]["parts"] == expected
    assert refused(user(image(url)), model="gemini-2.0-flash").failure is Failure.UNSUPPORTED
    vertex = sent(user(image(url)), model="gemini-2.0-flash", base_url="https://x-aiplatform.googleapis.com")
    assert vertex["contents"][0]["parts"] == expected
    assert sent(user(image("gs://b/o")), model="gemini-2.0-flash")["contents"][0]["parts"] == [
        {"fileData": {"fileUri": "gs://b/o"}}
    ]


def test_files_and_sound() -> None:
    pdf = {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,JVBERg=="}}
    sound = {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}}
    own = {"type": "file", "file": {"file_id": "files/abc"}}
    parts = sent(user(pdf, sound, own))["contents"][0]["parts"]
    assert parts[0] == {"inlineData": {"mimeType": "application/pdf", "data": "JVBERg=="}}
    assert parts[1] == {"inlineData": {"mimeType": "audio/wav", "data": "AAAA"}}
    assert parts[2] == {"fileData": {"fileUri": "https://generativelanguage.googleapis.com/v1beta/files/abc"}}
    assert refused(user({"type": "file", "file": {"file_id": "file-openai"}})).failure is Failure.UNSUPPORTED
    assert refused(user({"type": "hologram"})).param == "messages[0].content[0]"


# --- formats and thinking -------------------------------------------------------------------------------------------------


def test_response_formats() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string", "pattern": "x"}}, "required": ["a"]}
    form = {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}
    config = sent(response_format=form)["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"]["properties"]["a"] == {"type": "string", "description": '{pattern: "x"}'}
    assert dropped(response_format=form) == ("response_format.json_schema.schema: pattern",)
    assert sent(response_format={"type": "json_object"})["generationConfig"] == {"responseMimeType": "application/json"}
    assert refused(response_format=form, tools=[tool("f")], model="gemini-2.5-pro").param == "response_format"
    assert "tools" in sent(response_format=form, tools=[tool("f")])
    unable = endpoint(capabilities=Capabilities(json_schema=False))
    with pytest.raises(FaultError):
        DIALECT.encode(chat(response_format=form), unable)


@pytest.mark.parametrize(
    ("model", "members", "config"),
    [
        ("gemini-3.8-flash", {"reasoning_effort": "high"}, {"thinkingLevel": "high", "includeThoughts": True}),
        ("gemini-3-pro", {"reasoning_effort": "minimal"}, {"thinkingLevel": "low", "includeThoughts": True}),
        ("gemini-3.8-flash", {"reasoning_effort": "none"}, {"thinkingLevel": "minimal"}),
        ("gemini-2.5-flash", {"reasoning_effort": "low"}, {"thinkingBudget": 1024, "includeThoughts": True}),
        ("gemini-2.5-flash", {"reasoning_effort": "none"}, {"thinkingBudget": 0}),
        ("gemini-2.5-pro", {"reasoning_effort": "none"}, {"thinkingBudget": 128}),
        (
            "gemini-2.5-pro",
            {"thinking": {"type": "enabled", "budget_tokens": 77}},
            {"thinkingBudget": 77, "includeThoughts": True},
        ),
        ("gemini-2.5-pro", {"thinking": {"type": "adaptive"}}, {"includeThoughts": True}),
        ("gemini-2.5-flash", {"thinking": {"type": "disabled"}}, {"thinkingBudget": 0}),
        ("gemini-2.5-flash", {"reasoning": {"max_tokens": 2000}}, {"thinkingBudget": 2000, "includeThoughts": True}),
    ],
)
def test_thinking(model: str, members: Json, config: Json) -> None:
    assert sent(model=model, **members)["generationConfig"] == {"thinkingConfig": config}


def test_models_that_do_not_think() -> None:
    assert "generationConfig" not in sent(model="gemini-2.0-flash", reasoning_effort="high")
    assert dropped(model="gemini-2.0-flash", reasoning_effort="high") == ("reasoning_effort",)
    assert refused(reasoning_effort="much").param == "reasoning_effort"


def test_geminis_own_members_are_passed_on() -> None:
    body = sent(safety_settings=[{"category": "C"}], cached_content="cachedContents/x", labels={"a": "b"})
    assert (body["safetySettings"], body["cachedContent"], body["labels"]) == (
        [{"category": "C"}],
        "cachedContents/x",
        {"a": "b"},
    )
