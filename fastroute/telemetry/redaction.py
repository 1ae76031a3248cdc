"""Takes credentials out of whatever is about to be logged.

Rules. A value under a name that promises a secret goes whole; in every other text, what has the form of a key goes. This is the
last line of defence: nobody should log a credential in the first place.
"""

import re
from collections.abc import Mapping, MutableMapping
from typing import Any

REDACTED = "[redacted]"
MAX_DEPTH = 6  # deeper values are replaced whole rather than walked

_SECRET_NAMES = re.compile(
    r"^(?:proxy[-_])?authorization$|^(?:set[-_])?cookie$|^bearer$|^token$|^passw(?:or)?d$"
    r"|(?:^|[-_])(?:api[-_]?key|secret|password|credentials?|access[-_]?token|auth[-_]?token|private[-_]?key)$"
    r"|^x[-_](?:api|goog[-_]api)[-_]key$|^key$",
    re.IGNORECASE,
)
_SECRET_TEXTS = re.compile(
    r"\b(?:Bearer|Basic)\s+[\w.~+/=-]{6,}"
    r"|\b(?:sk|rk|pk|gsk|xai|pplx|csk|fw|hf|tgp|nvapi|r8|dapi)[-_][\w-]{8,}"
    r"|\bAIza[\w-]{20,}"
    r"|\bya29\.[\w.-]{10,}"
    r"|\b(?:AKIA|ASIA)[0-9A-Z]{16}\b"
    r"|\beyJ[\w-]{8,}\.[\w-]{8,}\.[\w-]*"
    r"|(?<=[?&]key=)[^&\s\"']+",
    re.IGNORECASE,
)


def redact_text(text: str) -> str:
    """The text with everything that has the form of a key replaced."""
    return _SECRET_TEXTS.sub(REDACTED, text)


def redact(value: Any, depth: int = 0) -> Any:
    """A copy of a JSON-like value without credentials; other objects are left as they are."""
    if isinstance(value, str):
        return redact_text(value)
    if isinstance(value, bytes):
        return redact_text(value.decode(errors="replace"))
    if isinstance(value, Mapping):
        return REDACTED if depth >= MAX_DEPTH else {k: _member(k, v, depth) for k, v in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return REDACTED if depth >= MAX_DEPTH else [redact(item, depth + 1) for item in value]
    return value


def redact_event(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """The same, as a structlog processor."""
    return {name: _member(name, value, 0) for name, value in event.items()}


def _member(name: Any, value: Any, depth: int) -> Any:
    if isinstance(name, str) and _SECRET_NAMES.search(name):
        return value if value is None else REDACTED
    return redact(value, depth + 1)
