"""Recorded exchanges with Anthropic, and of OpenAI clients: where they are, and what they say, read plainly.

Nothing of the code under test is used to read them.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fastroute.core.types import ChatRequest, Endpoint, Profile
from fastroute.dialects.anthropic_messages import AnthropicDialect
from fastroute.dialects.openai_chat import OpenAIChatApi

WIRE = Path(__file__).resolve().parents[3] / "shared" / "wire"
DIALECT = AnthropicDialect(lambda: 1_700_000_000.0)
CLIENT_TOOL = "tool_use"
Json = dict[str, Any]


@cache
def recordings() -> dict[str, Json]:
    return {f"{p.parent.name}/{p.stem}": json.loads(p.read_text()) for p in sorted(WIRE.glob("*/*.json"))}


def named(*, of: str) -> list[str]:
    """Names of the recordings that some test is about."""
    kinds = {
        "stream": lambda r: "anthropic" in r["api"] and r["response"]["status"] == 200 and "sse" in r["response"],
        "signed": lambda r: "signature_delta" in "".join(r["response"].get("sse", ())) and "anthropic" in r["api"],
        "whole": lambda r: r["api"] == "anthropic.messages" and r["response"]["status"] == 200 and "body" in r["response"],
        "error": lambda r: r["api"].startswith("anthropic.") and r["response"]["status"] != 200,
        "openai": lambda r: r["api"] == "openai.chat" and isinstance((r["request"] or {}).get("body"), dict),
    }
    return [name for name, recording in recordings().items() if kinds[of](recording)]


def over(of: str) -> Any:
    names = named(of=of)
    absent = [pytest.param("", marks=pytest.mark.skip(reason=f"no recordings at {WIRE}"))]
    return pytest.mark.parametrize("name", names or absent)


def endpoint(model: str = "claude-sonnet-4-5") -> Endpoint:
    profile = Profile("anthropic", "anthropic_messages", "/v1/messages", auth="x-api-key")
    return Endpoint("claude", "anthropic", profile, "http://upstream", model, key="k")


def chat(body: Json) -> ChatRequest:
    """The body as an OpenAI client's request. Raises `FaultError` where the client API refuses it."""
    return OpenAIChatApi().decode(json.dumps(body).encode(), "r1", 0.0)


def asking(name: str, *, stream: bool, usage: bool = True) -> ChatRequest:
    """A client's request with the tools of the recorded one, so that renamed tools would find back."""
    recorded = (recordings()[name]["request"] or {}).get("body") or {}
    tools = [{"type": "function", "function": {"name": t["name"]}} for t in recorded.get("tools", []) if "input_schema" in t]
    body: Json = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    options: Json = {"stream_options": {"include_usage": True}} if stream and usage else {}
    return chat(body | options | ({"tools": tools} if tools else {}))


# --- what the recording says, read plainly ----------------------------------------------------------------------------


class Told:
    """Text, reasoning, calls, stop reason and usage of a recorded reply."""

    def __init__(self) -> None:
        self.text = self.thinking = self.signatures = ""
        self.calls: list[Json] = []
        self.stop_reason: str | None = None
        self.usage: Json = {}


def told_by_stream(frames: list[str]) -> Told:
    told, calls = Told(), {}
    for event in data_of(frames):
        kind, delta = event["type"], event.get("delta", {})
        if kind == "message_start":
            told.usage |= {k: v for k, v in event["message"]["usage"].items() if v is not None}
        elif kind == "content_block_start" and event["content_block"]["type"] == CLIENT_TOOL:
            block = event["content_block"]
            calls[event["index"]] = {"id": block["id"], "name": block["name"], "arguments": ""}
        elif kind == "content_block_delta":
            told.text += delta.get("text", "")
            told.thinking += delta.get("thinking", "")
            told.signatures += delta.get("signature", "")
            if event["index"] in calls:
                calls[event["index"]]["arguments"] += delta.get("partial_json", "")
        elif kind == "message_delta":
            told.stop_reason = delta["stop_reason"]
            told.usage |= {k: v for k, v in event["usage"].items() if v is not None}
    told.calls = [call | {"arguments": call["arguments"] or "{}"} for call in calls.values()]
    return told


def told_by_body(body: Json) -> Told:
    told = Told()
    told.stop_reason, told.usage = body["stop_reason"], body["usage"]
    for block in body["content"]:
        if block["type"] == "text":
            told.text += block["text"]
        elif block["type"] == "thinking":
            told.thinking += block["thinking"]
        elif block["type"] == CLIENT_TOOL:
            told.calls.append({"id": block["id"], "name": block["name"], "arguments": block["input"]})
    return told


def data_of(frames: list[str]) -> Iterator[Json]:
    for frame in frames:
        for line in frame.splitlines():
            if line.startswith("data:"):
                yield json.loads(line[5:])
