"""TOML with a place for every value, as far as a scan of the text can tell.

Theory of operation. `tomllib` reads the values and is the only judge of what is valid; it keeps no places. A second,
forgiving scan of the lines finds where each dotted key path is written. A value the scan cannot find (deep in an inline
table, inside an array) takes the place of the nearest thing around it: the line is right or close, the column is the key's.
"""

import datetime
import re
import tomllib
from typing import Any

from fastroute.config.nodes import MAX_DEPTH, MAX_VALUES, Node
from fastroute.config.problems import START, Problems, Spot

Path = tuple[str, ...]

_KEY = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_KEYS = re.compile(rf"{_KEY}(?:[ \t]*\.[ \t]*{_KEY}){{0,{MAX_DEPTH}}}")
_ONE_KEY = re.compile(_KEY)
_ERROR_AT = re.compile(r"^(.*) \(at (?:line (\d+), column (\d+)|end of document)\)$", re.DOTALL)
_MOST_DOTS = 64  # per line: tomllib's work on one dotted key is quadratic in its parts


def parse_toml(text: str, problems: Problems) -> Node | None:
    """The document as located values; None, with the reason in `problems`, where it cannot be read at all."""
    for number, line in enumerate(text.splitlines(), 1):
        if line.count(".") > _MOST_DOTS:
            problems.add(Spot(number, 1), f"more than {_MOST_DOTS} dots in one line")
            return None
    try:
        data = tomllib.loads(text)
    except RecursionError:
        problems.add(START, f"nested more than {MAX_DEPTH} levels deep")
        return None
    except ValueError as error:
        problems.add(*_located(str(error), text))
        return None
    return _Locator(text, problems).tree(data)


def _located(message: str, text: str) -> tuple[Spot, str]:
    match = _ERROR_AT.match(message)
    if match is None:
        return START, f"not valid TOML: {message[:200]}"
    lines = text.splitlines() or [""]
    spot = Spot(int(match[2]), int(match[3])) if match[2] else Spot(len(lines), len(lines[-1]) + 1)
    return spot, f"not valid TOML: {match[1]}"


class _Locator:
    def __init__(self, text: str, problems: Problems) -> None:
        self._lines = text.splitlines()
        self._problems = problems
        self._written: dict[Path, Spot] = {}
        self._left = MAX_VALUES
        self._scan()

    def tree(self, data: dict[str, Any]) -> Node | None:
        root = self._node(data, (), START)
        if root is None:
            self._problems.add(START, f"nested more than {MAX_DEPTH} levels deep, or more than {MAX_VALUES:,} values")
        return root

    def _scan(self) -> None:
        """Notes where each key path is first written; `[[tables]]` count their entries."""
        prefix: Path = ()
        counts: dict[Path, int] = {}
        for number, line in enumerate(self._lines, 1):
            body = line.lstrip(" \t")
            indent = len(line) - len(body)
            brackets = 2 if body.startswith("[[") else 1 if body.startswith("[") else 0
            at = indent + brackets + len(body[brackets:]) - len(body[brackets:].lstrip(" \t"))
            match = _KEYS.match(line, at)
            if match is None:
                continue
            keys = tuple(part.strip("\"'") for part in _ONE_KEY.findall(match[0]))
            if brackets:
                prefix = self._numbered(keys, counts, brackets == 2)
                self._note(prefix, Spot(number, at + 1))
            elif line[match.end() :].lstrip(" \t").startswith("="):
                self._note((*prefix, *keys), Spot(number, at + 1))

    def _numbered(self, keys: Path, counts: dict[Path, int], array: bool) -> Path:
        """The path of a table header, with the index of the current entry after each array of tables."""
        path: Path = ()
        for i, key in enumerate(keys):
            path = (*path, key)
            if array and i == len(keys) - 1:
                counts[path] = counts.get(path, -1) + 1
            if path in counts:
                path = (*path, str(counts[path]))
        return path

    def _note(self, path: Path, spot: Spot) -> None:
        for n in range(1, len(path) + 1):
            self._written.setdefault(path[:n], spot)

    def _spot(self, path: Path, around: Spot) -> Spot:
        """Where a path is written, else where its last key is next seen from `around` on, else `around` itself."""
        if path in self._written:
            return self._written[path]
        if not path[-1].isdigit():
            line = self._lines[around.line - 1 : around.line]
            match = (
                re.compile(rf"(?<![\w-])[\"']?{re.escape(path[-1])}[\"']?\s*=").search(line[0], around.col - 1) if line else None
            )
            if match:
                return Spot(around.line, match.start() + 1)
        return around

    def _node(self, value: Any, path: Path, spot: Spot) -> Node | None:
        """None: too deep or too many."""
        self._left -= 1
        if self._left < 0 or len(path) > MAX_DEPTH:
            return None
        if not isinstance(value, dict | list):
            return Node(value.isoformat() if isinstance(value, datetime.date | datetime.time) else value, spot)
        members = value.items() if isinstance(value, dict) else ((str(i), v) for i, v in enumerate(value))
        children: dict[str, Node] = {}
        for key, child in members:
            at = (*path, key)
            node = self._node(child, at, self._spot(at, spot))
            if node is None:
                return None
            children[key] = node
        if isinstance(value, list):
            return Node(list(children.values()), spot)
        return Node(children, spot, {key: child.spot for key, child in children.items()})
