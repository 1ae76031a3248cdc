"""Faults as scripts: each one a function from the healthy answer to the broken one.

Rules. `instead` answers without the model: nothing is read, checked or charged. `spoiled` breaks an answer that the model gives:
the prompt and every token emitted are charged. Modifiers change the pace before, or the finished script after.
"""

import itertools
import math
import zlib
from collections.abc import Callable, Iterable, Iterator
from email.utils import formatdate

import msgspec

from fastroute.mock.dialect import MockDialect
from fastroute.mock.faults import FaultKind, FaultSpec, RetryAfterForm
from fastroute.mock.latency import USUAL, Pace, Tail
from fastroute.mock.script import EVENTS, HTML, JSON, Draft, Ending, Headers, Script, Step, fixed, healthy, paused, torn_steps

_AFTER_CHUNKS = 3
_HEADER_BYTES = 1024 * 1024
_ENDLESS_BYTES = 64 * 1024
_ENDLESS_STEP_S = 0.001  # where the endpoint has no time per token
_COMMENT_S = 1.0
_PAGE = b"<!DOCTYPE html><html><head><title>%b</title></head><body><h1>%b</h1><hr>gateway</body></html>"
_EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n"


def paced(pace: Pace, faults: Iterable[FaultSpec]) -> Pace:
    """The pace under brownouts, slow drips and late starts."""
    for spec in faults:
        if spec.fault is FaultKind.BROWNOUT:
            pace = pace.slowed(spec.factor)
        elif spec.fault is FaultKind.SLOW_DRIP:
            pace = pace.dripping(pace.tpot_s * spec.factor if spec.interval_ms is None else spec.interval_ms / 1000)
        elif spec.fault is FaultKind.LATE_START:
            pace = pace.starting(spec.factor)
    return pace


def tail_of(faults: Iterable[FaultSpec]) -> Tail:
    """The spread of TTFT that is drawn from."""
    found = next((s for s in faults if s.fault is FaultKind.TAIL_SHAPE), None)
    return USUAL if found is None else Tail(found.factor, found.straggler_ratio)


def rate_left(faults: Iterable[FaultSpec]) -> float:
    """What is left of the rate limit, as a ratio."""
    return math.prod(s.factor for s in faults if s.fault is FaultKind.RATE_CUT)


def instead(spec: FaultSpec, dialect: MockDialect, wall_s: float) -> Script | None:
    """The script of a fault that needs no answer; None where it needs one."""
    at_s = spec.delay_ms / 1000
    match spec.fault:
        case FaultKind.STATUS:
            return _status(spec, dialect, wall_s)
        case FaultKind.ERROR_IN_200:
            return fixed(200, JSON, dialect.error(dialect.refusal(500, spec.message, spec.code)), at_s)
        case FaultKind.HTML_200:
            return fixed(200, HTML, _PAGE % (b"Welcome", b"Welcome"), at_s)
        case FaultKind.EMPTY_200:
            return fixed(200, JSON, b"", at_s)
        case FaultKind.RESET if spec.after_chunks is None and spec.at_ratio is None:
            return Script(200, (), (), Ending.RESET, billed=False)
        case FaultKind.HANG_BEFORE_HEADERS if spec.resume_after_ms is None:
            return Script(200, (), (), Ending.SILENCE, billed=False)
        case _:
            return None


def spoiled(spec: FaultSpec, draft: Draft) -> Script:
    """The script of a fault that breaks an answer."""
    return _SPOILERS[spec.fault](spec, draft)


def modified(script: Script, faults: Iterable[FaultSpec]) -> Script:
    """The script with a huge header, gzip, early hints or trailers."""
    for spec in faults:
        if spec.fault is FaultKind.HUGE_HEADER:
            filler = "x" * (_HEADER_BYTES if spec.size_bytes is None else spec.size_bytes)
            script = msgspec.structs.replace(script, headers=(*script.headers, ("x-padding", filler)))
        elif spec.fault is FaultKind.GZIP:
            script = _gzipped(script)
        elif spec.fault is FaultKind.EARLY_HINTS:
            script = msgspec.structs.replace(script, interim=_EARLY_HINTS)
        elif spec.fault is FaultKind.TRAILERS:
            script = msgspec.structs.replace(script, trailer=b"x-checksum: 0\r\n", declared_bytes=None)
    return script


