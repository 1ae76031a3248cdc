"""A Gemini client's request in canonical form: what a dialect other than Gemini's needs in order to say the same thing.

Rules. Every part is kept in order; one without a canonical name becomes `Opaque`, for the dialect to say or to refuse. A call
without an id gets one; a response without an id answers the first call of its function that has no answer yet. Schemas in
Google's subset (upper-case types, `nullable`) become JSON Schema. What has no canonical form is refused as unsupported, so that
an endpoint that speaks Gemini may be tried.

Source: Google's reference of `generateContent` (v1beta, November 2026).
"""

import base64
import binascii
from typing import Any

import msgspec

from fastroute.core.types import ChatRequest
from fastroute.dialects._faults import bad_request, unsupported
from fastroute.dialects.canonical import (
    Audio,
    Conversation,
    Document,
    Image,
    Opaque,
    Part,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
    Turn,
)
from fastroute.dialects.gemini_api import NAME, camel
from fastroute.dialects.gemini_names import made_id
from fastroute.dialects.gemini_settings import json_schema, settings

Json = dict[str, Any]

_ROLES = {"user": "user", "model": "assistant", "function": "user", "tool": "user"}
_REFUSED = ("cachedContent",)
_CHOICES = {"NONE": "none", "AUTO": "auto", "VALIDATED": "auto", "MODE_UNSPECIFIED": "auto"}


def gemini_conversation(request: ChatRequest) -> Conversation:
    """The request in canonical form. Raises `FaultError` (BAD_REQUEST, UNSUPPORTED) that names the member."""
    fields = {name: msgspec.json.decode(raw) for name, raw in request.fields.items() if not name.startswith("fastroute")}
    for name in _REFUSED:
        if fields.get(name):
            raise unsupported(name, f"only endpoints that speak Gemini know {name}")
    system = fields.get("systemInstruction")
    turns = _Turns()
    if system:
        turns.add(
            {"role": "system", "parts": system} if isinstance(system, str) else {**system, "role": "system"}, "systemInstruction"
        )
    contents = fields["contents"]
    for i, content in enumerate(contents if isinstance(contents, list) else [contents]):
        turns.add(content, f"contents[{i}]")
    return Conversation(
        model=request.model,
        turns=tuple(turns.turns),
        stream=request.stream,
        tools=_tools(fields.get("tools")),
        tool_choice=_tool_choice(_camels(fields.get("toolConfig"))),
        max_output_tokens=request.max_output_tokens,
        choices=request.choices,
        **settings(_camels(fields.get("generationConfig"))),
    )


def _camels(value: Any) -> Json:
    return {camel(name): inner for name, inner in value.items()} if isinstance(value, dict) else {}


class _Turns:
    """The turns so far, and the calls that wait for their results."""

    def __init__(self) -> None:
        self.turns: list[Turn] = []
        self._waiting: list[ToolCall] = []
        self._calls = 0

    def add(self, content: Any, where: str) -> None:
        """Adds one content as a turn."""
        if not isinstance(content, dict):
            raise bad_request(where, f"'{where}' must be an object")
        role = content.get("role") or "user"
        known = "system" if role == "system" else _ROLES.get(role)
        if known is None:
            raise bad_request(f"{where}.role", f"'{where}.role' is none of {', '.join(_ROLES)}")
        parts = content.get("parts") or []
        listed = parts if isinstance(parts, list) else [parts]
        said = [self._part(part, f"{where}.parts[{i}]") for i, part in enumerate(listed)]
        self.turns.append(Turn(known, tuple(said)))

    def _part(self, given: Any, where: str) -> Part:
        part = _camels({"text": given} if isinstance(given, str) else given)
        signature = part.get("thoughtSignature")
        if isinstance(part.get("text"), str):
            return Thinking(part["text"]) if part.get("thought") else Text(part["text"], signature=signature)
        if "functionCall" in part:
            return self._call(_camels(part["functionCall"]), signature, where)
        if "functionResponse" in part:
            return self._result(_camels(part["functionResponse"]), where)
        if "inlineData" in part:
            return _inline(_camels(part["inlineData"]), where)
        if "fileData" in part:
            return _file(_camels(part["fileData"]), where)
        if not part:
            raise bad_request(where, f"'{where}' says nothing")
        return Opaque(NAME, {"type": next(iter(part)), **part})

    def _call(self, call: Json, signature: str | None, where: str) -> ToolCall:
        name = _text(call, "name", f"{where}.functionCall")
        call_id = call.get("id") or made_id("history", 0, self._calls)
        self._calls += 1
        said = ToolCall(call_id, name, msgspec.json.encode(call.get("args") or {}).decode(), signature)
        self._waiting.append(said)
        return said

    def _result(self, result: Json, where: str) -> ToolResult:
        name, given = _text(result, "name", f"{where}.functionResponse"), result.get("id")
        found = next((c for c in self._waiting if (c.id == given if given else c.name == name)), None)
        if found is None:
            raise bad_request(where, f"'{where}' answers a call of {name!r} that is not in the conversation")
        self._waiting.remove(found)
        response = result.get("response") or {}
        failed = isinstance(response, dict) and set(response) == {"error"}
        parts: list[Part] = [Text(_said(response))]
        parts += [self._part(part, f"{where}.functionResponse.parts[{i}]") for i, part in enumerate(result.get("parts") or ())]
        return ToolResult(found.id, tuple(parts), is_error=failed)


