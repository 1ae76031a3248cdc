"""Gemini as a client API: paths, heads, canonical form, errors, and what goes to providers that do not speak it."""

import json
from typing import Any

import pytest
from gemini_support import Json, candidate, stream
from gemini_support import endpoint as gemini_endpoint

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.types import ChatRequest, Endpoint, Profile, Usage
from fastroute.dialects.anthropic_messages import AnthropicDialect
from fastroute.dialects.anthropic_vertex import AnthropicVertexDialect
from fastroute.dialects.canonical import (
    Ended,
    Finished,
    FinishReason,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolStarted,
    UsageSeen,
)
from fastroute.dialects.gemini_api import GeminiApi, door_sign
from fastroute.dialects.gemini_conversation import gemini_conversation
from fastroute.dialects.gemini_dialect import GeminiDialect
from fastroute.dialects.gemini_writer import GeminiWriter
from fastroute.dialects.openai_dialect import OpenAIDialect

OPENAI = Endpoint("o", "p", Profile("x", "openai_chat", "/chat/completions"), "http://o", "gpt", key="k")
CLAUDE = Endpoint("c", "p", Profile("x", "anthropic_messages", "/v1/messages", auth="x-api-key"), "http://c", "claude-sonnet-4-5")
WALL = 1_700_000_000.0
HI = [{"role": "user", "parts": [{"text": "Hi"}]}]


def ask(method: str = "generateContent", **body: Any) -> ChatRequest:
    api = door_sign(f"/v1beta/models/auto:{method}")
    assert api is not None
    return api.decode(json.dumps({"contents": HI, **body}).encode(), "r1", 1.0)


def to_openai(**body: Any) -> Json:
    return json.loads(OpenAIDialect(lambda: WALL).encode(ask(**body), OPENAI).body)


def to_claude(**body: Any) -> Json:
    return json.loads(AnthropicDialect(lambda: WALL).encode(ask(**body), CLAUDE).body)


def refused(**body: Any) -> Fault:
    with pytest.raises(FaultError) as caught:
        to_openai(**body)
    return caught.value.fault


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ("/v1beta/models/auto:generateContent", ("auto", False, False)),
        ("/v1/models/auto:generateContent?key=x", ("auto", False, False)),
        ("/v1beta/models/openai%2Fgpt:4:streamGenerateContent?alt=sse", ("openai/gpt:4", True, False)),
        ("/v1beta/models/p/m:streamGenerateContent", ("p/m", True, True)),
    ],
)
def test_doors(target: str, expected: tuple[str, bool, bool]) -> None:
    api = door_sign(target)
    assert api is not None
    request = api.decode(json.dumps({"contents": HI}).encode(), "r", 0.0)
    assert (request.model, request.stream, "fastroute_framing" in request.fields) == expected


@pytest.mark.parametrize(
    "target",
    [
        "/v1/models/auto",
        "/v1beta/models/a:countTokens",
        "/x/a:generateContent",
        "/v1beta/models/:generateContent",
        "/v1beta/models/a%0A:generateContent",
    ],
)
def test_other_doors(target: str) -> None:
    assert door_sign(target) is None


def test_the_head() -> None:
    config = {"max_output_tokens": 9, "candidateCount": 2, "responseSchema": {"type": "OBJECT"}}
    image = {"inline_data": {"mime_type": "image/png", "data": "A" * 9000}}
    request = ask(contents=[{"parts": [image]}], generation_config=config, tools=[{"googleSearch": {}}])
    assert (request.api, request.max_output_tokens, request.choices) == ("gemini", 9, 2)
    assert (request.needs.vision, request.needs.tools, request.needs.json_schema) == (True, True, True)
    assert request.input_bytes < 500, "media are no tokens"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"{",
        b"\xff",
        b'{"contents": [], "generationConfig": 1}',
        b'{"contents": [], "generationConfig": {"maxOutputTokens": "x"}}',
        b"{}",
        b'{"contents":' + b"[" * 5000,
    ],
)
def test_bad_bodies(body: bytes) -> None:
    with pytest.raises(FaultError) as caught:
        GeminiApi("m").decode(body, "r", 0.0)
    assert caught.value.fault.failure is Failure.BAD_REQUEST


