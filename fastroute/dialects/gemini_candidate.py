"""One candidate of a Gemini reply, piece by piece, as canonical events. Read `gemini_reply` first."""

from collections.abc import Mapping
from typing import Any

import msgspec

from fastroute.core.failures import Failure, Fault
from fastroute.dialects.canonical import (
    Event,
    Extra,
    Failed,
    Finished,
    FinishReason,
    TextDelta,
    ThinkingDelta,
    ToolArguments,
    ToolStarted,
)
from fastroute.dialects.gemini_arguments import PartialArguments
from fastroute.dialects.gemini_names import made_id
from fastroute.dialects.gemini_terms import finish_reason, reason_word

Raw = msgspec.Raw
Names = Mapping[str, str]

PARTS_KEY = "gemini_parts"  # parts with no canonical name, as Gemini wrote them
_READ = frozenset(("content", "finishReason", "index", "logprobsResult", "tokenCount"))
_ID_CHARS = 512


class _Content(msgspec.Struct):
    parts: list[dict[str, Raw]] | None = None


class _Call(msgspec.Struct):
    name: str | None = None
    args: Raw = Raw(b"null")
    id: str | None = None
    partialArgs: list[dict[str, Any]] | None = None  # noqa: N815 # Google's names
    willContinue: bool | None = None  # noqa: N815


def signed(signature: str) -> dict[str, Any]:
    """A signature as Google's OpenAI-style API writes it beside what it signs."""
    return {"google": {"thought_signature": signature}}


