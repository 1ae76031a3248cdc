"""A small valid instance for a JSON Schema: tool arguments and structured answers of a mock model.

Rules. Required members only, or all where none is required; the first branch of a choice; the shortest array and string allowed.
Words come from the caller's generator, so that two instances of one schema differ where the schema leaves room. Patterns and
formats beyond the common ones are not solved: such a string may fail its schema.
"""

import math
from random import Random
from typing import Any

from fastroute.mock.words import WORDS

_MAX_DEPTH = 12
_FORMATS = {
    "date": "2026-01-31",
    "date-time": "2026-01-31T12:00:00Z",
    "time": "12:00:00Z",
    "email": "ada@example.org",
    "uri": "https://example.org/",
    "uuid": "6f9619ff-8b86-4d01-b42d-00cf4fc964ff",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
    "hostname": "example.org",
}


def instance(schema: dict[str, Any], rng: Random) -> Any:
    """A JSON value that fits `schema`."""
    return _Maker(schema, rng).make(schema, 0)


class _Maker:
    """Makes one instance; keeps the root schema for references."""

    def __init__(self, root: dict[str, Any], rng: Random) -> None:
        self._root, self._rng = root, rng

    def make(self, schema: Any, depth: int) -> Any:
        if not isinstance(schema, dict) or depth > 2 * _MAX_DEPTH:
            return None if depth > 2 * _MAX_DEPTH else self._word()
        schema = self._resolved(schema, depth)
        if "const" in schema:
            return schema["const"]
        if schema.get("enum"):
            return schema["enum"][0]
        make = self._makers().get(_type_of(schema))
        return make(schema, depth + 1) if make else None

    def _makers(self) -> dict[str, Any]:
        return {
            "object": self._object,
            "array": self._array,
            "string": self._string,
            "integer": self._integer,
            "number": self._number,
            "boolean": lambda schema, depth: True,
        }

    def _resolved(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        """The schema with references, choices and conjunctions replaced by what they stand for."""
        for _ in range(_MAX_DEPTH):
            if "$ref" in schema:
                schema = {**self._referenced(schema["$ref"]), **{k: v for k, v in schema.items() if k != "$ref"}}
            elif choice := next((k for k in ("anyOf", "oneOf") if schema.get(k)), None):
                schema = {**_without(schema, choice), **self._branch(schema[choice], depth)}
            elif schema.get("allOf"):
                schema = _merged([_without(schema, "allOf"), *(self._resolved(s, depth) for s in schema["allOf"])])
            else:
                break
        return schema

    def _branch(self, branches: list[Any], depth: int) -> dict[str, Any]:
        """The first branch; deep down one that ends the recursion, if there is any."""
        if depth > _MAX_DEPTH:
            branches = [b for b in branches if isinstance(b, dict) and b.get("type") == "null"] or branches
        return branches[0] if isinstance(branches[0], dict) else {}

    def _referenced(self, pointer: str) -> dict[str, Any]:
        found: Any = self._root
        for step in pointer.removeprefix("#").strip("/").split("/"):
            if step and isinstance(found, dict):
                found = found.get(step.replace("~1", "/").replace("~0", "~"), {})
        return found if isinstance(found, dict) else {}

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties") or {}
        names = schema.get("required") or ([] if depth > _MAX_DEPTH else list(properties))
        return {name: self.make(properties.get(name, {}), depth) for name in names}

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        first = list(schema.get("prefixItems") or [])
        count = max(schema.get("minItems", 0 if depth > _MAX_DEPTH else 1), len(first))
        count = min(count, schema.get("maxItems", count))
        rest = schema.get("items", {"type": "string"})
        return [self.make(first[i] if i < len(first) else rest, depth) for i in range(count)]

    def _string(self, schema: dict[str, Any], depth: int) -> str:
        text = _FORMATS.get(schema.get("format", "")) or self._word()
        while len(text) < schema.get("minLength", 0):
            text += " " + self._word()
        return text[: schema.get("maxLength", len(text))]

    def _integer(self, schema: dict[str, Any], depth: int) -> int:
        step = schema.get("multipleOf", 1)
        low = schema.get("minimum", schema.get("exclusiveMinimum", -1) + 1)
        if "minimum" not in schema and "exclusiveMinimum" not in schema:
            low = min(1, schema.get("maximum", 1), schema.get("exclusiveMaximum", 2) - 1)
        return int(math.ceil(low / step) * step)

    def _number(self, schema: dict[str, Any], depth: int) -> float:
        low, high = schema.get("minimum", schema.get("exclusiveMinimum")), schema.get("maximum", schema.get("exclusiveMaximum"))
        if low is None:
            return 1.5 if high is None or high > 1.5 else float(high) - 1.0
        if "multipleOf" in schema:
            return float(math.ceil(low / schema["multipleOf"]) * schema["multipleOf"])
        if "minimum" in schema:
            return float(low)
        return float(low + (1.0 if high is None else (high - low) / 2))

    def _word(self) -> str:
        return self._rng.choice(WORDS)


def _type_of(schema: dict[str, Any]) -> str:
    kind = schema.get("type")
    if isinstance(kind, list):
        kind = next((k for k in kind if k != "null"), "null")
    if kind is None:
        kind = "object" if "properties" in schema else "array" if "items" in schema else "string"
    return str(kind)


def _without(schema: dict[str, Any], key: str) -> dict[str, Any]:
    return {k: v for k, v in schema.items() if k != key}


def _merged(schemas: list[dict[str, Any]]) -> dict[str, Any]:
    """One schema for several that must all hold: members of objects are united, the rest of a later one wins."""
    merged: dict[str, Any] = {}
    for schema in schemas:
        for key, value in schema.items():
            if key == "properties":
                merged[key] = {**merged.get(key, {}), **value}
            elif key == "required":
                merged[key] = [*merged.get(key, []), *value]
            else:
                merged[key] = value
    return merged
