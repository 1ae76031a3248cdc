"""Usage as OpenAI-style providers report it: read into `Usage`, and mended so that its sums are true.

Rules. Input contains the cached tokens, output contains the reasoning. The numbers themselves decide: where total = prompt +
completion + reasoning, or reasoning exceeds completion, the reasoning was left out of the completion; where cached exceeds
prompt, the cached were left out of the prompt. The profile decides only what the numbers do not.

Source: wire notes 3.4; vercel/ai#12425 (xAI).
"""

from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from fastroute.core.types import Usage

Count = Annotated[int, Meta(ge=0, le=2**63 - 1)] | None


class _InputDetails(msgspec.Struct, gc=False):
    cached_tokens: Count = None
    cache_write_tokens: Count = None


class _OutputDetails(msgspec.Struct, gc=False):
    reasoning_tokens: Count = None


class ProperUsage(msgspec.Struct, gc=False):
    """A usage object whose numbers are numbers, as nearly all are. Others fail to decode and go the long way."""

    prompt_tokens: Count = None
    completion_tokens: Count = None
    total_tokens: Count = None
    prompt_tokens_details: _InputDetails | None = None
    completion_tokens_details: _OutputDetails | None = None
    prompt_cache_hit_tokens: Count = None
    num_cached_tokens: Count = None
    cached_tokens: Count = None
    cache_read_input_tokens: Count = None
    cache_write_tokens: None = None
    cache_creation_input_tokens: None = None


_CACHED_NAMES = ("prompt_cache_hit_tokens", "num_cached_tokens", "cached_tokens", "cache_read_input_tokens")
_WRITTEN_NAMES = ("cache_write_tokens", "cache_creation_input_tokens")


def usage_as_it_is(proper: ProperUsage, reasoning_in_output: bool) -> Usage | None:
    """What `read_usage` gives, where `mended_usage` finds nothing to mend; None where a longer look is needed."""
    into, out = proper.prompt_tokens_details, proper.completion_tokens_details
    cached = None if into is None else into.cached_tokens
    reasoning = None if out is None else out.reasoning_tokens
    if cached is None:
        cached = _cached_elsewhere(proper)
        if cached:
            return None
    usage = Usage(
        proper.prompt_tokens, proper.completion_tokens, cached, None if into is None else into.cache_write_tokens, reasoning
    )
    if (cached or reasoning) and any(_left_out(usage, proper.total_tokens, reasoning_in_output)):
        return None
    return usage


def read_usage(raw: Mapping[str, Any], reasoning_in_output: bool = True) -> Usage:
    """`raw`, an OpenAI-style usage object, as `Usage`. What is not reported stays None."""
    usage = _as_reported(raw)
    extra_in, extra_out = _left_out(usage, _count(raw.get("total_tokens")), reasoning_in_output)
    return Usage(
        input_tokens=_plus(usage.input_tokens, extra_in),
        output_tokens=_plus(usage.output_tokens, extra_out),
        cached_input_tokens=usage.cached_input_tokens,
        cache_write_tokens=usage.cache_write_tokens,
        reasoning_tokens=usage.reasoning_tokens,
    )


