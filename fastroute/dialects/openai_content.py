"""The parts of an OpenAI message's content, in canonical form."""

import base64
import binascii
from typing import Any
from urllib.parse import unquote_to_bytes

from fastroute.dialects._faults import bad_request
from fastroute.dialects.canonical import Audio, Document, Image, Opaque, Part, Refusal, Text, Thinking

JsonDict = dict[str, Any]

_MEDIA_BY_ENDING = {
    "pdf": "application/pdf",
    "txt": "text/plain",
    "md": "text/markdown",
    "csv": "text/csv",
    "html": "text/html",
    "json": "application/json",
    "png": "image/png",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "gif": "image/gif",
    "webp": "image/webp",
}


def content_parts(content: Any, where: str) -> list[Part]:
    """A message's content: a text, a list of parts, or nothing. Raises `FaultError` that names the part."""
    if content is None or content == "":
        return []
    if isinstance(content, str):
        return [Text(content)]
    if not isinstance(content, list):
        raise bad_request(where, f"'{where}' must be a string or a list of parts")
    return [_part(part, f"{where}[{i}]") for i, part in enumerate(content)]


def member(value: JsonDict, name: str, kind: type, where: str) -> Any:
    """A required member of an object. Raises `FaultError` that names it."""
    found = value.get(name)
    if not isinstance(found, kind):
        raise bad_request(f"{where}.{name}", f"'{where}.{name}' is missing or not a {'string' if kind is str else kind.__name__}")
    return found


def _part(part: Any, where: str) -> Part:
    if isinstance(part, str):
        return Text(part)
    if not isinstance(part, dict):
        raise bad_request(where, f"'{where}' must be an object")
    match part.get("type"):
        case "text" | "input_text" | "output_text":
            return Text(member(part, "text", str, where), part.get("cache_control"), part.get("citations"))
        case "image_url" | "input_image":
            return _image(part, where)
        case "file" | "input_file":
            return _file(part, where)
        case "input_audio":
            audio = member(part, "input_audio", dict, where)
            inside = f"{where}.input_audio"
            return Audio(member(audio, "data", str, inside), member(audio, "format", str, inside))
        case "refusal":
            return Refusal(member(part, "refusal", str, where))
        case "thinking" | "redacted_thinking":
            return thought(part)
        case str():
            return Opaque("openai_chat", part)
        case _:
            raise bad_request(f"{where}.type", f"'{where}.type' is missing or not a string")


def _image(part: JsonDict, where: str) -> Image:
    """`image_url` is an object with a `url`, or, from some clients, the URL itself."""
    given = part.get("image_url")
    inside = {"url": given} if isinstance(given, str) else given
    if not isinstance(inside, dict):
        raise bad_request(f"{where}.image_url", f"'{where}.image_url' must be an object with a url")
    url = member(inside, "url", str, f"{where}.image_url")
    detail, cache_control = inside.get("detail"), part.get("cache_control")
    if not _is_data_url(url):
        return Image(url=url, detail=detail, cache_control=cache_control)
    media_type, data = _inline(url, f"{where}.image_url.url")
    return Image(data=data, media_type=media_type or None, detail=detail, cache_control=cache_control)


def _file(part: JsonDict, where: str) -> Document:
    """By id, by URL, or inline: a data URL, or bare base64 whose name tells the media type."""
    inside = part if part.get("type") == "input_file" else member(part, "file", dict, where)
    where = where if inside is part else f"{where}.file"
    name = inside["filename"] if isinstance(inside.get("filename"), str) else None
    common: JsonDict = {"name": name, "cache_control": part.get("cache_control")}
    if isinstance(inside.get("file_id"), str):
        return Document(file_id=inside["file_id"], **common)
    if isinstance(inside.get("file_url"), str):
        return Document(url=inside["file_url"], **common)
    data: str = member(inside, "file_data", str, where)
    if data.startswith(("http://", "https://")):
        return Document(url=data, **common)
    given = inside.get("format")
    media_type = given if isinstance(given, str) else _MEDIA_BY_ENDING.get((name or "").rpartition(".")[2].lower(), "")
    if _is_data_url(data):
        named, data = _inline(data, f"{where}.file_data")
        media_type = named or media_type
    if media_type == "text/plain":
        data = _plain_text(data, f"{where}.file_data")
    return Document(data=data, media_type=media_type or None, **common)


def _is_data_url(text: str) -> bool:
    return text[:5].lower() == "data:"


def _inline(url: str, where: str) -> tuple[str, str]:
    """Media type (may be empty) and base64 data of a data URL."""
    head, comma, data = url[5:].partition(",")
    media_type, *options = [step.strip().lower() for step in head.split(";")]
    if not comma or not data:
        raise bad_request(where, f"'{where}' is a data URL without data")
    return media_type, data if "base64" in options else base64.b64encode(unquote_to_bytes(data)).decode()


def _plain_text(data: str, where: str) -> str:
    try:
        return base64.b64decode(data, validate=True).decode()
    except (binascii.Error, ValueError):
        raise bad_request(where, f"'{where}' is not base64 of UTF-8 text") from None


def thought(block: JsonDict) -> Thinking:
    """Reasoning as Anthropic, Mistral (a list of text parts) or OpenRouter (`reasoning.text`, `reasoning.encrypted`) write it."""
    if block.get("type") in ("redacted_thinking", "reasoning.encrypted"):
        return Thinking(redacted=str(block.get("data", "")))
    inside = next((block[name] for name in ("thinking", "text", "summary") if block.get(name)), "")
    if isinstance(inside, list):
        inside = "".join(str(part.get("text", "")) for part in inside if isinstance(part, dict))
    signature = block.get("signature")
    return Thinking(str(inside), signature=signature if isinstance(signature, str) and signature else None)
