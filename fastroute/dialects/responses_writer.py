"""Canonical events as a Responses reply: its stream of numbered events, or one whole response.

Rules. The same id, model and time in every event; items in the order they began; one terminal event (completed, incomplete) where
the provider ended the answer itself, with the whole response and its usage. No `[DONE]`. A stream that cannot go on ends with
`error` and `response.failed`. Ids of providers do not show, but those of calls, which the client sends back.

Decisions. A call is closed once its arguments are a whole JSON object and another item begins: providers may write parallel calls
in turns. Reasoning is shown as a summary, which every client displays.

Source: OpenAI's reference of the Responses stream (November 2026); wire notes 3.5.
"""

import re
from collections.abc import Sequence
from typing import Any

import msgspec

from fastroute.core.failures import Failure, Fault
from fastroute.core.types import Usage
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
from fastroute.dialects.openai_faults import error_object
from fastroute.dialects.openai_usage import so_far
from fastroute.dialects.responses_items import Call, Events, Item, Message, Reasoning, signature_block

Json = dict[str, Any]

BLOCKS = "thinking_blocks"
_INCOMPLETE = {FinishReason.LENGTH: "max_output_tokens", FinishReason.CONTENT_FILTER: "content_filter"}
_DEFAULTS: Json = {
    "background": False,
    "error": None,
    "incomplete_details": None,
    "instructions": None,
    "max_output_tokens": None,
    "max_tool_calls": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "previous_response_id": None,
    "reasoning": {"effort": None, "summary": None},
    "service_tier": None,
    "temperature": None,
    "text": {"format": {"type": "text"}},
    "tool_choice": "auto",
    "tools": [],
    "top_logprobs": 0,
    "top_p": None,
    "truncation": "disabled",
    "user": None,
}
_ECHOED = frozenset(_DEFAULTS) - {"background", "error", "incomplete_details", "previous_response_id", "top_logprobs"}


def responses_usage(usage: Usage) -> Json:
    """`usage` as the response has it. A number nobody reported is 0 only because OpenAI's schema requires one."""
    given, said = usage.input_tokens or 0, usage.output_tokens or 0
    return {
        "input_tokens": given,
        "input_tokens_details": {
            "cached_tokens": usage.cached_input_tokens or 0,
            "cache_write_tokens": usage.cache_write_tokens or 0,
        },
        "output_tokens": said,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning_tokens or 0},
        "total_tokens": given + said,
    }


