"""Tool names and call ids that Anthropic takes, made from those a client uses.

Rules. Deterministic and stateless: the same name or id always maps to the same one, so that a later turn, another worker and
another endpoint agree. What Anthropic takes as it is stays as it is. Different names never meet: the changed ones end in a hash.
"""

import hashlib
import re
from collections.abc import Iterable

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_ID = re.compile(r"[a-zA-Z0-9_-]+")
_FOREIGN = re.compile(r"[^a-zA-Z0-9_-]")
_MAX_NAME_CHARS = 64


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()


def tool_name(name: str) -> str:
    """The name Anthropic sees: at most 64 of `a-zA-Z0-9_-`."""
    if _NAME.fullmatch(name):
        return name
    suffix = "_" + _digest(name)[:8]
    return _FOREIGN.sub("_", name)[: _MAX_NAME_CHARS - len(suffix)] + suffix


def tool_id(call_id: str) -> str:
    """The call id Anthropic sees: not empty, and of `a-zA-Z0-9_-` only."""
    return call_id if _ID.fullmatch(call_id) else "toolu_" + _digest(call_id)[:24]


def renamed(names: Iterable[str]) -> dict[str, str]:
    """For the way back: the names Anthropic sees -> the client's own, where they differ."""
    return {sent: name for name in names if (sent := tool_name(name)) != name}


class CallIds:
    """Call ids of one conversation, each used once: some providers repeat an id in a later turn, which Anthropic refuses.

    Ask for the calls and the results in the order of the conversation: a result belongs to the first call with its id that has
    none yet.
    """

    def __init__(self) -> None:
        self._times: dict[str, int] = {}
        self._unanswered: dict[str, list[str]] = {}

    def called(self, call_id: str) -> str:
        times = self._times[call_id] = self._times.get(call_id, 0) + 1
        sent = tool_id(call_id) if times == 1 else f"{tool_id(call_id)}_{times}"
        self._unanswered.setdefault(call_id, []).append(sent)
        return sent

    def answered(self, call_id: str) -> str:
        waiting = self._unanswered.get(call_id)
        return waiting.pop(0) if waiting else tool_id(call_id)
