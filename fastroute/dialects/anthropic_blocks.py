"""Parts of a canonical conversation as Anthropic content blocks.

Rules. Blank text is left out: Anthropic refuses it, and it says nothing. A part that has no block is refused, never dropped; the
one exception is reasoning without its signature, which Anthropic could not take back and can do without.
"""

import base64
import binascii
from typing import Any

import msgspec

from fastroute.dialects._faults import bad_request, unsupported
from fastroute.dialects.anthropic_names import CallIds, tool_name
from fastroute.dialects.canonical import (
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

Block = dict[str, Any]

FILES_BETA = "files-api-2025-04-14"
_DIALECTS = ("anthropic", "anthropic_messages")
_OWN_BLOCKS = ("document", "search_result", "container_upload")  # clients of other APIs send these too, meaning Anthropic's
_IMAGE_TYPES = frozenset({"image/jpeg", "image/png", "image/gif", "image/webp"})
_MAGIC = (("iVBORw0KGgo", "image/png"), ("/9j/", "image/jpeg"), ("R0lGOD", "image/gif"), ("UklGR", "image/webp"))
_NO_ARGUMENTS = msgspec.Raw(b"{}")


class BlockMaker:
    """Turns the parts of one conversation into blocks, and notes what it had to leave out."""

    def __init__(self, dropped: list[str]) -> None:
        self._dropped = dropped
        self._ids = CallIds()
        self.betas: set[str] = set()

    def blocks(self, part: Part, where: str) -> list[Block]:
        """The part as blocks, none where it says nothing. `where` names it in a fault, as `messages[0].content[1]`.

        Raises `FaultError`: UNSUPPORTED where Anthropic has no such block, BAD_REQUEST where a call's arguments are not a
        JSON object.
        """
        match part:
            case Text() | Refusal():
                return _text(part)
            case Image():
                return [_image(part, where)]
            case Document():
                return [self._document(part, where)]
            case Thinking():
                return self._thinking(part)
            case ToolCall():
                return [self._tool_use(part, where)]
            case ToolResult():
                return [self._tool_result(part, where)]
            case Opaque() if _is_own(part):
                return [part.value]
            case _:
                raise unsupported(where, f"Anthropic has no content block for {_named(part)}")

    def _thinking(self, part: Thinking) -> list[Block]:
        if part.redacted is not None:
            return [{"type": "redacted_thinking", "data": part.redacted}]
        if part.signature:
            return [{"type": "thinking", "thinking": part.text, "signature": part.signature}]
        self._dropped.append("reasoning without signature")
        return []

    def _tool_use(self, call: ToolCall, where: str) -> Block:
        call_id = self._ids.called(call.id)
        return {"type": "tool_use", "id": call_id, "name": tool_name(call.name), "input": _input(call.arguments, where)}

    def _tool_result(self, result: ToolResult, where: str) -> Block:
        block: Block = {"type": "tool_result", "tool_use_id": self._ids.answered(result.call_id)}
        content = [block for part in result.parts for block in self.blocks(part, where)]
        if content:
            block["content"] = plain(content)
        if result.is_error:
            block["is_error"] = True
        return _marked(block, result.cache_control)

    def _document(self, part: Document, where: str) -> Block:
        if part.data is not None and (part.media_type or "").startswith("image/"):
            return _image(Image(data=part.data, media_type=part.media_type, cache_control=part.cache_control), where)
        if part.file_id is not None:
            self.betas.add(FILES_BETA)
        block: Block = {"type": "document", "source": _document_source(part, where)}
        if part.name:
            block["title"] = part.name
        return _marked(block, part.cache_control)


def plain(blocks: list[Block]) -> str | list[Block]:
    """Content in its shortest form: a lone block of mere text as that text."""
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        text: str = blocks[0]["text"]
        return text
    return blocks


def _marked(block: Block, cache_control: dict[str, Any] | None) -> Block:
    if cache_control is not None:
        block["cache_control"] = cache_control
    return block


def _text(part: Text | Refusal) -> list[Block]:
    if not part.text.strip():
        return []
    block: Block = {"type": "text", "text": part.text}
    if isinstance(part, Refusal):
        return [block]
    if part.citations:
        block["citations"] = part.citations
    return [_marked(block, part.cache_control)]


def _input(arguments: str, where: str) -> msgspec.Raw:
    """The call's arguments, checked to be a JSON object but sent as the model wrote them."""
    if not arguments.strip():
        return _NO_ARGUMENTS
    try:
        value = msgspec.json.decode(arguments)
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError) as error:
        raise bad_request(where, f"'{where}' is not valid JSON: {error}") from error
    if value is None:
        return _NO_ARGUMENTS
    if not isinstance(value, dict):
        raise bad_request(where, f"'{where}' must be a JSON object")
    return msgspec.Raw(arguments.encode())


def _image(part: Image, where: str) -> Block:
    if part.url is not None:
        if not part.url.lower().startswith(("http://", "https://")):
            raise unsupported(where, "Anthropic takes images by http(s) URL or inline")
        return _marked({"type": "image", "source": {"type": "url", "url": part.url}}, part.cache_control)
    data = part.data or ""
    media_type = next((kind for magic, kind in _MAGIC if data.startswith(magic)), part.media_type or "")
    if media_type not in _IMAGE_TYPES:
        raise unsupported(where, f"Anthropic takes images as jpeg, png, gif or webp, not {media_type or 'of unknown type'}")
    return _marked({"type": "image", "source": {"type": "base64", "media_type": media_type, "data": data}}, part.cache_control)


def _document_source(part: Document, where: str) -> Block:
    if part.file_id is not None:
        return {"type": "file", "file_id": part.file_id}
    if part.url is not None:
        return {"type": "url", "url": part.url}
    media_type, data = part.media_type or "application/pdf", part.data or ""
    if media_type == "application/pdf":
        return {"type": "base64", "media_type": media_type, "data": data}
    if media_type == "text/plain":
        return {"type": "text", "media_type": "text/plain", "data": data}
    if media_type.startswith("text/") or media_type == "application/json":
        return {"type": "text", "media_type": "text/plain", "data": _decoded(data, where)}
    raise unsupported(where, f"Anthropic takes documents as PDF or text, not {media_type}")


def _decoded(data: str, where: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise bad_request(where, f"'{where}' holds a text file that is not base64 of UTF-8 text") from error


def _is_own(part: Opaque) -> bool:
    kind = part.value.get("type")
    return part.dialect in _DIALECTS or kind in _OWN_BLOCKS or (kind == "image" and "source" in part.value)


def _named(part: Part) -> str:
    return f"{part.value.get('type')!r} parts" if isinstance(part, Opaque) else type(part).__name__.lower()
