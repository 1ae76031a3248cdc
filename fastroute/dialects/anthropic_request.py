"""A canonical conversation as the body of an Anthropic Messages request.

Rules. What Anthropic cannot say and the client would miss is refused (UNSUPPORTED, so that another endpoint may serve it):
more than one choice, logprobs, audio, tools of other kinds, a schema or a forced tool the model does not take, a stop sequence
of white space. What only tunes (seed, penalties, ...) is left out and listed in `MessagesRequest.dropped`, and so is what had
to be weakened. Arguments of earlier calls go out as the model wrote them.

Decisions. `json_object` has no counterpart: the system prompt asks for it, and it is listed as dropped. When tools were used but
none are offered now, the used ones are declared and forbidden (`tool_choice` none), because Anthropic refuses tool blocks without
tools. `service_tier` default means standard capacity, so `standard_only`.

Source: wire notes 3.2; Anthropic's Messages reference (2023-06-01).
"""

import hashlib
from typing import Any

import msgspec

from fastroute.core.types import Endpoint
from fastroute.dialects._faults import bad_request, unsupported
from fastroute.dialects.anthropic_models import Traits, traits
from fastroute.dialects.anthropic_names import tool_name
from fastroute.dialects.anthropic_schema import structured_schema
from fastroute.dialects.anthropic_thinking import Plan, plan, with_reasoning
from fastroute.dialects.anthropic_turns import Script, limit_cache_marks, markable, script, shortest, system_text
from fastroute.dialects.canonical import Conversation, Tool

JSON_INSTRUCTION = "Answer with one JSON object and nothing else: no prose and no code fence around it."
_MAX_USER_CHARS = 256
_MIN_TOP_P_THINKING = 0.95
_SERVICE_TIERS = {"auto": "auto", "priority": "auto", "default": "standard_only", "standard_only": "standard_only"}

# Anthropic's own members, which a client may add to an OpenAI request.
_PASSED = ("cache_control", "container", "context_management", "inference_geo", "mcp_servers", "speed")
# Members whose loss would change what the client gets back.
_REFUSED = ("audio", "functions", "web_search_options")
_SILENT = ("stream", "stream_options", "output_config", "modalities", *_PASSED, *_REFUSED)
_NEUTRAL: tuple[Any, ...] = (None, False, 0, "", [], {})


class MessagesRequest(msgspec.Struct, frozen=True):
    """A request body, the betas it needs in `anthropic-beta`, and the client's fields that are not in it or only weakened."""

    body: bytes
    betas: tuple[str, ...] = ()
    dropped: tuple[str, ...] = ()


def messages_body(conversation: Conversation, endpoint: Endpoint) -> bytes:
    """The body alone. See `messages_request`."""
    return messages_request(conversation, endpoint).body


def messages_request(conversation: Conversation, endpoint: Endpoint) -> MessagesRequest:
    """The conversation for the endpoint's model. Raises `FaultError` (UNSUPPORTED, BAD_REQUEST) naming the client's field."""
    conversation = with_reasoning(conversation)
    _refuse(conversation)
    known, said = traits(endpoint.model), script(conversation.turns)
    dropped = said.dropped
    forced = bool(conversation.tools) and _forces(conversation)
    if forced and not known.forced_tools:
        raise unsupported("tool_choice", f"{endpoint.model} does not take a forced tool")
    thinking = plan(conversation, endpoint, known, said.open_to_thinking and not forced)
    dropped += thinking.dropped
    body: dict[str, Any] = {"model": endpoint.model, "max_tokens": thinking.max_tokens}
    if thinking.thinking is not None:
        body["thinking"] = thinking.thinking
    body |= _output_config(conversation, endpoint, known, thinking, dropped)
    body |= _sampling(conversation, known, thinking.thinks, dropped)
    body |= _identity(conversation, dropped)
    body |= _tools(conversation, said, known, dropped)
    body |= _extras(conversation, dropped)
    if conversation.stream:
        body["stream"] = True
    if conversation.response_format is not None and conversation.response_format.kind == "json_object":
        said.system.append({"type": "text", "text": JSON_INSTRUCTION})
        dropped.append("response_format")
    limit_cache_marks([*body.get("tools", ()), *markable(said)], dropped)
    system = system_text(said.system)
    if system is not None:
        body["system"] = system
    body["messages"] = shortest(said.messages)
    return MessagesRequest(msgspec.json.encode(body), tuple(sorted(said.betas)), tuple(dict.fromkeys(dropped)))


def _refuse(asked: Conversation) -> None:
    if asked.choices != 1:
        raise unsupported("n", "Anthropic gives one choice")
    if asked.logprobs:
        raise unsupported("logprobs", "Anthropic gives no log probabilities")
    if asked.top_logprobs:
        raise unsupported("top_logprobs", "Anthropic gives no log probabilities")
    for field in _REFUSED:
        if not _says_nothing(field, asked.extras.get(field)):
            raise unsupported(field, f"Anthropic has no {field}")
    modalities = asked.extras.get("modalities")
    if modalities is not None and msgspec.json.decode(modalities) not in (None, [], ["text"]):
        raise unsupported("modalities", "Anthropic answers in text")
    for sequence in asked.stop:
        if not sequence.strip():
            raise unsupported("stop", "Anthropic takes no stop sequence of white space")


