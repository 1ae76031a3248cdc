"""A JSON Schema in the form that Gemini's constrained decoding takes.

Rules. What is accepted stays as it is, member for member. A keyword that Gemini does not enforce moves into the description,
where the model still reads it; its name is reported, since it is then a wish and no longer a guarantee. A reference stands alone:
what stood beside it goes around it.

Source: Google's structured output page and the reference of `responseJsonSchema` (November 2026); wire notes, trap 29.
"""

from typing import Any

import msgspec

_TAKEN = frozenset(
    (
        *("$id", "$defs", "$ref", "$anchor", "$schema", "type", "format", "title", "description", "default", "enum"),
        *("items", "prefixItems", "minItems", "maxItems", "minimum", "maximum", "anyOf", "oneOf"),
        *("properties", "additionalProperties", "required", "propertyOrdering", "definitions", "nullable"),
    )
)
_BY_NAME = ("properties", "$defs", "definitions")
_LISTS = ("anyOf", "oneOf", "prefixItems")
_NESTED = ("items", "additionalProperties")


def structured_schema(schema: dict[str, Any]) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The schema as Gemini takes it, and the keywords that lost their force. Equal to the input where it was fine."""
    weakened: dict[str, None] = {}
    return _taken(schema, weakened), tuple(weakened)


def _taken(schema: Any, weakened: dict[str, None]) -> Any:
    if not isinstance(schema, dict):
        return schema
    out: dict[str, Any] = {}
    wishes: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "const" and "enum" not in schema:
            out["enum"] = [value]
        elif key not in _TAKEN:
            wishes[key] = value
        else:
            out[key] = _inside(key, value, weakened)
    if wishes:
        weakened.update(dict.fromkeys(wishes))
        said = "{" + ", ".join(f"{key}: {msgspec.json.encode(value).decode()}" for key, value in wishes.items()) + "}"
        out["description"] = f"{out['description']}\n\n{said}" if out.get("description") else said
    return _alone(out)


def _inside(key: str, value: Any, weakened: dict[str, None]) -> Any:
    if key in _BY_NAME and isinstance(value, dict):
        return {name: _taken(inner, weakened) for name, inner in value.items()}
    if key in _LISTS and isinstance(value, list):
        return [_taken(inner, weakened) for inner in value]
    return _taken(value, weakened) if key in _NESTED else value


def _alone(schema: dict[str, Any]) -> dict[str, Any]:
    """A `$ref` with nothing beside it but other `$` members."""
    beside = {key: value for key, value in schema.items() if not key.startswith("$")}
    if "$ref" not in schema or not beside:
        return schema
    others = {key: value for key, value in schema.items() if key.startswith("$") and key != "$ref"}
    return {"anyOf": [{"$ref": schema["$ref"]}], **beside, **others}
