"""What providers tell of their rate limits in the headers of a reply.

Rules. OpenAI's names (`x-ratelimit-{limit,remaining,reset}-{requests,tokens}`; Groq, Azure, Mistral and vLLM gateways use them
too) and Anthropic's (`anthropic-ratelimit-{requests,tokens}-{limit,remaining,reset}`). A reset is a Go duration (`6m0s`, `12ms`),
a number of seconds, or an instant (RFC 3339). Whatever is missing, odd or unknown (Azure: -1, or a limit of 0) tells nothing.

Source: OpenAI's and Anthropic's pages on rate limits; Groq and Azure use OpenAI's names.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from fastroute.policy.pacing import MINUTE_S, Allowance, Reading

LONGEST_S = 7 * 86_400.0
_DURATION = re.compile(r"(?:\d{1,9}(?:\.\d{0,9})?(?:h|ms|m|s|us|µs|ns))+", re.ASCII)
_STEP = re.compile(r"([\d.]+)(h|ms|m|s|us|µs|ns)")
_NUMBER = re.compile(r"\d{1,15}(?:\.\d{0,9})?", re.ASCII)
_UNITS_S = {"h": 3600.0, "m": 60.0, "s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9}
_OPENAI, _ANTHROPIC = "x-ratelimit-{}-{}", "anthropic-ratelimit-{1}-{0}"


def rate_limits(headers: Mapping[str, str], now_wall_s: float) -> Reading | None:
    """The limits that a reply's headers tell; None: nothing of use. `headers` have lower-case names. Never raises."""
    for style in (_OPENAI, _ANTHROPIC):
        if any(style.format("remaining", of) in headers for of in ("requests", "tokens")):
            told = [_allowance(headers, style, of, now_wall_s) for of in ("requests", "tokens")]
            return Reading(*told) if any(told) else None
    return None


def reset_s(text: str, sent: str | None, now_wall_s: float) -> float | None:
    """Seconds until a reset: a duration, seconds, or an instant, by the provider's own clock where its Date (`sent`) tells it."""
    text = text.strip()
    if _NUMBER.fullmatch(text):
        return min(float(text), LONGEST_S)
    if _DURATION.fullmatch(text):
        try:
            return min(sum(float(number) * _UNITS_S[unit] for number, unit in _STEP.findall(text)), LONGEST_S)
        except ValueError:
            return None
    try:
        until = datetime.fromisoformat(text)
        sent_s = parsedate_to_datetime(sent).timestamp() if sent else now_wall_s
        return min(max(0.0, until.replace(tzinfo=until.tzinfo or UTC).timestamp() - sent_s), LONGEST_S)
    except (ValueError, TypeError, OverflowError):
        return None


def _allowance(headers: Mapping[str, str], style: str, of: str, now_wall_s: float) -> Allowance | None:
    limit, left = (_count(headers.get(style.format(what, of))) for what in ("limit", "remaining"))
    if not limit or left is None:
        return None
    text = headers.get(style.format("reset", of))
    full_in_s = reset_s(text, headers.get("date"), now_wall_s) if text else None
    return Allowance(limit, min(left, limit), full_in_s or MINUTE_S * (1.0 - min(left, limit) / limit))


def _count(text: str | None) -> float | None:
    return float(text) if text is not None and _NUMBER.fullmatch(text.strip()) else None
