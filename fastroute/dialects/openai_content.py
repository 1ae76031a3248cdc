"""The parts of an OpenAI message's content, in canonical form."""

import re
from typing import Any

from fastroute.dialects._faults import bad_request
from fastroute.dialects.canonical import Audio, Document, Image, Opaque, Part, Refusal, Text, Thinking

JsonDict = dict[str, Any]

_DATA_URL = re.compile(r"data:([^;,]*)(?:;[^;,]*)*;base64,(.*)", re.DOTALL)


def content_parts(content: Any, where: str) -> list[Part]:
    """A message's content: a text, a list of parts, or nothing. Raises `FaultError` that names the part."""
    if content is None:
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
        case "file":
            return _file(part, where)
        case "input_audio":
            audio = member(part, "input_audio", dict, where)
            inside = f"{where}.input_audio"
            return Audio(member(audio, "data", str, inside), member(audio, "format", str, inside))
        case "refusal":
            return Refusal(member(part, "refusal", str, where))
        case "thinking":
            return _thinking(part)
        case _:
            return Opaque("openai_chat", part)


def _image(part: JsonDict, where: str) -> Image:
    """`image_url` is an object with a `url`, or, from some clients, the URL itself."""
    given = part.get("image_url")
    inside = {"url": given} if isinstance(given, str) else given
    if not isinstance(inside, dict):
        raise bad_request(f"{where}.image_url", f"'{where}.image_url' must be an object with a url")
    url = member(inside, "url", str, f"{where}.image_url")
    detail, cache_control = inside.get("detail"), part.get("cache_control")
    inline = _DATA_URL.fullmatch(url)
    if inline:
        return Image(data=inline[2], media_type=inline[1] or None, detail=detail, cache_control=cache_control)
    if url.startswith("data:"):
        raise bad_request(f"{where}.image_url.url", f"'{where}.image_url.url' is a data URL that is not base64")
    return Image(url=url, detail=detail, cache_control=cache_control)


def _file(part: JsonDict, where: str) -> Document:
    inside = member(part, "file", dict, where)
    data, file_id, url = inside.get("file_data"), inside.get("file_id"), inside.get("file_url")
    inline = _DATA_URL.fullmatch(data) if isinstance(data, str) else None
    media_type = inline[1] if inline else inside.get("format")
    if data is None and file_id is None and url is None:
        raise bad_request(f"{where}.file", f"'{where}.file' needs file_data or file_id")
    if isinstance(data, str) and inline is None and data.startswith(("http://", "https://")):
        data, url = None, data
    return Document(
        url=url,
        data=inline[2] if inline else data,
        file_id=file_id,
        media_type=media_type or None,
        name=inside.get("filename"),
        cache_control=part.get("cache_control"),
    )


def _thinking(part: JsonDict) -> Thinking:
    """Mistral's form: the thoughts are a list of text parts."""
    inside = part.get("thinking")
    if isinstance(inside, list):
        return Thinking("".join(str(p.get("text", "")) for p in inside if isinstance(p, dict)))
    return Thinking(str(inside or ""), signature=part.get("signature"))
