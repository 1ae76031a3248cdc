"""What can be made to go wrong at a mock endpoint, and when.

Rules. A `FaultSpec` is data: from a config file, from the control port, or made in a test. A `FaultBoard` holds those of one
endpoint and says, for each request or connection, which of them strike. It never waits and reads no clock: time comes in.
"""

import enum
from collections.abc import Iterable
from typing import Annotated, Any, Literal

import msgspec

from fastroute.core.ports import Rng


class FaultKind(enum.StrEnum):
    """Every way a mock endpoint can misbehave. `k` is `after_chunks`."""

    STATUS = "status"  # answers `status`, with the dialect's own error body (502 and `html`: a gateway's HTML page)
    REFUSE = "refuse"  # the listening socket is closed: connection refused
    ACCEPT_CLOSE = "accept_close"  # accepts a connection, then closes it without a word
    STALE_KEEP_ALIVE = "stale_keep_alive"  # closes a reused connection when the next request arrives on it
    HANG_BEFORE_HEADERS = "hang_before_headers"  # takes the request, answers nothing
    RESET = "reset"  # TCP reset: before the headers, or after k chunks where `after_chunks` is set
    ROLE_THEN_SILENCE = "role_then_silence"  # 200, the role chunk or message_start, then nothing
    COMMENTS_ONLY = "comments_only"  # 200, then a comment every `interval_ms`, never content
    STALL_MID_STREAM = "stall_mid_stream"  # k chunks, then nothing
    SLOW_DRIP = "slow_drip"  # time per token times `factor`; or `interval_ms` per token
    LATE_START = "late_start"  # time to the first token times `factor`
    TAIL_SHAPE = "tail_shape"  # sigma times `factor`, `straggler_ratio` of answers straggle; the median stays
    RATE_CUT = "rate_cut"  # the rate limit times `factor`
    HALF_SSE_LINE = "half_sse_line"  # k chunks, half an event, then the connection closes
    CLEAN_CUT = "clean_cut"  # k chunks, then a well-formed end of the HTTP body: no finish, no [DONE]
    ERROR_IN_STREAM = "error_in_stream"  # k chunks, then an error event inside the 200
    ERROR_IN_200 = "error_in_200"  # status 200, the body is an error object
    BAD_JSON = "bad_json"  # an event (after k chunks), or a whole body, that is not JSON
    TRUNCATED_BODY = "truncated_body"  # content-length promises more than is sent before the close
    HTML_200 = "html_200"  # status 200, an HTML page
    EMPTY_200 = "empty_200"  # status 200, no body
    BROWNOUT = "brownout"  # all latencies times `factor`
    HUGE_HEADER = "huge_header"  # one response header of `size_bytes`
    GZIP = "gzip"  # a gzip body though nobody asked for one
    ENDLESS_BODY = "endless_body"  # content without end, `size_bytes` at a time
    EARLY_HINTS = "early_hints"  # a 103 response before the real one
    TRAILERS = "trailers"  # a trailer field after the last chunk of a stream


CONNECTION_KINDS = frozenset({FaultKind.REFUSE, FaultKind.ACCEPT_CLOSE, FaultKind.STALE_KEEP_ALIVE})
MODIFIERS = frozenset(
    {
        FaultKind.BROWNOUT,
        FaultKind.SLOW_DRIP,
        FaultKind.LATE_START,
        FaultKind.TAIL_SHAPE,
        FaultKind.RATE_CUT,
        FaultKind.HUGE_HEADER,
        FaultKind.GZIP,
        FaultKind.EARLY_HINTS,
        FaultKind.TRAILERS,
    }
)
"""Faults that change an answer without replacing it; several may strike a request. Of the others the first that strikes wins."""

_NonNegative = Annotated[float, msgspec.Meta(ge=0)]
_Count = Annotated[int, msgspec.Meta(ge=0)]
_Ratio = Annotated[float, msgspec.Meta(ge=0, le=1)]
_Status = Annotated[int, msgspec.Meta(ge=400, le=599)]


class RetryAfterForm(enum.StrEnum):
    """How a retry hint is written: `Retry-After: 7`, `7.5`, an HTTP date, or `retry-after-ms: 7000`."""

    SECONDS = "seconds"
    DECIMAL = "decimal"
    DATE = "date"
    MS = "ms"


