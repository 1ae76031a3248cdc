"""Parts of a canonical conversation as Gemini's parts.

Rules. A part that has no counterpart is refused, never dropped; the one exception is reasoning, which Gemini does not take back
(what it must have back is its signatures, which travel with texts and calls). A result names its function, found by the call's
id. Arguments go out as the model wrote them.

Decisions. A result that is a JSON object goes as that object, unless something in it looks like a reference (`$ref`), which
Gemini would try to follow; anything else is `{"output": text}`, an error `{"error": text}`. Media in a result is part of it from
Gemini 3 on, and stands beside it before.

Source: wire notes 3.2, traps 19, 29, 30, 31; Google's function calling, thought signatures and file input pages (November 2026).
"""

import base64
import mimetypes
from typing import Any

import msgspec

from fastroute.core.types import Endpoint
from fastroute.dialects._faults import bad_request, unsupported
from fastroute.dialects.canonical import (
    Audio,
    Document,
    Image,
    Opaque,
    Part,
    Refusal,
    Text,
    Thinking,
    ToolCall,
    ToolResult,
)
from fastroute.dialects.gemini_names import is_made, tool_name
from fastroute.dialects.gemini_terms import generation

Json = dict[str, Any]

DIALECT = "gemini"
_NO_ARGUMENTS = msgspec.Raw(b"{}")
_MAGIC = (("iVBORw0KGgo", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp"))
_OWN_URLS = ("gs://", "https://generativelanguage.googleapis.com/", "https://www.youtube.com/", "https://youtu.be/")
_FETCHES = (2, 5)  # the first generation that fetches other addresses, outside of Vertex


class PartMaker:
    """Turns the parts of one conversation into Gemini's, and notes what it had to leave out."""

    def __init__(self, endpoint: Endpoint, dropped: list[str]) -> None:
        self._dropped = dropped
        self._generation = generation(endpoint.model)
        self._fetches = self._generation >= _FETCHES or "aiplatform" in endpoint.base_url
        self._names: dict[str, str] = {}  # call id -> tool name

    def parts(self, part: Part, where: str) -> list[Json]:
        """The part as Gemini's parts, none where it says nothing. `where` names it in a fault, as `messages[0].content[1]`.

        Raises `FaultError`: UNSUPPORTED where Gemini has no such part, BAD_REQUEST where it is malformed.
        """
        match part:
            case Text():
                return _text(part.text, part.signature)
            case Refusal():
                return _text(part.text, None)
            case Image() | Document():
                return [self._media(part, where)]
            case Audio():
                return [_inline(f"audio/{part.format}", part.data)]
            case Thinking():
                self._dropped.append("reasoning of earlier turns")
                return []
            case ToolCall():
                return [self._call(part, where)]
            case ToolResult():
                return self._result(part, where)
            case Opaque() if part.dialect == DIALECT:
                return [part.value]
            case _:
                raise unsupported(where, f"Gemini has no part for {_named(part)}")

    def _call(self, call: ToolCall, where: str) -> Json:
        self._names[call.id] = name = tool_name(call.name)
        said: Json = {"functionCall": {"name": name, "args": _object(call.arguments, where), **self._id(call.id)}}
        return said if call.signature is None else said | {"thoughtSignature": call.signature}

    def _id(self, call_id: str) -> Json:
        """Gemini pairs calls and results by id from its third generation on; before, it gave none and wants none."""
        return {} if self._generation < (3, 0) or is_made(call_id) else {"id": call_id}

    def _result(self, result: ToolResult, where: str) -> list[Json]:
        name = self._names.get(result.call_id)
        if name is None:
            raise bad_request(where, f"'{where}' answers the call {result.call_id[:64]!r}, which is not in the conversation")
        texts = [part.text for part in result.parts if isinstance(part, Text | Refusal)]
        media = [p for part in result.parts if not isinstance(part, Text | Refusal) for p in self.parts(part, where)]
        said: Json = {"name": name, "response": _response("\n".join(texts), result.is_error), **self._id(result.call_id)}
        if media and self._generation >= (3, 0):
            return [{"functionResponse": said | {"parts": media}}]
        return [{"functionResponse": said}, *media]

    def _media(self, part: Image | Document, where: str) -> Json:
        if part.data is not None:
            return _inline_media(part)
        url = part.url if part.url is not None else _file(part, where)
        own = url.startswith(_OWN_URLS)
        if not own and not url.lower().startswith(("https://", "http://")):
            raise unsupported(where, "Gemini takes media inline, by http(s) or gs:// URL, or by the name of an uploaded file")
        if not own and not self._fetches:
            raise unsupported(where, "this Gemini model fetches no URLs; it takes media inline")
        media_type = part.media_type or mimetypes.guess_type(url.partition("?")[0])[0]
        return {"fileData": {"fileUri": url} | ({"mimeType": media_type} if media_type else {})}


def _text(text: str, signature: str | None) -> list[Json]:
    if signature is not None:
        return [{"text": text, "thoughtSignature": signature}]
    return [{"text": text}] if text else []


def _inline(media_type: str, data: str) -> Json:
    return {"inlineData": {"mimeType": media_type, "data": data}}


def _inline_media(part: Image | Document) -> Json:
    data = part.data or ""
    if isinstance(part, Document) and part.media_type == "text/plain":
        data = base64.b64encode(data.encode()).decode()
        return _inline("text/plain", data)
    sniffed = next((kind for magic, kind in _MAGIC if data.startswith(magic)), None)
    kind = "image/jpeg" if isinstance(part, Image) else "application/pdf"
    return _inline(sniffed or part.media_type or kind, data)


def _file(part: Image | Document, where: str) -> str:
    name = part.file_id if isinstance(part, Document) else None
    if name is None:
        raise bad_request(where, f"'{where}' holds neither data nor an address")
    if name.startswith(_OWN_URLS):
        return name
    if name.startswith("files/"):
        return f"https://generativelanguage.googleapis.com/v1beta/{name}"
    raise unsupported(where, "this file was uploaded to another provider")


def _object(arguments: str, where: str) -> msgspec.Raw:
    """The call's arguments, checked to be a JSON object but sent as the model wrote them."""
    if not arguments.strip():
        return _NO_ARGUMENTS
    value = _decoded(arguments)
    if value is None and arguments.strip() == "null":
        return _NO_ARGUMENTS
    if not isinstance(value, dict):
        raise bad_request(where, f"'{where}' must be a JSON object")
    return msgspec.Raw(arguments.encode())


def _response(text: str, is_error: bool) -> Any:
    if is_error:
        return {"error": text}
    if isinstance(_decoded(text), dict) and '"$ref"' not in text:
        return msgspec.Raw(text.encode())
    return {"output": text}


def _decoded(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None


def _named(part: Part) -> str:
    return f"{part.value.get('type')!r} parts" if isinstance(part, Opaque) else type(part).__name__.lower()
