"""A Responses client's request put to providers that do not speak Responses: as the OpenAI chat request it amounts to.

Rules. Nothing a client would miss is left out: state kept by the provider, prompts kept there, tools the provider runs itself and
log probabilities are refused with the member named, so that another endpoint may be tried. What only tunes or marks
(`truncation`, `metadata`, `reasoning.summary`, `store`) is left out; nothing is stored, and the reply says so.

Theory of operation. As in `gemini_elsewhere`: the reply is told as to an OpenAI chat client first, and then retold.
"""

from typing import Any

import msgspec

from fastroute.core.ports import Translator
from fastroute.core.types import ChatRequest
from fastroute.dialects._faults import bad_request, unsupported
from fastroute.dialects.canonical import Event, Extra, Started, ThinkingDelta
from fastroute.dialects.openai_chunks import ChunkReader
from fastroute.dialects.openai_content import member
from fastroute.dialects.responses_input import OPENAI, chat_messages
from fastroute.dialects.responses_writer import BLOCKS, ResponsesWriter
from fastroute.dialects.retelling import Retold

Json = dict[str, Any]

_KEPT_THERE = ("previous_response_id", "conversation", "background", "prompt", "context_management")
_PLAIN = ("temperature", "top_p", "parallel_tool_calls", "user", "service_tier")
_AT_OPENAI = ("prompt_cache_key", "prompt_cache_retention", "safety_identifier")


def responses_as_chat(request: ChatRequest, dialect: str) -> ChatRequest:
    """The request as an OpenAI chat client's. `dialect`: whom it is for. Raises `FaultError` (UNSUPPORTED, BAD_REQUEST)."""
    asked = asked_of(request)
    _refuse(asked)
    members: Json = {"model": request.model, "messages": chat_messages(asked["input"], asked.get("instructions"), dialect)}
    members |= {name: asked.get(name) for name in (*_PLAIN, *(_AT_OPENAI if dialect == OPENAI else ()))}
    members |= _settings(asked, dialect)
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in members.items() if value is not None}
    return msgspec.structs.replace(request, api=OPENAI, fields=fields, include_usage=True, has_developer=True)


def asked_of(request: ChatRequest) -> Json:
    """The body as Python values. Raises `FaultError` (BAD_REQUEST)."""
    try:
        return {name: msgspec.json.decode(raw) for name, raw in request.fields.items()}
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        raise bad_request("body", "the body is not valid JSON") from None


def _refuse(asked: Json) -> None:
    for name in _KEPT_THERE:
        if asked.get(name):
            raise unsupported(name, f"'{name}' is for endpoints that speak Responses; send the whole conversation as 'input'")
    if asked.get("top_logprobs") or "message.output_text.logprobs" in (asked.get("include") or ()):
        raise unsupported("top_logprobs", "log probabilities in a response come from endpoints that speak Responses")


def _settings(asked: Json, dialect: str) -> Json:
    """Members under another name or in another form in chat; None: not said."""
    reasoning, text = _object(asked, "reasoning"), _object(asked, "text")
    tools = [_tool(tool, f"tools[{i}]") for i, tool in enumerate(asked.get("tools") or ())]
    said: Json = {
        "stream": asked.get("stream") or None,
        "max_completion_tokens": asked.get("max_output_tokens"),
        "reasoning_effort": reasoning.get("effort"),
        "response_format": _format(_object(text, "format", "text.format")),
        "verbosity": text.get("verbosity") if dialect == OPENAI else None,
        "tools": tools or None,
        "tool_choice": _choice(asked.get("tool_choice")) if tools else None,
    }
    return said if tools else said | {"parallel_tool_calls": None}


def _object(value: Json, name: str, where: str = "") -> Json:
    found = value.get(name)
    if found is None:
        return {}
    if not isinstance(found, dict):
        raise bad_request(where or name, f"'{where or name}' must be an object")
    return found


def _tool(tool: Json, where: str) -> Json:
    if tool.get("type") != "function":
        raise unsupported(f"{where}.type", f"only endpoints that speak Responses have tools of type {tool.get('type')!r}")
    function = {"name": member(tool, "name", str, where)}
    function |= {name: tool[name] for name in ("description", "parameters", "strict") if tool.get(name) is not None}
    return {"type": "function", "function": function}


def _choice(choice: Any) -> Any:
    if choice is None or isinstance(choice, str):
        return choice
    kind = choice.get("type") if isinstance(choice, dict) else None
    if kind != "function":
        raise unsupported("tool_choice", f"only endpoints that speak Responses take a 'tool_choice' of type {kind!r}")
    return {"type": "function", "function": {"name": member(choice, "name", str, "tool_choice")}}


def _format(form: Json) -> Json | None:
    kind = form.get("type", "text")
    if kind == "text":
        return None
    if kind != "json_schema":
        return {"type": kind}
    inner = {name: form[name] for name in ("name", "description", "schema", "strict") if form.get(name) is not None}
    return {"type": kind, "json_schema": inner}


# --- replies ----------------------------------------------------------------------------------------------------------


class _Reader(ChunkReader):
    """Signed reasoning too, which a client must be able to send back: right after the reasoning it belongs to."""

    def _chunk(self, chunk: Json, where: str) -> list[Event]:
        events = super()._chunk(chunk, where)
        for choice in chunk.get("choices") or ():
            blocks = (choice.get(where) or {}).get("thinking_blocks")
            if blocks:
                at = max((i for i, event in enumerate(events) if isinstance(event, Started | ThinkingDelta)), default=-1)
                events.insert(at + 1, Extra(BLOCKS, blocks, choice.get("index") or 0))
        return events


def responses_retold(inner: Translator, request: ChatRequest, model: str) -> Translator:
    """What `inner` tells an OpenAI chat client, for a Responses client."""
    return Retold(inner, _Reader(), ResponsesWriter(request.id, asked_of(request), model))
