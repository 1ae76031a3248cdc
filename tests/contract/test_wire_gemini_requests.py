"""Recorded requests of OpenAI and Anthropic clients put to Gemini: nothing they say may be lost on the way."""

import json
import sys
from typing import Any

import pytest
from gemini_recordings import DIALECT, Json, chat, endpoint, named, over, recordings

from fastroute.core.failures import Failure, FaultError
from fastroute.dialects.gemini_names import tool_name
from fastroute.dialects.gemini_schema import structured_schema

REFUSABLE = {"n", "logprobs", "functions", "web_search_options", "audio", "modalities", "parallel_tool_calls", "reasoning_effort"}
BODY_MEMBERS = {
    *("contents", "systemInstruction", "tools", "toolConfig", "generationConfig", "safetySettings", "cachedContent", "labels"),
}
CONFIG_MEMBERS = {  # of the reference, as far as a chat can ask for them
    *("stopSequences", "responseMimeType", "responseJsonSchema", "responseModalities", "candidateCount", "maxOutputTokens"),
    *("temperature", "topP", "topK", "seed", "presencePenalty", "frequencyPenalty", "responseLogprobs", "logprobs"),
    "thinkingConfig",
}
PART_MEMBERS = {"text", "inlineData", "fileData", "functionCall", "functionResponse", "thoughtSignature"}


def texts(content: Any) -> list[str]:
    """Every text of some content of an OpenAI message."""
    if isinstance(content, str):
        return [content]
    return [part.get("text") or part.get("refusal") or "" for part in content or [] if part.get("type") in ("text", "refusal")]


def check_contents(contents: list[Json]) -> None:
    assert contents[0]["role"] in ("user", "model")
    for before, content in zip([None, *contents], contents, strict=False):
        assert content["parts"], "no content is empty"
        for part in content["parts"]:
            assert part.keys() <= PART_MEMBERS
            assert len(part.keys() - {"thoughtSignature"}) == 1, "a part is one thing"
        answers = [part["functionResponse"]["name"] for part in content["parts"] if "functionResponse" in part]
        if answers:
            assert before is not None
            calls = [part["functionCall"]["name"] for part in before["parts"] if "functionCall" in part]
            assert sorted(answers) == sorted(calls), "as many results as calls, and of the same tools"
            assert all(isinstance(p["functionResponse"]["response"], dict) for p in content["parts"] if "functionResponse" in p)


def check_request(asked: Json, sent: Json) -> None:
    assert sent.keys() <= BODY_MEMBERS
    config = sent.get("generationConfig", {})
    assert config.keys() <= CONFIG_MEMBERS
    check_contents(sent["contents"])
    parts = [part for content in sent["contents"] for part in content["parts"]]
    everything = json.dumps([sent.get("systemInstruction"), sent["contents"]], ensure_ascii=False)
    for message in asked["messages"]:
        for text in texts(message.get("content")):
            as_said = json.dumps(text, ensure_ascii=False)[1:-1]
            assert as_said in everything or json.loads(text) in [p.get("functionResponse", {}).get("response") for p in parts]
    calls = [call for message in asked["messages"] for call in message.get("tool_calls") or []]
    used = [part["functionCall"] for part in parts if "functionCall" in part]
    assert [(c["name"], c["args"]) for c in used] == [
        (tool_name(c["function"]["name"]), json.loads(c["function"]["arguments"] or "{}")) for c in calls
    ]
    check_tools(asked, sent)
    images = [p for m in asked["messages"] for p in content_parts(m) if p.get("type") in ("image_url", "file", "input_audio")]
    assert sum(bool(part.keys() & {"inlineData", "fileData"}) for part in parts) == len(images)
    form = asked.get("response_format") or {}
    if form.get("type") == "json_schema":
        assert config["responseMimeType"] == "application/json"
        assert config["responseJsonSchema"] == structured_schema(form["json_schema"]["schema"])[0]
    limit = asked.get("max_completion_tokens") or asked.get("max_tokens")
    assert config.get("maxOutputTokens") == limit
    assert config.get("candidateCount", 1) == (asked.get("n") or 1)


def check_tools(asked: Json, sent: Json) -> None:
    declared = {d["name"]: d for tool in sent.get("tools", []) for d in tool["functionDeclarations"]}
    for tool in asked.get("tools") or []:
        function = tool["function"]
        said = declared.pop(tool_name(function["name"]))
        assert said.get("parametersJsonSchema") == (function.get("parameters") or None)
        assert said.get("description") == (function.get("description") or None)
    assert not declared


def content_parts(message: Json) -> list[Json]:
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
    method = ":streamGenerateContent?alt=sse" if asked.get("stream") else ":generateContent"
    assert sent.url == "http://upstream/v1beta/models/gemini-3.8-flash" + method
    assert dict(sent.headers)["x-goog-api-key"] == "k"
    check_request(asked, json.loads(sent.body))


def test_count(capsys: pytest.CaptureFixture[str]) -> None:
    refused: dict[str, str] = {}
    for name in named(of="openai"):
        try:
            DIALECT.translate(chat(recordings()[name]["request"]["body"]), endpoint())
        except FaultError as error:
            refused[name] = f"{error.fault.failure.value} {error.fault.param}: {error.fault.message}"
    count = len(named(of="openai"))
    with capsys.disabled():
        sys.stdout.write(f"\nwire, Gemini: {count - len(refused)} of {count} OpenAI requests could be put to Gemini\n")
    if not count:
        pytest.skip("no recordings")
    assert len(refused) <= count * 0.15, refused
