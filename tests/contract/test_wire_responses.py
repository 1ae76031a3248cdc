"""Recorded Responses replies, as an upstream's: to Responses clients as they came, to chat clients by the laws."""

import json
from pathlib import Path
from typing import Any

import pytest
from openai.types.chat import ChatCompletion

from fastroute.core.types import ChatRequest, Endpoint, Profile
from fastroute.dialects.openai_chat import OpenAIChatApi
from fastroute.dialects.responses_api import ResponsesApi
from fastroute.dialects.responses_dialect import ResponsesDialect

Json = dict[str, Any]
FOLDER = Path(__file__).resolve().parents[3] / "shared" / "wire"
DIALECT = ResponsesDialect(lambda: 1_780_000_000.0)
ENDPOINT = Endpoint(
    name="e",
    provider="p",
    profile=Profile(name="p", dialect="openai_responses", chat_path="/responses"),
    base_url="https://api.example/v1",
    model="m-1",
    key="k",
)


def recordings() -> dict[str, Json]:
    found = {f"{p.parent.name}/{p.stem}": json.loads(p.read_text()) for p in sorted(FOLDER.glob("*/responses-*.json"))}
    return {name: exchange for name, exchange in found.items() if exchange["response"]["status"] == 200}


FOUND = recordings()
ABSENT = [pytest.param("", marks=pytest.mark.skip(reason="no recorded traffic beside the checkout (shared/wire)"))]
STREAMS = pytest.mark.parametrize("name", [n for n, x in FOUND.items() if "sse" in x["response"]] or ABSENT)
WHOLES = pytest.mark.parametrize("name", [n for n, x in FOUND.items() if "body" in x["response"]] or ABSENT)


def chat(stream: bool) -> ChatRequest:
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": stream}
    body |= {"stream_options": {"include_usage": True}} if stream else {}
    return OpenAIChatApi().decode(json.dumps(body).encode(), "req-1", 1.0)


def own(stream: bool) -> ChatRequest:
    return ResponsesApi().decode(json.dumps({"model": "m", "input": "Hi", "stream": stream}).encode(), "req-1", 1.0)


def datas(sse: bytes) -> list[Json]:
    lines = [line[5:].strip() for line in sse.replace(b"\r\n", b"\n").split(b"\n") if line.startswith(b"data:")]
    return [json.loads(line) for line in lines if line not in (b"", b"[DONE]")]


@STREAMS
def test_streams_reach_responses_clients_as_they_came(name: str) -> None:
    sse = "".join(FOUND[name]["response"]["sse"]).encode()
    relay = DIALECT.translator(own(True), ENDPOINT)
    out = b"".join([relay.feed(sse[i : i + 1]) for i in range(len(sse))]) + relay.end()
    sent = datas(sse)
    failing = [i for i, event in enumerate(sent) if event["type"] in ("error", "response.failed")]
    assert datas(out) == (sent[: failing[0]] if failing else sent)
    assert (relay.fault is not None) == bool(failing)
    assert relay.finished != bool(failing)
    if not failing:
        usage = sent[-1]["response"]["usage"]
        assert (relay.usage.input_tokens, relay.usage.output_tokens) == (usage["input_tokens"], usage["output_tokens"])


@STREAMS
def test_streams_reach_chat_clients_by_the_laws(name: str) -> None:
    sse = "".join(FOUND[name]["response"]["sse"]).encode()
    told, sent = DIALECT.translator(chat(True), ENDPOINT), datas(sse)
    out = told.feed(sse) + told.end()
    if told.fault is not None:
        assert b'finish_reason":"' not in out
        return
    chunks = datas(out)
    deltas = [c["choices"][0]["delta"] for c in chunks if c["choices"]]
    said = "".join(e["delta"] for e in sent if e["type"] == "response.output_text.delta")
    assert "".join(d.get("content") or "" for d in deltas) == said
    calls: dict[int, Json] = {}
    for call in [call for d in deltas for call in d.get("tool_calls") or ()]:
        kept = calls.setdefault(call["index"], {"id": call.get("id"), "arguments": ""})
        kept["arguments"] += call["function"].get("arguments", "")
    items = [i for i in sent[-1]["response"]["output"] if i["type"] == "function_call"]
    assert [(c["id"], c["arguments"]) for c in calls.values()] == [(i["call_id"], i["arguments"]) for i in items]
    finishes = [c["choices"][0]["finish_reason"] for c in chunks if c["choices"] and c["choices"][0]["finish_reason"]]
    assert len(finishes) == 1
    assert not items or finishes == ["tool_calls"]
    assert chunks[-1]["usage"]["prompt_tokens"] == sent[-1]["response"]["usage"]["input_tokens"]
    assert out.endswith(b"data: [DONE]\n\n")


@WHOLES
def test_whole_replies(name: str) -> None:
    response = FOUND[name]["response"]["body"]
    body = json.dumps(response).encode()
    assert DIALECT.translator(own(False), ENDPOINT).whole(body) == body
    told = DIALECT.translator(chat(False), ENDPOINT)
    completion = ChatCompletion.model_validate_json(told.whole(body))
    message, items = completion.choices[0].message, response["output"]
    assert [(c.id, c.function.name, c.function.arguments) for c in message.tool_calls or []] == [
        (i["call_id"], i["name"], i["arguments"]) for i in items if i["type"] == "function_call"
    ]
    parts = [part for i in items if i["type"] == "message" for part in i["content"]]
    assert (message.content or "") == "".join(part.get("text", "") for part in parts)
    assert (message.refusal or "") == "".join(part.get("refusal", "") for part in parts)
    assert completion.usage.total_tokens == response["usage"]["input_tokens"] + response["usage"]["output_tokens"]
