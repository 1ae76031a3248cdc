"""Recorded traffic for Responses clients: streams are retold by the laws, and recorded requests can be put elsewhere."""

import json
from pathlib import Path
from typing import Any

import openai_recordings as recorded
import pytest
from openai.types.responses import Response, ResponseStreamEvent
from pydantic import TypeAdapter

from fastroute.core.failures import FaultError
from fastroute.core.types import ChatRequest
from fastroute.dialects.anthropic_messages import AnthropicDialect
from fastroute.dialects.responses_api import ResponsesApi

Json = dict[str, Any]
FOLDER = Path(__file__).resolve().parents[3] / "shared" / "wire"
API = ResponsesApi()
EVENT: TypeAdapter[Any] = TypeAdapter(ResponseStreamEvent)
BUILT_IN = ("web_search", "code_interpreter", "image_generation", "mcp", "file_search", "x_search", "local_shell", "tool_search")


def exchanges() -> dict[str, Json]:
    found = {f"{p.parent.name}/{p.stem}": json.loads(p.read_text()) for p in sorted(FOLDER.glob("*/responses-*.json"))}
    return {name: exchange for name, exchange in found.items() if (exchange["request"] or {}).get("body")}


ASKED = exchanges()
OVER_ASKED = pytest.mark.parametrize(
    "name", ASKED or [pytest.param("", marks=pytest.mark.skip(reason="no recorded traffic beside the checkout (shared/wire)"))]
)


def asking(stream: bool) -> ChatRequest:
    return API.decode(json.dumps({"model": "m", "input": "Hi", "stream": stream}).encode(), "req-1", 1.0)


def frames(data: bytes) -> list[Json]:
    return [json.loads(line[6:]) for line in data.split(b"\n") if line.startswith(b"data: ")]


@recorded.over("stream")
def test_streams_of_openai_style_providers(name: str) -> None:
    sse = "".join(recorded.recordings()[name]["response"]["sse"]).encode()
    request, endpoint = asking(True), recorded.endpoint(name)
    told = recorded.DIALECT.translator(request, endpoint)
    out = told.feed(sse) + told.end()
    bytewise = recorded.DIALECT.translator(request, endpoint)
    assert b"".join([bytewise.feed(sse[i : i + 1]) for i in range(len(sse))]) + bytewise.end() == out, "cuts change nothing"
    events = frames(out)
    assert [e["sequence_number"] for e in events] == list(range(len(events)))
    for event in events:
        EVENT.validate_python(event)
    if told.fault is not None:
        assert not any(e["type"] in ("response.completed", "response.incomplete") for e in events)
        return
    final = Response.model_validate(events[-1]["response"])
    assert events[-1]["type"] == f"response.{final.status}"
    obeys(events, final, recorded_deltas(name))


def recorded_deltas(name: str) -> str:
    """The text of the first choice, read by the test itself."""
    chunks = [json.loads(f.split("data:", 1)[1]) for f in recorded.recordings()[name]["response"]["sse"] if '"choices"' in f]
    deltas = [c["delta"].get("content") for k in chunks for c in k["choices"] if not c.get("index") and c.get("delta")]
    texts = [[{"type": "text", "text": d}] if isinstance(d, str) else d or [] for d in deltas]
    return "".join(part["text"] for parts in texts for part in parts if part["type"] == "text")


def obeys(events: list[Json], final: Response, text: str) -> None:
    assert final.output_text == text
    ids = [item.id for item in final.output]
    assert len(set(ids)) == len(ids)
    calls = [item for item in final.output if item.type == "function_call"]
    assert len({call.call_id for call in calls}) == len(calls)
    assert all(call.call_id and call.name for call in calls)
    for call in calls:
        told = "".join(e["delta"] for e in events if e["type"].endswith("arguments.delta") and e["item_id"] == call.id)
        assert told == call.arguments
    if final.usage is not None:
        assert final.usage.input_tokens >= final.usage.input_tokens_details.cached_tokens
        assert final.usage.output_tokens >= final.usage.output_tokens_details.reasoning_tokens


@recorded.over("whole")
def test_whole_replies_of_openai_style_providers(name: str) -> None:
    exchange = recorded.recordings()[name]
    told = recorded.DIALECT.translator(asking(False), recorded.endpoint(name))
    out = told.whole(json.dumps(exchange["response"]["body"]).encode())
    if told.fault is not None:
        assert out == b""
        return
    final = Response.model_validate_json(out)
    message = exchange["response"]["body"]["choices"][0]["message"]
    assert [c.name for c in final.output if c.type == "function_call"] == [
        c["function"]["name"] for c in message.get("tool_calls") or []
    ]
    if isinstance(message.get("content"), str):
        assert final.output_text == message["content"]


@OVER_ASKED
@pytest.mark.parametrize("dialect", ["openai_chat", "anthropic_messages"])
def test_recorded_requests_can_be_put_elsewhere(name: str, dialect: str) -> None:
    body = ASKED[name]["request"]["body"]
    request = API.decode(json.dumps(body).encode(), "req-1", 1.0)
    speaks = recorded.DIALECT if dialect == "openai_chat" else AnthropicDialect(lambda: 1.0)
    endpoint = recorded.endpoint("openai/x")
    try:
        sent = json.loads(speaks.encode(request, endpoint).body)
    except FaultError as refused:
        refusals_are_earned(body, refused)
        return
    calls = [item for item in body["input"] if isinstance(item, dict) and item.get("type") == "function_call"]
    text = json.dumps(sent)
    assert all(call["call_id"] in text and call["name"] in text for call in calls)
    assert len(sent.get("tools") or ()) >= len(body.get("tools") or ())


def refusals_are_earned(body: Json, refused: FaultError) -> None:
    """Only what nobody but a Responses endpoint can do is refused, and by name."""
    fault, text = refused.fault, json.dumps(body)
    assert fault.rule.status == 400
    assert fault.param
    earned = ("previous_response_id", "item_reference", "file_url", "file_id", "logprobs", "_call", "json_schema", *BUILT_IN)
    assert any(word in text for word in earned), fault
