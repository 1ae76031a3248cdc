"""What the reader of an imported configuration must know: keys that did not come along, and what came along only roughly.

Rules. A remark names keys, deployments and environment variables, never a value: values may be secrets, and reports end
up in tickets.
"""

import enum
from typing import Any, NamedTuple

import msgspec

from fastroute.config.nodes import Node
from fastroute.config.problems import START, Spot

_LONGEST_WORD = 80
_MOST_KEYS = 6
ENV_PREFIX = "os.environ/"


class Kind(enum.StrEnum):
    """What a remark is about."""

    UNMAPPED = "not mapped"
    APPROXIMATE = "approximated"
    SECRET = "literal secret"  # noqa: S105 # a heading


class Remark(msgspec.Struct, frozen=True):
    """One thing to know. `path` is the key in the imported file, `value_kind` what stood there, `instead` what to do."""

    kind: Kind
    path: str
    value_kind: str
    why: str
    instead: str = ""
    line: int = 1
    col: int = 1

    def __str__(self) -> str:
        advice = f"; {self.instead}" if self.instead else ""
        return f"{self.line}:{self.col}: {self.path} ({self.value_kind}): {self.why}{advice}"


class At(NamedTuple):
    """A value of the imported file, with its path and its place."""

    path: str
    node: Node
    spot: Spot = START

    @property
    def value(self) -> Any:
        return self.node.value

    def below(self, key: str) -> "At | None":
        """The member `key` of a mapping; None where it is not there or is null."""
        child = self.node.get(key)
        if child is None or child.value is None:
            return None
        path = f"{self.path}.{word(key)}" if self.path else word(key)
        return At(path, child, self.node.key_spot(key))

    def members(self) -> "list[tuple[str, At]]":
        """The members of a mapping that are not null, in the order of the file."""
        found = ((key, self.below(key)) for key, _ in self.node.items())
        return [(key, member) for key, member in found if member is not None]

    def elements(self) -> "list[At]":
        return [At(f"{self.path}[{i}]", child, child.spot) for i, child in enumerate(self.node.elements())]


class Remarks:
    """Collects remarks; the same one about the same key counts once."""

    def __init__(self) -> None:
        self._found: dict[Remark, None] = {}

    def unmapped(self, at: At, why: str, instead: str = "") -> None:
        self._add(Kind.UNMAPPED, at, why, instead)

    def approximate(self, at: At, why: str, instead: str = "") -> None:
        self._add(Kind.APPROXIMATE, at, why, instead)

    def secret(self, at: At) -> None:
        why = "a literal secret, carried over into the output as written"
        self._add(Kind.SECRET, at, why, 'move it to the environment and write "${NAME}"')

    def _add(self, kind: Kind, at: At, why: str, instead: str) -> None:
        self._found[Remark(kind, at.path, kind_of(at.value), why, instead, at.spot.line, at.spot.col)] = None

    def sorted(self) -> tuple[Remark, ...]:
        """In the order of the file."""
        return tuple(sorted(self._found, key=lambda r: (r.line, r.col, r.path, r.kind)))


def kind_of(value: Any) -> str:
    """What kind of value this is, in words that give nothing of it away but the keys of a mapping."""
    if isinstance(value, dict):
        names = [word(key) for key in value]
        more = ", ..." if len(names) > _MOST_KEYS else ""
        return f"a mapping: {', '.join(names[:_MOST_KEYS])}{more}" if names else "an empty mapping"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        return "from the environment" if value.startswith(ENV_PREFIX) else "text"
    if isinstance(value, bool):
        return "true" if value else "false"
    return "nothing" if value is None else "a number"


def word(key: str) -> str:
    """A key of the file for one line of a report."""
    short = key if len(key) <= _LONGEST_WORD else key[: _LONGEST_WORD - 3] + "..."
    return short if short.isprintable() else ascii(short)[1:-1]
