"""Instances for JSON Schemas: valid, small, and different where the schema leaves room."""

from random import Random
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.mock.instances import instance

SCHEMAS: dict[str, dict[str, Any]] = {
    "empty": {},
    "string": {"type": "string"},
    "bounded string": {"type": "string", "minLength": 40, "maxLength": 44},
    "short string": {"type": "string", "maxLength": 2},
    "integer": {"type": "integer"},
    "integer from": {"type": "integer", "minimum": 18},
    "integer above": {"type": "integer", "exclusiveMinimum": 18},
    "integer below zero": {"type": "integer", "maximum": -3},
    "integer strictly below": {"type": "integer", "exclusiveMaximum": -3},
    "integer multiple": {"type": "integer", "minimum": 7, "multipleOf": 5},
    "number": {"type": "number"},
    "number range": {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 0.5},
    "number from": {"type": "number", "minimum": 2.5},
    "number above": {"type": "number", "exclusiveMinimum": 2.5},
    "number low": {"type": "number", "maximum": 1},
    "number multiple": {"type": "number", "minimum": 0.3, "multipleOf": 0.5},
    "boolean": {"type": "boolean"},
    "null": {"type": "null"},
    "const": {"const": {"a": 1}},
    "enum": {"enum": ["celsius", "fahrenheit"]},
    "nullable": {"type": ["null", "string"]},
    "array": {"type": "array", "items": {"type": "integer"}, "minItems": 3},
    "no items allowed": {"type": "array", "items": {"type": "integer"}, "maxItems": 0},
    "tuple": {"type": "array", "prefixItems": [{"type": "string"}, {"type": "integer"}], "items": False, "minItems": 2},
    "object": {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "integer"}}, "required": ["b"]},
    "strict object": {
        "type": "object",
        "properties": {"a": {"type": "string"}, "b": {"type": "array", "items": {"type": "number"}}},
        "required": ["a", "b"],
        "additionalProperties": False,
    },
    "implicit object": {"properties": {"a": {"type": "integer"}}, "required": ["a"]},
    "implicit array": {"items": {"type": "boolean"}},
    "anyOf": {"anyOf": [{"type": "integer"}, {"type": "string"}]},
    "oneOf with siblings": {"type": "integer", "oneOf": [{"minimum": 5}, {"maximum": 1}]},
    "allOf": {
        "allOf": [
            {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]},
            {"properties": {"b": {"type": "string"}}, "required": ["b"]},
        ]
    },
    "ref": {
        "$defs": {"city": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
        "type": "object",
        "properties": {"from": {"$ref": "#/$defs/city"}, "to": {"$ref": "#/$defs/city"}},
        "required": ["from", "to"],
    },
    "escaped ref": {"definitions": {"a/b~c": {"type": "integer"}}, "$ref": "#/definitions/a~1b~0c"},
    "recursive": {
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"value": {"type": "integer"}, "next": {"anyOf": [{"$ref": "#/$defs/node"}, {"type": "null"}]}},
                "required": ["value", "next"],
            }
        },
        "$ref": "#/$defs/node",
    },
    "recursive array": {
        "$defs": {"tree": {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#/$defs/tree"}}}}},
        "$ref": "#/$defs/tree",
    },
}


@pytest.mark.parametrize("name", SCHEMAS)
def test_an_instance_fits_its_schema(name: str) -> None:
    for seed in range(5):
        jsonschema.validate(instance(SCHEMAS[name], Random(seed)), SCHEMAS[name])


FORMATS = {"date": 10, "date-time": 20, "email": 15, "uuid": 36, "uri": 20, "ipv4": 9}


@pytest.mark.parametrize("form", FORMATS)
def test_common_formats_are_met(form: str) -> None:
    made = instance({"type": "string", "format": form}, Random(1))
    assert len(made) == FORMATS[form]
    jsonschema.validate(made, {"type": "string", "format": form}, format_checker=jsonschema.FormatChecker())


def test_required_members_only() -> None:
    assert set(instance(SCHEMAS["object"], Random(0))) == {"b"}


def test_all_members_where_none_is_required() -> None:
    schema = {"type": "object", "properties": {"a": {"type": "string"}, "b": {"type": "boolean"}}}
    assert set(instance(schema, Random(0))) == {"a", "b"}


def test_an_object_without_members_is_empty() -> None:
    assert instance({"type": "object", "properties": {}}, Random(0)) == {}


def test_two_instances_from_one_generator_differ() -> None:
    rng = Random(3)
    schema = {"type": "object", "properties": {"q": {"type": "string", "minLength": 30}}}
    assert instance(schema, rng) != instance(schema, rng)


def test_the_same_seed_gives_the_same_instance() -> None:
    assert instance(SCHEMAS["ref"], Random(9)) == instance(SCHEMAS["ref"], Random(9))


def test_a_reference_to_nowhere_does_not_fail() -> None:
    assert isinstance(instance({"$ref": "#/$defs/missing"}, Random(0)), str)


def test_a_reference_in_a_circle_ends() -> None:
    schema = {"$defs": {"a": {"$ref": "#/$defs/b"}, "b": {"$ref": "#/$defs/a"}}, "$ref": "#/$defs/a"}
    instance(schema, Random(0))


leaves = st.one_of(
    st.just({"type": "string"}),
    st.just({"type": "boolean"}),
    st.integers(-50, 50).map(lambda low: {"type": "integer", "minimum": low}),
    st.integers(-50, 50).map(lambda high: {"type": "number", "maximum": high}),
    st.lists(st.integers(), min_size=1, max_size=3).map(lambda values: {"enum": values}),
)


def composed(inner: st.SearchStrategy[dict[str, Any]]) -> st.SearchStrategy[dict[str, Any]]:
    members = st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, max_size=3)
    objects = members.map(lambda m: {"type": "object", "properties": m, "required": sorted(m)})
    arrays = st.tuples(inner, st.integers(0, 3)).map(lambda a: {"type": "array", "items": a[0], "minItems": a[1]})
    return st.one_of(objects, arrays, st.lists(inner, min_size=1, max_size=2).map(lambda s: {"anyOf": s}))


@given(st.recursive(leaves, composed, max_leaves=12), st.integers(0, 1000))
def test_any_composed_schema_is_met(schema: dict[str, Any], seed: int) -> None:
    jsonschema.validate(instance(schema, Random(seed)), schema)
