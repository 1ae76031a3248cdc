"""The schema for machines (JSON Schema) and for people (a reference page), both generated from the types.

`python -m fastroute.config.describe` prints the first, with `--markdown` the second. A test keeps the files that are checked
in equal to what is printed here.
"""

import json
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import msgspec
from msgspec import inspect

from fastroute.config.check import bare
from fastroute.config.presets import presets
from fastroute.config.schema import Config
from fastroute.config.schema_planned import PLANNED_ROUTE_KEYS, PLANNED_SECTIONS, PLANNED_TELEMETRY_KEYS

_PLANNED = {"File": PLANNED_SECTIONS, "Route": PLANNED_ROUTE_KEYS, "Telemetry": PLANNED_TELEMETRY_KEYS}
_VARIABLE = {"type": "string", "pattern": r"\$\{"}


def json_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of the file as it is written: wherever a value is restricted, `${VAR}` may stand too."""
    schema = msgspec.json.schema(Config)
    definitions: dict[str, Any] = schema["$defs"]
    for definition in definitions.values():
        for name, member in definition["properties"].items():
            definition["properties"][name] = _with_variable(member)
    definitions["Config"]["patternProperties"] = {"^x-": True}
    definitions["RouteConfig"]["oneOf"] = [{"required": ["tiers"]}, {"required": ["endpoints"]}]
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "fastroute configuration", **schema}


def _with_variable(member: dict[str, Any]) -> dict[str, Any]:
    """A member's schema that also takes a text with a variable in it."""
    outer = {key: value for key, value in member.items() if key in ("description", "default")}
    inner = {key: value for key, value in member.items() if key not in outer}
    for below in ("items", "additionalProperties"):
        if isinstance(inner.get(below), dict):
            inner[below] = _with_variable(inner[below])
    if not _is_restricted(inner):
        return {**outer, **inner}
    return {**outer, "anyOf": [*(inner["anyOf"] if list(inner) == ["anyOf"] else [inner]), _VARIABLE]}


def _is_restricted(schema: dict[str, Any]) -> bool:
    """Whether a scalar is wanted that `${VAR}` is not."""
    if "enum" in schema or "const" in schema or "pattern" in schema:
        return True
    if "anyOf" in schema:
        return any(_is_restricted(branch) for branch in schema["anyOf"])
    return schema.get("type") in ("integer", "number", "boolean")


def reference_markdown() -> str:
    """The reference page: a table of keys for every section, then the table of presets."""
    lines = [
        "# Configuration reference",
        "",
        "Generated from `fastroute/config/schema.py` by `make schema`; do not edit.",
        "",
        "A configuration is YAML (or TOML, by the suffix `.toml`). `${VAR}` and `${VAR:-default}` stand for environment",
        "variables in values; an empty one counts as not set where a key may be left out; `$${` is a plain `${`. Unknown keys,",
        "duplicate keys and names that lead nowhere are errors; `fastroute check FILE` lists all of them with line and column.",
    ]
    for section in _sections(inspect.type_info(Config), {}):
        lines += ["", f"## {_title(section)}", "", (section.cls.__doc__ or "").strip(), "", *_table(section)]
    return "\n".join([*lines, "", *_preset_table(), ""])


def _sections(wanted: Any, seen: dict[type, None]) -> Iterator[Any]:
    """Every section, the outer before the inner, each once."""
    wanted = bare(wanted)
    if isinstance(wanted, inspect.StructType):
        if wanted.cls in seen:
            return
        seen[wanted.cls] = None
        yield wanted
        for field in wanted.fields:
            yield from _sections(field.type, seen)
    for below in _below(wanted):
        yield from _sections(below, seen)


def _below(wanted: Any) -> tuple[Any, ...]:
    if isinstance(wanted, inspect.UnionType):
        return tuple(wanted.types)
    if isinstance(wanted, inspect.DictType):
        return (wanted.value_type,)
    return (wanted.item_type,) if isinstance(wanted, inspect.VarTupleType) else ()


def _table(section: Any) -> Iterator[str]:
    yield "| key | value | default | meaning |"
    yield "|---|---|---|---|"
    for field in section.fields:
        cells = (f"`{field.encode_name}`", _words(field.type), _default(field), _meaning(section, field))
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _title(section: Any) -> str:
    name: str = section.cls.__name__
    return name.removesuffix("Config").removesuffix("Override") or "File"


def _meaning(section: Any, field: Any) -> str:
    described: str = field.type.extra_json_schema["description"]
    planned = field.encode_name in _PLANNED.get(_title(section), ())
    return f"{described} *Accepted, without effect in this version.*" if planned else described


def _default(field: Any) -> str:
    if field.required:
        return "required"
    if field.default is msgspec.NODEFAULT or field.default is None or isinstance(field.default, msgspec.Struct):
        return ""
    return f"`{json.dumps(field.default)}`"


_WORDS: dict[type, str] = {inspect.StrType: "text", inspect.IntType: "whole number", inspect.FloatType: "number"}


def _words(wanted: Any) -> str:
    """A type in words."""
    wanted = bare(wanted)
    if isinstance(wanted, inspect.UnionType):
        return " or ".join(_words(member) for member in wanted.types if not isinstance(member, inspect.NoneType))
    if isinstance(wanted, inspect.LiteralType):
        return ", ".join(f"`{value}`" for value in wanted.values)
    if isinstance(wanted, inspect.StructType):
        return f"[{_title(wanted)}](#{_title(wanted).lower()})"
    if isinstance(wanted, inspect.DictType):
        return f"name: {_words(wanted.value_type)}"
    if isinstance(wanted, inspect.VarTupleType):
        return f"list of {_words(wanted.item_type)}"
    if isinstance(wanted, inspect.BoolType):
        return "`true`, `false`"
    return _WORDS[type(wanted)] + _range(wanted)


def _range(wanted: Any) -> str:
    if isinstance(wanted, inspect.StrType):
        return ""
    lowest, highest = (wanted.ge, wanted.gt), (wanted.le, wanted.lt)
    low = next((f"{sign} {value:.15g}" for sign, value in zip(("≥", ">"), lowest, strict=True) if value is not None), "")
    high = next((f"{sign} {value:.15g}" for sign, value in zip(("≤", "<"), highest, strict=True) if value is not None), "")
    return " " + ", ".join(part for part in (low, high) if part)


def _preset_table() -> Iterator[str]:
    yield "## Presets"
    yield ""
    yield "| preset | provider | dialect | address | key, by custom | cancelling stops the bill |"
    yield "|---|---|---|---|---|---|"
    for preset in presets().values():
        billing = {True: "yes", False: "no", None: "not known"}[preset.profile.cancel_stops_billing]
        address = preset.base_url or f"yours, like {preset.example_base_url}"
        key = f"`{preset.key_env}`" if preset.key_env else "none needed"
        yield f"| `{preset.name}` | {preset.title} | `{preset.profile.dialect}` | {address} | {key} | {billing} |"


def main(argv: Sequence[str]) -> int:
    """Prints the JSON Schema, or the reference page with `--markdown`."""
    page = reference_markdown() if "--markdown" in argv else json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n"
    sys.stdout.write(page)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
