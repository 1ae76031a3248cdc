"""A parsed file as located values: what YAML and TOML are both read into before anything is checked."""

from collections.abc import Iterator
from typing import Any

import msgspec

from fastroute.config.problems import START, Problems, Spot

MAX_BYTES = 1 << 20
"""A configuration of a thousand endpoints has about 200 kB."""
MAX_DEPTH = 32
"""Levels of nesting. The schema needs eight; everything that walks a tree may recurse this deep."""
MAX_VALUES = 50_000
"""Values after YAML aliases are followed, which is what a walk would visit."""


class Node(msgspec.Struct, eq=False):
    """One value and where it stands. `value` is a scalar, a list of nodes, or a dict of nodes.

    `keys` tells where each key of a mapping stands. `from_env`: an environment variable went into the text.
    Nodes reached through a YAML alias are shared, so nothing may edit them twice.
    """

    value: Any
    spot: Spot = START
    keys: dict[str, Spot] = {}
    from_env: bool = False

    def get(self, *path: str) -> "Node | None":
        """The node below, by keys; None where any of them is missing or is no mapping."""
        node: Node | None = self
        for key in path:
            node = node.value.get(key) if node is not None and isinstance(node.value, dict) else None
        return node

    def items(self) -> "Iterator[tuple[str, Node]]":
        """The members of a mapping; nothing for any other value."""
        return iter(self.value.items() if isinstance(self.value, dict) else ())

    def elements(self) -> "Iterator[Node]":
        """The elements of a list; nothing for any other value."""
        return iter(self.value if isinstance(self.value, list) else ())

    def key_spot(self, key: str) -> Spot:
        return self.keys.get(key, self.spot)

    def plain(self) -> Any:
        """The bare values, without places."""
        if isinstance(self.value, dict):
            return {key: child.plain() for key, child in self.value.items()}
        return [child.plain() for child in self.value] if isinstance(self.value, list) else self.value


def too_big(size_bytes: int, problems: Problems) -> bool:
    """Whether a file is refused for its size alone; says so."""
    if size_bytes > MAX_BYTES:
        problems.add(START, f"the file has {size_bytes:,} bytes; a configuration may have at most {MAX_BYTES:,}")
        return True
    return False


def every_node(root: Node) -> Iterator[Node]:
    """Every node below and including `root`, each once however many aliases lead to it."""
    stack, seen = [root], {id(root)}
    while stack:
        node = stack.pop()
        yield node
        for child in (*node.elements(), *(member for _, member in node.items())):
            if id(child) not in seen:
                seen.add(id(child))
                stack.append(child)
