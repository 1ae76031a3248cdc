"""OpenAI chat replies as our own writers and relays give them, as canonical events.

Rules. Only what comes from this side of the house is read here, so it is well formed: whole events, mended calls, one finish per
choice, [DONE] at a proper end only. A reply of a provider is read by `openai_relay`.
"""

from typing import Any

import msgspec

from fastroute.core.types import Usage
from fastroute.dialects._sse import SseParser
from fastroute.dialects.canonical import (
    Ended,
    Event,
    Extra,
    Finished,
    FinishReason,
    RefusalDelta,
    Started,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolStarted,
    UsageSeen,
)

Json = dict[str, Any]

_LEGACY = "function_call"


class ChunkReader:
    """One per reply."""

    def __init__(self) -> None:
        self._parser = SseParser()
        self._started = False

    def feed(self, data: bytes, usage: Usage | None) -> list[Event]:
        """The events of these bytes; `usage` is what is known by now, to be told at the end."""
        events: list[Event] = []
        for frame in self._parser.feed(data):
            if frame.data.strip() == b"[DONE]":
                events += [*([UsageSeen(usage)] if usage is not None else []), Ended()]
            else:
                events += self._chunk(msgspec.json.decode(frame.data), "delta")
        return events

    def whole(self, body: bytes, usage: Usage | None) -> list[Event]:
        """The events of a whole reply."""
        events = self._chunk(msgspec.json.decode(body), "message")
        return [*events, *([UsageSeen(usage)] if usage is not None else []), Ended()]

    def _chunk(self, chunk: Json, where: str) -> list[Event]:
        events: list[Event] = []
        if not self._started and chunk.get("id"):
            self._started = True
            events.append(Started(chunk["id"], chunk.get("model"), chunk.get("created")))
        for choice in chunk.get("choices") or ():
            index = choice.get("index") or 0
            events += _said(choice.get(where) or {}, index)
            raw = choice.get("finish_reason")
            if raw:
                events.append(Finished(_reason(raw), choice.get("native_finish_reason") or raw, choice=index))
        return events


def _reason(word: str) -> FinishReason:
    return FinishReason.TOOL_CALLS if word == _LEGACY else FinishReason(word)


def _said(delta: Json, choice: int) -> list[Event]:
    events: list[Event] = []
    thought = delta.get("reasoning_content") or delta.get("reasoning")
    if isinstance(thought, str) and thought:
        events.append(ThinkingDelta(thought, choice=choice))
    if isinstance(delta.get("content"), str) and delta["content"]:
        events.append(TextDelta(delta["content"], choice))
    if delta.get("refusal"):
        events.append(RefusalDelta(delta["refusal"], choice))
    for number, call in enumerate(delta.get("tool_calls") or ()):
        events += _call(call, call.get("index", number), choice)
    if isinstance(delta.get("extra_content"), dict):
        events.append(Extra("extra_content", delta["extra_content"], choice))
    return events


def _call(call: Json, index: int, choice: int) -> list[Event]:
    function, events = call.get("function") or {}, list[Event]()
    if call.get("id"):
        google = (call.get("extra_content") or {}).get("google") or {}
        events.append(ToolStarted(index, call["id"], function.get("name") or "", choice, google.get("thought_signature")))
    if function.get("arguments"):
        events.append(ToolArguments(index, function["arguments"], choice))
    return events