class CandidateReader:
    """Takes a candidate's pieces in order; one per candidate."""

    def __init__(self, index: int, request_id: str, names: Names) -> None:
        self._index, self._request_id, self._names = index, request_id, names
        self._ids: set[str] = set()
        self._calls = 0
        self._partial: PartialArguments | None = None  # of the last call, which is still being written
        self._block, self._thought = -1, False
        self._reason: str | None = None

    @property
    def finished(self) -> bool:
        """Whether it has given its reason to end."""
        return self._reason is not None

    def read(self, candidate: dict[str, Raw]) -> list[Event]:
        """The events of one piece."""
        events: list[Event] = []
        content = candidate.get("content")
        parts = (msgspec.json.decode(content, type=_Content | None) or _Content()).parts if content is not None else None
        for part in parts or ():
            events += self._part(part)
        events += self._beside(candidate)
        raw = candidate.get("finishReason")
        if raw is not None and bytes(raw) != b"null":
            events += self._end(reason_word(msgspec.json.decode(raw)), candidate)
        return events

    def finish(self) -> list[Event]:
        """What ends the candidate, once nothing more comes."""
        word = self._reason or ""
        reason = finish_reason(word, bool(self._calls))
        assert isinstance(reason, FinishReason)
        return [*self._close(), Finished(reason, word, choice=self._index)]

    def _end(self, word: str, candidate: dict[str, Raw]) -> list[Event]:
        if word == "FINISH_REASON_UNSPECIFIED":
            return []
        self._reason = word
        if not isinstance(finish_reason(word, bool(self._calls)), Failure):
            return []
        raw = candidate.get("finishMessage")
        said = msgspec.json.decode(raw) if raw is not None else None
        more = f": {said[:512]}" if isinstance(said, str) and said else ""
        message = f"the model ended its reply with {word}{more}"
        return [Failed(Fault(Failure.GENERATION_FAILED, message, code=word.lower()))]

    # --- parts ----------------------------------------------------------------------------------------------------

    def _part(self, part: dict[str, Raw]) -> list[Event]:
        signature = _text(part, "thoughtSignature")
        if "functionCall" in part:
            self._thought = False
            return self._call(msgspec.json.decode(part["functionCall"], type=_Call), signature or None)
        events = [] if self._partial is None else self._close()
        if "text" in part:
            events += self._said(_text(part, "text"), _is_true(part.get("thought")))
        elif "inlineData" in part:
            events += self._media(part)
        elif part.keys() - {"thoughtSignature", "thought"}:
            events.append(Extra(PARTS_KEY, [{name: msgspec.json.decode(raw) for name, raw in part.items()}], self._index))
        if signature:
            events.append(Extra("extra_content", signed(signature), self._index))
        return events

    def _said(self, text: str, thought: bool) -> list[Event]:
        if not text:
            return []
        if not thought:
            self._thought = False
            return [TextDelta(text, self._index)]
        if not self._thought:
            self._thought, self._block = True, self._block + 1
        return [ThinkingDelta(text, block=self._block, choice=self._index)]

    def _media(self, part: dict[str, Raw]) -> list[Event]:
        data = msgspec.json.decode(part["inlineData"])
        kind = data.get("mimeType", "")
        if not kind.startswith("image/") or _is_true(part.get("thought")):
            return [Extra(PARTS_KEY, [{name: msgspec.json.decode(raw) for name, raw in part.items()}], self._index)]
        url = f"data:{kind};base64,{data.get('data', '')}"
        return [Extra("images", [{"type": "image_url", "image_url": {"url": url}}], self._index)]

    # --- calls ----------------------------------------------------------------------------------------------------

    def _call(self, call: _Call, signature: str | None) -> list[Event]:
        if self._partial is not None and call.name is None:
            self._partial.take(call.partialArgs or ())
            return [] if call.willContinue else self._close()
        events = self._close()
        if call.name is None:
            return events
        number, self._calls = self._calls, self._calls + 1
        name = self._names.get(call.name, call.name)
        events.append(ToolStarted(number, self._call_id(call.id, number), name, self._index, signature))
        if call.partialArgs or call.willContinue:
            self._partial = PartialArguments()
            self._partial.take(call.partialArgs or ())
            return events if call.willContinue else events + self._close()
        arguments = bytes(call.args).decode()
        return [*events, ToolArguments(number, "{}" if arguments == "null" else arguments, self._index)]

    def _call_id(self, given: str | None, number: int) -> str:
        """The call's id, or one made here for it: Gemini gave none before its third generation."""
        found = given if given and given not in self._ids and len(given) <= _ID_CHARS else None
        call_id = found or made_id(self._request_id, self._index, number)
        self._ids.add(call_id)
        return call_id

    def _close(self) -> list[Event]:
        """The arguments of a call that came in pieces, now that they are complete."""
        partial, self._partial = self._partial, None
        return [] if partial is None else [ToolArguments(self._calls - 1, partial.text(), self._index)]

    # --- members beside the content -------------------------------------------------------------------------------

    def _beside(self, candidate: dict[str, Raw]) -> list[Event]:
        events: list[Event] = []
        for name, raw in candidate.items():
            if name not in _READ and bytes(raw) != b"null":
                events.append(Extra(name, msgspec.json.decode(raw), self._index))
        if "logprobsResult" in candidate:
            events.append(Extra("logprobs", _logprobs(msgspec.json.decode(candidate["logprobsResult"])), self._index))
        return events


def _logprobs(result: dict[str, Any]) -> dict[str, Any]:
    """`logprobsResult` as OpenAI's `logprobs`."""
    chosen, top = result.get("chosenCandidates") or [], result.get("topCandidates") or []
    content = [_token(token) for token in chosen]
    for i, entry in enumerate(content):
        entry["top_logprobs"] = [_token(token) for token in top[i].get("candidates") or ()] if i < len(top) else []
    return {"content": content, "refusal": None}


def _token(token: dict[str, Any]) -> dict[str, Any]:
    text = token.get("token", "")
    return {"token": text, "logprob": token.get("logProbability", 0.0), "bytes": list(text.encode("utf-8", "replace"))}


def _text(part: dict[str, Raw], name: str) -> str:
    raw = part.get(name)
    return "" if raw is None else msgspec.json.decode(raw, type=str)


def _is_true(raw: Raw | None) -> bool:
    return raw is not None and bytes(raw) == b"true"
