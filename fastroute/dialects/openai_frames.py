"""One chunk of a chat completion stream, with its members as raw JSON: changed only where a mend is needed.

Rules. Members nobody looks at stay as the provider wrote them, digit for digit. A chunk without a change is sent as it came.
"""

from typing import Any, Literal

import msgspec
from msgspec import UNSET, UnsetType

Raw = msgspec.Raw
Members = dict[str, Raw]

NULL = Raw(b"null")
CHUNK_OBJECT = Raw(b'"chat.completion.chunk"')
_TELLING = ("content_filter_results", "content_filter_offsets")  # of a choice; Azure's filters may report after the answer
_EMPTY = frozenset({b"null", b'""', b"[]", b"{}"})

encode = msgspec.json.encode
_members = msgspec.json.Decoder(Members)
_list_of_members = msgspec.json.Decoder(list[Members])


class Head(msgspec.Struct, gc=False):
    """What every chunk of a stream repeats. None: not seen yet."""

    id: Raw | None = None
    created: Raw | None = None
    model: Raw | None = None


def made_head(request_id: str, created_s: int, model: str) -> Head:
    """The head of chunks whose provider gives none."""
    return Head(Raw(encode(f"chatcmpl-{request_id}")), Raw(encode(created_s)), Raw(encode(model)))


class FunctionDelta(msgspec.Struct, gc=False):
    arguments: str
    name: None = None


class CallDelta(msgspec.Struct, gc=False):
    index: int
    function: FunctionDelta
    id: None = None


class Delta(msgspec.Struct, gc=False):
    """A delta in the middle of an answer. Some providers repeat the role in each."""

    role: str | None = None
    content: str | None = None
    reasoning_content: str | None = None
    reasoning: str | None = None
    refusal: str | None = None
    tool_calls: list[CallDelta] | None = None
    function_call: None = None


class PlainChoice(msgspec.Struct, gc=False):
    index: int
    delta: Delta
    finish_reason: UnsetType | None = UNSET
    error: None = None


class PlainChunk(msgspec.Struct, gc=False):
    """A chunk in the middle of an answer, as OpenAI writes it, or nearly. What fails to decode as one is looked at closely."""

    id: str
    created: int
    model: str
    object: Literal["chat.completion.chunk"]
    choices: list[PlainChoice]
    usage: None = None
    error: None = None


plain_chunk = msgspec.json.Decoder(PlainChunk)


_CHOICE = b'"choices":[{'
_NULL_USAGE = b',"usage":null'
_OTHER_NULL_USAGES = (b'"usage":null,', b', "usage": null', b'"usage": null, ')
_ROLES = (b',"role":"assistant"', b'"role":"assistant",')


def spliced(data: bytes, choice: PlainChoice) -> bytes | None:
    """The chunk with a `finish_reason`, which some providers leave out, and no role. None: not so simple.

    Inside a JSON string the quotes would be escaped, so what is found is a member; found once, it is the right one.
    """
    if choice.finish_reason is UNSET:
        if data.count(_CHOICE) != 1:
            return None
        data = data.replace(_CHOICE, _CHOICE + b'"finish_reason":null,')
    if choice.delta.role is not None:
        member = next((text for text in _ROLES if text in data), None)
        if member is None or data.count(b'"role"') != 1:
            return None
        data = data.replace(member, b"")
    return data


def without_null_usage(data: bytes) -> bytes:
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


def is_empty(raw: Raw) -> bool:
    """The member says nothing: null, or an empty text, list or object."""
    return bytes(raw) in _EMPTY


def is_null(raw: Raw | None) -> bool:
    """The member is not there, or is null."""
    return raw is None or bytes(raw) == b"null"


class ChoiceFrame:
    """One entry of a chunk's `choices`."""

    def __init__(self, members: Members) -> None:
        self.members = members
        self.changed = False
        delta = members.get("delta")
        self.delta: Members = {} if is_null(delta) else _members.decode(delta or b"{}")
        if is_null(delta):
            self.changed = True
        self.index = self._index()

    def finish(self) -> str | None:
        """The raw finish reason; None where it has none."""
        raw = self.members.get("finish_reason")
        value = None if raw is None else msgspec.json.decode(raw)
        return value if isinstance(value, str) and value else None

    def set(self, name: str, value: Any) -> None:
        self.members[name] = value if isinstance(value, Raw) else Raw(encode(value))
        self.changed = True

    def set_delta(self, name: str, value: Any) -> None:
        self.delta[name] = Raw(encode(value))
        self.changed = True

    def drop_delta(self, name: str) -> None:
        del self.delta[name]
        self.changed = True

    def says_nothing(self) -> bool:
        """Neither its delta nor a filter's report holds anything."""
        told = [value for name, value in self.delta.items() if name != "role"]
        return all(map(is_empty, [*told, *(self.members[name] for name in _TELLING if name in self.members)]))

    def render(self) -> Members:
        return {**self.members, "delta": Raw(encode(self.delta))} if self.changed else self.members

    def _index(self) -> int:
        raw = self.members.get("index")
        value = None if raw is None else msgspec.json.decode(raw)
        if isinstance(value, int) and not isinstance(value, bool):
            return value
        self.set("index", 0)
        return 0


class Frame:
    """One chunk. Raises `msgspec.MsgspecError` (or ValueError, RecursionError) where the data is not one."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.members = _members.decode(data)
        choices = self.members.get("choices")
        self.choices = [] if is_null(choices) else [ChoiceFrame(m) for m in _list_of_members.decode(choices or b"[]")]
        self.had_choices = bool(self.choices)
        self._changed = is_null(choices)

    def set(self, name: str, value: Raw) -> None:
        self.members[name] = value
        self._changed = True

    def drop(self, name: str) -> None:
        del self.members[name]
        self._changed = True

    def keep(self, choices: list[ChoiceFrame]) -> None:
        self._changed = self._changed or len(choices) != len(self.choices)
        self.choices = choices

    def complete(self, head: Head) -> None:
        """Gives the chunk the members that OpenAI's clients require, as the chunks before had them, and remembers them."""
        for name in ("id", "created", "model"):
            if is_null(self.members.get(name)):
                self.set(name, getattr(head, name))
            elif not is_empty(self.members[name]):
                setattr(head, name, self.members[name])
        if bytes(self.members.get("object", NULL)) != bytes(CHUNK_OBJECT):
            self.set("object", CHUNK_OBJECT)

    def render(self) -> bytes:
        if self._changed or any(choice.changed for choice in self.choices):
            return event(encode({**self.members, "choices": [choice.render() for choice in self.choices]}))
        return event(self.data)


def event(data: bytes) -> bytes:
    """One SSE event. Line ends inside JSON are white space, so they may become spaces."""
    return b"data: " + (data.replace(b"\n", b" ") if b"\n" in data else data) + b"\n\n"