def _says_nothing(field: str, raw: msgspec.Raw | None) -> bool:
    """Whether the member is absent or at its neutral value. Empty search options still ask for a search."""
    value = None if raw is None else msgspec.json.decode(raw)
    return value is None if field == "web_search_options" else value in _NEUTRAL


def _forces(asked: Conversation) -> bool:
    return asked.tool_choice is not None and asked.tool_choice.mode in ("required", "named")


def _output_config(asked: Conversation, endpoint: Endpoint, known: Traits, thinking: Plan, dropped: list[str]) -> dict[str, Any]:
    given = asked.extras.get("output_config")
    config: dict[str, Any] = {} if given is None else msgspec.json.decode(given) or {}
    if thinking.effort is not None:
        config.setdefault("effort", thinking.effort)
    wanted = asked.response_format
    if wanted is not None and wanted.kind == "json_schema":
        can = endpoint.capabilities.json_schema
        if not (known.json_schema if can is None else can):
            raise unsupported("response_format", f"{endpoint.model} does not take a JSON schema")
        if wanted.schema is None:
            raise bad_request("response_format.json_schema.schema", "'response_format.json_schema.schema' is missing")
        schema, weakened = structured_schema(wanted.schema)
        config["format"] = {"type": "json_schema", "schema": schema}
        if weakened:
            dropped.append("response_format.json_schema.schema: " + ", ".join(weakened))
    return {"output_config": config} if config else {}


def _sampling(asked: Conversation, known: Traits, thinks: bool, dropped: list[str]) -> dict[str, Any]:
    """Temperature, top_p, top_k and stop, as far as the model takes them. 1 is everybody's default, so never a loss."""
    body: dict[str, Any] = {"stop_sequences": list(asked.stop)} if asked.stop else {}
    temperature, top_p, top_k = asked.temperature, asked.top_p, asked.top_k
    free = known.sampling and not thinks
    if temperature is not None and free:
        body["temperature"] = min(1.0, max(0.0, temperature))
    alone = known.temperature_with_top_p or "temperature" not in body
    if top_p is not None and known.sampling and alone and not (thinks and top_p < _MIN_TOP_P_THINKING):
        body["top_p"] = top_p
    if top_k is not None and top_k > 0 and free:
        body["top_k"] = top_k
    dropped += [f for f, v in (("temperature", temperature), ("top_p", top_p)) if v not in (None, 1, body.get(f))]
    if top_k and "top_k" not in body:
        dropped.append("top_k")
    return body


def _identity(asked: Conversation, dropped: list[str]) -> dict[str, Any]:
    body: dict[str, Any] = {}
    if asked.user:
        fits = len(asked.user) <= _MAX_USER_CHARS
        body["metadata"] = {"user_id": asked.user if fits else hashlib.sha256(asked.user.encode()).hexdigest()}
    tier = asked.service_tier
    if tier in _SERVICE_TIERS:
        body["service_tier"] = _SERVICE_TIERS[tier]
    elif tier:
        dropped.append("service_tier")
    return body


def _tools(asked: Conversation, said: Script, known: Traits, dropped: list[str]) -> dict[str, Any]:
    if asked.tools:
        body: dict[str, Any] = {"tools": [_tool(tool, known, dropped) for tool in asked.tools]}
        choice = _tool_choice(asked)
        return body | ({"tool_choice": choice} if choice else {})
    if said.uses_tools:
        names = said.called_names() or ["unknown"]
        return {"tools": [_tool(Tool(name), known, dropped) for name in names], "tool_choice": {"type": "none"}}
    return {}


def _tool(tool: Tool, known: Traits, dropped: list[str]) -> dict[str, Any]:
    schema = dict(tool.schema or {})
    if "type" not in schema:
        schema = {"type": "object", "properties": {}} | schema
    out: dict[str, Any] = {"name": tool_name(tool.name), "input_schema": schema}
    if tool.description:
        out["description"] = tool.description
    if tool.strict and known.json_schema and structured_schema(schema)[0] == schema:
        out["strict"] = True
    elif tool.strict:
        dropped.append("tools[].function.strict")
    if tool.cache_control is not None:
        out["cache_control"] = tool.cache_control
    return out


def _tool_choice(asked: Conversation) -> dict[str, Any] | None:
    given = asked.tool_choice
    choice: dict[str, Any] | None = None
    if given is not None and given.mode == "named":
        choice = {"type": "tool", "name": tool_name(given.name or "")}
    elif given is not None:
        choice = {"type": {"required": "any"}.get(given.mode, given.mode)}
    if asked.parallel_tool_calls is False and (choice is None or choice["type"] != "none"):
        choice = {**(choice or {"type": "auto"}), "disable_parallel_tool_use": True}
    return choice


def _extras(asked: Conversation, dropped: list[str]) -> dict[str, Any]:
    """Anthropic's own members as sent; the others are noted, unless they were at their neutral value anyway."""
    if asked.seed is not None:
        dropped.append("seed")
    if asked.metadata:
        dropped.append("metadata")
    for field, raw in asked.extras.items():
        if field not in _SILENT and not field.startswith("fastroute") and not _says_nothing(field, raw):
            dropped.append(field)
    return {field: asked.extras[field] for field in _PASSED if field in asked.extras}
