"""Response headers, rendered from the Trail; and the request's id.

Rules. A header value is printable ASCII and short, whatever went into it: route and endpoint names, decisions and
client ids cannot break out of their line.
"""

import functools
import json
import math
import re
import secrets
import time
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from fastroute.core.failures import Fault
from fastroute.core.money import show_usd
from fastroute.core.trail import Trail, candidate_dict
from fastroute.core.types import Candidate, Decision

MAX_VALUE_CHARS = 256
MAX_DECISION_CHARS = 4096
DEFAULT_RETRY_AFTER_S = 1.0  # for our own 503 and 504, where no provider said when
MAX_RETRY_AFTER_S = 86_400.0
FRESH_IDS = 256  # drawn at once

_LINES = (
    b"x-request-id: %b\r\n%bx-fastroute-attempts: %d\r\nx-fastroute-overhead-ms: %.3f\r\n"
    b"server-timing: decide;dur=%.3f, upstream;dur=%.3f, total;dur=%.3f\r\n"
)

_ID = re.compile(r"[!-~]{1,128}", re.ASCII)
_UNSAFE = re.compile(r"[^ -~]")


_fresh_ids: list[str] = []


def request_id(sent: str | None) -> str:
    """The client's `x-request-id` where it is 1 to 128 visible ASCII characters, else a fresh one."""
    if sent is not None and _ID.fullmatch(sent):
        return sent
    if not _fresh_ids:
        digits = secrets.token_hex(16 * FRESH_IDS)
        _fresh_ids.extend(digits[i : i + 32] for i in range(0, len(digits), 32))
    return _fresh_ids.pop()


def safe_value(text: str, limit_chars: int = MAX_VALUE_CHARS) -> str:
    """Text as a header value: whatever is not printable ASCII becomes `?`, and it is cut to the limit."""
    text = text[:limit_chars]
    return text if text.isascii() and text.isprintable() else _UNSAFE.sub("?", text)  # the expression is dear


@functools.cache
def status_line(status: int) -> bytes:
    """The first line of a response."""
    phrase = HTTPStatus(status).phrase if status in HTTPStatus._value2member_map_ else ""
    return f"HTTP/1.1 {status} {phrase}\r\n".encode()


def own_lines() -> bytes:
    """Date and server. The date is the wall clock as RFC 9110 wants it, to the second."""
    return _own_at(int(time.time()))


@functools.lru_cache(maxsize=2)
def _own_at(wall_s: int) -> bytes:
    return f"date: {formatdate(wall_s, usegmt=True)}\r\nserver: fastroute\r\n".encode()


def reply_lines(trail: Trail, now_s: float, whole: bool) -> bytes:
    """What the client is told about how it was served, as of now, as header lines.

    `whole`: the cost is known, or never will be. In bytes from the first: numbers are put into them in half the time.
    """
    request, attempts = trail.request, trail.attempts
    total_s, upstream_s = (trail.ended_s or now_s) - request.accepted_s, trail.upstream_s
    if attempts and attempts[-1].ended_s is None:  # the Trail adds up only those that have ended
        upstream_s += max(0.0, (attempts[-1].first_content_s or now_s) - attempts[-1].started_s)
    own_s = total_s - upstream_s
    shown = trail.winner or (attempts[-1] if attempts else None)
    served = _served(trail.route, shown.endpoint, shown.tier) if shown is not None else _served(trail.route, None, 0)
    own_ms, upstream_ms = own_s * 1e3 if own_s > 0.0 else 0.0, upstream_s * 1e3
    lines = _LINES % (
        safe_value(request.id).encode(),
        served,
        len(attempts),
        own_ms,
        trail.decide_s * 1e3,
        upstream_ms,
        total_s * 1e3,
    )
    if whole and shown is not None:
        lines += b"x-fastroute-cost-usd: %b\r\n" % show_usd(trail.cost_pusd).encode()
    if request.overrides.explain and trail.decisions:
        lines += b"x-fastroute-decision: %b\r\n" % decision_header(trail.decisions[-1], request.input_tokens).encode()
    return lines


@functools.lru_cache(maxsize=4096)  # the same few routes and endpoints, again and again
def _served(route: str | None, endpoint: str | None, tier: int) -> bytes:
    lines = "" if route is None else f"x-fastroute-route: {safe_value(route)}\r\n"
    if endpoint is not None:
        lines += f"x-fastroute-endpoint: {safe_value(endpoint)}\r\nx-fastroute-tier: {tier}\r\n"
    return lines.encode()


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
