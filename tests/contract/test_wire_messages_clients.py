"""Recorded requests of Anthropic clients put to every kind of provider, and recorded replies told to Anthropic clients."""

import json
import sys
from typing import Any

import pytest
from anthropic_recordings import Json, endpoint, over, recordings, told_by_body, told_by_stream

from fastroute.core.failures import FaultError
from fastroute.core.types import ChatRequest, Endpoint, Profile
from fastroute.dialects.anthropic_messages import AnthropicDialect
from fastroute.dialects.anthropic_reply import AnthropicReader
from fastroute.dialects.messages_api import MessagesApi
from fastroute.dialects.messages_writer import MessagesWriter
from fastroute.dialects.registry import dialects

DIALECT = AnthropicDialect(lambda: 1.0)
GPT = Endpoint("gpt", "openai", Profile("openai", "openai_chat", "/chat/completions"), "http://o", "gpt-6-luna", key="k")
GEMINI = Endpoint("g", "google", Profile("g", "gemini", "/models/{model}:generateContent"), "http://g", "gemini-x", key="k")
OPENAI = dialects(lambda: 1.0)["openai_chat"]
SERVED_SHARE = 0.6  # of the recorded requests; the others use Anthropic's own tools and files


def requests() -> list[str]:
    return [n for n, r in recordings().items() if r["api"] == "anthropic.messages" and (r["request"] or {}).get("body")]


def openai_streams() -> list[str]:
    return [
        n
        for n, r in recordings().items()
        if r["api"] == "openai.chat" and r["response"]["status"] == 200 and "sse" in r["response"]
    ]


def each(names: list[str]) -> Any:
    return pytest.mark.parametrize("name", names or [pytest.param("", marks=pytest.mark.skip(reason="no recordings"))])


def asked(body: Json) -> ChatRequest:
    return MessagesApi().decode(json.dumps(body).encode(), "r1", 0.0)


def hello(stream: bool) -> ChatRequest:
    return asked({"model": "auto", "max_tokens": 9, "stream": stream, "messages": [{"role": "user", "content": "Hi"}]})


def refused(request: ChatRequest, place: Endpoint) -> str | None:
    try:
        dialects(lambda: 1.0)[place.profile.dialect].encode(request, place)
    except FaultError as error:
        return error.fault.param or "nothing named"
    return None


def texts(content: Any) -> list[str]:
    if isinstance(content, list):
        return [part["text"] for part in content if part["type"] == "text"]
    return [content] if content else []


def events_of(data: bytes) -> list[str]:
    return [frame.decode() + "\n\n" for frame in data.split(b"\n\n")[:-1]]


@each(requests())
def test_requests_put_to_anthropic_are_as_they_were(name: str) -> None:
    body = recordings()[name]["request"]["body"]
    sent = json.loads(DIALECT.encode(asked(body), endpoint("claude-y")).body)
    assert sent == {**body, "model": "claude-y"}