def retry_headers(retry_after_s: float | None, form: RetryAfterForm, wall_s: float) -> Headers:
    """A retry hint in one of its forms; None: no hint."""
    if retry_after_s is None:
        return ()
    match form:
        case RetryAfterForm.MS:
            return (("retry-after-ms", str(round(retry_after_s * 1000))),)
        case RetryAfterForm.DATE:
            return (("retry-after", formatdate(wall_s + retry_after_s, usegmt=True)),)
        case RetryAfterForm.DECIMAL:
            return (("retry-after", f"{retry_after_s:.3f}"),)
        case RetryAfterForm.SECONDS:
            return (("retry-after", str(round(retry_after_s))),)


def _status(spec: FaultSpec, dialect: MockDialect, wall_s: float) -> Script:
    hint = retry_headers(spec.retry_after_s, spec.retry_after_form, wall_s)
    if spec.status == 502 if spec.html is None else spec.html:
        return fixed(spec.status, HTML + hint, _PAGE % ((f"{spec.status} error".encode(),) * 2), spec.delay_ms / 1000)
    body = dialect.error(dialect.refusal(spec.status, spec.message, spec.code))
    return fixed(spec.status, JSON + hint, body, spec.delay_ms / 1000)


# --- answers that break ---------------------------------------------------------------------------------------------


def _cut(spec: FaultSpec, draft: Draft) -> tuple[list[Step], Step]:
    """The steps before the cut, never the last chunk's among them, and the step that is cut."""
    wanted = _AFTER_CHUNKS if spec.after_chunks is None else spec.after_chunks
    chunks = 1 if draft.rendered is None else max(0, len(draft.rendered.chunks) - 1)
    *kept, broken = itertools.islice(torn_steps(draft), min(wanted, chunks) + 2)
    return kept, broken


def _chunked(draft: Draft, steps: Iterable[Step], ending: Ending) -> Script:
    return Script(200, _headers(draft), steps, ending)


def _headers(draft: Draft) -> Headers:
    return JSON if draft.rendered is None else EVENTS


def _hang(spec: FaultSpec, draft: Draft) -> Script:
    script = healthy(draft)
    return msgspec.structs.replace(script, steps=paused(iter(script.steps), 0, (spec.resume_after_ms or 0.0) / 1000))


def _role_then_silence(spec: FaultSpec, draft: Draft) -> Script:
    return _silent(spec, draft, 1)


def _stall(spec: FaultSpec, draft: Draft) -> Script:
    return _silent(spec, draft, len(_cut(spec, draft)[0]))


def _silent(spec: FaultSpec, draft: Draft, after: int) -> Script:
    steps = torn_steps(draft)
    if spec.resume_after_ms is not None:
        return _chunked(draft, paused(steps, after, spec.resume_after_ms / 1000), Ending.COMPLETE)
    return _chunked(draft, itertools.islice(steps, after), Ending.SILENCE)


def _comments(spec: FaultSpec, draft: Draft) -> Script:
    every_s = _COMMENT_S if spec.interval_ms is None else spec.interval_ms / 1000
    comment = b"\n" if draft.rendered is None else b": keep-alive\n\n"
    steps = (Step(i * max(every_s, _ENDLESS_STEP_S), comment) for i in itertools.count())
    return Script(200, _headers(draft), steps, finite=False)


def _reset(spec: FaultSpec, draft: Draft) -> Script:
    if isinstance(spec.at_ratio, float):
        cut_s = spec.at_ratio * draft.end_s
        before = itertools.takewhile(lambda step: step.at_s <= cut_s, torn_steps(draft))
        return _chunked(draft, itertools.chain(before, (Step(cut_s, b""),)), Ending.RESET)
    kept, broken = _cut(spec, draft)
    return _chunked(draft, [*kept, Step(broken.at_s, b"")], Ending.RESET)


