"""A call's arguments that come in pieces (`partialArgs`), each a value or the next part of a string at a JSON path.

Source: Google's reference of `FunctionCall` (Vertex, November 2026); the recorded stream of `streamFunctionCallArguments`.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import msgspec

_STEP = re.compile(r"\.([^.\[\]]+)|\[(\d+)\]|\[['\"](.*?)['\"]\]")
MAX_ITEMS = 10_000


class PartialArguments:
    """Takes the pieces in order; one per call."""

    def __init__(self) -> None:
        self._value: dict[str, Any] = {}

    def take(self, pieces: Sequence[dict[str, Any]]) -> None:
        """Puts the pieces in their places. Raises ValueError for a path that leads nowhere."""
        for piece in pieces:
            path = _steps(str(piece.get("jsonPath", "")))
            if path:
                _put(self._value, path, piece)

    def text(self) -> str:
        """What they add up to, as JSON."""
        return msgspec.json.encode(self._value).decode()


def _steps(path: str) -> list[str | int]:
    found = _STEP.findall(path.removeprefix("$"))
    return [int(index) if index else name or quoted for name, index, quoted in found]


def _put(value: Any, path: list[str | int], piece: dict[str, Any]) -> None:
    for step, following in pairwise(path):
        value = _at(value, step, [] if isinstance(following, int) else {})
    last = path[-1]
    if "stringValue" in piece:
        known = _at(value, last, "")
        value[last] = (known if isinstance(known, str) else "") + str(piece["stringValue"])
        return
    _at(value, last, None)
    value[last] = next((piece[name] for name in ("numberValue", "boolValue") if name in piece), None)


def _at(value: Any, step: str | int, otherwise: Any) -> Any:
    """What is at this step, put there if nothing was."""
    if isinstance(value, list) and isinstance(step, int) and step < MAX_ITEMS:
        value += [None] * (step + 1 - len(value))
        if value[step] is None:
            value[step] = otherwise
        return value[step]
    if isinstance(value, dict) and isinstance(step, str):
        return value.setdefault(step, otherwise)
    raise ValueError("arguments that do not fit together")
