"""What an OpenAI-style provider does not take of OpenAI's chat request, mended as its preset says.

Rules. A member that shapes the answer (tools, a schema, n, logprobs) is never dropped: the request is refused there, with the
member named, so that another endpoint is tried. The same member where it asks for nothing (`n: 1`, `logprobs: false`, null) is
left out, since strict providers refuse its name. Members that leave the answer as it is (`store`, `user`) are left out.

Theory of operation. Most requests hold nothing of the kind: that is seen from the members' names, and in the messages from a
search of their bytes, before anything is decoded. Ids of tool calls are mapped by a hash, so that a call and its result still
match and nothing need be remembered.

Source: wire notes 3.2 and 4 (7, 25); the providers' API references (November 2026).
"""

import hashlib
import re
from typing import Any

import msgspec

from fastroute.core.types import ChatRequest, Departures
from fastroute.dialects._faults import bad_request, unsupported

Raw = msgspec.Raw
Message = dict[str, Raw]

_ASKS_NOTHING = frozenset((b"null", b"false", b"0", b"0.0", b"{}", b"[]", b'""'))
_SCHEMA = "json_schema"
_NINE = re.compile(r"[A-Za-z0-9]{9}")
_DIGITS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
_ROLE, _CONTENT, _CALLS, _CALL_ID = "role", "content", "tool_calls", "tool_call_id"
_SYSTEM = b'"system"'
_messages = msgspec.json.Decoder(list[Message])
_encode = msgspec.json.encode


class Departing:
    """The departures of one endpoint's provider, made ready once."""

    def __init__(self, ways: Departures) -> None:
        self._ways = ways
        self._no_schema = _SCHEMA in ways.refused
        self._members = frozenset((*ways.refused, *ways.left_out, *(name for name, _ in ways.renamed)))
        marks = [f'{name}"' for name in ways.left_out_of_messages]
        marks += ["tool_call"] if ways.nine_character_calls else []
        marks += ['assistant"'] if ways.prefix_member else []
        self._mark = re.compile(f'"(?:{"|".join(marks)})'.encode()) if marks else None

    def mend(self, fields: dict[str, Raw], request: ChatRequest) -> None:
        """Mends `fields` in place. Raises `FaultError` (UNSUPPORTED) where the provider cannot do what is asked."""
        if self._no_schema and request.needs.json_schema:
            raise unsupported("response_format", "the provider does not keep to a JSON schema")
        if not self._members.isdisjoint(fields):
            _mend_members(fields, self._ways)
        raw = fields.get("messages")
        if raw is not None and self._worth_a_look(bytes(raw)):
            fields["messages"] = _mended_messages(raw, self._ways)

    def _worth_a_look(self, messages: bytes) -> bool:
        """Whether anything in the messages may need a mend; says yes too often rather than too seldom."""
        if self._ways.alternating_roles:
            return messages.count(b'"role"') > 1
        return self._mark is not None and self._mark.search(messages) is not None


def _mend_members(fields: dict[str, Raw], ways: Departures) -> None:
    for name in ways.refused:
        if name in fields:
            if not _asks_nothing(name, bytes(fields[name])):
                raise unsupported(name, f"the provider does not take {name!r}")
            del fields[name]
    for name in ways.left_out:
        fields.pop(name, None)
    for name, theirs in ways.renamed:
        if name in fields:
            fields[theirs] = fields.pop(name)


def _asks_nothing(name: str, value: bytes) -> bool:
    return value in _ASKS_NOTHING or (name == "n" and value == b"1")


def _mended_messages(raw: Raw, ways: Departures) -> Raw:
    try:
        messages = _messages.decode(raw)
    except msgspec.DecodeError:
        raise bad_request("messages", "'messages' must be a list of objects") from None
    for message in messages:
        for name in ways.left_out_of_messages:
            message.pop(name, None)
        if ways.nine_character_calls:
            _rename_calls(message)
    if ways.alternating_roles:
        messages = _alternating(messages)
    if ways.prefix_member and messages and _role(messages[-1]) == b'"assistant"' and _CALLS not in messages[-1]:
        messages[-1].setdefault(ways.prefix_member, Raw(b"true"))
    return Raw(_encode(messages))


# --- ids of tool calls --------------------------------------------------------------------------------------------------


def _rename_calls(message: Message) -> None:
    if _CALL_ID in message:
        message[_CALL_ID] = Raw(_encode(_nine(msgspec.json.decode(message[_CALL_ID]))))
    if _CALLS in message:
        calls = msgspec.json.decode(message[_CALLS])
        for call in calls if isinstance(calls, list) else ():
            if isinstance(call, dict) and "id" in call:
                call["id"] = _nine(call["id"])
        message[_CALLS] = Raw(_encode(calls))


def _nine(call_id: Any) -> Any:
    """An id as the provider wants it: its own as it was, any other by its hash."""
    if not isinstance(call_id, str) or _NINE.fullmatch(call_id):
        return call_id
    number = int.from_bytes(hashlib.blake2b(call_id.encode("utf-8", "surrogatepass"), digest_size=8).digest(), "big")
    characters = []
    for _ in range(9):
        number, digit = divmod(number, len(_DIGITS))
        characters.append(_DIGITS[digit])
    return "".join(characters)


# --- roles --------------------------------------------------------------------------------------------------------------


def _alternating(messages: list[Message]) -> list[Message]:
    """System messages first, in their order; then messages of one role after another joined into one."""
    out = [message for message in messages if _role(message) == _SYSTEM]
    for message in messages:
        if _role(message) == _SYSTEM:
            continue
        joined = _joined(out[-1], message) if out and _role(out[-1]) == _role(message) else None
        if joined is None:
            out.append(message)
        else:
            out[-1] = joined
    return out


def _role(message: Message) -> bytes:
    return bytes(message.get(_ROLE, b""))


def _joined(first: Message, second: Message) -> Message | None:
    """Two messages of one role as one; None where one of them is more than content."""
    if first.keys() != {_ROLE, _CONTENT} or second.keys() != {_ROLE, _CONTENT}:
        return None
    one, other = (msgspec.json.decode(message[_CONTENT]) for message in (first, second))
    if isinstance(one, str) and isinstance(other, str):
        return {_ROLE: first[_ROLE], _CONTENT: Raw(_encode(f"{one}\n\n{other}"))}
    return {_ROLE: first[_ROLE], _CONTENT: Raw(_encode([*_parts(one), *_parts(other)]))}


def _parts(content: Any) -> list[Any]:
    if isinstance(content, list):
        return content
    return [{"type": "text", "text": content}] if content else []