def _said(response: Any) -> str:
    """A response as text: what its one member by Google's custom says, else all of it as JSON."""
    if isinstance(response, dict) and len(response) == 1:
        [(name, value)] = response.items()
        if name in ("output", "result", "error") and isinstance(value, str):
            return value
    return msgspec.json.encode(response).decode()


def _text(value: Json, name: str, where: str) -> str:
    found = value.get(name)
    if not isinstance(found, str) or not found:
        raise bad_request(f"{where}.{name}", f"'{where}.{name}' is missing or not a string")
    return found


def _inline(blob: Json, where: str) -> Part:
    kind, data = blob.get("mimeType") or "", _text(blob, "data", f"{where}.inlineData")
    data = data.replace("-", "+").replace("_", "/")  # Google takes both alphabets of base64
    if kind.startswith("image/"):
        return Image(data=data, media_type=kind)
    if kind.startswith("audio/"):
        return Audio(data, kind.removeprefix("audio/").removeprefix("x-").replace("mpeg", "mp3"))
    if kind != "text/plain":
        return Document(data=data, media_type=kind or None)
    try:
        return Document(data=base64.b64decode(data).decode(), media_type=kind)
    except (binascii.Error, ValueError):
        raise bad_request(where, f"'{where}' is not base64 of UTF-8 text") from None


def _file(file: Json, where: str) -> Part:
    kind, uri = file.get("mimeType") or "", _text(file, "fileUri", f"{where}.fileData")
    if kind.startswith("image/"):
        return Image(url=uri, media_type=kind)
    return Document(url=uri, media_type=kind or None, name=file.get("displayName"))


# --- tools ------------------------------------------------------------------------------------------------------------


def _tools(given: Any) -> tuple[Tool, ...]:
    out: list[Tool] = []
    for i, tool in enumerate(given or ()):
        members = _camels(tool)
        others = sorted(members.keys() - {"functionDeclarations"})
        if others:
            raise unsupported(f"tools[{i}]", f"only endpoints that speak Gemini have the tool {others[0]}")
        where = f"tools[{i}].functionDeclarations"
        out += [_declared(_camels(d), f"{where}[{j}]") for j, d in enumerate(members.get("functionDeclarations") or ())]
    return tuple(out)


def _declared(function: Json, where: str) -> Tool:
    schema = function.get("parametersJsonSchema")
    if schema is None and function.get("parameters") is not None:
        schema = json_schema(function["parameters"])
    return Tool(_text(function, "name", where), function.get("description") or None, schema)


def _tool_choice(config: Json) -> ToolChoice | None:
    calling = _camels(config.get("functionCallingConfig"))
    mode, names = str(calling.get("mode") or "").upper(), calling.get("allowedFunctionNames") or []
    if not mode:
        return None
    if mode != "ANY":
        return ToolChoice(_CHOICES.get(mode, "auto"))
    if len(names) > 1:
        raise unsupported("toolConfig", "only endpoints that speak Gemini take several allowed functions")
    return ToolChoice("named", names[0]) if names else ToolChoice("required")
