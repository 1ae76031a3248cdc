"""The input of a Responses request as the messages of an OpenAI chat request.

Rules. Order is kept. What an assistant said in one turn (reasoning, text, calls) becomes one message, since a call's results must
follow the message that made it. Items and parts that only Responses has are refused with their place named, and so is a
result without its call. Images among a call's results follow in a user message of their own where results are text only.
Reasoning goes back to whom it came from: sealed blocks to Anthropic, signatures to Gemini; OpenAI's chat takes none.
"""

from typing import Any

from fastroute.dialects._faults import bad_request, unsupported
from fastroute.dialects.openai_content import member
from fastroute.dialects.responses_seal import GOOGLE, opened

Json = dict[str, Any]

OPENAI, GEMINI = "openai_chat", "gemini"
_ROLES = ("user", "system", "developer", "assistant")


def chat_messages(given: Any, instructions: str | None, dialect: str) -> list[Json]:
    """The messages. Raises `FaultError` (UNSUPPORTED, BAD_REQUEST) that names the item."""
    said = _Messages(dialect)
    if instructions:
        said.messages.append({"role": "system", "content": instructions})
    items = [{"role": "user", "content": given}] if isinstance(given, str) else given
    for i, item in enumerate(items):
        said.add(item, f"input[{i}]")
    said.settle()
    return said.messages


class _Messages:
    """The messages so far, the assistant's open one, and what waits for the end of a run of results."""

    def __init__(self, dialect: str) -> None:
        self.messages: list[Json] = []
        self._dialect = dialect
        self._open: Json | None = None
        self._called: set[str] = set()
        self._media: list[Json] = []
        self._signature: str | None = None

    def add(self, item: Json, where: str) -> None:
        """Adds one item."""
        kind = item.get("type") or ("message" if "role" in item else None)
        match kind:
            case "message":
                self._message(item, where)
            case "reasoning":
                self._reasoning(item)
            case "function_call":
                self._call(item, where)
            case "function_call_output":
                self._result(item, where)
            case str():
                raise unsupported(where, f"only endpoints that speak Responses take items of type {kind!r}")
            case _:
                raise bad_request(f"{where}.type", f"'{where}.type' is missing or not a string")

    def settle(self) -> None:
        """Closes what is open: another speaker follows, or nobody."""
        if self._open is not None and (self._open.get("content") or self._open.get("tool_calls")):
            self.messages.append({"content": None, **self._open})
        if self._media:
            self.messages.append({"role": "user", "content": self._media})
        self._open, self._media = None, []

    def _message(self, item: Json, where: str) -> None:
        role = item.get("role")
        if role not in _ROLES:
            raise bad_request(f"{where}.role", f"'{where}.role' is none of {', '.join(_ROLES)}")
        content = chat_content(item.get("content"), f"{where}.content")
        if role != "assistant":
            self.settle()
            self.messages.append({"role": role, "content": content})
            return
        message = self._assistant()
        if message.get("content") and not message.get("tool_calls"):
            self.settle()
            message = self._assistant()
        message["content"] = [*_listed(message["content"]), *_listed(content)] if message.get("content") else content
        self._sign(message)

    def _assistant(self) -> Json:
        if self._media:
            self.settle()
        if self._open is None:
            self._open = {"role": "assistant"}
        return self._open

    def _reasoning(self, item: Json) -> None:
        message = self._assistant()
        for block in opened(item.get("encrypted_content")):
            if block.get("type") == GOOGLE:
                self._signature = block.get("signature")
            elif self._dialect not in (OPENAI, GEMINI):
                message.setdefault("thinking_blocks", []).append(block)

    def _call(self, item: Json, where: str) -> None:
        call_id, name = member(item, "call_id", str, where), member(item, "name", str, where)
        function = {"name": name, "arguments": member(item, "arguments", str, where)}
        call: Json = {"id": call_id, "type": "function", "function": function}
        message = self._assistant()
        message.setdefault("tool_calls", []).append(call)
        self._sign(call)
        self._called.add(call_id)

    def _sign(self, said: Json) -> None:
        if self._signature is not None and self._dialect == GEMINI:
            said["extra_content"] = {"google": {"thought_signature": self._signature}}
        self._signature = None

    def _result(self, item: Json, where: str) -> None:
        call_id = member(item, "call_id", str, where)
        if call_id not in self._called:
            raise bad_request(where, f"No tool call found for function call output with call_id {call_id!r}.")
        media, self._media = self._media, []
        self.settle()
        self._media = media
        output = item.get("output")
        content = output if isinstance(output, str) else chat_content(output, f"{where}.output")
        if isinstance(content, list) and self._dialect == OPENAI:
            self._media += [part for part in content if part["type"] != "text"]
            content = "\n".join(part["text"] for part in content if part["type"] == "text")
        self.messages.append({"role": "tool", "tool_call_id": call_id, "content": content})


def _listed(content: str | list[Json]) -> list[Json]:
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def chat_content(content: Any, where: str) -> str | list[Json]:
    """The content of a message or a result; all text as one string."""
    if isinstance(content, str):
        return content
    if not isinstance(content, list):
        raise bad_request(where, f"'{where}' must be a string or a list of parts")
    parts = [_part(part, f"{where}[{i}]") for i, part in enumerate(content)]
    return parts[0]["text"] if len(parts) == 1 and parts[0]["type"] == "text" else parts


def _part(part: Any, where: str) -> Json:
    if not isinstance(part, dict):
        raise bad_request(where, f"'{where}' must be an object")
    match part.get("type"):
        case "input_text" | "output_text" | "text":
            return {"type": "text", "text": member(part, "text", str, where)}
        case "refusal":
            return {"type": "text", "text": member(part, "refusal", str, where)}
        case "input_image":
            return _image(part, where)
        case "input_file":
            return _file(part, where)
        case "input_audio":
            return {"type": "input_audio", "input_audio": member(part, "input_audio", dict, where)}
        case kind:
            raise unsupported(f"{where}.type", f"only endpoints that speak Responses take parts of type {kind!r}")


def _image(part: Json, where: str) -> Json:
    if part.get("image_url") is None and part.get("file_id"):
        raise unsupported(f"{where}.file_id", "images by file id come from endpoints that speak Responses")
    image = {"url": member(part, "image_url", str, where)}
    if isinstance(part.get("detail"), str):
        image["detail"] = part["detail"]
    return {"type": "image_url", "image_url": image}


def _file(part: Json, where: str) -> Json:
    if part.get("file_url") is not None:
        raise unsupported(f"{where}.file_url", "files by URL are for endpoints that speak Responses")
    file = {name: part[name] for name in ("file_id", "filename", "file_data") if isinstance(part.get(name), str)}
    if "file_id" not in file and "file_data" not in file:
        raise bad_request(where, f"'{where}' has neither file_id nor file_data")
    return {"type": "file", "file": file}
