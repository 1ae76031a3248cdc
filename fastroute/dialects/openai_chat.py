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
from fastroute.core.types import ChatRequest, Needs
from fastroute.dialects.openai_faults import error_object

Raw = msgspec.Raw

MAX_MODEL_CHARACTERS = 512
MAX_OUTPUT_TOKENS = 2**31
MAX_CHOICES = 128

_OutputLimit = Annotated[int, Meta(ge=1, le=MAX_OUTPUT_TOKENS)]
_Temperature = Annotated[float, Meta(ge=0, le=2)]
_IMAGE_TYPES = frozenset({"image_url", "input_image", "image"})
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


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
        if _CONTROL.search(head.model):
            raise _refusal("'model' holds a control character", "model", "invalid_value")
        parts = [part for m in head.messages if isinstance(m.content, list) for part in m.content if not isinstance(part, str)]
        return ChatRequest(
            id=request_id,
            api=self.name,
            model=head.model,
            fields=fields,
            accepted_s=accepted_s,
            input_bytes=_input_bytes(parts, fields),
            stream=bool(head.stream),
            include_usage=bool(head.stream_options and head.stream_options.include_usage),
            max_output_tokens=head.max_completion_tokens or head.max_tokens,
            choices=head.n or 1,
            needs=_needs(head, parts),
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


def _needs(head: _Head, parts: list[_Part]) -> Needs:
    vision = any(part.type in _IMAGE_TYPES for part in parts)
    schema = head.response_format is not None and head.response_format.type == "json_schema"
    return Needs(vision=vision, tools=bool(head.tools or head.functions), json_schema=schema)


def _input_bytes(parts: list[_Part], fields: dict[str, Raw]) -> int:
    """The size of messages and tools, without media: their bytes say nothing about their tokens."""
    size_bytes = sum(len(memoryview(fields[name])) for name in ("messages", "tools", "functions") if name in fields)
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
