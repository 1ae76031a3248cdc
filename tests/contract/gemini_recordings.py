"""Recorded exchanges with Gemini, by AI Studio and Vertex, and of clients of other APIs: where they are, and what they say.

Nothing of the code under test is used to read them.
"""

import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from fastroute.core.types import ChatRequest, Endpoint, Profile
from fastroute.dialects.gemini_dialect import GeminiDialect
from fastroute.dialects.openai_chat import OpenAIChatApi

WIRE = Path(__file__).resolve().parents[3] / "shared" / "wire"
DIALECT = GeminiDialect(lambda: 1_700_000_000.0)
NUMBERS = {1: "STOP", 2: "MAX_TOKENS"}
Json = dict[str, Any]


@cache
def recordings() -> dict[str, Json]:
    return {f"{p.parent.name}/{p.stem}": json.loads(p.read_text()) for p in sorted(WIRE.glob("*/*.json"))}


def _of_gemini(recording: Json, kind: str, status: bool) -> bool:
    return recording["api"] == kind and (recording["response"]["status"] == 200) is status


def named(*, of: str) -> list[str]:
    """Names of the recordings that some test is about."""
    kinds = {
        "stream": lambda r: _of_gemini(r, "gemini.stream", True),
        "whole": lambda r: _of_gemini(r, "gemini.generate", True),
        "reply": lambda r: _of_gemini(r, "gemini.stream", True) or _of_gemini(r, "gemini.generate", True),
        "request": lambda r: (
            r["api"] in ("gemini.stream", "gemini.generate") and isinstance((r["request"] or {}).get("body"), dict)
        ),
        "error": lambda r: _of_gemini(r, "gemini.generate", False) or _of_gemini(r, "gemini.stream", False),
        "openai": lambda r: r["api"] == "openai.chat" and isinstance((r["request"] or {}).get("body"), dict),
        "anthropic": lambda r: r["api"] == "anthropic.messages" and isinstance((r["request"] or {}).get("body"), dict),
    }
    return [name for name, recording in recordings().items() if kinds[of](recording)]


def over(of: str) -> Any:
    names = named(of=of)
    absent = [pytest.param("", marks=pytest.mark.skip(reason=f"no recordings at {WIRE}"))]
    return pytest.mark.parametrize("name", names or absent)


def frames_of(name: str) -> list[bytes]:
    """The recorded stream, frame by frame. One that came as an array is one frame: nobody knows how it was cut."""
    response = recordings()[name]["response"]
    if "sse" in response:
        return [frame.encode() for frame in response["sse"]]
    return [json.dumps(response["body"]).encode()]


def chunks_of(name: str) -> list[Json]:
    """What the reply says, chunk by chunk."""
    response = recordings()[name]["response"]
    if "sse" not in response:
        return response["body"] if isinstance(response["body"], list) else [response["body"]]
    return [json.loads(line[5:]) for frame in response["sse"] for line in frame.splitlines() if line.startswith("data:")]


def endpoint(model: str = "gemini-3.8-flash", base_url: str = "http://upstream") -> Endpoint:
    profile = Profile("gemini", "gemini", "/v1beta/models/{model}:generateContent", auth="x-goog-api-key")
    return Endpoint("flash", "gemini", profile, base_url, model, key="k")


def chat(body: Json) -> ChatRequest:
    """The body as an OpenAI client's request. Raises `FaultError` where the client API refuses it."""
    return OpenAIChatApi().decode(json.dumps(body).encode(), "r1", 0.0)


def asking(*, stream: bool, usage: bool = True, **members: Any) -> ChatRequest:
    body: Json = {"model": "auto", "messages": [{"role": "user", "content": "hi"}], "stream": stream}
    options: Json = {"stream_options": {"include_usage": True}} if stream and usage else {}
    return chat(body | options | members)


# --- what the recording says, read plainly ----------------------------------------------------------------------------


class Told:
    """Text, reasoning, calls, finish reason and usage of a recorded reply."""

    def __init__(self, chunks: list[Json]) -> None:
        self.text = self.thinking = ""
        self.calls: list[Json] = []
        self.signatures: list[str] = []
        self.reason: str | None = None
        self.usage: Json = {}
        self.media = 0
        for chunk in chunks:
            if "promptTokenCount" in (chunk.get("usageMetadata") or {}):
                self.usage = chunk["usageMetadata"]
            for candidate in chunk.get("candidates") or []:
                given = candidate.get("finishReason")
                self.reason = NUMBERS.get(given, given) or self.reason
                for part in (candidate.get("content") or {}).get("parts") or []:
                    self._part(part)

    def _part(self, part: Json) -> None:
        if "thoughtSignature" in part:
            self.signatures.append(part["thoughtSignature"])
        call = part.get("functionCall")
        if call is not None and "name" in call:
            self.calls.append({"name": call["name"], "args": dict(call.get("args") or {}), "id": call.get("id")})
        for piece in (call or {}).get("partialArgs") or []:
            name = piece["jsonPath"].removeprefix("$.")
            args = self.calls[-1]["args"]
            args[name] = args.get(name, "") + piece["stringValue"]
        self.media += "inlineData" in part
        if part.get("thought"):
            self.thinking += part["text"]
        else:
            self.text += part.get("text", "")


def pieces(data: bytes, size: int = 1) -> Iterator[bytes]:
    return (data[i : i + size] for i in range(0, len(data), size))
