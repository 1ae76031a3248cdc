"""Response headers, rendered from the Trail; and the request's id.

Rules. A header value is printable ASCII and short, whatever went into it: route and endpoint names, decisions and
client ids cannot break out of their line.
"""

import json
import math
import re
import secrets
from typing import Any

from fastroute.core.failures import Fault
from fastroute.core.money import show_usd
from fastroute.core.trail import Attempt, Trail, candidate_dict
from fastroute.core.types import Candidate, Decision

MAX_VALUE_CHARS = 256
MAX_DECISION_CHARS = 4096
DEFAULT_RETRY_AFTER_S = 1.0  # for our own 503 and 504, where no provider said when
MAX_RETRY_AFTER_S = 86_400.0

_ID = re.compile(r"[!-~]{1,128}", re.ASCII)
_UNSAFE = re.compile(r"[^ -~]")


def request_id(sent: str | None) -> str:
    """The client's `x-request-id` where it is 1 to 128 visible ASCII characters, else a fresh one."""
    return sent if sent is not None and _ID.fullmatch(sent) else secrets.token_hex(16)


def safe_value(text: str, limit_chars: int = MAX_VALUE_CHARS) -> str:
    """Text as a header value: whatever is not printable ASCII becomes `?`, and it is cut to the limit."""
    return _UNSAFE.sub("?", text[:limit_chars])


def reply_headers(trail: Trail, now_s: float, whole: bool) -> dict[str, str]:
    """What the client is told about how it was served, as of now. `whole`: the cost is known, or never will be."""
    headers = {
        "x-request-id": safe_value(trail.request.id),
        "x-fastroute-attempts": str(len(trail.attempts)),
        **_timing(trail, now_s),
    }
    if trail.route is not None:
        headers["x-fastroute-route"] = safe_value(trail.route)
    shown = trail.winner or (trail.attempts[-1] if trail.attempts else None)
    if shown is not None:
        headers["x-fastroute-endpoint"] = safe_value(shown.endpoint)
        headers["x-fastroute-tier"] = str(shown.tier)
        if whole:
            headers["x-fastroute-cost-usd"] = show_usd(trail.cost_pusd)
    if trail.request.overrides.explain and trail.decisions:
        headers["x-fastroute-decision"] = decision_header(trail.decisions[-1], trail.request.input_tokens)
    return headers


def failure_headers(status: int, fault: Fault | None) -> dict[str, str]:
    """When the client should come back. A client's own retries on top of ours would only multiply the load."""
    headers = {"x-should-retry": "false"} if status >= 500 else {}
    hint_s = fault.retry_after_s if fault is not None else None
    if (hint_s is None or not math.isfinite(hint_s)) and status in (503, 504):
        hint_s = DEFAULT_RETRY_AFTER_S
    if hint_s is not None and math.isfinite(hint_s):
        hint_s = min(max(hint_s, 0.0), MAX_RETRY_AFTER_S)
        headers["retry-after-ms"] = str(math.ceil(hint_s * 1000))
        headers["retry-after"] = str(math.ceil(hint_s))
    return headers


def decision_header(decision: Decision, input_tokens: int) -> str:
    """The decision as compact ASCII JSON of at most 4 KiB; what does not fit is left out, worst candidates first."""
    ranked, excluded = [_candidate(c, input_tokens) for c in decision.ranked], list(decision.excluded)
    while True:
        value: dict[str, Any] = {
            "strategy": decision.strategy,
            "why": decision.why[:512],
            "candidates": ranked,
            "excluded": [{"endpoint": e.endpoint.name[:128], "reason": e.reason[:128]} for e in excluded],
        }
        if len(ranked) + len(excluded) < len(decision.ranked) + len(decision.excluded):
            value["cut"] = True
        text = json.dumps(value, separators=(",", ":"), ensure_ascii=True)
        if len(text) <= MAX_DECISION_CHARS:
            return safe_value(text, MAX_DECISION_CHARS)
        (excluded if len(excluded) > len(ranked) else ranked).pop()


def _candidate(candidate: Candidate, input_tokens: int) -> dict[str, Any]:
    shown = candidate_dict(candidate, input_tokens)
    kept = ("predicted_ttft_ms", "predicted_total_ms", "p_miss", "expected_cost_usd", "n", "breaker")
    return {"endpoint": shown["endpoint"][:128], **{key: shown[key] for key in kept}}


def _timing(trail: Trail, now_s: float) -> dict[str, str]:
    total_s = (trail.ended_s or now_s) - trail.request.accepted_s
    upstream_s = trail.upstream_s + sum(_waited_s(a, now_s) for a in trail.attempts)
    spans = (("decide", trail.decide_s), ("upstream", upstream_s), ("total", total_s))
    return {
        "x-fastroute-overhead-ms": f"{max(0.0, total_s - upstream_s) * 1000:.3f}",
        "server-timing": ", ".join(f"{name};dur={seconds * 1000:.3f}" for name, seconds in spans),
    }


def _waited_s(attempt: Attempt, now_s: float) -> float:
    """What an attempt under way has taken so far; the Trail adds up only those that have ended."""
    if attempt.ended_s is not None:
        return 0.0
    return max(0.0, (attempt.first_content_s or now_s) - attempt.started_s)
