"""A JSON Schema in the form that Anthropic's constrained decoding takes.

Rules. What is accepted stays as it is, member for member. Objects must say `additionalProperties: false`. A keyword that
Anthropic refuses (bounds, lengths, ...) moves into the description, where the model still reads it; its name is reported, since
it is then a wish and no longer a guarantee.

Source: Anthropic's structured outputs page, "JSON Schema limitations" (2026), and its SDK, which does the same for typed schemas.
"""

from typing import Any

import msgspec

_BOUNDS = ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf")
_SIZES = ("minLength", "maxLength", "maxItems", "uniqueItems", "minProperties", "maxProperties")
_SHAPES = ("patternProperties", "propertyNames", "dependentRequired", "contains", "not", "if", "then", "else")
_REFUSED = frozenset((*_BOUNDS, *_SIZES, *_SHAPES))
_FORMATS = frozenset({"date-time", "time", "date", "duration", "email", "hostname", "uri", "ipv4", "ipv6", "uuid"})
_BY_NAME = ("properties", "$defs", "definitions")
_LISTS = ("anyOf", "oneOf", "allOf", "prefixItems")


def structured_schema(schema: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The schema as Anthropic takes it, and the keywords that lost their force. Equal to the input where it was fine."""
    weakened: dict[str, None] = {}
    return _taken(schema, weakened), tuple(weakened)


def _taken(schema: Any, weakened: dict[str, None]) -> Any:
    if not isinstance(schema, dict):
        return schema
    out: dict[str, Any] = {}
    wishes: dict[str, Any] = {}
    for key, value in schema.items():
        if _is_refused(key, value):
            wishes[key] = value
        elif key in _BY_NAME and isinstance(value, dict):
            out[key] = {name: _taken(inner, weakened) for name, inner in value.items()}
        elif key in _LISTS and isinstance(value, list):
            out["anyOf" if key == "oneOf" else key] = [_taken(inner, weakened) for inner in value]
        else:
            out[key] = _taken(value, weakened) if key == "items" else value
    if _is_object(schema) and out.get("additionalProperties") is not False:
        if "additionalProperties" in out:
            weakened["additionalProperties"] = None
        out["additionalProperties"] = False
    if wishes:
        weakened.update(dict.fromkeys(wishes))
        said = ", ".join(f"{key}: {msgspec.json.encode(value).decode()}" for key, value in wishes.items())
        out["description"] = f"{out['description']}\n\n{{{said}}}" if out.get("description") else f"{{{said}}}"
    return out


def _is_object(schema: dict[str, Any]) -> bool:
    kind = schema.get("type")
    return kind == "object" or (isinstance(kind, list) and "object" in kind) or (kind is None and "properties" in schema)


def _is_refused(key: str, value: Any) -> bool:
    if key == "minItems":
        return value not in (0, 1)
    if key == "format":
        return value not in _FORMATS
    return key in _REFUSED
