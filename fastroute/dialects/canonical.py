"""The one canonical form that every client API and every provider dialect translates to and from.

Two halves. A *conversation* is a request: turns of ordered parts, tools, settings. *Events* are a reply, streamed or
whole: a whole reply is the same events, all at once. Translation happens at the two edges only; same-dialect traffic
does not pass through here at all.

Rules. Order is kept. What has no canonical name is kept raw (`extras`, `Opaque`, `Extra`), never dropped silently. Tool arguments
are JSON text, never parsed and printed again. A tool call has one `index` per choice across the whole stream, counted from 0.
"""

import enum
from typing import Any

import msgspec

from fastroute.core.failures import Fault
from fastroute.core.types import Usage

# --- requests -------------------------------------------------------------------------------------------------------


class Text(msgspec.Struct, frozen=True):
    text: str
    cache_control: dict[str, Any] | None = None
    citations: Any = None
    signature: str | None = None  # Gemini's thoughtSignature: goes back to Gemini unchanged, and to nobody else


class Image(msgspec.Struct, frozen=True):
    """By URL, or inline as base64 `data` with its media type. Exactly one of `url` and `data`."""

    url: str | None = None
    data: str | None = None
    media_type: str | None = None
    detail: str | None = None
    cache_control: dict[str, Any] | None = None


class Document(msgspec.Struct, frozen=True):
    """A file, such as a PDF: by URL, by the provider's file id, or inline (base64, or plain text for text/plain)."""

    url: str | None = None
    data: str | None = None
    file_id: str | None = None
    media_type: str | None = None
    name: str | None = None
    cache_control: dict[str, Any] | None = None


class Audio(msgspec.Struct, frozen=True):
    data: str
    format: str


class Thinking(msgspec.Struct, frozen=True):
    """Reasoning of an earlier turn. `signature` must go back unchanged; `redacted` is the opaque, encrypted kind."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None


class ToolCall(msgspec.Struct, frozen=True):
    id: str
    name: str
    arguments: str  # JSON text as the model wrote it; "" means no arguments
    signature: str | None = None  # Gemini's, as in `Text`


class ToolResult(msgspec.Struct, frozen=True):
    call_id: str
    parts: tuple["Part", ...] = ()
    is_error: bool = False
    cache_control: dict[str, Any] | None = None


class Refusal(msgspec.Struct, frozen=True):
    text: str


class Opaque(msgspec.Struct, frozen=True):
    """A part only one dialect knows, kept whole. Another dialect must refuse it rather than drop it."""

    dialect: str
    value: dict[str, Any]


Part = Text | Image | Document | Audio | Thinking | ToolCall | ToolResult | Refusal | Opaque


class Turn(msgspec.Struct, frozen=True):
    """One message. Roles: system (system and developer alike), user, assistant. Tool results are parts of a user turn."""

    role: str
    parts: tuple[Part, ...]
    name: str | None = None


class Tool(msgspec.Struct, frozen=True):
    name: str
    description: str | None = None
    schema: dict[str, Any] | None = None  # JSON Schema of the arguments
    strict: bool | None = None
    cache_control: dict[str, Any] | None = None


class ToolChoice(msgspec.Struct, frozen=True):
    mode: str  # none | auto | required | named
    name: str | None = None


class ResponseFormat(msgspec.Struct, frozen=True):
    kind: str  # text | json_object | json_schema
    schema: dict[str, Any] | None = None
    name: str | None = None
    strict: bool | None = None


class Conversation(msgspec.Struct, frozen=True):
    """A chat request in canonical form. None: the client did not say."""

    model: str
    turns: tuple[Turn, ...]
    stream: bool = False
    tools: tuple[Tool, ...] = ()
    tool_choice: ToolChoice | None = None
    parallel_tool_calls: bool | None = None
    max_output_tokens: int | None = None
    stop: tuple[str, ...] = ()
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    response_format: ResponseFormat | None = None
    reasoning_effort: str | None = None
    thinking: dict[str, Any] | None = None  # explicit thinking settings, Anthropic's form (budget_tokens ...)
    logprobs: bool | None = None
    top_logprobs: int | None = None
    choices: int = 1
    seed: int | None = None
    user: str | None = None
    metadata: dict[str, Any] | None = None
    service_tier: str | None = None
    extras: dict[str, msgspec.Raw] = {}  # members with no canonical name, as sent


# --- replies --------------------------------------------------------------------------------------------------------


class FinishReason(enum.StrEnum):
    """OpenAI's words, the common ground. Whatever the provider said is kept beside it as `raw`."""

    STOP = "stop"
    LENGTH = "length"
    TOOL_CALLS = "tool_calls"
    CONTENT_FILTER = "content_filter"


class Started(msgspec.Struct, frozen=True):
    id: str | None = None
    model: str | None = None
    created: int | None = None  # epoch seconds


class TextDelta(msgspec.Struct, frozen=True):
    text: str
    choice: int = 0


class ThinkingDelta(msgspec.Struct, frozen=True):
    """Reasoning text, or the signature or redacted blob that belongs to the block of `block` index."""

    text: str = ""
    signature: str | None = None
    redacted: str | None = None
    block: int = 0
    choice: int = 0


class RefusalDelta(msgspec.Struct, frozen=True):
    text: str
    choice: int = 0


class ToolStarted(msgspec.Struct, frozen=True):
    index: int
    id: str
    name: str
    choice: int = 0
    signature: str | None = None  # Gemini's


class ToolArguments(msgspec.Struct, frozen=True):
    index: int
    text: str  # a piece of JSON text
    choice: int = 0


class Extra(msgspec.Struct, frozen=True):
    """A member of the choice's delta or message that has no canonical name (citations, annotations, logprobs, ...)."""

    key: str
    value: Any
    choice: int = 0


class Finished(msgspec.Struct, frozen=True):
    reason: FinishReason
    raw: str | None = None  # the provider's own word
    stop_sequence: str | None = None
    choice: int = 0


class UsageSeen(msgspec.Struct, frozen=True):
    """Usage so far. Cumulative: the latest replaces the ones before it."""

    usage: Usage
    raw: dict[str, Any] | None = None


class Failed(msgspec.Struct, frozen=True):
    """The provider reported a failure inside a 200, or the reply cannot be read."""

    fault: Fault


class Ended(msgspec.Struct, frozen=True):
    """The dialect's own terminal event was seen: the reply is complete."""


Event = (
    Started
    | TextDelta
    | ThinkingDelta
    | RefusalDelta
    | ToolStarted
    | ToolArguments
    | Extra
    | Finished
    | UsageSeen
    | Failed
    | Ended
)
