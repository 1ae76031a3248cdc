"""A canonical conversation as the body of Bedrock's Converse, which is the same for ConverseStream.

Rules. What Bedrock cannot say and the client would miss is refused (UNSUPPORTED, so that another endpoint may serve it): more
than one choice, log probabilities, media by URL, calls one at a time where the model is not Claude. What only tunes (seed,
penalties, ...) is left out and listed in `ConverseRequest.dropped`, and so is what had to be weakened.

Theory of operation. Converse has one form for all models, but what its form lacks goes to the model as it is, in
`additionalModelRequestFields`: so thinking, effort and `top_k` are said in the words of the model's own maker, by its name.

Decisions. `tool_choice` none has no counterpart: the tools are left out, save where the history has calls, which Bedrock
refuses without `toolConfig`; then they stay, and the choice is listed as dropped. `json_object` is asked for in the system
prompt.

Source: wire notes 3.2 and trap 26; botocore's `bedrock-runtime` service model (2023-09-30); AWS's Converse API pages.
"""

import re
from typing import Any

import msgspec

from fastroute.core.types import Endpoint
from fastroute.dialects._faults import bad_request, unsupported
from fastroute.dialects.anthropic_models import traits
from fastroute.dialects.anthropic_names import tool_name
from fastroute.dialects.anthropic_request import JSON_INSTRUCTION
from fastroute.dialects.anthropic_schema import structured_schema
from fastroute.dialects.anthropic_thinking import plan, with_reasoning
from fastroute.dialects.bedrock_blocks import cache_point
from fastroute.dialects.bedrock_turns import Script, limit_cache_points, script
from fastroute.dialects.canonical import Conversation, ResponseFormat, Tool

Json = dict[str, Any]

# Bedrock's own members, which a client may add to an OpenAI request.
_PASSED = (
    "guardrailConfig",
    "additionalModelRequestFields",
    "additionalModelResponseFieldPaths",
    "performanceConfig",
    "promptVariables",
    "requestMetadata",
)
# Members whose loss would change what the client gets back.
_REFUSED = ("audio", "functions", "web_search_options")
_SILENT = ("stream", "stream_options", "modalities", *_PASSED, *_REFUSED)
_NEUTRAL: tuple[Any, ...] = (None, False, 0, "", [], {})
_TIERS = ("priority", "default", "flex", "reserved")
_METADATA = re.compile(r"[a-zA-Z0-9\s:_@$#=/+,.\-]{0,256}")
_MAX_METADATA = 16
_NOVA_EFFORTS = {"minimal": "low", "low": "low", "medium": "medium"}


class ConverseRequest(msgspec.Struct, frozen=True):
    """A request body, and the client's fields that are not in it or only weakened."""

    body: bytes
    dropped: tuple[str, ...] = ()


def is_claude(model: str) -> bool:
    """Whether the model is Anthropic's, by its id, profile or ARN."""
    return "claude" in model.lower() or "anthropic." in model.lower()


def converse_request(conversation: Conversation, endpoint: Endpoint) -> ConverseRequest:
    """The conversation for the endpoint's model. Raises `FaultError` (UNSUPPORTED, BAD_REQUEST) naming the client's field."""
    asked = with_reasoning(conversation)
    _refuse(asked)
    said = script(asked.turns, is_claude(endpoint.model))
    dropped = said.dropped
    body: Json = {"messages": said.messages}
    own: Json = {}
    body["inferenceConfig"] = _inference(asked, said, endpoint, own, dropped)
    tools = _tools(asked, said, own, is_claude(endpoint.model), dropped)
    if tools:
        body["toolConfig"] = tools
    body |= _form(asked.response_format, endpoint, said, dropped)
    body |= _identity(asked, dropped)
    body |= _extras(asked, own, dropped)
    limit_cache_points([tools.get("tools", []), said.system, *(m["content"] for m in said.messages)], dropped)
    if said.system:
        body["system"] = said.system
    return ConverseRequest(msgspec.json.encode(body), tuple(dict.fromkeys(dropped)))


