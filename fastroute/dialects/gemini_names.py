"""Tool names that Gemini takes, and call ids for the models that give none.

Rules. Deterministic and stateless, as in `anthropic_names`: different names never meet. An id made here tells by its looks that
Gemini does not know it, so that it is never sent there.
"""

import hashlib
import re
from collections.abc import Iterable

_NAME = re.compile(r"[a-zA-Z_][a-zA-Z0-9_.-]{0,63}")
_FOREIGN = re.compile(r"[^a-zA-Z0-9_.-]")
_MAX_NAME_CHARS = 64
_MADE = "call_gm_"


def tool_name(name: str) -> str:
    """The name Gemini sees: a letter or underscore, then at most 63 of `a-zA-Z0-9_.-`."""
    if _NAME.fullmatch(name):
        return name
    suffix = "_" + _digest(name)[:8]
    kept = _FOREIGN.sub("_", name)
    kept = kept if kept[:1].isalpha() or kept[:1] == "_" else "_" + kept
    return kept[: _MAX_NAME_CHARS - len(suffix)] + suffix


def renamed(names: Iterable[str]) -> dict[str, str]:
    """For the way back: the names Gemini sees -> the client's own, where they differ."""
    return {sent: name for name in names if (sent := tool_name(name)) != name}


def made_id(request_id: str, choice: int, index: int) -> str:
    """An id for a call that came without one: unique in its conversation, the same at any cut of the reply."""
    return _MADE + _digest(f"{request_id} {choice} {index}")[:24]


def is_made(call_id: str) -> bool:
    """Whether the id was made here."""
    return call_id.startswith(_MADE)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
