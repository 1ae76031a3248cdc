"""OpenAI's chat completions as a client API: the head of a request, checked; the rest carried through as it came.

Rules. Refused here is only what no provider could make sense of, with the member named. Unknown members, roles, content types
and models pass: the provider may know them.

Theory of operation. The body is decoded twice, both times by msgspec in one pass: into its members as raw JSON, which is what
travels on, and into `_Head`, whose types are the checks. Long texts are never copied into Python.

What can go wrong. msgspec leaves raw what it skips, so text that is not UTF-8 or a number like 1e400 can hide in a member no
type looks at; the first is checked here, the second is the provider's to refuse. Nesting past the interpreter's limit is a
`RecursionError`.
"""

import re
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.types import AS_CONFIGURED, ChatRequest, Needs
from fastroute.dialects.openai_faults import error_object

Raw = msgspec.Raw

MAX_MODEL_CHARACTERS = 512
MAX_OUTPUT_TOKENS = 2**31
MAX_CHOICES = 128

_OutputLimit = Annotated[int, Meta(ge=1, le=MAX_OUTPUT_TOKENS)]
_Temperature = Annotated[float, Meta(ge=0, le=2)]
_IMAGE_TYPES = frozenset({"image_url", "input_image", "image"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_NO_NEEDS = Needs()


class _Part(msgspec.Struct, gc=False):
    type: str
    input_audio: Raw | UnsetType = UNSET
    file: Raw | UnsetType = UNSET


class _Message(msgspec.Struct, gc=False):
    role: str
    content: str | list[_Part | str] | None = None


class _StreamOptions(msgspec.Struct, gc=False):
    include_usage: bool | None = None


class _Format(msgspec.Struct, gc=False):
    type: str = "text"


class _Head(msgspec.Struct, gc=False):
    model: Annotated[str, Meta(min_length=1, max_length=MAX_MODEL_CHARACTERS)]
    messages: Annotated[list[_Message], Meta(min_length=1)]
    stream: bool | None = None
    stream_options: _StreamOptions | None = None
    max_tokens: _OutputLimit | None = None
    max_completion_tokens: _OutputLimit | None = None
    n: Annotated[int, Meta(ge=1, le=MAX_CHOICES)] | None = None
    temperature: _Temperature | None = None
    top_p: float | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    tools: list[dict[str, Raw]] | None = None
    functions: list[dict[str, Raw]] | None = None
    response_format: _Format | None = None


_fields = msgspec.json.Decoder(dict[str, Raw])
_head = msgspec.json.Decoder(_Head)


class OpenAIChatApi:
    """A `core.ports.ClientApi`."""

    name = "openai_chat"

    def decode(self, body: bytes, request_id: str, accepted_s: float) -> ChatRequest:
        head, fields = _decoded(body)
        model = head.model
        if not model.isprintable() and _CONTROL.search(model):
            raise _refusal("'model' holds a control character", "model", "invalid_value")
        parts, has_developer = _looked_through(head.messages)
        options = head.stream_options
        return ChatRequest(  # by position: names would cost as much as the rest of this function
            request_id,
            self.name,
            model,
            fields,
            accepted_s,
            _input_bytes(parts, fields),
            head.stream is True,
            options is not None and options.include_usage is True,
            head.max_completion_tokens or head.max_tokens,
            head.n or 1,
            _needs(head, parts) if parts or head.tools or head.functions or head.response_format else _NO_NEEDS,
            AS_CONFIGURED,
            has_developer,
        )

    def error(self, fault: Fault, status: int) -> bytes:
        return msgspec.json.encode({"error": error_object(fault)})


def _decoded(body: bytes) -> tuple[_Head, dict[str, Raw]]:
    try:
        if not body.isascii():
            body.decode()
        return _head.decode(body), _fields.decode(body)
    except msgspec.ValidationError as e:
        raise invalid_body(str(e)) from None
    except UnicodeDecodeError as e:
        raise _refusal(f"the body is not UTF-8: byte {e.start} is {body[e.start]:#04x}", None, "invalid_json") from None
    except msgspec.DecodeError as e:
        raise _refusal(f"the body is not valid JSON: {e}", None, "invalid_json") from None
    except RecursionError:
        raise _refusal("the body is nested too deeply", None, "invalid_json") from None


def _refusal(message: str, param: str | None, code: str) -> FaultError:
    return FaultError(Fault(Failure.BAD_REQUEST, message, type="invalid_request_error", param=param, code=code))


def invalid_body(said: str) -> FaultError:
    """msgspec's words (`Expected `str`, got `int` - at `$.model``) as ours, with the member named."""
    complaint, _, where = said.partition(" - at `$")
    path = where.rstrip("`").lstrip(".")
    missing = re.fullmatch(r"Object missing required field `(\w+)`", complaint)
    if missing:
        name = f"{path}.{missing[1]}" if path else missing[1]
        return _refusal(f"Missing required parameter: '{name}'.", name, "missing_required_parameter")
    if not path:
        return _refusal("The body must be a JSON object.", None, "invalid_type")
    words = complaint.replace("`", "")
    code = "invalid_type" if ", got " in words else "invalid_value"
    return _refusal(f"Invalid value for '{path}': {words[:1].lower()}{words[1:]}.", path, code)


def _looked_through(messages: list[_Message]) -> tuple[list[_Part], bool]:
    """The parts of all messages that are no plain text, and whether a message is a developer's."""
    parts: list[_Part] = []
    has_developer = False
    for message in messages:
        if message.role == "developer":
            has_developer = True
        if isinstance(message.content, list):
            parts += [part for part in message.content if not isinstance(part, str)]
    return parts, has_developer


def _needs(head: _Head, parts: list[_Part]) -> Needs:
    vision = any(part.type in _IMAGE_TYPES for part in parts)
    schema = head.response_format is not None and head.response_format.type == "json_schema"
    return Needs(vision=vision, tools=bool(head.tools or head.functions), json_schema=schema)


def _input_bytes(parts: list[_Part], fields: dict[str, Raw]) -> int:
    """The size of messages and tools, without media: their bytes say nothing about their tokens."""
    size_bytes = len(memoryview(fields["messages"]))
    if "tools" in fields:
        size_bytes += len(memoryview(fields["tools"]))
    if "functions" in fields:
        size_bytes += len(memoryview(fields["functions"]))
    if parts:
        size_bytes -= _media_bytes(bytes(fields["messages"]))
        size_bytes -= sum(_member_bytes(part.input_audio) + _member_bytes(part.file) for part in parts)
    return max(1, size_bytes)


def _member_bytes(raw: Any) -> int:
    """What a part's own media weighs, unless it is a data URL, which was counted already."""
    return 0 if raw is UNSET or b";base64," in (data := bytes(raw)) else len(data)


def _media_bytes(messages: bytes) -> int:
    total, start = 0, messages.find(b";base64,")
    while start >= 0:
        end = messages.find(b'"', start)
        if end < 0:
            break
        total += end - start
        start = messages.find(b";base64,", end)
    return total
