"""OpenAI-style upstream to OpenAI client: bytes through, frame by frame, mended where the provider departs from the contract.

Rules. A frame without a fault in it leaves byte for byte. In order, the client gets: chunks; one finish reason per choice; one
usage chunk with `choices: []`, if it asked; [DONE]. Comments are dropped. An error inside the stream is a fault, and so is an
end before every choice has finished: a finish reason is never made up. A missing [DONE] after that is not an early end. Where
[DONE] came, and a finish reason for some choices only (LiteLLM gives one for all), the others have finished too.

Theory of operation. Four ways, the cheapest first. A chunk that repeats the last plain one but for its text is known by its
bytes (`openai_pattern`): nearly all are. A chunk in the middle of an answer decodes into `PlainChunk`, a first, last or usage
chunk into a type of `openai_usual`, and is sent on as it came. Whatever these types refuse is opened as a `Frame` of raw members,
mended, and rendered again only if changed. A frame with a finish reason waits for the next one: should the same choice go on
(Together closes each parallel call with a finish reason, some close every chunk), the reason is taken back. Usage waits for the
end, the last report wins.

A pattern is in force only between two events of which the first was a plain chunk, so nothing waits and no answer has ended. A
provider whose chunks keep no pattern is not asked for one for long.

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
from fastroute.dialects.openai_faults import embedded_fault, error_event, unreadable_fault
from fastroute.dialects.openai_frames import (
    CHUNK_OBJECT,
    ChoiceFrame,
    Delta,
    Frame,
    Head,
    PlainChunk,
    encode,
    event,
    is_null,
    made_head,
    plain_chunk,
    spliced,
    without_null_usage,
)
from fastroute.dialects.openai_mend import ChoiceState, has_content
from fastroute.dialects.openai_pattern import Pattern, Patterns
from fastroute.dialects.openai_reports import groq_usage, usage_event
from fastroute.dialects.openai_usage import latest, read_usage, so_far, usage_as_it_is
from fastroute.dialects.openai_usual import UNREADABLE, ends, quiet_chunk, usage_chunk, usual_reply
from fastroute.dialects.openai_whole import whole_as_chunks, whole_reply

DONE = b"data: [DONE]\n\n"
TOO_LARGE = Fault(Failure.TOO_LARGE, "an event of the provider's stream passed 16 MiB")
READ_ALONE = 3  # events of a piece
_FINISH = b'"finish_reason":"'


class OpenAIRelay:
    """A `core.ports.Translator` from any OpenAI-style provider to an OpenAI chat client."""

    content_started = False
    finished = False
    fault: Fault | None = None
    usage: Usage | None = None
    output_tokens_seen = 0

    _pattern: Pattern | None = None  # in force
    _plain_event: tuple[bytes, bytes, Delta] | None = None  # the last event, if it was a plain chunk: as it came and left
    _began = False
    _head_made: Head | None = None
    _unopened: bytes | None = None  # the last chunk passed on that `_head_made` has not seen
    _held: Frame | bytes | None = None  # a chunk with a finish reason, until the next shows that it was one; bytes: as it came
    _usage_event: bytes | None = None  # the latest report, for the client
    _plain_json: bytearray | None = None  # the reply is no event stream

    def __init__(self, request: ChatRequest, endpoint: Endpoint, created_s: int) -> None:
        self._request, self._endpoint, self._created_s = request, endpoint, created_s
        if request.stream:
            self._parser = SseParser()
            self._patterns = Patterns()
            self._choices: dict[int, ChoiceState] = {}
            self._tail: list[bytes] = []  # chunks that came after a pure usage chunk

    def feed(self, data: bytes) -> bytes:
        pattern = self._pattern
        if pattern is not None:
            count, end, out = pattern.take(data)
            self.output_tokens_seen += count
            return out if end == len(data) else out + self._read(data[end:])
        out, at = b"", 0
        for _ in range(READ_ALONE):  # one of them may show the pattern of the others
            end = data.find(b"\n\n", at) + 2
            if not 2 <= end < len(data):
                break
            out += self._read(data[at:end])
            if self._pattern is not None:
                return out + self.feed(data[end:])
            at = end
        return out + self._read(data[at:] if at else data)

    def _read(self, data: bytes) -> bytes:
        if self.fault is not None or self.finished:
            return b""
        if not self._began and self._is_plain_json(data):
            return b""
        if self._plain_json is not None:
            return self._keep_plain(data)
        out = self._pass(self._parser.feed(data))
        if self._plain_event is not None and self._parser.idle and self.fault is None and not self.finished:
            self._pattern = self._patterns.shown_by(*self._plain_event, self.output_tokens_seen)
        else:
            self._pattern = None
        return out

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
        reasoning_in_output = self._endpoint.profile.reasoning_in_output
        usual, usage = usual_reply(body, reasoning_in_output)
        if not usual:
            reply = whole_reply(body, self._request.id, self._head(), reasoning_in_output)
            body, usage, self.fault = reply.body, reply.usage, reply.fault
        self.usage = usage
        self.content_started = self.finished = self.fault is None
        return body

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
        self._plain_event = None
        out = self._usual(data)
        if out is not None:
            return out
        try:
            return self._mend(Frame(data))
        except UNREADABLE:
            self.fault = None if last else unreadable_fault(data)  # a last one cut short tells nothing: `_close` decides
            return b""

    # --- chunks that need no closer look: each of these gives None for the others ---------------------------------

    def _usual(self, data: bytes) -> bytes | None:
        if self._held is not None:
            return self._only_usage(data)
        if len(self._choices) < self._request.choices or _FINISH in data:
            out = self._quiet(data)
            if out is not None:
                return out
        try:
            chunk = plain_chunk.decode(data)
        except UNREADABLE:
            return None
        plain = self._plain(data, chunk)
        if plain is None:
            return None
        out = event(plain if self._request.include_usage else without_null_usage(plain))
        self._plain_event = (event(data), out, chunk.choices[0].delta)
        return out

    def _quiet(self, data: bytes) -> bytes | None:
        """A chunk that begins the answer of a choice, or ends it."""
        try:
            chunk = quiet_chunk.decode(data)
        except UNREADABLE:
            return None
        choice, left = chunk.choices[0], data
        if chunk.usage is None and not self._request.include_usage:
            left = without_null_usage(data)
            if left == data:
                return None
        state = self._choices.get(choice.index)
        if state is None:
            if choice.finish_reason is not None:
                return None
            state = self._choices[choice.index] = ChoiceState(self._request.id, choice.index)
            state.role_sent = choice.delta.role is not UNSET
            self._unopened = data
            return event(left)
        if not ends(choice, state):
            return None
        state.finished = self.content_started = True
        self._unopened, self._held = data, left
        return b""

    def _only_usage(self, data: bytes) -> bytes | None:
        """The report of usage after the finish."""
        held = self._held
        if not isinstance(held, bytes):
            return None
        try:
            reported = usage_chunk.decode(data).usage
        except UNREADABLE:
            return None
        usage = usage_as_it_is(reported, self._endpoint.profile.reasoning_in_output)
        if usage is None:
            return None
        self._held, self._unopened = None, data
        self.usage, self._usage_event = latest(self.usage, usage), event(data)
        return event(held)

    def _plain(self, data: bytes, chunk: PlainChunk) -> bytes | None:
        """The chunk in the middle of an answer, noted, without what would have to be mended in many."""
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
        frame.complete(self._head())
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
        if isinstance(held, bytes):
            held = Frame(held)
        going_on = {choice.index for choice in coming.choices if has_content(choice.delta)}
        for choice in held.choices:
            if choice.index in going_on and choice.finish() is not None:
                choice.set("finish_reason", None)
                self._choices[choice.index].finished = False
        held.keep([choice for choice in held.choices if choice.finish() is not None or not choice.says_nothing()])
        return held.render() if held.choices else b""

    def _head(self) -> Head:
        """What chunks repeat: as the last one had it, else made up."""
        head = self._head_made
        if head is None:
            head = self._head_made = made_head(self._request.id, self._created_s, self._endpoint.model)
        if self._unopened is not None:
            Frame(self._unopened).complete(head)
            self._unopened = None
        return head

    # --- usage ---------------------------------------------------------------------------------------------------

    def _take_usage(self, frame: Frame) -> bool:
        """Notes the usage in a frame, and takes it out where the frame holds more; says whether the frame was only that."""
        raw = frame.members.get("usage")
        reported = None if is_null(raw) else msgspec.json.decode(raw or b"null")
        if not isinstance(reported, dict):
            if raw is not None and not self._request.include_usage:
                frame.drop("usage")
            self._note_usage(frame, groq_usage(frame), pure=False)
            return False
        self._note_usage(frame, reported, pure=not frame.had_choices)
        if frame.had_choices:
            frame.drop("usage")
        return not frame.choices

    def _note_usage(self, frame: Frame, reported: Any, pure: bool) -> None:
        """The latest report, for the bill and for the client; the provider's own chunk where it reports nothing else."""
        if not isinstance(reported, dict):
            return
        reasoning_in_output = self._endpoint.profile.reasoning_in_output
        self.usage = latest(self.usage, read_usage(reported, reasoning_in_output))
        self._usage_event = usage_event(frame, reported, pure, reasoning_in_output)

    def _without_choices(self, frame: Frame, only_usage: bool) -> bytes:
        if only_usage or frame.had_choices:
            return b""
        if self._usage_event is not None and self._request.include_usage:
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
        held = self._held
        waiting = b"" if held is None else event(held) if isinstance(held, bytes) else held.render()
        out = [waiting, *(self._finish(index) for index in open_choices)]
        if self._request.include_usage and self._usage_event is not None:
            out.append(self._usage_event)
        return b"".join([*out, *self._tail, DONE])

    def _finish(self, index: int) -> bytes:
        """The finish of a choice whose provider ended the reply properly but gave one finish reason for all choices."""
        reason = "tool_calls" if self._choices[index].calls.called else "stop"
        choice = {"index": index, "delta": {}, "finish_reason": reason}
        head = msgspec.structs.asdict(self._head())
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
