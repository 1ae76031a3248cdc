"""What Anthropic's blocks have no place for, put where its clients keep it: in thinking, which they send back unchanged.

Rules. Reasoning that nobody signed has `UNSIGNED` for a signature. A signature of Gemini's is a redacted block of its own: before
the call that it signs, or after the text. Anthropic never sees either: both are taken out on the way there.
"""

import msgspec

from fastroute.core.types import ChatRequest

UNSIGNED = "fastroute-unsigned"
_BEFORE, _AFTER = "fastroute-mark-before:", "fastroute-mark-after:"
_OURS = (UNSIGNED, _BEFORE, _AFTER)
_messages = msgspec.json.Decoder(list[dict[str, msgspec.Raw]])
_content = msgspec.json.Decoder(list[msgspec.Raw] | str)


class Mark(msgspec.Struct, frozen=True):
    """A signature, and whether it stands before what it signs."""

    signature: str
    before: bool


class _Thought(msgspec.Struct):
    type: str
    signature: str | None = None
    data: str | None = None


_thought = msgspec.json.Decoder(_Thought)


def marked(signature: str, before: bool) -> str:
    """The data of the redacted block that keeps a signature."""
    return (_BEFORE if before else _AFTER) + signature


def mark_of(data: str) -> Mark | None:
    """What a redacted block's data keep; None: they are Anthropic's own."""
    if data.startswith(_BEFORE):
        return Mark(data.removeprefix(_BEFORE), True)
    return Mark(data.removeprefix(_AFTER), False) if data.startswith(_AFTER) else None


def without_marks(request: ChatRequest) -> msgspec.Raw:
    """The request's messages for Anthropic: as they came, but for blocks that are ours."""
    raw = request.fields["messages"]
    if b'"fastroute-' not in bytes(raw):
        return raw
    messages = []
    for message in _messages.decode(raw):
        content = _content.decode(message["content"])
        if isinstance(content, list):
            kept = [block for block in content if not _is_ours(block)]
            if not kept and content:
                continue
            message["content"] = msgspec.Raw(msgspec.json.encode(kept))
        messages.append(message)
    return msgspec.Raw(msgspec.json.encode(messages))


def _is_ours(block: msgspec.Raw) -> bool:
    if b'"fastroute-' not in bytes(block):
        return False
    thought = _thought.decode(block)
    said = {"thinking": thought.signature, "redacted_thinking": thought.data}.get(thought.type)
    return said is not None and said.startswith(_OURS)
