"""Responses replies of providers, streamed or whole, as canonical events.

Rules. Function calls are numbered from 0 in the order they begin. Deltas count; what an item says only when it is done (some
providers send no deltas) is said then, once. Items of the provider's own tools go out whole as `Extra`. Only `response.completed`
or `response.incomplete` ends a stream.

What can go wrong. The error comes inside the 200, as `error`, `response.failed`, or both. Events may lack their `event:` line:
the type is in the data.
"""

from typing import Any

import msgspec

from fastroute.core.types import Usage
from fastroute.dialects._sse import SseParser
from fastroute.dialects.canonical import (
    Ended,
    Event,
    Extra,
    Failed,
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
from fastroute.dialects.openai_faults import embedded_fault, unreadable_fault

Json = dict[str, Any]

ITEMS_KEY = "responses_output"  # items with no canonical name, as the provider wrote them
NOTES_KEY = "responses_annotations"  # of its text, likewise
_THOUGHTS = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")
_ENDS = ("response.completed", "response.incomplete")
_REASONS = {"content_filter": FinishReason.CONTENT_FILTER}


class ResponsesReader:
    """A `bridge.Reader`; one per attempt."""

    def __init__(self) -> None:
        self._parser = SseParser()
        self._calls: dict[int, int] = {}  # output index -> number of the call
        self._told: set[int] = set()  # output indexes that deltas came for
        self._started = self._over = False

    def feed(self, data: bytes) -> list[Event]:
        return [event for frame in self._parser.feed(data) for event in self.data(frame.data)]

    def end(self) -> list[Event]:
        return [event for frame in self._parser.end() for event in self.data(frame.data)]

    def data(self, data: bytes) -> list[Event]:
        """The events of one event's data."""
        if self._over or data.strip() == b"[DONE]":
            return []
        try:
            return self._event(msgspec.json.decode(data, type=dict[str, Any]))
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
            self._over = True
            return [Failed(unreadable_fault(data))]

    def whole(self, body: bytes) -> list[Event]:
        try:
            response = msgspec.json.decode(body, type=dict[str, Any])
            if response.get("error") or response.get("status") == "failed":
                return [Failed(embedded_fault(msgspec.json.encode({"error": response.get("error")})))]
            events = self._start(response)
            for i, item in enumerate(response["output"]):
                events += self._done(i, item)
            return events + self._end(response)
        except (msgspec.MsgspecError, UnicodeDecodeError, KeyError, TypeError, AttributeError):
            return [Failed(unreadable_fault(body))]

    def _event(self, said: Json) -> list[Event]:
        kind, index = said["type"], said.get("output_index", 0)
        if kind.endswith(".delta"):
            return self._delta(kind, index, said["delta"])
        if kind == "response.created":
            return self._start(said["response"])
        if kind == "response.output_item.added":
            return self._begin_call(index, said["item"])
        if kind == "response.output_item.done":
            return self._done(index, said["item"])
        if kind == "response.reasoning_summary_part.added" and said.get("summary_index"):
            return [ThinkingDelta("\n\n", block=index)]
        if kind in _ENDS:
            return [*self._start(said["response"]), *self._end(said["response"])]
        if kind in ("error", "response.failed"):
            return self._fail(said)
        return []

    def _fail(self, said: Json) -> list[Event]:
        self._over = True
        error = (said.get("response") or said).get("error") or {n: said.get(n) for n in ("message", "code", "param")}
        return [Failed(embedded_fault(msgspec.json.encode({"error": error})))]

    def _start(self, response: Json) -> list[Event]:
        if self._started:
            return []
        self._started = True
        created = response.get("created_at")
        return [Started(response.get("id"), response.get("model"), int(created) if created else None)]

    def _delta(self, kind: str, index: int, text: Any) -> list[Event]:
        if not isinstance(text, str) or not text:
            return []
        self._told.add(index)
        if kind == "response.output_text.delta":
            return [TextDelta(text)]
        if kind == "response.refusal.delta":
            return [RefusalDelta(text)]
        if kind in _THOUGHTS:
            return [ThinkingDelta(text, block=index)]
        if kind == "response.function_call_arguments.delta" and index in self._calls:
            return [ToolArguments(self._calls[index], text)]
        return []

    def _begin_call(self, index: int, item: Json) -> list[Event]:
        if item["type"] != "function_call" or index in self._calls:
            return []
        self._calls[index] = len(self._calls)
        return [ToolStarted(self._calls[index], item["call_id"], item["name"])]

    def _done(self, index: int, item: Json) -> list[Event]:
        """What the finished item says beyond its deltas."""
        fresh = index not in self._told
        self._told.add(index)
        match item["type"]:
            case "function_call":
                events = self._begin_call(index, item)
                return events + ([ToolArguments(self._calls[index], item["arguments"])] if fresh and item["arguments"] else [])
            case "message":
                return _spoken(item, fresh)
            case "reasoning":
                parts = [*(item.get("summary") or ()), *(item.get("content") or ())] if fresh else []
                text = "\n\n".join(part["text"] for part in parts if part.get("text"))
                return [ThinkingDelta(text, block=index)] if text else []
            case _:
                return [Extra(ITEMS_KEY, [item])]

    def _end(self, response: Json) -> list[Event]:
        self._over = True
        why = (response.get("incomplete_details") or {}).get("reason")
        reason = FinishReason.TOOL_CALLS if self._calls else FinishReason.STOP
        if response.get("status") == "incomplete":
            reason = _REASONS.get(str(why), FinishReason.LENGTH)
        usage = response.get("usage")
        seen: list[Event] = [UsageSeen(canonical_usage(usage), usage)] if isinstance(usage, dict) else []
        return [Finished(reason, why or response.get("status")), *seen, Ended()]


def _spoken(item: Json, fresh: bool) -> list[Event]:
    events: list[Event] = []
    for part in item.get("content") or ():
        if fresh and part.get("text"):
            events.append(TextDelta(part["text"]))
        if fresh and part.get("refusal"):
            events.append(RefusalDelta(part["refusal"]))
        for note in part.get("annotations") or ():
            events.append(_annotation(note))
    return events


def _annotation(note: Json) -> Extra:
    """A citation of the web as chat has it; chat knows no others, so they keep their form."""
    if note.get("type") != "url_citation":
        return Extra(NOTES_KEY, [note])
    return Extra("annotations", [{"type": "url_citation", "url_citation": {n: v for n, v in note.items() if n != "type"}}])


def canonical_usage(raw: Json) -> Usage:
    """The usage of a response. What is not reported stays None."""
    return Usage(
        input_tokens=_count(raw, "input_tokens"),
        output_tokens=_count(raw, "output_tokens"),
        cached_input_tokens=_count(raw.get("input_tokens_details"), "cached_tokens"),
        cache_write_tokens=_count(raw.get("input_tokens_details"), "cache_write_tokens"),
        reasoning_tokens=_count(raw.get("output_tokens_details"), "reasoning_tokens"),
    )


def _count(raw: Any, name: str) -> int | None:
    value = raw.get(name) if isinstance(raw, dict) else None
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else None
