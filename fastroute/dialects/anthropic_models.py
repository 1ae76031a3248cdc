"""What a Claude model accepts, told from its name.

Rules. A name we cannot read (an alias of a gateway, a model that comes after this file) is taken for the plain, older
contract: thinking by budget, nothing refused. A newer generation is taken to accept what the newest known one does.

Source: Anthropic's migration and thinking pages as of 2026; the 400s they answer with: "thinking.type.enabled is not supported
for this model", "`temperature` and `top_p` cannot both be specified for this model", "does not support effort level 'xhigh'".
"""

import re
from functools import lru_cache

import msgspec

_NAME = re.compile(
    r"claude[-_.](?:(?P<family>[a-z]+)[-_.])?"  # claude-opus-4-6
    r"(?P<major>\d{1,2})(?!\d)(?:[-_.](?P<minor>\d{1,2})(?!\d))?"
    r"(?:[-_.](?P<after>opus|sonnet|haiku|instant))?"  # claude-3-5-sonnet
)


class Traits(msgspec.Struct, frozen=True):
    """What one model accepts beyond the common contract."""

    thinking: bool = True  # can think at all
    adaptive: bool = False  # thinking {"type": "adaptive"}
    budget: bool = True  # thinking {"type": "enabled", "budget_tokens": n}
    thinks_unasked: bool = False  # thinks unless told {"type": "disabled"}
    effort: bool = False  # output_config.effort
    xhigh: bool = False  # effort level xhigh
    sampling: bool = True  # temperature, top_p, top_k
    temperature_with_top_p: bool = True
    json_schema: bool = True  # output_config.format, and strict tools
    forced_tools: bool = True  # tool_choice any and tool


UNKNOWN = Traits()


@lru_cache(maxsize=256)
def traits(model: str) -> Traits:
    """The traits of a model by its name, in any provider's spelling (Bedrock's, Vertex's, a gateway's)."""
    found = _NAME.search(model.lower())
    if found is None:
        return UNKNOWN
    family = found["family"] or found["after"] or ""
    return _known(family, (int(found["major"]), int(found["minor"] or 0)))


def _known(family: str, version: tuple[int, int]) -> Traits:
    latest = version >= (4, 7)
    return Traits(
        thinking=version >= (3, 7),
        adaptive=version >= (4, 6),
        budget=not latest,
        thinks_unasked=version >= (5, 0) and family in ("opus", "sonnet", "haiku"),
        effort=version >= (4, 6) or (family == "opus" and version >= (4, 5)),
        xhigh=latest,
        sampling=not latest,
        temperature_with_top_p=version < ((4, 1) if family == "opus" else (4, 5)),
        json_schema=version >= ((4, 1) if family == "opus" else (4, 5)),
        forced_tools=family not in ("fable", "mythos") or version < (5, 1),
    )