def test_errors_have_googles_shape() -> None:
    fault = Fault(Failure.RATE_LIMITED, "slow", retry_after_s=2.5)
    error = json.loads(GeminiApi().error(fault, 503))["error"]
    assert (error["code"], error["status"], error["message"]) == (503, "UNAVAILABLE", "slow")
    assert error["details"] == [{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "2.5s"}]
    assert json.loads(GeminiApi().error(Fault(Failure.INTERNAL, "x"), 418))["error"]["status"] == "UNKNOWN"


# --- to other providers -------------------------------------------------------------------------------------------------


def test_settings_for_openai() -> None:
    config = {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 4,
        "seed": 3,
        "maxOutputTokens": 7,
        "stopSequences": ["x"],
        "presencePenalty": 1,
    }
    body = to_openai(generationConfig=config, systemInstruction={"parts": [{"text": "s"}]}, safetySettings=[])
    assert body["messages"] == [{"role": "system", "content": "s"}, {"role": "user", "content": "Hi"}]
    expected = {
        "temperature": 0.5,
        "top_p": 0.9,
        "seed": 3,
        "max_tokens": 7,
        "stop": ["x"],
        "presence_penalty": 1,
        "model": "gpt",
    }
    assert {name: value for name, value in body.items() if name != "messages"} == expected
    assert to_claude(generationConfig={"topK": 4})["top_k"] == 4


def test_schemas_in_googles_subset_become_json_schema() -> None:
    google = {
        "type": "OBJECT",
        "properties": {
            "a": {"type": "STRING", "nullable": True},
            "b": {"type": "ARRAY", "items": {"type": "INTEGER"}, "maxItems": "3"},
        },
        "propertyOrdering": ["a"],
    }
    plain = {
        "type": "object",
        "properties": {"a": {"type": ["string", "null"]}, "b": {"type": "array", "items": {"type": "integer"}, "maxItems": 3}},
    }
    body = to_openai(
        tools=[{"function_declarations": [{"name": "f", "description": "d", "parameters": google}]}],
        toolConfig={"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
        generationConfig={"responseMimeType": "application/json", "responseSchema": google},
    )
    assert body["tools"] == [{"type": "function", "function": {"name": "f", "description": "d", "parameters": plain}}]
    assert body["tool_choice"] == {"type": "function", "function": {"name": "f"}}
    assert body["response_format"] == {"type": "json_schema", "json_schema": {"name": "response", "schema": plain}}


@pytest.mark.parametrize("ids", [True, False])
def test_calls_and_results_are_paired(ids: bool) -> None:
    calls = [{"functionCall": {"name": n, "args": {"n": n}, **({"id": f"i{n}"} if ids else {})}} for n in "ffg"]
    answers = [
        {"functionResponse": {"name": n, "response": {"output": f"r{k}"}, **({"id": f"i{n}"} if ids else {})}}
        for k, n in enumerate("ffg")
    ]
    if ids:
        calls[1]["functionCall"]["id"] = answers[1]["functionResponse"]["id"] = "other"
    body = to_openai(contents=[*HI, {"role": "model", "parts": calls}, {"role": "function", "parts": answers}])
    _, assistant, *results = body["messages"]
    wanted = [(call["id"], f"r{k}") for k, call in enumerate(assistant["tool_calls"])]
    assert len({call_id for call_id, _ in wanted}) == 3
    assert [(message["tool_call_id"], message["content"]) for message in results] == wanted
    assert (
        to_claude(contents=[*HI, {"role": "model", "parts": calls}, {"role": "user", "parts": answers}])["messages"][-1]["role"]
        == "user"
    )


def test_media() -> None:
    parts = [
        {"inlineData": {"mimeType": "image/png", "data": "AA"}},
        {"fileData": {"mimeType": "image/jpeg", "fileUri": "https://x/y.jpg"}},
        {"inlineData": {"mimeType": "application/pdf", "data": "AA"}},
        {"inlineData": {"mimeType": "audio/wav", "data": "AA"}},
    ]
    content = to_openai(contents=[{"parts": parts}])["messages"][0]["content"]
    assert [part["type"] for part in content] == ["image_url", "image_url", "file", "input_audio"]
    assert content[0]["image_url"]["url"] == "data:image/png;base64,AA"
    assert content[3]["input_audio"] == {"data": "AA", "format": "wav"}


def test_thinking() -> None:
    assert to_openai(generationConfig={"thinkingConfig": {"thinkingBudget": 4000}})["reasoning_effort"] == "medium"
    assert to_openai(generationConfig={"thinkingConfig": {"thinking_level": "LOW"}})["reasoning_effort"] == "low"
    assert "reasoning_effort" not in to_openai(generationConfig={"thinkingConfig": {"thinkingBudget": -1}})
    assert to_claude(generationConfig={"thinkingConfig": {"thinkingBudget": 4000}})["thinking"]["budget_tokens"] == 4000


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        ({"tools": [{"googleSearch": {}}]}, Failure.UNSUPPORTED),
        ({"cachedContent": "x"}, Failure.UNSUPPORTED),
        ({"generationConfig": {"responseLogprobs": True}}, Failure.UNSUPPORTED),
        ({"generationConfig": {"responseModalities": ["AUDIO"]}}, Failure.UNSUPPORTED),
        ({"generationConfig": {"speechConfig": {}}}, Failure.UNSUPPORTED),
        ({"generationConfig": {"responseMimeType": "text/x.enum"}}, Failure.UNSUPPORTED),
        ({"contents": [{"parts": [{"executableCode": {}}]}]}, Failure.UNSUPPORTED),
        ({"contents": [{"parts": [{"functionResponse": {"name": "f"}}]}]}, Failure.BAD_REQUEST),
        ({"contents": [{"role": "robot", "parts": []}]}, Failure.BAD_REQUEST),
        ({"contents": [1]}, Failure.BAD_REQUEST),
        ({"contents": [{"parts": [{}]}]}, Failure.BAD_REQUEST),
    ],
)
def test_what_others_cannot_say_is_refused(body: Json, failure: Failure) -> None:
    fault = refused(**body)
    assert fault.failure is failure
    assert fault.param


