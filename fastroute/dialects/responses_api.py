"""OpenAI's Responses as a client API: the head of a request, checked; the rest carried through as it came.

Rules. Refused here is only what no provider could make sense of, with the member named. What needs a provider that keeps state
(`previous_response_id`, `conversation`, `background`, built-in tools) passes: `responses_chat` refuses it for each endpoint that
does not speak Responses.

Source: OpenAI's reference of `POST /v1/responses` (November 2026).
"""

import re
from typing import Annotated

import msgspec
from msgspec import Meta

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.types import ChatRequest, Needs
from fastroute.dialects.openai_chat import MAX_MODEL_CHARACTERS, MAX_OUTPUT_TOKENS, invalid_body
from fastroute.dialects.openai_faults import error_object

Raw = msgspec.Raw

NAME, PATH = "openai_responses", "/v1/responses"


class _Format(msgspec.Struct, gc=False):
    type: str = "text"


class _TextSettings(msgspec.Struct, gc=False):
    format: _Format | None = None


class _Head(msgspec.Struct, gc=False):
    model: Annotated[str, Meta(min_length=1, max_length=MAX_MODEL_CHARACTERS)]
    input: str | list[dict[str, Raw]]
    instructions: str | None = None
    stream: bool | None = None
    max_output_tokens: Annotated[int, Meta(ge=1, le=MAX_OUTPUT_TOKENS)] | None = None
    temperature: Annotated[float, Meta(ge=0, le=2)] | None = None
    top_p: float | None = None
    tools: list[dict[str, Raw]] | None = None
    text: _TextSettings | None = None


_fields = msgspec.json.Decoder(dict[str, Raw])
_head = msgspec.json.Decoder(_Head)


class ResponsesApi:
    """A `core.ports.ClientApi`."""

    name = NAME

    def decode(self, body: bytes, request_id: str, accepted_s: float) -> ChatRequest:
        head, fields = _decoded(body)
        if not head.model.isprintable():
            raise _refusal("'model' holds a character that cannot be printed", "model", "invalid_value")
        if not head.input:
            raise _refusal("'input' is empty", "input", "invalid_value")
        kind = head.text.format.type if head.text is not None and head.text.format is not None else "text"
        return ChatRequest(
            id=request_id,
            api=NAME,
            model=head.model,
            fields=fields,
            accepted_s=accepted_s,
            input_bytes=_input_bytes(fields),
            stream=head.stream is True,
            include_usage=True,
            max_output_tokens=head.max_output_tokens,
            needs=Needs(b'"input_image"' in bytes(fields["input"]), bool(head.tools), kind == "json_schema"),
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
    except (msgspec.DecodeError, UnicodeDecodeError) as e:
        raise _refusal(f"the body is not valid JSON: {e}", None, "invalid_json") from None
    except RecursionError:
        raise _refusal("the body is nested too deeply", None, "invalid_json") from None


def _refusal(message: str, param: str | None, code: str) -> FaultError:
    return FaultError(Fault(Failure.BAD_REQUEST, message, type="invalid_request_error", param=param, code=code))


def _input_bytes(fields: dict[str, Raw]) -> int:
    """The size of input, instructions and tools, without media and sealed reasoning: their bytes say nothing about tokens."""
    said = b"".join(bytes(fields[name]) for name in ("input", "instructions", "tools") if name in fields)
    return max(1, len(re.sub(rb'(?:;base64,|"encrypted_content"\s*:\s*")[^"]*"', b"", said)))
