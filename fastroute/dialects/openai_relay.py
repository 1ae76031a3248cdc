"""OpenAI-style upstream to OpenAI client: bytes through, frame by frame, mended where the provider departs from the contract.

Rules. A frame without a fault in it leaves byte for byte. In order, the client gets: chunks; one finish reason per choice; one
usage chunk with `choices: []`, if it asked; [DONE]. Comments are dropped. An error inside the stream is a fault, and so is an
end before every choice has finished: a finish reason is never made up. A missing [DONE] after that is not an early end. Where
[DONE] came, and a finish reason for some choices only (LiteLLM gives one for all), the others have finished too.

Theory of operation. A chunk in the middle of an answer decodes into `PlainChunk` and is sent on as it came; that is nearly all
of them. Whatever that type refuses is opened as a `Frame` of raw members, mended, and rendered again only if changed. A frame
with a finish reason waits for the next one: should the same choice go on (Together closes each parallel call with a finish
reason, some close every chunk), the reason is taken back. Usage waits for the end, the last report wins.

What can go wrong. A provider answers a stream request with plain JSON: it is kept and judged at the end. A JSON text cut by a
lost connection is an early end, not a malformed one.
"""

from typing import Any

import msgspec
from msgspec import UNSET

from fastroute.core.failures import Failure, Fault
from fastroute.core.types import ChatRequest, Endpoint, Usage
from fastroute.dialects._sse import MAX_EVENT_BYTES, SseEvent, SseParser
from fastroute.dialects.bridge import TRUNCATED
from fastroute.dialects.openai_faults import embedded_fault, error_event
from fastroute.dialects.openai_frames import (
    CHUNK_OBJECT,
    ChoiceFrame,
    Frame,
    Head,
    PlainChunk,
    Raw,
    encode,
    event,
    is_null,
    plain_chunk,
    spliced,
)
from fastroute.dialects.openai_mend import ChoiceState, has_content
from fastroute.dialects.openai_usage import latest, mended_usage, read_usage, so_far
from fastroute.dialects.openai_whole import whole_as_chunks, whole_reply

DONE = b"data: [DONE]\n\n"
TOO_LARGE = Fault(Failure.TOO_LARGE, "an event of the provider's stream passed 16 MiB")
UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)

_NULL_USAGE = b',"usage":null'
_OTHER_NULL_USAGES = (b'"usage":null,', b', "usage": null', b'"usage": null, ')
_USAGE_CHUNK = ("id", "object", "created", "model", "system_fingerprint", "service_tier", "provider")


