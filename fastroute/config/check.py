"""Compares located values with the types of the schema and reports every difference, not only the first.

Theory of operation. msgspec's decoder stops at the first error, so it judges only what already passed here; this walk reads
the same type information (`msgspec.inspect`) and collects problems with their places. The two agree because neither has a
rule of its own: types, ranges, patterns and choices all come from the annotations in `schema.py`.

What can go wrong. A text that came out of `${VAR}` may stand where a number or a boolean is wanted, and an empty one where
None is allowed means "not set"; a text that is written in the file may not.
"""

import math
import re
from collections.abc import Callable
from typing import Any

from msgspec import inspect

from fastroute.config.nodes import Node
from fastroute.config.problems import Problems, closest, listed, shown
from fastroute.config.section import PATTERN_WORDS
from fastroute.config.yaml_strict import scalar

INVALID: Any = object()
"""Stands where a value was wrong; only ever seen when there are problems."""

_NAMES: dict[type, str] = {
    inspect.StrType: "text",
    inspect.IntType: "a whole number",
    inspect.FloatType: "a number",
    inspect.BoolType: "true or false",
    inspect.NoneType: "nothing",
    inspect.LiteralType: "a choice",
    inspect.DictType: "a mapping",
    inspect.StructType: "a mapping",
    inspect.VarTupleType: "a list",
    inspect.AnyType: "anything",
}


class Checker:
    """Walks a tree against a type; gives back plain values that msgspec will accept when no problem was added."""

    def __init__(self, problems: Problems) -> None:
        self._problems = problems
        self._by_type: dict[type, Callable[[Node, Any, str], Any]] = {
            inspect.StrType: self._text,
            inspect.IntType: self._number,
            inspect.FloatType: self._number,
            inspect.BoolType: self._bool,
            inspect.NoneType: self._nothing,
            inspect.LiteralType: self._choice,
            inspect.DictType: self._mapping,
            inspect.StructType: self._struct,
            inspect.VarTupleType: self._list,
            inspect.UnionType: self._union,
            inspect.AnyType: lambda node, wanted, name: node.plain(),
        }

    def check(self, node: Node, wanted: Any, name: str) -> Any:
        """The value of `node` as `wanted`. `name` is how messages call it, e.g. `routes.auto.deadline_ms`."""
        wanted = bare(wanted)
        return self._by_type[type(wanted)](node, wanted, name)

    def _wrong(self, node: Node, message: str, suggestion: str | None = None) -> Any:
        self._problems.add(node.spot, message, suggestion)
        return INVALID

    def _mistyped(self, node: Node, wanted: Any, name: str) -> Any:
        hint = "; put it in quotes" if isinstance(wanted, inspect.StrType) and isinstance(node.value, int | float) else ""
        return self._wrong(node, f"{name or 'the configuration'}: expected {_NAMES[type(wanted)]}, got {_kind(node)}{hint}")

    # --- scalars ---

    def _text(self, node: Node, wanted: Any, name: str) -> Any:
        if not isinstance(node.value, str):
            return self._mistyped(node, wanted, name)
        complaint = _text_complaint(node.value, wanted)
        return self._wrong(node, f"{name}: {complaint}") if complaint else node.value

    def _number(self, node: Node, wanted: Any, name: str) -> Any:
        value = _from_env(node)
        accepted = int if isinstance(wanted, inspect.IntType) else (int, float)
        if isinstance(value, bool) or not isinstance(value, accepted):
            return self._mistyped(node, wanted, name)
        complaint = _range_complaint(value, wanted)
        return self._wrong(node, f"{name}: {complaint}") if complaint else value

    def _bool(self, node: Node, wanted: Any, name: str) -> Any:
        value = _from_env(node)
        return value if isinstance(value, bool) else self._mistyped(node, wanted, name)

    def _nothing(self, node: Node, wanted: Any, name: str) -> Any:
        return None if node.value is None else self._mistyped(node, wanted, name)

    def _choice(self, node: Node, wanted: Any, name: str) -> Any:
        value = _from_env(node) if any(isinstance(v, int) for v in wanted.values) else node.value
        if any(value == v and type(value) is type(v) for v in wanted.values):
            return value
        choices = listed(str(v) for v in wanted.values)
        if not isinstance(value, str | int) or isinstance(value, bool):
            return self._wrong(node, f"{name}: expected one of {choices}, got {_kind(node)}")
        said = "this value" if node.from_env else shown(str(value))
        near = None if node.from_env else closest(str(value), [str(v) for v in wanted.values])
        return self._wrong(node, f"{name}: {said} is not one of {choices}", near)

    # --- collections ---

    def _list(self, node: Node, wanted: Any, name: str) -> Any:
        if not isinstance(node.value, list):
            return self._mistyped(node, wanted, name)
        if len(node.value) < (wanted.min_length or 0):
            return self._wrong(node, f"{name}: needs at least {_count(wanted.min_length, 'entry', 'entries')}")
        return [self.check(child, wanted.item_type, f"{name}[{i}]") for i, child in enumerate(node.value)]

    def _mapping(self, node: Node, wanted: Any, name: str) -> Any:
        if not isinstance(node.value, dict):
            return self._mistyped(node, wanted, name)
        if len(node.value) < (wanted.min_length or 0):
            return self._wrong(node, f"{name}: needs at least {_count(wanted.min_length, 'entry', 'entries')}")
        key_type = bare(wanted.key_type)
        checked = {}
        for key, child in node.items():
            complaint = _text_complaint(key, key_type)
            if complaint:
                self._problems.add(node.key_spot(key), f"{name}: the name {shown(key)} {complaint}")
            checked[key] = self.check(child, wanted.value_type, f"{name}.{key[:60]}")
        return checked

    def _struct(self, node: Node, wanted: Any, name: str) -> Any:
        if not isinstance(node.value, dict):
            return self._mistyped(node, wanted, name)
        fields = {field.encode_name: field for field in wanted.fields}
        meant = {self._unknown(node, key, fields) for key in node.value if key not in fields}
        for key, field in fields.items():
            if field.required and key not in node.value and key not in meant:
                self._problems.add(node.spot, f"{name or 'the configuration'}: required key {key!r} is missing")
        below = f"{name}." if name else ""
        return {k: self.check(child, fields[k].type, below + k) for k, child in node.items() if k in fields}

    def _unknown(self, node: Node, key: str, fields: dict[str, Any]) -> str | None:
        """Reports a key that has no meaning here; gives the one it was probably meant to be."""
        known = [field for field in fields if field not in node.value] or list(fields)
        near = closest(key, known)
        known_here = "" if near else f"; known here: {listed(known)}"
        self._problems.add(node.key_spot(key), f"unknown key {shown(key)}{known_here}", near)
        return near

    def _union(self, node: Node, wanted: Any, name: str) -> Any:
        members = [bare(member) for member in wanted.types]
        optional = any(isinstance(member, inspect.NoneType) for member in members)
        if optional and (node.value is None or (node.from_env and node.value == "")):
            return None
        others = [member for member in members if not isinstance(member, inspect.NoneType)]
        fitting = [member for member in others if _fits(node, member)]
        if fitting or len(others) == 1:
            return self.check(node, (fitting or others)[0], name)
        return self._wrong(node, f"{name}: expected {' or '.join(_NAMES[type(m)] for m in others)}, got {_kind(node)}")


