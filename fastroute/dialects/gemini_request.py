"""A canonical conversation as the body of Gemini's `generateContent`.

Rules. What Gemini cannot say and the client would miss is refused (UNSUPPORTED, so that another endpoint may serve it): calls one
at a time, log probabilities in streams, audio, tools of other kinds. What only tunes (logit bias, user, ...) is left out and
listed in `GeminiRequest.dropped`, and so is what had to be weakened. Schemas of tools go out as they came, as
`parametersJsonSchema`: Gemini's older `parameters` is a subset of JSON Schema.

Decisions. A strict tool has no member of its own; where one is offered, Gemini's VALIDATED mode stands for it, which holds all
calls to their schemas. Clients may add Gemini's own `safety_settings`, `cached_content` and `labels`.

Source: wire notes 3.2; Google's reference of `generateContent` (v1beta, November 2026).
"""

from typing import Any

import msgspec

from fastroute.core.types import Endpoint
from fastroute.dialects._faults import unsupported
from fastroute.dialects.anthropic_thinking import with_reasoning
from fastroute.dialects.canonical import Conversation, Tool
from fastroute.dialects.gemini_config import generation_config
from fastroute.dialects.gemini_names import tool_name
from fastroute.dialects.gemini_terms import generation
from fastroute.dialects.gemini_turns import script

Json = dict[str, Any]

# Gemini's own members, which a client may add to an OpenAI request.
_PASSED = {
    "safety_settings": "safetySettings",
    "safetySettings": "safetySettings",
    "cached_content": "cachedContent",
    "cachedContent": "cachedContent",
    "labels": "labels",
}
# Members whose loss would change what the client gets back.
_REFUSED = ("audio", "functions", "web_search_options")
_SILENT = ("stream", "stream_options", "modalities", "presence_penalty", "frequency_penalty", *_PASSED, *_REFUSED)
_NEUTRAL: tuple[Any, ...] = (None, False, 0, "", [], {})
_MODES = {"none": "NONE", "auto": "AUTO", "required": "ANY", "named": "ANY"}
_VALIDATES = (2, 5)  # the first generation with a VALIDATED mode


class GeminiRequest(msgspec.Struct, frozen=True):
    """A request body, and the client's fields that are not in it or only weakened."""

    body: bytes
    dropped: tuple[str, ...] = ()


def gemini_request(conversation: Conversation, endpoint: Endpoint) -> GeminiRequest:
    """The conversation for the endpoint's model. Raises `FaultError` (UNSUPPORTED, BAD_REQUEST) naming the client's field."""
    asked = with_reasoning(conversation)
    _refuse(asked)
    said = script(asked.turns, endpoint)
    dropped = said.dropped
    body: Json = {"contents": said.contents}
    if said.system:
        body["systemInstruction"] = {"parts": said.system}
    body |= _tools(asked, endpoint, dropped)
    config = generation_config(asked, endpoint, dropped)
    if config:
        body["generationConfig"] = config
    body |= {_PASSED[name]: raw for name, raw in asked.extras.items() if name in _PASSED}
    dropped += _unsaid(asked)
    return GeminiRequest(msgspec.json.encode(body), tuple(dict.fromkeys(dropped)))


def _refuse(asked: Conversation) -> None:
    for field in _REFUSED:
        if not _says_nothing(field, asked.extras.get(field)):
            raise unsupported(field, f"Gemini has no {field}")
    if asked.tools and asked.parallel_tool_calls is False:
        raise unsupported("parallel_tool_calls", "Gemini cannot be told to call one tool at a time")


def _says_nothing(field: str, raw: msgspec.Raw | None) -> bool:
    """Whether the member is absent or at its neutral value. Empty search options still ask for a search."""
    value = None if raw is None else msgspec.json.decode(raw)
    return value is None if field == "web_search_options" else value in _NEUTRAL


def _tools(asked: Conversation, endpoint: Endpoint, dropped: list[str]) -> Json:
    if not asked.tools:
        return {}
    body: Json = {"tools": [{"functionDeclarations": [_tool(tool) for tool in asked.tools]}]}
    mode = _mode(asked, endpoint, dropped)
    return body | ({"toolConfig": {"functionCallingConfig": mode}} if mode else {})


def _tool(tool: Tool) -> Json:
    out: Json = {"name": tool_name(tool.name)}
    if tool.description:
        out["description"] = tool.description
    if tool.schema:
        out["parametersJsonSchema"] = tool.schema
    return out


def _mode(asked: Conversation, endpoint: Endpoint, dropped: list[str]) -> Json | None:
    choice = asked.tool_choice
    strict = any(tool.strict for tool in asked.tools)
    if strict and (choice is None or choice.mode == "auto"):
        if generation(endpoint.model) >= _VALIDATES:
            return {"mode": "VALIDATED"}
        dropped.append("tools[].function.strict")
    if choice is None:
        return None
    mode: Json = {"mode": _MODES[choice.mode]}
    return mode | ({"allowedFunctionNames": [tool_name(choice.name or "")]} if choice.mode == "named" else {})


def _unsaid(asked: Conversation) -> list[str]:
    """Members that nothing here speaks for, unless they were at their neutral value anyway."""
    named = {"user": asked.user, "metadata": asked.metadata, "service_tier": asked.service_tier}
    unsaid = [name for name, value in named.items() if value and value != "auto"]
    for field, raw in asked.extras.items():
        if field not in _SILENT and not field.startswith("fastroute") and not _says_nothing(field, raw):
            unsaid.append(field)
    return unsaid