class ResponsesWriter:
    """A `bridge.Writer` for Responses clients; one per attempt. `asked`: the request's members, which the response repeats."""

    def __init__(self, request_id: str, asked: Json, fallback_model: str) -> None:
        self._id = re.sub(r"[^A-Za-z0-9_-]", "", request_id)
        echoed = {name: asked[name] for name in asked if name in _ECHOED and asked[name] is not None}
        self._head: Json = {"id": f"resp_{self._id}", "object": "response", "created_at": 0, "status": "in_progress"}
        self._head |= {"model": fallback_model, **_DEFAULTS, **echoed, "store": False}
        self._items: list[Item] = []
        self._calls: dict[int, Call] = {}  # by the index of the call
        self._finished: Finished | None = None
        self._usage: Usage | None = None
        self._number = 0
        self._begun = False
        self._pieces = 0

    def write(self, events: Sequence[Event]) -> bytes:
        return b"".join([self._sse(said) for event in events for said in self._said(event)])

    def whole(self, events: Sequence[Event]) -> bytes:
        """A complete reply's events as one response."""
        for event in events:
            self._said(event)
        return msgspec.json.encode(self._response())

    def interrupted(self, fault: Fault, usage: Usage | None) -> bytes:
        """`error`, then `response.failed` with what had come. Items under way stay as they are, and are not among them."""
        said, known = error_object(fault), so_far(usage, self._pieces)
        code = "rate_limit_exceeded" if fault.failure is Failure.RATE_LIMITED else "server_error"
        about = {"code": code, "message": said["message"]}
        output = [item.json for item in self._items if item.closed]
        failed = {**self._head, "status": "failed", "error": about, "output": output}
        failed["usage"] = None if known is None else responses_usage(known)
        flat = {name: said[name] for name in ("code", "message", "param")}  # the reference has it flat, the wire has `error`
        error = {"type": "error", **flat, "error": said}
        events = [*self._begin(), error, {"type": "response.failed", "response": failed}]
        return b"".join([self._sse(event) for event in events])

    def _sse(self, event: Json) -> bytes:
        numbered = {**event, "sequence_number": self._number}
        self._number += 1
        return b"event: %b\ndata: %b\n\n" % (event["type"].encode(), msgspec.json.encode(numbered))

    def _said(self, event: Event) -> Events:
        """The events this one makes, the response's own beginning before the first of them."""
        if getattr(event, "choice", 0):
            return []  # a response has one answer
        events = self._event(event)
        return [*self._begin(), *events] if events else []

    def _begin(self) -> Events:
        if self._begun:
            return []
        self._begun = True
        begun = {**self._head, "output": [], "usage": None}
        return [{"type": f"response.{step}", "response": begun} for step in ("created", "in_progress")]

    def _event(self, event: Event) -> Events:
        match event:
            case Started():
                self._head |= {n: v for n, v in (("model", event.model), ("created_at", event.created)) if v}
                return self._begin()
            case UsageSeen():
                self._usage = event.usage
            case Finished() if self._finished is None:
                self._finished = event
                return self._close("incomplete" if event.reason in _INCOMPLETE else "completed")
            case Ended():
                response = self._response()
                return [{"type": f"response.{response['status']}", "response": response}]
            case _:
                self._pieces += 1
                return self._content(event)
        return []

    def _content(self, event: Event) -> Events:
        match event:
            case TextDelta():
                return self._text("output_text", event.text)
            case RefusalDelta():
                return self._text("refusal", event.text)
            case ThinkingDelta() if event.text:
                events, item = self._reasoning()
                return events + item.add(event.text)
            case Extra(key=key, value=list(blocks)) if key == BLOCKS:
                return self._blocks(blocks)
            case ToolStarted():
                return self._call(event)
            case ToolArguments():
                return self._arguments(event)
            case _:
                return []

    # --- items ---

    def _open(self, item: Item) -> Events:
        """Begins an item, after those before it that are complete."""
        events = self._close("completed", isinstance(item, Call))
        self._items.append(item)
        return events + item.opened()

    def _close(self, status: str, for_call: bool = False) -> Events:
        """Closes the open items: all, but `for_call` those calls whose arguments are not complete. Only the last can be cut."""
        events: Events = []
        for item in self._items:
            if item.closed or (for_call and isinstance(item, Call) and not _is_object(item.arguments)):
                continue
            events += item.closed_by(status if item is self._items[-1] else "completed")
        return events

    def _text(self, kind: str, text: str) -> Events:
        if not text:
            return []
        item, events = self._items[-1] if self._items else None, list[Json]()
        if not isinstance(item, Message) or item.closed:
            item = Message(len(self._items), self._id)
            events = self._open(item)
        return events + item.add(kind, text)

    def _reasoning(self) -> tuple[Events, Reasoning]:
        """The item that takes more reasoning: the last, unless it is sealed already."""
        item = self._items[-1] if self._items else None
        if isinstance(item, Reasoning) and not item.closed and not item.blocks:
            return [], item
        item = Reasoning(len(self._items), self._id)
        return self._open(item), item

    def _blocks(self, blocks: list[Json]) -> Events:
        events, item = self._reasoning()
        item.blocks += [{name: value for name, value in block.items() if name != "index"} for block in blocks]
        return events

    def _call(self, event: ToolStarted) -> Events:
        events: Events = []
        if event.signature is not None:
            events = self._blocks([signature_block(event.signature)])
        call = self._calls[event.index] = Call(len(self._items), self._id, event.id, event.name)
        return events + self._open(call)

    def _arguments(self, event: ToolArguments) -> Events:
        call = self._calls.get(event.index)
        return call.add(event.text) if call is not None and not call.closed and event.text else []

    def _response(self) -> Json:
        reason = None if self._finished is None else _INCOMPLETE.get(self._finished.reason)
        response = {**self._head, "status": "completed" if reason is None else "incomplete"}
        response["incomplete_details"] = None if reason is None else {"reason": reason}
        response["output"] = [item.json for item in self._items]
        response["usage"] = None if self._usage is None else responses_usage(self._usage)
        return response


def _is_object(text: str) -> bool:
    try:
        return isinstance(msgspec.json.decode(text), dict)
    except msgspec.DecodeError:
        return False