class OpenAIRelay:
    """A `core.ports.Translator` from any OpenAI-style provider to an OpenAI chat client."""

    def __init__(self, request: ChatRequest, endpoint: Endpoint, created_s: int) -> None:
        self.content_started = False
        self.finished = False
        self.fault: Fault | None = None
        self.usage: Usage | None = None
        self.output_tokens_seen = 0
        self._request = request
        self._reasoning_in_output = endpoint.profile.reasoning_in_output
        self._parser = SseParser()
        self._head = Head(Raw(encode(f"chatcmpl-{request.id}")), Raw(encode(created_s)), Raw(encode(endpoint.model)))
        self._choices: dict[int, ChoiceState] = {}
        self._held: Frame | None = None  # a frame with a finish reason, until the next frame shows that it was one
        self._usage_frame: Frame | None = None  # the latest report, for the client
        self._tail: list[bytes] = []  # chunks that came after a pure usage chunk
        self._plain_json: bytearray | None = None  # the reply is no event stream
        self._began = False

    def feed(self, data: bytes) -> bytes:
        if self.fault is not None or self.finished:
            return b""
        if not self._began and self._is_plain_json(data):
            return b""
        if self._plain_json is not None:
            return self._keep_plain(data)
        return self._pass(self._parser.feed(data))

    def end(self) -> bytes:
        if self.fault is not None or self.finished:
            return b""
        if self._plain_json is not None:
            return self._end_plain(bytes(self._plain_json))
        out = self._pass(self._parser.end(), last=True)
        if self.fault is None and not self.finished:
            out += self._close(done=False)
        return out

    def whole(self, body: bytes) -> bytes:
        reply = whole_reply(body, self._request.id, self._head, self._reasoning_in_output)
        self.fault, self.usage = reply.fault, reply.usage
        if reply.fault is None:
            self.content_started = self.finished = True
        return reply.body

    def interrupted(self, fault: Fault) -> bytes:
        return error_event(fault, so_far(self.usage, self.output_tokens_seen))

    # --- events --------------------------------------------------------------------------------------------------

    def _pass(self, events: list[SseEvent], last: bool = False) -> bytes:
        out = []
        for item in events:
            out.append(self._event(item, last))
            if self.fault is not None or self.finished:
                break
        if self._parser.overflowed and self.fault is None and not self.finished:
            self.fault = TOO_LARGE
        return out[0] if len(out) == 1 else b"".join(out)

    def _event(self, item: SseEvent, last: bool) -> bytes:
        data = item.data
        if item.name == b"error":
            self.fault = embedded_fault(data)
            return b""
        if data[:1] != b"{" and data.strip() == b"[DONE]":
            return self._close(done=True)
        if self._held is None:
            try:
                chunk = plain_chunk.decode(data)
            except UNREADABLE:
                pass
            else:
                plain = self._plain(data, chunk)
                if plain is not None:
                    return event(plain if self._request.include_usage else _without_null_usage(plain))
        try:
            return self._mend(Frame(data))
        except UNREADABLE:
            self.fault = None if last else _unreadable(data)  # a last one cut short tells nothing: `_close` decides
            return b""

    def _plain(self, data: bytes, chunk: PlainChunk) -> bytes | None:
        """Takes note of a chunk that needs no mend, or next to none; gives None for the others, which `_mend` is for."""
        if len(chunk.choices) != 1:
            return None
        choice = chunk.choices[0]
        state, delta = self._choices.get(choice.index), choice.delta
        if state is None or state.finished:
            return None
        if delta.role is not None or choice.finish_reason is UNSET:
            plain = spliced(data, choice) if state.role_sent or delta.role is None else None
            if plain is None:
                return None
            data = plain
        if delta.tool_calls:
            call = delta.tool_calls[0]
            if len(delta.tool_calls) != 1 or not state.calls.continues(call.index, call.function.arguments):
                return None
        elif not (delta.content or delta.reasoning_content or delta.reasoning or delta.refusal):
            return None
        self.content_started = True
        self.output_tokens_seen += 1
        return data

    # --- chunks that need a closer look --------------------------------------------------------------------------

    def _mend(self, frame: Frame) -> bytes:
        error = frame.members.get("error")
        if error is not None and not is_null(error):
            self.fault = embedded_fault(frame.data)
            return b""
        out = self._release(frame)
        kept = []
        for choice in frame.choices:
            if self._mend_choice(choice):
                kept.append(choice)
            if self.fault is not None:
                return out
        frame.keep(kept)
        frame.complete(self._head)
        only_usage = self._take_usage(frame)
        if not frame.choices:
            return out + self._without_choices(frame, only_usage)
        if any(choice.finish() is not None for choice in frame.choices):
            self._held = frame
            return out
        return out + frame.render()

    def _mend_choice(self, choice: ChoiceFrame) -> bool:
        """Mends one choice and takes note of it; says whether the client should see it."""
        state = self._choices.get(choice.index)
        if state is None:
            state = self._choices[choice.index] = ChoiceState(self._request.id, choice.index)
        self.fault = state.mend(choice)
        if self.fault is not None:
            return False
        finish = choice.finish()
        if has_content(choice.delta):
            self.content_started = True
            self.output_tokens_seen += 1
        if not state.finished:
            state.finished = finish is not None
            self.content_started = self.content_started or state.finished
            return True
        if finish is not None:
            choice.set("finish_reason", None)
        return not choice.says_nothing()

    def _release(self, coming: Frame) -> bytes:
        """The frame that waited: as it is, or without the finish of a choice that goes on."""
        held, self._held = self._held, None
        if held is None:
            return b""
        going_on = {choice.index for choice in coming.choices if has_content(choice.delta)}
        for choice in held.choices:
            if choice.index in going_on and choice.finish() is not None:
                choice.set("finish_reason", None)
                self._choices[choice.index].finished = False
        held.keep([choice for choice in held.choices if choice.finish() is not None or not choice.says_nothing()])
        return held.render() if held.choices else b""

    # --- usage ---------------------------------------------------------------------------------------------------

    def _take_usage(self, frame: Frame) -> bool:
        """Notes the usage in a frame, and takes it out where the frame holds more; says whether the frame was only that."""
        raw = frame.members.get("usage")
        reported = None if is_null(raw) else msgspec.json.decode(raw or b"null")
        if not isinstance(reported, dict):
            if raw is not None and not self._request.include_usage:
                frame.drop("usage")
            self._note_usage(frame, _groq_usage(frame), pure=False)
            return False
        self._note_usage(frame, reported, pure=not frame.had_choices)
        if frame.had_choices:
            frame.drop("usage")
        return not frame.choices

    def _note_usage(self, frame: Frame, reported: Any, pure: bool) -> None:
        """The latest report, for the bill and for the client; the provider's own chunk where it reports nothing else."""
        if not isinstance(reported, dict):
            return
        self.usage = latest(self.usage, read_usage(reported, self._reasoning_in_output))
        mended = mended_usage(reported, self._reasoning_in_output)
        if pure:
            if mended is not None:
                frame.set("usage", Raw(encode(mended)))
            self._usage_frame = frame
            return
        members: dict[str, Any] = {name: frame.members[name] for name in _USAGE_CHUNK if name in frame.members}
        usage = frame.members["usage"] if mended is None and not is_null(frame.members.get("usage")) else mended or reported
        self._usage_frame = Frame(encode({**members, "choices": [], "usage": usage}))

    def _without_choices(self, frame: Frame, only_usage: bool) -> bytes:
        if only_usage or frame.had_choices:
            return b""
        if self._usage_frame is not None and self._request.include_usage:
            self._tail.append(frame.render())
            return b""
        return frame.render()

    # --- the end -------------------------------------------------------------------------------------------------

    def _close(self, done: bool) -> bytes:
        """The stream is over, by [DONE] or without it: the last bytes, or a fault where an answer is unfinished."""
        open_choices = [index for index, state in self._choices.items() if not state.finished]
        finished = len(self._choices) - len(open_choices)
        if finished == 0 or (not done and (open_choices or finished < self._request.choices)):
            self.fault = TRUNCATED
            return b""
        self.finished = True
        out = [b"" if self._held is None else self._held.render(), *(self._finish(index) for index in open_choices)]
        if self._request.include_usage and self._usage_frame is not None:
            out.append(self._usage_frame.render())
        return b"".join([*out, *self._tail, DONE])

    def _finish(self, index: int) -> bytes:
        """The finish of a choice whose provider ended the reply properly but gave one finish reason for all choices."""
        reason = "tool_calls" if self._choices[index].calls.called else "stop"
        choice = {"index": index, "delta": {}, "finish_reason": reason}
        head = msgspec.structs.asdict(self._head)
        return event(encode({**head, "object": CHUNK_OBJECT, "choices": [choice]}))

    # --- replies that are no stream ------------------------------------------------------------------------------

    def _is_plain_json(self, data: bytes) -> bool:
        start = data.lstrip()[:1]
        self._began = bool(start)
        if start in (b"{", b"[", b"<"):
            self._plain_json = bytearray(data)
            return True
        return False

    def _keep_plain(self, data: bytes) -> bytes:
        assert self._plain_json is not None
        self._plain_json += data
        if len(self._plain_json) > MAX_EVENT_BYTES:
            self.fault = TOO_LARGE
        return b""

    def _end_plain(self, body: bytes) -> bytes:
        """The whole JSON answer of a provider that does not stream, as a stream."""
        answer = self.whole(body)
        return b"" if self.fault is not None else whole_as_chunks(answer, self._request.include_usage) + DONE


def _without_null_usage(data: bytes) -> bytes:
    """A client that asked for no usage gets no `"usage": null` either, which we made the provider send.

    Inside a JSON string the quotes would be escaped, so the text can only be a member.
    """
    at = data.rfind(_NULL_USAGE)
    if at >= 0:
        return data[:at] + data[at + len(_NULL_USAGE) :]
    for text in _OTHER_NULL_USAGES:
        if text in data:
            return data.replace(text, b"", 1)
    return data


def _unreadable(data: bytes) -> Fault:
    if data.lstrip()[:1] == b"[":
        return embedded_fault(data)
    return Fault(Failure.MALFORMED, "an event of the provider's stream is not a chat completion chunk")


def _groq_usage(frame: Frame) -> Any:
    extension = frame.members.get("x_groq")
    value = None if extension is None else msgspec.json.decode(extension)
    return value.get("usage") if isinstance(value, dict) else None