def test_signatures_reach_the_canonical_form() -> None:
    parts = [
        {"text": "hm", "thought": True},
        {"text": "a", "thought_signature": "S"},
        {"function_call": {"name": "f"}, "thoughtSignature": "T"},
    ]
    [turn] = gemini_conversation(ask(contents=[{"role": "model", "parts": parts}])).turns
    assert [getattr(part, "signature", None) for part in turn.parts] == [None, "S", "T"]


# --- replies --------------------------------------------------------------------------------------------------------------

EVENTS = [
    Started("id", "m"),
    ThinkingDelta("hm"),
    TextDelta("a"),
    ToolStarted(0, "c1", "f", signature="S"),
    ToolArguments(0, '{"x":'),
    ToolArguments(0, "1.0}"),
    ToolStarted(1, "c2", "g"),
    Finished(FinishReason.TOOL_CALLS, "tool_calls"),
    UsageSeen(Usage(5, 7, 2, None, 4)),
    Ended(),
]
CALLS = [
    {"functionCall": {"name": "f", "args": {"x": 1.0}, "id": "c1"}, "thoughtSignature": "S"},
    {"functionCall": {"name": "g", "args": {}, "id": "c2"}},
]
COUNTS = {
    "promptTokenCount": 5,
    "candidatesTokenCount": 3,
    "totalTokenCount": 12,
    "cachedContentTokenCount": 2,
    "thoughtsTokenCount": 4,
}


def test_a_whole_reply() -> None:
    body = json.loads(GeminiWriter(ask(), "m0").whole(EVENTS))
    parts = [{"text": "hm", "thought": True}, {"text": "a"}, *CALLS]
    assert body == {
        "candidates": [{"content": {"parts": parts, "role": "model"}, "finishReason": "STOP", "index": 0}],
        "usageMetadata": COUNTS,
        "modelVersion": "m",
        "responseId": "id",
    }


