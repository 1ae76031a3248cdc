"""A Gemini client's `generationConfig` and schemas in canonical terms.

Source: Google's reference of GenerationConfig and Schema (v1beta, November 2026).
"""

from collections.abc import Callable
from typing import Any

import msgspec

from fastroute.dialects._faults import bad_request, unsupported
from fastroute.dialects.canonical import ResponseFormat
from fastroute.dialects.gemini_api import camel

Json = dict[str, Any]

_JSON = "application/json"
_NUMBERS = {"temperature": "temperature", "topP": "top_p"}
_INTEGERS = {"topK": "top_k", "seed": "seed"}
_EXTRAS = {"presencePenalty": "presence_penalty", "frequencyPenalty": "frequency_penalty"}
_ELSEWHERE = ("maxOutputTokens", "candidateCount", "responseMimeType", "responseSchema", "responseJsonSchema", "stopSequences")
_READ = frozenset(
    (
        *(*_NUMBERS, *_INTEGERS, *_EXTRAS, *_ELSEWHERE),
        *("thinkingConfig", "responseLogprobs", "logprobs", "responseModalities", "mediaResolution"),
    )
)
_NOT_SCHEMA = ("propertyOrdering", "property_ordering", "nullable", "example")


def settings(config: Json) -> Json:
    """The config as members of a `Conversation`. Raises `FaultError` (BAD_REQUEST, UNSUPPORTED) naming the member."""
    for name, value in config.items():
        if name not in _READ and value is not None:
            raise unsupported(f"generationConfig.{name}", f"only endpoints that speak Gemini know {name}")
    said: Json = {ours: _number(config, name, float) for name, ours in _NUMBERS.items() if config.get(name) is not None}
    said |= {ours: _number(config, name, int) for name, ours in _INTEGERS.items() if config.get(name) is not None}
    extras = {ours: config[name] for name, ours in _EXTRAS.items() if config.get(name)}
    modalities = [str(kind).lower() for kind in config.get("responseModalities") or ()]
    if modalities not in ([], ["text"]):
        extras["modalities"] = modalities
    said["extras"] = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in extras.items()}
    said["stop"] = tuple(str(sequence) for sequence in config.get("stopSequences") or ())
    if config.get("responseLogprobs"):
        said |= {"logprobs": True, "top_logprobs": config.get("logprobs")}
    said["response_format"] = _format(config)
    return said | _thinking(config.get("thinkingConfig"))


def _number(config: Json, name: str, kind: Callable[[float], Any]) -> Any:
    value = config[name]
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise bad_request(f"generationConfig.{name}", f"'generationConfig.{name}' must be a number")
    return kind(value)


def _format(config: Json) -> ResponseFormat | None:
    kind = config.get("responseMimeType")
    if kind in (None, "", "text/plain"):
        return None
    if kind != _JSON:
        raise unsupported("generationConfig.responseMimeType", f"only endpoints that speak Gemini answer in {kind}")
    schema = config.get("responseJsonSchema")
    if schema is None and config.get("responseSchema") is not None:
        schema = json_schema(config["responseSchema"])
    return ResponseFormat("json_object") if schema is None else ResponseFormat("json_schema", schema, "response")


def _thinking(given: Any) -> Json:
    config = {camel(name): value for name, value in given.items()} if isinstance(given, dict) else {}
    level, budget = config.get("thinkingLevel"), config.get("thinkingBudget")
    if isinstance(level, str) and level:
        return {"reasoning_effort": level.lower()}
    if not isinstance(budget, int) or budget < 0:  # -1: as the model likes
        return {}
    return {"thinking": {"type": "enabled", "budget_tokens": budget} if budget else {"type": "disabled"}}


def json_schema(given: Any) -> Any:
    """A schema in Google's subset of OpenAPI as JSON Schema."""
    if not isinstance(given, dict):
        return given
    out: Json = {}
    for name, value in given.items():
        key = camel(name)
        if key == "type":
            kind = str(value).lower()
            out[key] = [kind, "null"] if given.get("nullable") else kind
        elif key in ("properties", "$defs") and isinstance(value, dict):
            out[key] = {member: json_schema(inner) for member, inner in value.items()}
        elif key in ("anyOf", "prefixItems") and isinstance(value, list):
            out[key] = [json_schema(inner) for inner in value]
        elif key not in _NOT_SCHEMA:
            out[key] = json_schema(value) if key in ("items", "additionalProperties") else _integral(key, value)
    return out


def _integral(key: str, value: Any) -> Any:
    """Google writes these counts as strings, being 64-bit integers."""
    return int(value) if key in ("minItems", "maxItems", "minLength", "maxLength") and str(value).isdigit() else value