def bare(wanted: Any) -> Any:
    """The type without its metadata."""
    return wanted.type if isinstance(wanted, inspect.Metadata) else wanted


def _fits(node: Node, member: Any) -> bool:
    """Whether a member of a union is the one meant, by the kind of value alone."""
    if isinstance(node.value, dict):
        return isinstance(member, inspect.DictType | inspect.StructType)
    if isinstance(node.value, list):
        return isinstance(member, inspect.VarTupleType)
    if isinstance(node.value, str):
        return isinstance(member, inspect.StrType | inspect.LiteralType)
    return isinstance(member, inspect.IntType | inspect.FloatType | inspect.BoolType)


def _kind(node: Node) -> str:
    value = node.value
    kinds: tuple[tuple[type, str], ...] = (
        (bool, "true" if value else "false"),
        (int, "a whole number"),
        (float, "a number"),
        (str, "text" if value else "an empty text"),
        (list, "a list"),
        (dict, "a mapping"),
    )
    return next((name for kind, name in kinds if isinstance(value, kind)), "nothing")


def _from_env(node: Node) -> Any:
    """A text that an environment variable went into, as the scalar it spells."""
    return scalar(node.value) if node.from_env and isinstance(node.value, str) else node.value


def _text_complaint(value: str, wanted: Any) -> str | None:
    if wanted.min_length and len(value) < wanted.min_length:
        return "must not be empty"
    if wanted.max_length is not None and len(value) > wanted.max_length:
        return f"is longer than {wanted.max_length} characters"
    if wanted.pattern is not None and re.fullmatch(wanted.pattern, value) is None:
        return PATTERN_WORDS[wanted.pattern]
    return None


def _range_complaint(value: float, wanted: Any) -> str | None:
    if isinstance(value, float) and not math.isfinite(value):
        return "must be a finite number"
    bounds: tuple[tuple[Any, str, Callable[[Any], bool]], ...] = (
        (wanted.ge, "at least", lambda bound: value >= bound),
        (wanted.gt, "more than", lambda bound: value > bound),
        (wanted.le, "at most", lambda bound: value <= bound),
        (wanted.lt, "less than", lambda bound: value < bound),
    )
    for bound, words, holds in bounds:
        if bound is not None and not holds(bound):
            return f"must be {words} {bound:.15g}"
    return None


def _count(n: int, one: str, many: str) -> str:
    return f"{n} {one if n == 1 else many}"