def test_streams_as_events_and_as_an_array() -> None:
    out = GeminiWriter(ask("streamGenerateContent?alt=sse"), "m0").write(EVENTS)
    chunks = [json.loads(frame[6:]) for frame in out.split(b"\r\n\r\n")[:-1]]
    parts = [part for chunk in chunks for part in chunk["candidates"][0]["content"]["parts"]]
    assert [part for part in parts if "functionCall" in part] == CALLS
    assert [chunk["candidates"][0].get("finishReason") for chunk in chunks][-1] == "STOP"
    assert chunks[-1]["usageMetadata"] == COUNTS
    array = GeminiWriter(ask("streamGenerateContent"), "m0")
    assert json.loads(b"".join([array.write([event]) for event in EVENTS])) == chunks


def test_arguments_cut_by_the_limit_are_not_lost() -> None:
    events = [ToolStarted(0, "c", "f"), ToolArguments(0, '{"x":'), Finished(FinishReason.LENGTH)]
    body = json.loads(GeminiWriter(ask(), "m").whole(events))
    assert body["candidates"][0]["content"]["parts"][0]["functionCall"]["args"] == {"_unreadable": '{"x":'}
    assert body["candidates"][0]["finishReason"] == "MAX_TOKENS"


def test_an_interrupted_stream_says_so() -> None:
    writer = GeminiWriter(ask("streamGenerateContent"), "m")
    out = writer.write(EVENTS[:3]) + writer.interrupted(Fault(Failure.STALL, "stopped"), Usage(1, 2))
    last = json.loads(out)[-1]
    assert (last["error"]["code"], last["error"]["status"]) == (504, "DEADLINE_EXCEEDED")
    assert last["usageMetadata"]["totalTokenCount"] == 3


def test_gemini_to_gemini_passes_what_nobody_knows() -> None:
    dialect = GeminiDialect(lambda: WALL)
    request = ask("streamGenerateContent?alt=sse", tools=[{"googleSearch": {}}], newMember={"a": 1.0})
    assert json.loads(dialect.encode(request, gemini_endpoint()).body) == {
        "contents": HI,
        "tools": [{"googleSearch": {}}],
        "newMember": {"a": 1.0},
    }
    upstream = stream({"candidates": [candidate({"text": "a"}, finish="STOP")], "new": 1})
    translator = dialect.translator(request, gemini_endpoint())
    assert translator.feed(upstream) + translator.end() == upstream
    assert (translator.finished, translator.fault, translator.content_started) == (True, None, True)
    cut = dialect.translator(request, gemini_endpoint())
    cut.feed(stream({"candidates": [candidate({"text": "a"})]}))
    cut.end()
    assert cut.fault is not None
    assert cut.fault.failure is Failure.TRUNCATED
    failed = dialect.translator(request, gemini_endpoint())
    assert failed.feed(stream({"error": {"code": 500, "message": "x"}})) == b""
    assert failed.fault is not None


# --- Claude on Vertex -------------------------------------------------------------------------------------------------------


def test_claude_on_vertex() -> None:
    from gemini_support import chat

    profile = Profile("vertex-claude", "anthropic_vertex", "/publishers/anthropic/models/{model}:rawPredict")
    place = Endpoint("c", "v", profile, "https://h/v1/projects/p/locations/l", "claude-sonnet-4-5@20250929", key="token")
    dialect = AnthropicVertexDialect(lambda: WALL)
    whole, streamed = dialect.encode(chat(), place), dialect.encode(chat(stream=True), place)
    base = "https://h/v1/projects/p/locations/l/publishers/anthropic/models/claude-sonnet-4-5%4020250929:"
    assert (whole.url, streamed.url) == (base + "rawPredict", base + "streamRawPredict")
    body = json.loads(streamed.body)
    assert (body["anthropic_version"], body["stream"], "model" in body) == ("vertex-2023-10-16", True, False)
    headers = dict(whole.headers)
    assert headers["authorization"] == "Bearer token"
    assert "anthropic-version" not in headers
    day = {
        "error": {
            "code": 429,
            "status": "RESOURCE_EXHAUSTED",
            "message": "q",
            "details": [{"violations": [{"quotaId": "PerDay"}]}],
        }
    }
    assert dialect.fault(429, {}, json.dumps(day).encode()).failure is Failure.QUOTA_EXHAUSTED
