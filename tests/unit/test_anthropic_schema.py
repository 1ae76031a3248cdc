"""JSON Schemas for Anthropic's constrained decoding."""

from typing import Any

import pytest

from fastroute.dialects.anthropic_schema import structured_schema

FINE: dict[str, Any] = {
    "type": "object",
    "title": "Person",
    "properties": {
        "name": {"type": "string", "description": "Full name"},
        "born": {"type": "string", "format": "date"},
        "tags": {"type": "array", "items": {"$ref": "#/$defs/Tag"}, "minItems": 1},
        "kind": {"anyOf": [{"type": "null"}, {"enum": ["a", "b"]}]},
    },
    "required": ["name"],
    "additionalProperties": False,
    "$defs": {"Tag": {"type": "object", "properties": {"t": {"const": 1}}, "additionalProperties": False}},
}


def test_an_accepted_schema_stays_as_it_is() -> None:
    assert structured_schema(FINE) == (FINE, ())


def test_the_input_is_not_touched() -> None:
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}}
    structured_schema(schema)
    assert schema == {"type": "object", "properties": {"n": {"type": "integer", "minimum": 0}}}


@pytest.mark.parametrize("schema", [{"type": "object"}, {"properties": {}}, {"type": ["object", "null"]}])
def test_objects_are_closed(schema: dict[str, Any]) -> None:
    assert structured_schema(schema) == ({**schema, "additionalProperties": False}, ())


def test_an_open_object_is_closed_and_told() -> None:
    out, weakened = structured_schema({"type": "object", "additionalProperties": {"type": "string"}})
    assert out["additionalProperties"] is False
    assert weakened == ("additionalProperties",)


def test_objects_are_closed_at_every_depth() -> None:
    inner = {"type": "object", "properties": {}}
    schema = {"type": "array", "items": inner, "$defs": {"D": inner}, "anyOf": [inner], "prefixItems": [inner]}
    out, _ = structured_schema(schema)
    closed = {**inner, "additionalProperties": False}
    assert out == {"type": "array", "items": closed, "$defs": {"D": closed}, "anyOf": [closed], "prefixItems": [closed]}


def test_refused_keywords_become_wishes() -> None:
    out, weakened = structured_schema({"type": "integer", "minimum": 1, "maximum": 9, "description": "Stars"})
    assert out == {"type": "integer", "description": "Stars\n\n{minimum: 1, maximum: 9}"}
    assert weakened == ("minimum", "maximum")


def test_a_wish_needs_no_description_to_stand_in() -> None:
    out, _ = structured_schema({"type": "string", "maxLength": 5})
    assert out == {"type": "string", "description": "{maxLength: 5}"}


@pytest.mark.parametrize(
    ("schema", "refused"),
    [
        ({"type": "string", "format": "date-time"}, False),
        ({"type": "string", "format": "phone"}, True),
        ({"type": "array", "items": {}, "minItems": 1}, False),
        ({"type": "array", "items": {}, "minItems": 2}, True),
        ({"type": "string", "pattern": "^a+$"}, False),
    ],
)
def test_what_is_accepted_in_part(schema: dict[str, Any], refused: bool) -> None:
    assert bool(structured_schema(schema)[1]) is refused


def test_one_of_becomes_any_of() -> None:
    assert structured_schema({"oneOf": [{"type": "string"}, {"type": "null"}]})[0] == {
        "anyOf": [{"type": "string"}, {"type": "null"}]
    }


def test_a_property_named_like_a_keyword_is_a_property() -> None:
    schema = {"type": "object", "properties": {"minimum": {"type": "integer"}, "format": {"type": "string"}}}
    out, weakened = structured_schema(schema)
    assert out["properties"] == schema["properties"]
    assert weakened == ()


def test_boolean_schemas_pass() -> None:
    assert structured_schema({"type": "array", "items": True}) == ({"type": "array", "items": True}, ())
