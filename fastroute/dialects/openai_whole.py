"""A whole chat completion of any OpenAI-style provider: checked, and mended only where it departs from the contract.

Rules. Sent on byte for byte unless something needs a mend. A 200 without a message in it is a failure, never an empty answer.
"""

from typing import Any

import msgspec

from fastroute.core.failures import Failure, Fault
from fastroute.core.types import Usage
from fastroute.dialects.openai_faults import embedded_fault, scrubbed
from fastroute.dialects.openai_frames import ChoiceFrame, Head, Members, Raw, encode, event, is_empty, is_null
from fastroute.dialects.openai_mend import ChoiceState
from fastroute.dialects.openai_usage import mended_usage, read_usage

_UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)
_CHUNK_OBJECT = "chat.completion.chunk"


class WholeReply(msgspec.Struct, frozen=True):
    """A checked reply. Where `fault` is set, there is no body."""

    body: bytes = b""
    fault: Fault | None = None
    usage: Usage | None = None


def whole_reply(body: bytes, request_id: str, head: Head, reasoning_in_output: bool = True) -> WholeReply:
    """Checks and mends a complete 200 body. Never raises."""
    try:
        return _reply(body, request_id, head, reasoning_in_output)
    except _UNREADABLE:
        return WholeReply(fault=_malformed(body))


def whole_as_chunks(body: bytes, include_usage: bool) -> bytes:
    """A whole reply that `whole_reply` gave, as the events of a stream, without [DONE]."""
    members = msgspec.json.decode(body, type=dict[str, Raw])
    shared: dict[str, Any] = {**members, "object": _CHUNK_OBJECT}
    usage = shared.pop("usage", None)
    out = []
    for choice in msgspec.json.decode(members["choices"], type=list[dict[str, Any]]):
        delta = choice.pop("message")
        for number, call in enumerate(delta.get("tool_calls") or ()):
            call["index"] = number
        out.append(event(encode({**shared, "choices": [{**choice, "delta": delta}]})))
    if include_usage and not is_null(usage):
        out.append(event(encode({**shared, "choices": [], "usage": usage})))
    return b"".join(out)


def _reply(body: bytes, request_id: str, head: Head, reasoning_in_output: bool) -> WholeReply:
    members = msgspec.json.decode(body, type=Members)
    raw_choices = members.get("choices")
    choices = [] if is_null(raw_choices) else msgspec.json.decode(raw_choices or b"[]", type=list[Members])
    if not choices or not is_null(members.get("error")):
        return WholeReply(fault=_no_answer(members, body))
    frames = [_as_frame(choice) for choice in choices]
    for frame in frames:
        fault = _mend(frame, ChoiceState(request_id, frame.index, whole=True))
        if fault is not None:
            return WholeReply(fault=fault)
    raw_usage = members.get("usage")
    reported = None if is_null(raw_usage) else msgspec.json.decode(raw_usage or b"null")
    usage, mended = None, None
    if isinstance(reported, dict):
        usage, mended = read_usage(reported, reasoning_in_output), mended_usage(reported, reasoning_in_output)
    changed = any(frame.changed for frame in frames)
    if changed:
        members["choices"] = Raw(encode([_as_choice(frame) for frame in frames]))
    if mended is not None:
        members["usage"] = Raw(encode(mended))
    completed = _complete(members, head)
    return WholeReply(encode(members) if changed or completed or mended is not None else body, usage=usage)


def _as_frame(choice: Members) -> ChoiceFrame:
    """The choice with its message where a chunk has its delta."""
    message = choice.pop("message", None)
    if is_null(message):
        raise ValueError("a choice without a message")
    inner = {**choice, "delta": message or Raw(b"{}")}
    if "index" not in inner:
        inner["index"] = Raw(b"0")
    return ChoiceFrame(inner)


def _as_choice(frame: ChoiceFrame) -> Members:
    rendered = frame.render()
    return {("message" if name == "delta" else name): value for name, value in rendered.items()}


def _mend(frame: ChoiceFrame, state: ChoiceState) -> Fault | None:
    fault = state.mend(frame)
    if fault is None and frame.finish() is None:  # complete by its framing, whatever the provider forgot to say
        frame.set("finish_reason", "tool_calls" if state.calls.called else "stop")
    if "role" not in frame.delta:
        frame.set_delta("role", "assistant")
    return fault


def _complete(members: Members, head: Head) -> bool:
    """Gives the body the members that OpenAI's clients require; says whether any was missing."""
    missing = [name for name in ("id", "created", "model") if is_null(members.get(name))]
    for name in missing:
        members[name] = getattr(head, name)
    if is_empty(members.get("object", Raw(b"null"))):
        members["object"] = Raw(b'"chat.completion"')
        return True
    return bool(missing)


def _no_answer(members: Members, body: bytes) -> Fault:
    if not is_null(members.get("error")) or not is_null(members.get("detail")) or "message" in members:
        return embedded_fault(body)
    return _malformed(body)


def _malformed(body: bytes) -> Fault:
    stripped = body.lstrip()
    if stripped[:1] == b"[" and b'"error"' in body:
        return embedded_fault(body)
    if not stripped:
        return Fault(Failure.MALFORMED, "the provider answered 200 with an empty body")
    start = scrubbed(stripped[:200].decode("utf-8", "replace"))
    return Fault(Failure.MALFORMED, f"the provider answered 200 with something that is no chat completion: {start}")
