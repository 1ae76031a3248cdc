"""Anthropic clients' requests and what they are told, read plainly."""

import json
from typing import Any

from fastroute.core.types import ChatRequest, Endpoint, Overrides, Profile
from fastroute.dialects.messages_api import MessagesApi

Json = dict[str, Any]

GPT = Endpoint("gpt", "openai", Profile("openai", "openai_chat", "/chat/completions"), "http://o", "gpt-x", key="k")
CLAUDE_PROFILE = Profile("anthropic", "anthropic_messages", "/v1/messages", auth="x-api-key")
CLAUDE = Endpoint("claude", "anthropic", CLAUDE_PROFILE, "http://c", "claude-sonnet-4-5", key="k")
GEMINI_PROFILE = Profile("gemini", "gemini", "/models/{model}:generateContent", auth="x-goog-api-key")
GEMINI = Endpoint("gemini", "google", GEMINI_PROFILE, "http://g", "gemini-x", key="k")


def asked(betas: str = "", **members: Any) -> ChatRequest:
    body = {"model": "auto", "max_tokens": 100, "messages": [{"role": "user", "content": "Hi"}], **members}
    request = MessagesApi().decode(json.dumps(body).encode(), "r1", 0.0)
    request.overrides = Overrides(betas=betas)
    return request


def turns(*messages: Any) -> ChatRequest:
    """A conversation of user and assistant by turns, each a list of blocks."""
    return asked(messages=[{"role": ("user", "assistant")[i % 2], "content": content} for i, content in enumerate(messages)])


def told(data: bytes) -> list[Json]:
    """The stream's events, each checked to be named by its type."""
    events = []
    for frame in data.split(b"\n\n")[:-1]:
        name, _, rest = frame.partition(b"\n")
        event = json.loads(rest.removeprefix(b"data: "))
        assert name == b"event: " + event["type"].encode()
        events.append(event)
    return events


def added_up(events: list[Json]) -> Json:
    """The message that a client makes of the events, in order and by index only."""
    assert events[0]["type"] == "message_start"
    message: Json = dict(events[0]["message"])
    blocks: list[Json] = []
    inputs: dict[int, str] = {}
    ended: set[int] = set()
    for event in events[1:]:
        if event["type"] == "content_block_start":
            assert event["index"] == len(blocks) == len(ended), "one block at a time, under indices without gaps"
            blocks.append(dict(event["content_block"]))
        elif event["type"] == "content_block_delta":
            assert event["index"] == len(blocks) - 1
            _add(blocks[-1], event["delta"], inputs, event["index"])
        elif event["type"] == "content_block_stop":
            ended.add(event["index"])
        elif event["type"] == "message_delta":
            message |= event["delta"]
            message["usage"] = {**message["usage"], **event["usage"]}
    assert len(ended) == len(blocks)
    for index, text in inputs.items():
        blocks[index]["input"] = json.loads(text)
    return {**message, "content": blocks}


def _add(block: Json, delta: Json, inputs: dict[int, str], index: int) -> None:
    match delta["type"]:
        case "text_delta":
            block["text"] += delta["text"]
        case "thinking_delta":
            block["thinking"] += delta["thinking"]
        case "signature_delta":
            block["signature"] = delta["signature"]
        case "input_json_delta":
            inputs[index] = inputs.get(index, "") + delta["partial_json"]
