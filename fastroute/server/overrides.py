"""What a client asks for in `x-fastroute-*` request headers.

Rules. An absent header changes nothing; a bad one is refused with its name, never guessed at; one sent twice is bad.
Headers of this family that this version does not know are ignored.
"""

import math
import re
from collections.abc import Sequence
from typing import Protocol

from multidict import istr

from fastroute.core.failures import Failure, Fault, FaultError
from fastroute.core.money import Pusd, from_usd
from fastroute.core.types import AS_CONFIGURED, Overrides

PREFIX = "x-fastroute-"
MAX_MS = 3_600_000.0
MAX_COST_USD = 10_000.0
MAX_NAME_CHARS = 128
MAX_TAGS = 16

_NUMBER = re.compile(r"[0-9]{1,15}(?:\.[0-9]{0,15})?(?:[eE][+-]?[0-9]{1,2})?", re.ASCII)
_NAME = re.compile(r"[!-~](?:[ -~]*[!-~])?", re.ASCII)
_TAG_KEY = re.compile(r"[A-Za-z0-9_.-]{1,64}", re.ASCII)
_TAG_VALUE = re.compile(r"[!-+\--~]{1,128}", re.ASCII)  # visible, no comma

_NAMES = tuple(
    istr(PREFIX + n) for n in ("route", "slo-ttft-ms", "slo-ms", "deadline-ms", "max-cost-usd", "hedge", "explain", "tags")
)
_BETAS = istr("anthropic-beta")


class Headers(Protocol):
    """Request headers by case-insensitive name."""

    def __contains__(self, name: object) -> bool: ...

    def getall(self, name: str) -> Sequence[str]: ...


def parse_overrides(headers: Headers) -> Overrides:
    """The overrides a request's headers ask for. Raises `FaultError` (BAD_REQUEST) with the header's name as `param`."""
    betas = ",".join(headers.getall(_BETAS)) if _BETAS in headers else ""
    for name in _NAMES:
        if name in headers:
            break
    else:
        return Overrides(betas=betas) if betas else AS_CONFIGURED
    explain = _switch(headers, "explain")
    return Overrides(
        route=_name(headers, "route"),
        ttft_s=_seconds(headers, "slo-ttft-ms"),
        total_s=_seconds(headers, "slo-ms"),
        deadline_s=_seconds(headers, "deadline-ms"),
        max_cost_pusd=_cost(headers, "max-cost-usd"),
        hedge=_switch(headers, "hedge") is not False,
        explain=bool(explain),
        tags=_tags(headers, "tags"),
        betas=betas,
    )


def _one(headers: Headers, name: str) -> str | None:
    header = PREFIX + name
    if header not in headers:
        return None
    values = headers.getall(header)
    if len(values) > 1:
        raise _bad(name, "was sent more than once")
    return values[0].strip(" \t")


def _name(headers: Headers, name: str) -> str | None:
    value = _one(headers, name)
    if value is not None and (len(value) > MAX_NAME_CHARS or not _NAME.fullmatch(value)):
        raise _bad(name, f"must be 1 to {MAX_NAME_CHARS} printable ASCII characters")
    return value


def _seconds(headers: Headers, name: str) -> float | None:
    value = _number(headers, name, MAX_MS)
    return None if value is None else value / 1000


def _cost(headers: Headers, name: str) -> Pusd | None:
    value = _number(headers, name, MAX_COST_USD)
    return None if value is None else from_usd(value)


def _number(headers: Headers, name: str, most: float) -> float | None:
    text = _one(headers, name)
    if text is None:
        return None
    value = float(text) if _NUMBER.fullmatch(text) else math.nan
    if not 0.0 < value <= most:
        raise _bad(name, f"must be a positive number, at most {most:.0f}")
    return value


def _switch(headers: Headers, name: str) -> bool | None:
    value = _one(headers, name)
    if value is None:
        return None
    if value.lower() not in ("on", "off"):
        raise _bad(name, "must be on or off")
    return value.lower() == "on"


def _tags(headers: Headers, name: str) -> dict[str, str]:
    text = _one(headers, name)
    if text is None:
        return {}
    pairs = [piece.strip(" \t").partition("=") for piece in text.split(",")]
    if len(pairs) > MAX_TAGS:
        raise _bad(name, f"must be at most {MAX_TAGS} tags")
    if not all(_TAG_KEY.fullmatch(key) and equals and _TAG_VALUE.fullmatch(value) for key, equals, value in pairs):
        raise _bad(name, "must look like team=search,tier=gold")
    tags = {key: value for key, _, value in pairs}
    if len(tags) < len(pairs):
        raise _bad(name, "names a tag twice")
    return tags


def _bad(name: str, what: str) -> FaultError:
    header = PREFIX + name
    return FaultError(Fault(Failure.BAD_REQUEST, f"the header {header} {what}", code="invalid_header", param=header))
