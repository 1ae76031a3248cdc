"""Recorded OpenAI-style exchanges beside the checkout, and what they say, read by code of the tests' own."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import msgspec
import pytest

from fastroute.config.presets import Preset, presets
from fastroute.core.types import ChatRequest, Endpoint
from fastroute.dialects.openai_chat import OpenAIChatApi
from fastroute.dialects.openai_dialect import OpenAIDialect

Json = dict[str, Any]

FOLDER = Path(__file__).resolve().parents[3] / "shared" / "wire"
DIALECT = OpenAIDialect(lambda: 1_780_000_000.5)
API = OpenAIChatApi()
PRESETS = {"gemini": "openai-compatible"}  # its OpenAI-style API, recorded
"""Folders whose preset has another name."""


@cache
def recordings() -> dict[str, Json]:
    """Every exchange of the chat completions API, by folder and file."""
    found = {}
    for path in sorted(FOLDER.glob("*/*.json")):
        exchange = json.loads(path.read_text())
        if exchange["api"] == "openai.chat":
            found[f"{path.parent.name}/{path.stem}"] = exchange
    return found


def kind(exchange: Json) -> str:
    if exchange["response"]["status"] != 200:
        return "error"
    if "sse" in exchange["response"]:
        return "failing" if "event: error" in "".join(exchange["response"]["sse"]) else "stream"
    return "whole"


def named(*kinds: str, provider: str = "") -> list[str]:
    return [name for name, exchange in recordings().items() if kind(exchange) in kinds and name.startswith(provider)]


def over(*kinds: str, provider: str = "") -> Any:
    """Runs a test over the recordings of these kinds; skips it where there are none to be had."""
    absent = [pytest.param("", marks=pytest.mark.skip(reason="no recorded traffic beside the checkout (shared/wire)"))]
    return pytest.mark.parametrize("name", named(*kinds, provider=provider) or absent)


def preset_of(name: str) -> Preset:
    """The preset that a user would take for the provider of the recording."""
    provider = name.partition("/")[0]
    preset = presets()[PRESETS.get(provider, provider)]
    return preset if preset.profile.dialect == "openai_chat" else presets()["openai-compatible"]


def endpoint(name: str) -> Endpoint:
    """An endpoint of the recording's provider, as its preset makes it."""
    preset = preset_of(name)
    return Endpoint(name="e", provider=preset.name, profile=preset.profile, base_url="https://api.example", model="m-1", key="k")


def request_body(name: str) -> Json:
    """The recorded request, or one that could have been it."""
    recorded = (recordings()[name]["request"] or {}).get("body")
    body = recorded if isinstance(recorded, dict) and recorded.get("messages") else {}
    return {"model": "m", "messages": [{"role": "user", "content": "Hi"}], **body}


def asking(name: str, *, stream: bool, usage: bool = True) -> ChatRequest:
    body = request_body(name) | {"stream": stream}
    body.pop("stream_options", None)
    if stream and usage:
        body["stream_options"] = {"include_usage": True}
    return API.decode(json.dumps(body).encode(), "req-1", 100.0)


# --- what a recording says ----------------------------------------------------------------------------------------------


class Told(msgspec.Struct):
    """One choice of a reply."""

    text: str = ""
    thinking: str = ""
    refusal: str = ""
    calls: list[Json] = []
    finish: str | None = None
    legacy: bool = False


class Reply(msgspec.Struct):
    choices: dict[int, Told]
    usage: Json | None = None


def data_of(frames: list[str]) -> list[Json]:
    """The JSON of every data line. The recordings have one such line an event."""
    lines = [line[5:].strip() for frame in frames for line in frame.splitlines() if line.startswith("data:")]
    return [json.loads(line) for line in lines if line.startswith("{")]


def told_by_stream(frames: list[str]) -> Reply:
    reply = Reply({})
    for chunk in data_of(frames):
        usage = chunk.get("usage") or (chunk.get("x_groq") or {}).get("usage")
        reply.usage = usage or reply.usage
        for choice in chunk.get("choices") or []:
            told = reply.choices.setdefault(choice.get("index", 0), Told(calls=[]))
            before = msgspec.structs.asdict(told) | {"calls": json.dumps(told.calls)}
            add_message(told, choice.get("delta") or {})
            if before != msgspec.structs.asdict(told) | {"calls": json.dumps(told.calls)}:
                told.finish = None  # it goes on, so it had not finished
            told.finish = choice.get("finish_reason") or told.finish
    return reply


def told_by_body(body: Json) -> Reply:
    reply = Reply({}, body.get("usage"))
    for choice in body["choices"]:
        told = reply.choices[choice["index"]] = Told(calls=[], finish=choice["finish_reason"])
        add_message(told, choice["message"])
    return reply


def add_message(told: Told, message: Json) -> None:
    content = message.get("content") or ""
    parts = content if isinstance(content, list) else [{"type": "text", "text": content}]
    told.text += "".join(part["text"] for part in parts if part["type"] == "text")
    told.thinking += "".join(t["text"] for part in parts if part["type"] == "thinking" for t in part["thinking"])
    told.thinking += message.get("reasoning_content") or message.get("reasoning") or ""
    told.refusal += message.get("refusal") or ""
    told.legacy = told.legacy or "function_call" in message
    for call in message.get("tool_calls") or []:
        function = call.get("function") or {}
        if function.get("name"):
            told.calls.append({"id": call.get("id"), "name": function["name"], "arguments": ""})
        at = call.get("index") if isinstance(call.get("index"), int) and call["index"] < len(told.calls) else -1
        told.calls[at]["arguments"] += function.get("arguments") or ""


def expected_usage(raw: Json) -> tuple[int, int, int]:
    """Prompt, completion and cached tokens that the numbers themselves bear out."""
    prompt, completion = raw["prompt_tokens"], raw["completion_tokens"]
    cached = (raw.get("prompt_tokens_details") or {}).get("cached_tokens") or 0
    for other in ("prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens"):
        cached = cached or raw.get(other) or 0
    reasoning = (raw.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    outside = reasoning > completion or raw["total_tokens"] == prompt + completion + reasoning
    return prompt + (cached if cached > prompt else 0), completion + (reasoning if outside else 0), cached