def _half_line(spec: FaultSpec, draft: Draft) -> Script:
    kept, broken = _cut(spec, draft)
    return _chunked(draft, [*kept, Step(broken.at_s, broken.payload[: len(broken.payload) // 2])], Ending.CLOSE)


def _clean_cut(spec: FaultSpec, draft: Draft) -> Script:
    return _chunked(draft, _cut(spec, draft)[0], Ending.COMPLETE)


def _error_in_stream(spec: FaultSpec, draft: Draft) -> Script:
    if draft.rendered is None:  # no stream to put it in
        return fixed(200, JSON, draft.error, draft.pace.first_s)
    kept, broken = _cut(spec, draft)
    return _chunked(draft, [*kept, Step(broken.at_s, draft.rendered.error)], Ending.COMPLETE)


def _bad_json(spec: FaultSpec, draft: Draft) -> Script:
    if draft.rendered is None:
        body = draft.body[: len(draft.body) // 2] + b'"'
        step = Step(draft.end_s, body, draft.tokens, draft.pace.first_s)
        return Script(200, JSON, (step,), declared_bytes=len(body))
    kept, broken = _cut(msgspec.structs.replace(spec, after_chunks=spec.after_chunks or 0), draft)
    return _chunked(draft, [*kept, Step(broken.at_s, draft.rendered.broken)], Ending.COMPLETE)


def _truncated(spec: FaultSpec, draft: Draft) -> Script:
    kept, _ = _cut(spec, draft)
    declared = len(draft.body) or 1024 * 1024
    return Script(200, _headers(draft), kept, Ending.CLOSE, declared_bytes=declared)


def _endless(spec: FaultSpec, draft: Draft) -> Script:
    filler = b"and " if draft.rendered is None else draft.rendered.filler
    start = b'{"object":"chat.completion","content":"' if draft.rendered is None else draft.rendered.prelude
    size = _ENDLESS_BYTES if spec.size_bytes is None else spec.size_bytes
    copies = max(1, size // len(filler))
    every_s = max(draft.pace.tpot_s, _ENDLESS_STEP_S)
    first_s, payload = draft.pace.first_s, filler * copies
    more = (Step(first_s + i * every_s, payload, copies) for i in itertools.count())
    begun = draft.rendered.chunks[:1] if draft.rendered else ()
    opening = (Step(draft.pace.headers_s, start), *(Step(first_s, piece, 1) for piece in begun))
    return Script(200, _headers(draft), itertools.chain(opening, more), finite=False)


_SPOILERS: dict[FaultKind, Callable[[FaultSpec, Draft], Script]] = {
    FaultKind.HANG_BEFORE_HEADERS: _hang,
    FaultKind.RESET: _reset,
    FaultKind.ROLE_THEN_SILENCE: _role_then_silence,
    FaultKind.COMMENTS_ONLY: _comments,
    FaultKind.STALL_MID_STREAM: _stall,
    FaultKind.HALF_SSE_LINE: _half_line,
    FaultKind.CLEAN_CUT: _clean_cut,
    FaultKind.ERROR_IN_STREAM: _error_in_stream,
    FaultKind.BAD_JSON: _bad_json,
    FaultKind.TRUNCATED_BODY: _truncated,
    FaultKind.ENDLESS_BODY: _endless,
}


def _gzipped(script: Script) -> Script:
    headers = (*script.headers, ("content-encoding", "gzip"))
    steps = _gzip_steps(script.steps, complete=script.ending is Ending.COMPLETE)
    if script.declared_bytes is None:
        return msgspec.structs.replace(script, headers=headers, steps=steps)
    known = tuple(steps)
    return msgspec.structs.replace(script, headers=headers, steps=known, declared_bytes=sum(len(s.payload) for s in known))


def _gzip_steps(steps: Iterable[Step], complete: bool) -> Iterator[Step]:
    """Each payload flushed, so that a stream stays a stream."""
    packer = zlib.compressobj(wbits=31)
    at_s = 0.0
    for step in steps:
        at_s = step.at_s
        payload = packer.compress(step.payload) + packer.flush(zlib.Z_SYNC_FLUSH) if step.payload else b""
        yield msgspec.structs.replace(step, payload=payload)
    if complete:
        yield Step(at_s, packer.flush())
