"""Recorded requests of Gemini clients put to other providers, and recorded replies passed on to Gemini clients."""

import json
import sys
from typing import Any

import pytest
from anthropic_recordings import endpoint as claude_endpoint
from gemini_recordings import DIALECT, Json, Told, chunks_of, endpoint, frames_of, named, over, pieces, recordings

from fastroute.core.failures import FaultError
from fastroute.core.types import ChatRequest, Endpoint, Profile
from fastroute.dialects.anthropic_messages import AnthropicDialect
from fastroute.dialects.anthropic_vertex import AnthropicVertexDialect
from fastroute.dialects.gemini_api import door_sign
from fastroute.dialects.openai_dialect import OpenAIDialect

GPT = Endpoint("gpt", "openai", Profile("openai", "openai_chat", "/chat/completions"), "http://o", "gpt-6-luna", key="k")


NOT_FOR_CLAUDE = {"vertex/generate-c27a64": "audio", "vertex/generate-stop-seq-7c6569": "a stop sequence of white space"}


def asked(body: Json, method: str = "generateContent") -> ChatRequest:
    api = door_sign(f"/v1beta/models/auto:{method}")
    assert api is not None
    return api.decode(json.dumps(body).encode(), "r1", 0.0)


def camels(part: Json) -> Json:
    return {
        name.replace("_c", "C").replace("_r", "R").replace("_d", "D").replace("_s", "S"): value for name, value in part.items()
    }


@over("request")
def test_requests_put_to_openai_and_claude_keep_everything(name: str) -> None:
    body = recordings()[name]["request"]["body"]
    parts = [camels(part) for content in body["contents"] for part in content["parts"]]
    try:
        sent = json.loads(OpenAIDialect(lambda: 1.0).encode(asked(body), GPT).body)
    except FaultError as error:
        refused = error.fault
    else:
        refused = None
    if refused is not None:
        assert refused.param, "it says what it cannot say"
        return
    told = json.dumps(sent["messages"], ensure_ascii=False)
    for part in parts:
        if part.get("text") and not part.get("thought"):
            assert json.dumps(part["text"], ensure_ascii=False)[1:-1] in told
    calls = [call for message in sent["messages"] for call in message.get("tool_calls") or ()]
    wanted = [part["functionCall"] for part in parts if "functionCall" in part]
    assert [(c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls] == [
        (w["name"], w.get("args") or {}) for w in wanted
    ]
    answered = [message["tool_call_id"] for message in sent["messages"] if message["role"] == "tool"]
    assert answered == [call["id"] for call in calls][: len(answered)]
    declared = [d["name"] for tool in body.get("tools") or () for d in tool.get("functionDeclarations") or ()]
    assert [tool["function"]["name"] for tool in sent.get("tools") or ()] == declared
    if name not in NOT_FOR_CLAUDE:
        AnthropicDialect(lambda: 1.0).encode(asked(body), claude_endpoint())


@over("request")
def test_requests_put_to_gemini_are_as_they_were(name: str) -> None:
    body = recordings()[name]["request"]["body"]
    sent = json.loads(DIALECT.encode(asked(body), endpoint()).body)
    assert sent == {name: value for name, value in body.items() if name != "model"}


@over("stream")
def test_streams_pass_as_the_provider_wrote_them_at_any_cut(name: str) -> None:
    request = asked({"contents": []}, "streamGenerateContent?alt=sse")
    frames = [b"data: " + json.dumps(chunk).encode() + b"\r\n\r\n" for chunk in chunks_of(name)]
    data = b"".join(frames)
    for cut in ([data], frames, list(pieces(data))):
        translator = DIALECT.translator(request, endpoint())
        out = b"".join([translator.feed(piece) for piece in cut]) + translator.end()
        assert out == data
        assert (translator.finished, translator.fault) == (True, None)
        assert translator.usage is not None
    whole = DIALECT.translator(asked({"contents": []}), endpoint())
    body = json.dumps(chunks_of(name)[-1]).encode()
    assert whole.whole(body) == body


@over("reply")
def test_replies_retold_twice_say_the_same(name: str) -> None:
    """Gemini -> OpenAI -> Gemini: what an OpenAI upstream that repeats Gemini's words would tell a Gemini client."""
    request = asked({"contents": []}, "streamGenerateContent?alt=sse")
    told = Told(chunks_of(name))
    from gemini_recordings import asking

    first = DIALECT.translator(asking(stream=True), endpoint())
    middle = first.feed(b"".join(frames_of(name))) + first.end()
    second = OpenAIDialect(lambda: 1.0).translator(request, GPT)
    out = second.feed(middle) + second.end()
    assert (second.finished, second.fault) == (True, None)
    again = Told([json.loads(frame[6:]) for frame in out.split(b"\r\n\r\n")[:-1]])
    assert (again.text, again.thinking, again.reason) == (told.text, told.thinking, told.reason)
    assert [(c["name"], c["args"]) for c in again.calls] == [(c["name"], c["args"]) for c in told.calls]
    assert again.usage["totalTokenCount"] == told.usage["totalTokenCount"]


@pytest.mark.parametrize("name", [n for n, r in recordings().items() if r["api"] == "vertex.anthropic_stream"] or [""])
def test_claude_on_vertex(name: str) -> None:
    if not name:
        pytest.skip("no recordings")
    from anthropic_recordings import asking, told_by_stream

    recorded = recordings()[name]
    frames = recorded["response"]["sse"]
    profile = Profile("vertex-claude", "anthropic_vertex", "/publishers/anthropic/models/{model}:rawPredict")
    path = recorded["request"]["path"].partition("/publishers")[0]
    place = Endpoint("c", "v", profile, "http://h" + path, recorded["model"], key="t")
    dialect = AnthropicVertexDialect(lambda: 1.0)
    sent = dialect.encode(asking(name, stream=True), place)
    assert sent.url.replace("%40", "@") == "http://h" + recorded["request"]["path"]
    assert json.loads(sent.body)["anthropic_version"] == recorded["request"]["body"]["anthropic_version"]
    translator = dialect.translator(asking(name, stream=True), place)
    out = b"".join([translator.feed(piece) for piece in pieces("".join(frames).encode())]) + translator.end()
    assert (translator.finished, translator.fault) == (True, None)
    told = told_by_stream(frames)
    said: list[Any] = [json.loads(f[6:]) for f in out.split(b"\n\n") if f.startswith(b"data: {")]
    assert "".join(c["delta"].get("content") or "" for chunk in said for c in chunk["choices"]) == told.text


def test_count(capsys: pytest.CaptureFixture[str]) -> None:
    total, served = named(of="request"), 0
    for name in total:
        try:
            OpenAIDialect(lambda: 1.0).encode(asked(recordings()[name]["request"]["body"]), GPT)
            served += 1
        except FaultError:
            pass
    with capsys.disabled():
        sys.stdout.write(f"\nwire: {served} of {len(total)} recorded Gemini requests could be put to an OpenAI endpoint\n")
    assert served >= 0.8 * len(total)
