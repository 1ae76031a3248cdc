"""Recorded exchanges with Bedrock's Converse: where they are, and what they say. Nothing of the code under test reads them."""

import json
import struct
import zlib
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fastroute.core.types import ChatRequest, Endpoint, Profile
from fastroute.dialects.bedrock_converse import BedrockDialect
from fastroute.dialects.openai_chat import OpenAIChatApi

WIRE = Path(__file__).resolve().parents[3] / "shared" / "wire"
DIALECT = BedrockDialect(lambda: 1_700_000_000.0)
CLAUDE = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
Json = dict[str, Any]


@cache
def recordings() -> dict[str, Json]:
    return {f"{p.parent.name}/{p.stem}": json.loads(p.read_text()) for p in sorted(WIRE.glob("*/*.json"))}


def named(of: str) -> list[str]:
    """Names of the recordings that some test is about."""
    kinds = {
        "stream": lambda r: "eventstream" in r["response"] and r["api"] == "bedrock.converse_stream",
        "whole": lambda r: r["api"] == "bedrock.converse" and r["response"]["status"] == 200,
        "error": lambda r: r["provider"] == "bedrock" and r["response"]["status"] != 200,
        "converse": lambda r: r["api"] in ("bedrock.converse", "bedrock.converse_stream"),
        "openai": lambda r: r["api"] == "openai.chat" and isinstance((r["request"] or {}).get("body"), dict),
        "anthropic": lambda r: r["api"] == "anthropic.messages" and isinstance((r["request"] or {}).get("body"), dict),
    }
    return [name for name, recording in recordings().items() if kinds[of](recording)]


def over(of: str) -> Any:
    absent = [pytest.param("", marks=pytest.mark.skip(reason=f"no recordings at {WIRE}"))]
    return pytest.mark.parametrize("name", named(of) or absent)


def frame(event: Json) -> bytes:
    """One recorded message, framed as the README of the recordings says."""
    raw = b""
    for name, kind, value in event["headers"]:
        assert kind == 7
        raw += bytes([len(name)]) + name.encode() + bytes([7]) + struct.pack(">H", len(value.encode())) + value.encode()
    payload = event["payload"].encode()
    prelude = struct.pack(">II", 16 + len(raw) + len(payload), len(raw))
    data = prelude + struct.pack(">I", zlib.crc32(prelude)) + raw + payload
    return data + struct.pack(">I", zlib.crc32(data))


def frames_of(name: str) -> list[bytes]:
    return [frame(event) for event in recordings()[name]["response"]["eventstream"]]


def events_of(name: str) -> list[tuple[str, Json]]:
    return [
        ({h[0]: h[2] for h in event["headers"]}[":event-type"], json.loads(event["payload"]))
        for event in recordings()[name]["response"]["eventstream"]
    ]


def endpoint(model: str = CLAUDE, **changes: Any) -> Endpoint:
    profile = Profile("bedrock", "bedrock_converse", "/model/{model}/converse")
    return Endpoint("claude", "bedrock", profile, "https://bedrock-runtime.us-east-1.amazonaws.com", model, key="k", **changes)


def chat(body: Json) -> ChatRequest:
    """The body as an OpenAI client's request. Raises `FaultError` where the client API refuses it."""
    return OpenAIChatApi().decode(json.dumps(body).encode(), "r1", 0.0)


def asking(*, stream: bool, usage: bool = True, **members: Any) -> ChatRequest:
    body: Json = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    options: Json = {"stream_options": {"include_usage": True}} if stream and usage else {}
    return chat(body | options | members)


class Told:
    """Text, reasoning, calls, stop reason and usage of a recorded reply."""

    def __init__(self) -> None:
        self.text = self.thinking = self.signatures = ""
        self.calls: list[Json] = []
        self.reason = ""
        self.usage: Json = {}

    @classmethod
    def whole(cls, body: Json) -> "Told":
        told = cls()
        for block in body["output"]["message"]["content"]:
            told.text += block.get("text", "")
            told.text += "".join(piece["text"] for piece in block.get("citationsContent", {}).get("content", []))
            thought = block.get("reasoningContent", {}).get("reasoningText", {})
            told.thinking += thought.get("text", "")
            told.signatures += thought.get("signature", "")
            if block.get("toolUse", {}).get("type", "tool_use") == "tool_use" and "toolUse" in block:
                told.calls.append(block["toolUse"])
        told.reason, told.usage = body["stopReason"], body["usage"]
        return told

    @classmethod
    def streamed(cls, events: list[tuple[str, Json]]) -> "Told":
        told, at = cls(), {}
        for name, event in events:
            if name == "contentBlockStart" and "toolUse" in event["start"]:
                at[event["contentBlockIndex"]] = {**event["start"]["toolUse"], "text": ""}
                if event["start"]["toolUse"].get("type", "tool_use") == "tool_use":
                    told.calls.append(at[event["contentBlockIndex"]])
            delta = event.get("delta", {})
            told.text += delta.get("text", "")
            told.thinking += delta.get("reasoningContent", {}).get("text", "")
            told.signatures += delta.get("reasoningContent", {}).get("signature", "")
            if "toolUse" in delta:
                at[event["contentBlockIndex"]]["text"] += delta["toolUse"]["input"]
            told.reason = event.get("stopReason", told.reason)
            told.usage = event.get("usage", told.usage)
        for call in told.calls:
            call["input"] = json.loads(call["text"] or "{}")
        return told
