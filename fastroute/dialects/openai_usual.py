"""What OpenAI-style providers nearly always send: a reply, and the first, last and usage chunks of a stream, without a fault.

Rules. What decodes here needs no mend and leaves byte for byte; the types are the checks. What does not decode may still be
fine: it is opened and looked at by `openai_frames`, `openai_mend` and `openai_whole`, which decide. Both ways must come to the
same answer.

Theory of operation. One typed decode costs a tenth of opening a reply member by member. So everything that a mend could touch is
a member of a type here, typed so that whatever is in need of one is refused; deltas refuse members nobody here knows, since they
might be content.
"""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fastroute.core.types import Usage
from fastroute.dialects.openai_mend import ChoiceState
from fastroute.dialects.openai_usage import ProperUsage, usage_as_it_is

UNREADABLE = (msgspec.MsgspecError, ValueError, RecursionError)

Text = Annotated[str, Meta(min_length=1)]
Nothing = Annotated[list[None], Meta(max_length=0)] | None
Chunk = Literal["chat.completion.chunk"]


class QuietDelta(msgspec.Struct, gc=False, forbid_unknown_fields=True):
    """A delta without content: a stream's first, often, and its last."""

    role: Literal["assistant"] | UnsetType = UNSET
    content: Literal[""] | None = None
    refusal: Literal[""] | None = None
    reasoning_content: Literal[""] | None = None
    reasoning: Literal[""] | None = None
    tool_calls: Nothing = None
    function_call: None = None


class QuietChoice(msgspec.Struct, gc=False):
    index: int
    delta: QuietDelta
    finish_reason: Literal["stop", "length"] | None  # must be there
    error: None = None


class QuietChunk(msgspec.Struct, gc=False):
    """A chunk that begins an answer or ends it."""

    id: Text
    created: int
    model: Text
    object: Chunk
    choices: Annotated[list[QuietChoice], Meta(min_length=1, max_length=1)]
    usage: UnsetType | None = UNSET
    error: None = None
    x_groq: None = None


class UsageChunk(msgspec.Struct, gc=False):
    """A chunk that reports usage and nothing else."""

    id: Text
    created: int
    model: Text
    object: Chunk
    choices: Annotated[list[None], Meta(max_length=0)]
    usage: ProperUsage
    error: None = None


class _Function(msgspec.Struct, gc=False):
    name: str
    arguments: str


class _Call(msgspec.Struct, gc=False):
    id: Text
    type: Literal["function"]
    function: _Function
    index: None = None
    custom: None = None


class _Message(msgspec.Struct, gc=False):
    role: Text
    content: str | None = None
    tool_calls: list[_Call] | None = None
    function_call: None = None


class _Choice(msgspec.Struct, gc=False):
    message: _Message
    finish_reason: Literal["stop", "length", "content_filter", "tool_calls"]
    index: int = 0
    error: None = None


class _Reply(msgspec.Struct, gc=False):
    id: str
    created: int
    model: str
    object: Text
    choices: Annotated[list[_Choice], Meta(min_length=1)]
    usage: ProperUsage | None = None
    error: None = None


quiet_chunk = msgspec.json.Decoder(QuietChunk)
usage_chunk = msgspec.json.Decoder(UsageChunk)
_reply = msgspec.json.Decoder(_Reply)


def ends(choice: QuietChoice, state: ChoiceState) -> bool:
    """The chunk ends the answer of the choice, and nothing is missing from that answer."""
    last = choice.finish_reason is not None and choice.delta.role is UNSET
    return last and not state.finished and not state.calls.begun


def usual_reply(body: bytes, reasoning_in_output: bool) -> tuple[bool, Usage | None]:
    """Whether a complete 200 body may be sent on as it is; then also its usage, where it reports one. Never raises."""
    try:
        reply = _reply.decode(body)
    except UNREADABLE:
        return False, None
    for choice in reply.choices:
        if choice.message.tool_calls and not _proper_calls(choice):
            return False, None
    if reply.usage is None:
        return True, None
    usage = usage_as_it_is(reply.usage, reasoning_in_output)
    return usage is not None, usage


def _proper_calls(choice: _Choice) -> bool:
    """Each call has an id of its own and arguments, and the finish says that there are calls to run."""
    calls = choice.message.tool_calls or []
    distinct = len({call.id for call in calls}) == len(calls)
    return distinct and choice.finish_reason != "stop" and all(call.function.arguments.strip() for call in calls)