@each(requests())
def test_requests_put_to_openai_keep_everything(name: str) -> None:
    body = recordings()[name]["request"]["body"]
    if why := refused(asked(body), GPT):
        assert why != "nothing named"
        return
    sent = json.loads(OPENAI.encode(asked(body), GPT).body)
    said = json.dumps(sent["messages"], ensure_ascii=False)
    blocks = [
        b
        for m in body["messages"]
        for b in (m["content"] if isinstance(m["content"], list) else [{"type": "text", "text": m["content"]}])
    ]
    for block in blocks:
        if block["type"] == "text":
            assert json.dumps(block["text"], ensure_ascii=False)[1:-1] in said
    calls = [call for message in sent["messages"] for call in message.get("tool_calls") or ()]
    wanted = [block for block in blocks if block["type"] == "tool_use"]
    assert [(c["id"], c["function"]["name"], json.loads(c["function"]["arguments"])) for c in calls] == [
        (w["id"], w["name"], w["input"]) for w in wanted
    ]
    answered = [message["tool_call_id"] for message in sent["messages"] if message["role"] == "tool"]
    assert answered == [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"]
    assert [tool["function"]["parameters"] for tool in sent.get("tools") or ()] == [
        t["input_schema"] for t in body.get("tools") or ()
    ]


@over("stream")
def test_streams_pass_as_the_provider_wrote_them_at_any_cut(name: str) -> None:
    data = "".join(recordings()[name]["response"]["sse"]).encode()
    relay = DIALECT.translator(hello(True), endpoint())
    out = b"".join(relay.feed(data[i : i + 1]) for i in range(len(data))) + relay.end()
    assert (relay.finished, relay.fault) == (True, None)
    assert relay.usage is not None
    assert out.replace(b"data: ", b"data:").strip() == data.replace(b"\r\n", b"\n").replace(b"data: ", b"data:").strip()


@over("stream")
def test_streams_told_again_say_the_same(name: str) -> None:
    frames = recordings()[name]["response"]["sse"]
    reader, writer = AnthropicReader(), MessagesWriter(hello(True), "m")
    out = writer.write([*reader.feed("".join(frames).encode()), *reader.end()])
    before, after = told_by_stream(frames), told_by_stream(events_of(out))
    assert after.thinking == before.thinking
    assert after.text == before.text or before.stop_reason == "refusal", "why it refuses is told as text"
    assert before.signatures in ("", after.signatures)
    assert [(c["id"], c["name"], json.loads(c["arguments"])) for c in after.calls] == [
        (c["id"], c["name"], json.loads(c["arguments"])) for c in before.calls
    ]
    if before.stop_reason in ("end_turn", "tool_use", "max_tokens", "stop_sequence"):
        assert after.stop_reason == before.stop_reason
    assert after.usage == {count: before.usage[count] for count in after.usage}


@over("whole")
def test_whole_replies(name: str) -> None:
    body = recordings()[name]["response"]["body"]
    data = json.dumps(body).encode()
    assert DIALECT.translator(hello(False), endpoint()).whole(data) == data
    after = told_by_body(json.loads(MessagesWriter(hello(False), "m").whole(AnthropicReader().whole(data))))
    before = told_by_body(body)
    assert (after.text, after.thinking, after.calls, after.stop_reason) == (
        *(before.text, before.thinking, before.calls, before.stop_reason),
    )
    assert after.usage == {count: before.usage[count] for count in after.usage}


@over("error")
def test_errors(name: str) -> None:
    response = recordings()[name]["response"]
    fault = DIALECT.fault(response["status"], {}, json.dumps(response["body"]).encode())
    error = json.loads(MessagesApi().error(fault, response["status"]))
    assert error["error"]["type"] == response["body"]["error"]["type"]
    assert response["body"]["error"]["message"] in error["error"]["message"]


@each(openai_streams())
def test_openais_streams_told_to_anthropics_clients(name: str) -> None:
    frames = recordings()[name]["response"]["sse"]
    translator = OPENAI.translator(hello(True), GPT)
    out = translator.feed("".join(frames).encode()) + translator.end()
    if translator.fault is not None:
        assert b"message_stop" not in out
        return
    after = told_by_stream(events_of(out))
    chunks = [json.loads(f[5:]) for f in frames if f.startswith("data:") and f[5:].strip().startswith("{")]
    deltas = [c["delta"] for chunk in chunks for c in chunk.get("choices") or () if c.get("index", 0) == 0 and c.get("delta")]
    contents = [d["content"] for d in deltas if isinstance(d.get("content"), str)]
    if any(isinstance(d.get("content"), list) for d in deltas):  # Mistral's thinking
        contents = [text for d in deltas for text in texts(d.get("content"))]
    refusals = [d["refusal"] for d in deltas if d.get("refusal")]
    assert after.text == "".join(contents + refusals)
    names = [
        call["function"]["name"] for d in deltas for call in d.get("tool_calls") or () if (call.get("function") or {}).get("name")
    ]
    assert sorted(call["name"] for call in after.calls) == sorted(names)
    assert after.stop_reason is not None


def test_count(capsys: pytest.CaptureFixture[str]) -> None:
    names = requests()
    if not names:
        pytest.skip("no recordings")
    served = {
        place.name: sum(refused(asked(recordings()[n]["request"]["body"]), place) is None for n in names)
        for place in (GPT, GEMINI)
    }
    with capsys.disabled():
        sys.stdout.write(f"\nwire: of {len(names)} recorded Anthropic requests, put to OpenAI and Gemini: {served}\n")
    assert min(served.values()) >= SERVED_SHARE * len(names)