def _refuse(asked: Conversation) -> None:
    if asked.choices != 1:
        raise unsupported("n", "Bedrock gives one choice")
    if asked.logprobs:
        raise unsupported("logprobs", "Bedrock gives no log probabilities")
    if asked.top_logprobs:
        raise unsupported("top_logprobs", "Bedrock gives no log probabilities")
    for field in _REFUSED:
        if not _says_nothing(field, asked.extras.get(field)):
            raise unsupported(field, f"Bedrock has no {field}")
    modalities = asked.extras.get("modalities")
    if modalities is not None and msgspec.json.decode(modalities) not in (None, [], ["text"]):
        raise unsupported("modalities", "Bedrock answers in text")


def _says_nothing(field: str, raw: msgspec.Raw | None) -> bool:
    """Whether the member is absent or at its neutral value. Empty search options still ask for a search."""
    value = None if raw is None else msgspec.json.decode(raw)
    return value is None if field == "web_search_options" else value in _NEUTRAL


# --- how the model is to write ------------------------------------------------------------------------------------------


def _inference(asked: Conversation, said: Script, endpoint: Endpoint, own: Json, dropped: list[str]) -> Json:
    """`inferenceConfig`; what it has no word for goes into `own`."""
    config: Json = {}
    if asked.stop:
        config["stopSequences"] = [sequence for sequence in asked.stop if sequence]
    if is_claude(endpoint.model):
        return config | _claude(asked, said, endpoint, own, dropped)
    limit = endpoint.capabilities.max_output_tokens
    if asked.max_output_tokens is not None:
        config["maxTokens"] = asked.max_output_tokens if limit is None else min(limit, asked.max_output_tokens)
    if asked.temperature is not None:
        config["temperature"] = min(1.0, max(0.0, asked.temperature))
        dropped += ["temperature"] if config["temperature"] != asked.temperature else []
    if asked.top_p is not None:
        config["topP"] = asked.top_p
    _others(asked, endpoint.model.lower(), own, dropped)
    return config


def _others(asked: Conversation, model: str, own: Json, dropped: list[str]) -> None:
    """Reasoning and `top_k` of models that are not Claude: Nova's and OpenAI's have words for them."""
    effort = asked.reasoning_effort
    if effort is not None and "gpt-oss" in model:
        own["reasoning_effort"] = effort
    elif effort not in (None, "none") and "nova-2" in model:
        own["reasoningConfig"] = {"type": "enabled", "maxReasoningEffort": _NOVA_EFFORTS.get(str(effort), "high")}
    elif effort not in (None, "none"):
        dropped.append("reasoning_effort")
    if asked.thinking is not None and asked.thinking.get("type") != "disabled":
        dropped.append("thinking")
    if asked.top_k and "nova" in model:
        own["inferenceConfig"] = {"topK": asked.top_k}
    elif asked.top_k:
        dropped.append("top_k")


def _claude(asked: Conversation, said: Script, endpoint: Endpoint, own: Json, dropped: list[str]) -> Json:
    known = traits(endpoint.model)
    forced = bool(asked.tools) and asked.tool_choice is not None and asked.tool_choice.mode in ("required", "named")
    if forced and not known.forced_tools:
        raise unsupported("tool_choice", f"{endpoint.model} does not take a forced tool")
    thinking = plan(asked, endpoint, known, said.open_to_thinking and not forced)
    dropped += thinking.dropped
    if thinking.thinking is not None:
        own["thinking"] = thinking.thinking
    if thinking.effort is not None:
        own["output_config"] = {"effort": thinking.effort}
    budget = thinking.thinking is not None and thinking.thinking.get("type") == "enabled"
    config: Json = {"maxTokens": thinking.max_tokens} if asked.max_output_tokens is not None or budget else {}
    free = known.sampling and not thinking.thinks
    if asked.temperature is not None and free:
        config["temperature"] = min(1.0, max(0.0, asked.temperature))
    alone = known.temperature_with_top_p or "temperature" not in config
    if asked.top_p is not None and free and alone:
        config["topP"] = asked.top_p
    if asked.top_k and free:
        own["top_k"] = asked.top_k
    sent = {"temperature": config.get("temperature"), "top_p": config.get("topP"), "top_k": own.get("top_k")}
    dropped += [
        field for field, value in sent.items() if getattr(asked, field) not in (None, 0 if field == "top_k" else 1, value)
    ]
    return config


# --- tools --------------------------------------------------------------------------------------------------------------


