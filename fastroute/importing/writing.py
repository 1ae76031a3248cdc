"""YAML as a person would write it: short sections on one line, longer ones below each other, comments where they help."""

import json
import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

from fastroute.config.yaml_strict import scalar

_WIDTH = 118
_PLAIN = re.compile(r"[A-Za-z_][A-Za-z0-9_./@+-]*")
_SURPRISING = {"y", "n", "yes", "no", "on", "off", "true", "false", "null"}


def lines_of(key: str, value: Any, indent: int = 0, comment: str = "") -> Iterator[str]:
    """The lines of one member. A mapping goes on one line where it fits."""
    start = " " * indent + text(key) + ":"
    note = f" # {comment}" if comment else ""
    flow = f"{start} {inline(value)}"
    if not isinstance(value, dict) or (value and len(flow) <= _WIDTH and not note and indent > 0):
        yield flow + note
        return
    yield start + note
    for name, child in value.items():
        yield from lines_of(name, child, indent + 2)


def inline(value: Any) -> str:
    """A value in flow style."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{text(k)}: {inline(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(inline(child) for child in value) + "]"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return f"{value:f}"
    return text(value) if isinstance(value, str) else str(value)


def text(word: str) -> str:
    """A text, quoted only where YAML needs it."""
    if _PLAIN.fullmatch(word) and word.lower() not in _SURPRISING and isinstance(scalar(word), str):
        return word
    quoted = json.dumps(word, ensure_ascii=False)
    return "".join(char if char.isprintable() else f"\\U{ord(char):08X}" for char in quoted)