class FaultSpec(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One fault: what, how often, when, and its parameters. Parameters that the kind does not use are ignored."""

    fault: FaultKind
    ratio: _Ratio = 1.0  # share of requests (connections) that it strikes
    at_s: _NonNegative = 0.0  # begins this long after the endpoint started, or after the control call
    for_s: _NonNegative | None = None  # None: until cleared
    status: _Status = 500
    retry_after_s: float | None = None  # None: no hint
    retry_after_form: RetryAfterForm = RetryAfterForm.SECONDS
    code: str | None = None  # error code or type in the body; None: the usual one for the status
    message: str | None = None
    html: bool | None = None  # None: only for a 502
    delay_ms: _NonNegative = 0.0  # before an answer that is an error, HTML or empty
    after_chunks: _Count | None = None  # None: 3; for bad_json 0; for reset before the headers
    at_ratio: _Ratio | Literal["any"] | None = None  # of `reset`: so far through the answer's time; any: drawn each time
    factor: _NonNegative = 4.0
    straggler_ratio: _Ratio | None = None  # None: as configured
    cuts: bool = False  # when it begins, every response under way at the endpoint is reset
    interval_ms: _NonNegative | None = None  # None: 1000 for comments
    resume_after_ms: _NonNegative | None = None  # hang, silence and stall end after this; None: never
    size_bytes: _Count | None = None  # None: 1 MiB for a header, 64 KiB a piece for an endless body

    def __post_init__(self) -> None:
        if self.fault is FaultKind.REFUSE and self.ratio != 1.0:
            raise ValueError("`refuse` closes the listening socket: its ratio can only be 1")


class _Posted(msgspec.Struct, frozen=True):
    """A fault on the board, with its times made absolute."""

    spec: FaultSpec
    from_s: float
    until_s: float | None

    def active(self, now_s: float) -> bool:
        return self.from_s <= now_s and (self.until_s is None or now_s < self.until_s)


class FaultBoard:
    """The faults of one endpoint. Times are monotonic seconds; `rng` decides for ratios between 0 and 1."""

    def __init__(self, rng: Rng) -> None:
        self._rng = rng
        self._posted: list[_Posted] = []

    def __bool__(self) -> bool:
        return bool(self._posted)

    def add(self, spec: FaultSpec, now_s: float) -> None:
        start = now_s + spec.at_s
        self._posted.append(_Posted(spec, start, None if spec.for_s is None else start + spec.for_s))

    def clear(self, kind: FaultKind | None = None) -> int:
        """Removes the faults of one kind, or all; gives how many."""
        kept = [p for p in self._posted if kind is not None and p.spec.fault is not kind]
        gone = len(self._posted) - len(kept)
        self._posted = kept
        return gone

    def refusing(self, now_s: float) -> bool:
        """Whether the listening socket must be closed now."""
        return any(p.spec.fault is FaultKind.REFUSE and p.active(now_s) for p in self._posted)

    def strikes(self, kind: FaultKind, now_s: float) -> bool:
        """Whether a fault of this kind strikes now; draws where its ratio is below 1."""
        return any(p.spec.fault is kind and p.active(now_s) and self._hit(p.spec) for p in self._posted)

    def drawn(self, now_s: float) -> tuple[FaultSpec, ...]:
        """The faults that strike a request arriving now: modifiers, and at most one that replaces the answer."""
        hits = [self._placed(p.spec) for p in self._posted if self._may_strike_request(p, now_s) and self._hit(p.spec)]
        replacing = [s for s in hits if s.fault not in MODIFIERS][:1]
        return (*(s for s in hits if s.fault in MODIFIERS), *replacing)

    def turns_s(self) -> Iterable[float]:
        """The instants at which a `refuse` begins or ends."""
        for p in self._posted:
            if p.spec.fault is FaultKind.REFUSE:
                yield p.from_s
                if p.until_s is not None:
                    yield p.until_s

    def listing(self, now_s: float) -> list[dict[str, Any]]:
        """Every fault that has not ended, as JSON-ready members: its fields, `active`, `starts_in_s` and `ends_in_s`."""
        return [self._shown(p, now_s) for p in self._posted if p.until_s is None or now_s < p.until_s]

    @staticmethod
    def _shown(posted: _Posted, now_s: float) -> dict[str, Any]:
        ends_in_s = None if posted.until_s is None else round(posted.until_s - now_s, 3)
        times = {"starts_in_s": round(max(0.0, posted.from_s - now_s), 3), "ends_in_s": ends_in_s}
        return {**msgspec.to_builtins(posted.spec), "active": posted.active(now_s), **times}

    @staticmethod
    def _may_strike_request(posted: _Posted, now_s: float) -> bool:
        return posted.spec.fault not in CONNECTION_KINDS and posted.active(now_s)

    def _placed(self, spec: FaultSpec) -> FaultSpec:
        return msgspec.structs.replace(spec, at_ratio=self._rng.random()) if spec.at_ratio == "any" else spec

    def _hit(self, spec: FaultSpec) -> bool:
        return spec.ratio >= 1.0 or self._rng.random() < spec.ratio
