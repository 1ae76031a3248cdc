"""What every section of the configuration shares: the words that annotate its fields, and how it is shown.

Rules. A secret is never shown: not by `repr`, not by rich, not by `masked`. Every number has both bounds, so that no check
needs a special case for what does not fit a machine word.
"""

from typing import Annotated, Any
from urllib.parse import urlsplit

import msgspec
from msgspec import Meta, inspect

MASK = "***"
SECRET: dict[str, Any] = {"secret": True}
"""Marks a field whose value is never shown; of a mapping, every value."""
ADDRESS: dict[str, Any] = {"address": True}
"""Marks a URL that may hold a password, which is not shown."""

_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.:/@+-]*$"
_PROVIDER_NAME = r"^[A-Za-z0-9_][A-Za-z0-9_.-]*$"
_MODEL = r"^[\x21-\x7e]+$"
_HEADER = r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$"
_HEADER_VALUE = r"^[\t\x20-\x7e]*$"
_OPAQUE = r"^[\x21-\x7e]*$"

PATTERN_WORDS: dict[str, str] = {
    _NAME: "may hold letters, digits and _ . : / @ + - only, and begins with one of the first three",
    _PROVIDER_NAME: "may hold letters, digits and _ . - only, and begins with one of the first three",
    _MODEL: "may hold no space and only ASCII characters",
    _HEADER: "is not the name of an HTTP header",
    _HEADER_VALUE: "holds a character that an HTTP header cannot carry",
    _OPAQUE: "holds a space, a line break or a character that an HTTP header cannot carry",
}
"""What a message says where a pattern does not match."""

Text = Annotated[str, Meta(min_length=1, max_length=2048)]
Name = Annotated[str, Meta(pattern=_NAME, max_length=128)]
ProviderName = Annotated[str, Meta(pattern=_PROVIDER_NAME, max_length=64)]
Model = Annotated[str, Meta(pattern=_MODEL, max_length=256)]
Header = Annotated[str, Meta(pattern=_HEADER, max_length=256)]
HeaderValue = Annotated[str, Meta(pattern=_HEADER_VALUE, max_length=8192)]
Secret = Annotated[str, Meta(pattern=_OPAQUE, max_length=8192)]
Milliseconds = Annotated[int, Meta(ge=1, le=86_400_000)]
Share = Annotated[float, Meta(ge=0, le=1)]


class Section(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A mapping of the configuration. Neither printing it nor rich's tracebacks show a secret."""

    def masked(self) -> dict[str, Any]:
        """Plain values, with `***` for every secret that is set."""
        fields = inspect.type_info(type(self)).fields  # type: ignore[attr-defined]
        return {f.name: _masked(getattr(self, f.name), _marks(f.type)) for f in fields}

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{k}={v!r}' for k, v in self.masked().items())})"

    def __rich_repr__(self) -> list[tuple[str, Any]]:
        return list(self.masked().items())


def _marks(wanted: Any) -> dict[str, Any]:
    return (wanted.extra or {}) if isinstance(wanted, inspect.Metadata) else {}


def _masked(value: Any, marks: dict[str, Any]) -> Any:
    if marks.get("secret") and value:
        return dict.fromkeys(value, MASK) if isinstance(value, dict) else MASK
    if marks.get("address") and value:
        return _without_password(value)
    if isinstance(value, Section):
        return value.masked()
    if isinstance(value, dict):
        return {key: _masked(child, {}) for key, child in value.items()}
    return [_masked(child, {}) for child in value] if isinstance(value, tuple) else value


def _without_password(url: str) -> str:
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
    except ValueError:
        return MASK
    credentials = f"{MASK}@" if "@" in parts.netloc else ""
    query = f"?{MASK}" if parts.query else ""
    return f"{parts.scheme}://{credentials}{host}{parts.path}{query}" if parts.scheme else MASK


class Objective(Section, frozen=True):
    """What a route promises. Left out: no such promise."""

    ttft_ms: Annotated[Milliseconds | None, Meta(description="Time to the first token of content.")] = None
    total_ms: Annotated[Milliseconds | None, Meta(description="Time to the last byte.")] = None
    target: Annotated[float, Meta(gt=0, lt=1, description="Share of the requests that must meet both.")] = 0.99