def _tools(asked: Conversation, said: Script, own: Json, claude: bool, dropped: list[str]) -> Json:
    forbidden = asked.tool_choice is not None and asked.tool_choice.mode == "none"
    tools = list(asked.tools)
    if said.uses_tools and not tools:
        tools = [Tool(name) for name in said.called_names() or ["unknown"]]
    elif forbidden and not said.uses_tools:
        return {}
    if not tools:
        return {}
    if forbidden:
        dropped.append("tool_choice")
    config: Json = {"tools": [block for tool in tools for block in _tool(tool)]}
    if asked.tools and not forbidden:
        config |= _choice(asked, own, claude)
    return config


def _choice(asked: Conversation, own: Json, claude: bool) -> Json:
    """`toolChoice`; Claude's own, which alone can ask for one call at a time, goes into `own`."""
    given = asked.tool_choice
    mode = "auto" if given is None else given.mode
    name = tool_name(given.name or "") if given is not None and mode == "named" else None
    if asked.parallel_tool_calls is False:
        if not claude:
            raise unsupported("parallel_tool_calls", "Bedrock cannot ask this model for one call at a time")
        kind = {"type": "tool", "name": name} if name else {"type": "any" if mode == "required" else "auto"}
        own["tool_choice"] = {**kind, "disable_parallel_tool_use": True}
        return {}
    if name is not None:
        return {"toolChoice": {"tool": {"name": name}}}
    return {"toolChoice": {"any" if mode == "required" else "auto": {}}} if given is not None else {}


def _tool(tool: Tool) -> list[Json]:
    schema = dict(tool.schema or {})
    if "type" not in schema:
        schema = {"type": "object", "properties": {}} | schema
    spec: Json = {"name": tool_name(tool.name), "inputSchema": {"json": schema}}
    if tool.description:
        spec["description"] = tool.description
    if tool.strict:
        spec["strict"] = True
    return [{"toolSpec": spec}, *cache_point(tool.cache_control)]


# --- the rest -----------------------------------------------------------------------------------------------------------


def _form(wanted: ResponseFormat | None, endpoint: Endpoint, said: Script, dropped: list[str]) -> Json:
    if wanted is None or wanted.kind == "text":
        return {}
    if wanted.kind == "json_object":
        said.system.append({"text": JSON_INSTRUCTION})
        dropped.append("response_format")
        return {}
    can = endpoint.capabilities.json_schema
    if not (traits(endpoint.model).json_schema if can is None else can):
        raise unsupported("response_format", f"{endpoint.model} does not take a JSON schema")
    if wanted.schema is None:
        raise bad_request("response_format.json_schema.schema", "'response_format.json_schema.schema' is missing")
    schema, weakened = structured_schema(wanted.schema)
    if weakened:
        dropped.append("response_format.json_schema.schema: " + ", ".join(weakened))
    structure = {"jsonSchema": {"name": wanted.name or "answer", "schema": msgspec.json.encode(schema).decode()}}
    return {"outputConfig": {"textFormat": {"type": "json_schema", "structure": structure}}}


def _identity(asked: Conversation, dropped: list[str]) -> Json:
    """The service tier, and whatever of user and metadata `requestMetadata` takes."""
    body: Json = {}
    if asked.service_tier in _TIERS:
        body["serviceTier"] = {"type": asked.service_tier}
    elif asked.service_tier not in (None, "auto"):
        dropped.append("service_tier")
    metadata = {**(asked.metadata or {}), **({"user": asked.user} if asked.user else {})}
    fit = {k: v for k, v in metadata.items() if k and isinstance(v, str) and _METADATA.fullmatch(k) and _METADATA.fullmatch(v)}
    if fit and len(fit) <= _MAX_METADATA:
        body["requestMetadata"] = fit
    dropped += [f for f in ("metadata", "user") if getattr(asked, f) and not (fit == metadata and "requestMetadata" in body)]
    return body


def _extras(asked: Conversation, own: Json, dropped: list[str]) -> Json:
    """Bedrock's own members as sent; the others are noted, unless they were at their neutral value anyway."""
    if asked.seed is not None:
        dropped.append("seed")
    for field, raw in asked.extras.items():
        if field not in _SILENT and not field.startswith("fastroute") and not _says_nothing(field, raw):
            dropped.append(field)
    body: Json = {field: asked.extras[field] for field in _PASSED if field in asked.extras}
    given = body.pop("additionalModelRequestFields", None)
    more = own | ((msgspec.json.decode(given, type=Json | None) or {}) if given is not None else {})
    return body | ({"additionalModelRequestFields": more} if more else {})
