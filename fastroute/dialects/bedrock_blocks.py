"""Parts of a canonical conversation as blocks of Bedrock's Converse.

Rules. Blank text is left out: Bedrock refuses it. A part that has no block is refused, never dropped; the one exception is
reasoning that Claude could not take back, because nobody signed it. A cache mark is a block of its own, after what it marks.
Media go inline: Bedrock fetches nothing but from S3.

Decisions. Names of documents are cut to the few characters Bedrock takes; each is used once, because Bedrock refuses a second.

Source: wire notes 3.2 and trap 26; botocore's `bedrock-runtime` service model (2023-09-30).
"""

import base64
import re
from typing import Any

import msgspec

from fastroute.dialects._faults import bad_request, unsupported
from fastroute.dialects.anthropic_names import CallIds, tool_name
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

Block = dict[str, Any]

_DIALECTS = ("bedrock", "bedrock_converse")
_IMAGES = {"image/jpeg": "jpeg", "image/jpg": "jpeg", "image/png": "png", "image/gif": "gif", "image/webp": "webp"}
_MAGIC = (("iVBORw0KGgo", "png"), ("/9j/", "jpeg"), ("R0lGOD", "gif"), ("UklGR", "webp"))
_WORD = "application/vnd.openxmlformats-officedocument."
_DOCUMENTS = {
    "application/pdf": "pdf",
    "text/csv": "csv",
    "application/msword": "doc",
    _WORD + "wordprocessingml.document": "docx",
    "application/vnd.ms-excel": "xls",
    _WORD + "spreadsheetml.sheet": "xlsx",
    "text/html": "html",
    "text/plain": "txt",
    "text/markdown": "md",
    "application/json": "txt",
}
_AUDIO = ("mp3", "opus", "wav", "aac", "flac", "ogg", "m4a", "pcm")
_NOT_IN_NAMES = re.compile(r"[^A-Za-z0-9 \-()\[\]]+")
_TTLS = ("5m", "1h")
_NO_ARGUMENTS = msgspec.Raw(b"{}")


class BlockMaker:
    """Turns the parts of one conversation into blocks, and notes what it had to leave out. `claude`: whom they are for."""

    def __init__(self, dropped: list[str], claude: bool) -> None:
        self._dropped, self._claude = dropped, claude
        self._ids = CallIds()
        self._names: set[str] = set()

    def blocks(self, part: Part, where: str) -> list[Block]:
        """The part as blocks, none where it says nothing. `where` names it in a fault, as `messages[0].content[1]`.

        Raises `FaultError`: UNSUPPORTED where Bedrock has no such block, BAD_REQUEST where a call's arguments are not a
        JSON object.
        """
        match part:
            case Text() | Refusal():
                return _text(part)
            case Image():
                return [_image(part, where), *cache_point(part.cache_control)]
            case Document():
                return [self._document(part, where), *cache_point(part.cache_control)]
            case Audio() if part.format in _AUDIO:
                return [{"audio": {"format": part.format, "source": {"bytes": part.data}}}]
            case Thinking():
                return self._thinking(part)
            case ToolCall():
                call_id = self._ids.called(part.id)
                return [{"toolUse": {"toolUseId": call_id, "name": tool_name(part.name), "input": _input(part.arguments, where)}}]
            case ToolResult():
                return self._tool_result(part, where)
            case Opaque() if part.dialect in _DIALECTS:
                return [part.value]
            case _:
                raise unsupported(where, f"Bedrock has no content block for {_named(part)}")

    def _thinking(self, part: Thinking) -> list[Block]:
        if part.redacted is not None:
            return [{"reasoningContent": {"redactedContent": part.redacted}}]
        if part.signature:
            return [{"reasoningContent": {"reasoningText": {"text": part.text, "signature": part.signature}}}]
        if part.text and not self._claude:
            return [{"reasoningContent": {"reasoningText": {"text": part.text}}}]
        self._dropped.append("reasoning without signature")
        return []

    def _tool_result(self, result: ToolResult, where: str) -> list[Block]:
        made = [block for part in result.parts for block in self.blocks(part, where)]
        content = [block for block in made if "cachePoint" not in block]
        # An empty list would be taken for no result at all.
        said: Block = {"toolUseId": self._ids.answered(result.call_id), "content": content or [{"text": "(no output)"}]}
        if result.is_error:
            said["status"] = "error"
        return [{"toolResult": said}, *cache_point(result.cache_control)]

    def _document(self, part: Document, where: str) -> Block:
        kind = part.media_type or "application/pdf"
        if part.data is None:
            raise unsupported(where, "Bedrock takes documents inline, not by URL or file id")
        if kind.startswith("image/"):
            return _image(Image(data=part.data, media_type=kind), where)
        format_ = _DOCUMENTS.get(kind) or ("txt" if kind.startswith("text/") else None)
        if format_ is None:
            raise unsupported(where, f"Bedrock takes no documents of type {kind}")
        # The canonical form of plain text is the text itself; of all else it is base64.
        data = base64.b64encode(part.data.encode()).decode() if kind == "text/plain" else part.data
        return {"document": {"format": format_, "name": self._name(part.name), "source": {"bytes": data}}}

    def _name(self, wanted: str | None) -> str:
        stem = " ".join(_NOT_IN_NAMES.sub(" ", wanted or "").split())[:180] or "document"
        name, times = stem, 1
        while name in self._names:
            times += 1
            name = f"{stem} {times}"
        self._names.add(name)
        return name


def cache_point(mark: dict[str, Any] | None) -> list[Block]:
    """A client's cache mark as the block that follows what it marks."""
    if mark is None:
        return []
    ttl = mark.get("ttl")
    return [{"cachePoint": {"type": "default"} | ({"ttl": ttl} if ttl in _TTLS else {})}]


def _text(part: Text | Refusal) -> list[Block]:
    if not part.text.strip():
        return []
    return [{"text": part.text}, *cache_point(part.cache_control if isinstance(part, Text) else None)]


def _image(part: Image, where: str) -> Block:
    if part.url is not None:
        if part.url.startswith("s3://"):
            kind = _IMAGES.get("image/" + part.url.rpartition(".")[2].lower())
            if kind is not None:
                return {"image": {"format": kind, "source": {"s3Location": {"uri": part.url}}}}
        raise unsupported(where, "Bedrock takes images inline, not by URL")
    data = part.data or ""
    kind = next((kind for magic, kind in _MAGIC if data.startswith(magic)), _IMAGES.get(part.media_type or ""))
    if kind is None:
        raise unsupported(where, f"Bedrock takes images as jpeg, png, gif or webp, not {part.media_type or 'of unknown type'}")
    return {"image": {"format": kind, "source": {"bytes": data}}}


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


def _named(part: Part) -> str:
    return f"{part.value.get('type')!r} parts" if isinstance(part, Opaque) else type(part).__name__.lower()