def mended_usage(raw: Mapping[str, Any], reasoning_in_output: bool = True) -> dict[str, Any] | None:
    """`raw` with sums made true and cached tokens under OpenAI's name; None where it needs no mend."""
    reported = _as_reported(raw)
    extra_in, extra_out = _left_out(reported, _count(raw.get("total_tokens")), reasoning_in_output)
    details = raw.get("prompt_tokens_details")
    unnamed = reported.cached_input_tokens and _member(details, "cached_tokens") is None
    if not (extra_in or extra_out or unnamed):
        return None
    out = dict(raw)
    if unnamed:
        out["prompt_tokens_details"] = {
            **(details if isinstance(details, dict) else {}),
            "cached_tokens": reported.cached_input_tokens,
        }
    prompt, completion = _plus(reported.input_tokens, extra_in), _plus(reported.output_tokens, extra_out)
    if extra_in or extra_out:
        out |= {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": (prompt or 0) + (completion or 0)}
    return out


def latest(old: Usage | None, new: Usage) -> Usage:
    """Cumulative reports: the newer number of each kind, where it gives one."""
    if old is None:
        return new
    return Usage(
        input_tokens=_either(new.input_tokens, old.input_tokens),
        output_tokens=_either(new.output_tokens, old.output_tokens),
        cached_input_tokens=_either(new.cached_input_tokens, old.cached_input_tokens),
        cache_write_tokens=_either(new.cache_write_tokens, old.cache_write_tokens),
        reasoning_tokens=_either(new.reasoning_tokens, old.reasoning_tokens),
    )


def so_far(usage: Usage | None, output_tokens_seen: int) -> Usage | None:
    """Usage of a reply that was cut: what was reported, but at least the output that came; None where nothing did."""
    reported = usage or Usage()
    output_tokens = max(reported.output_tokens or 0, output_tokens_seen)
    if usage is None and not output_tokens:
        return None
    return msgspec.structs.replace(reported, output_tokens=output_tokens, estimated=True)


def partial_usage(usage: Usage) -> dict[str, Any]:
    """`usage` of a cut reply as an OpenAI usage object; a prompt nobody counted is left out."""
    out = openai_usage(usage) | {"estimated": usage.estimated}
    if usage.input_tokens is None:
        del out["prompt_tokens"], out["total_tokens"]
    return out


def openai_usage(usage: Usage) -> dict[str, Any]:
    """`usage` as an OpenAI usage object. A number nobody reported is given as 0 only where OpenAI's schema requires one."""
    prompt, completion = usage.input_tokens or 0, usage.output_tokens or 0
    out: dict[str, Any] = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
    details = {"cached_tokens": usage.cached_input_tokens, "cache_write_tokens": usage.cache_write_tokens}
    known = {name: count for name, count in details.items() if count is not None}
    if known:
        out["prompt_tokens_details"] = known
    if usage.reasoning_tokens is not None:
        out["completion_tokens_details"] = {"reasoning_tokens": usage.reasoning_tokens}
    return out


def _as_reported(raw: Mapping[str, Any]) -> Usage:
    details = raw.get("prompt_tokens_details")
    cached = _member(details, "cached_tokens")
    written = _member(details, "cache_write_tokens")
    return Usage(
        input_tokens=_count(raw.get("prompt_tokens")),
        output_tokens=_count(raw.get("completion_tokens")),
        cached_input_tokens=_first(raw, _CACHED_NAMES) if cached is None else cached,
        cache_write_tokens=_first(raw, _WRITTEN_NAMES) if written is None else written,
        reasoning_tokens=_member(raw.get("completion_tokens_details"), "reasoning_tokens"),
    )


def _left_out(usage: Usage, total: int | None, reasoning_in_output: bool) -> tuple[int, int]:
    """Tokens missing from the prompt and from the completion."""
    prompt, completion = usage.input_tokens, usage.output_tokens
    cached, reasoning = usage.cached_input_tokens or 0, usage.reasoning_tokens or 0
    extra_in = cached if prompt is not None and cached > prompt else 0
    if completion is None or not reasoning:
        return extra_in, 0
    if reasoning <= completion and total is not None and prompt is not None:
        outside = total != prompt + completion and (total == prompt + completion + reasoning or not reasoning_in_output)
    else:
        outside = reasoning > completion or not reasoning_in_output
    return extra_in, reasoning if outside else 0


def _count(value: object) -> int | None:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return int(value) if 0 <= value < 2**63 else None


def _member(value: object, name: str) -> int | None:
    return _count(value.get(name)) if isinstance(value, Mapping) else None


def _first(raw: Mapping[str, Any], names: tuple[str, ...]) -> int | None:
    return next((count for name in names if (count := _count(raw.get(name))) is not None), None)


def _cached_elsewhere(proper: ProperUsage) -> int | None:
    for count in (proper.prompt_cache_hit_tokens, proper.num_cached_tokens, proper.cached_tokens, proper.cache_read_input_tokens):
        if count is not None:
            return count
    return None


def _plus(count: int | None, extra: int) -> int | None:
    return None if count is None else count + extra


def _either(new: int | None, old: int | None) -> int | None:
    return old if new is None else new
