"""Logs: JSON lines on stderr, or coloured ones for a terminal; and one line for each request, written off its path.

Rules. One request, one line: its end, from its Trail. No prompt, no answer, no credential: the line has names, numbers and
classes of failure only; what a client or the configuration named passes `redaction`, as does every other line.

Theory of operation. `LogSink.emit` copies a dozen scalars into a bounded queue; `flush`, called from a background task or a
thread, renders them and writes them in one piece. A full queue drops the newest line and counts it.
"""

import datetime
import logging
import sys
from collections import deque
from collections.abc import Callable
from typing import Any, BinaryIO

import orjson
import structlog
from structlog.typing import EventDict, Processor

from fastroute.core.money import to_usd
from fastroute.core.trail import Trail
from fastroute.core.types import Usage
from fastroute.telemetry.redaction import redact, redact_event, redact_text

QUEUE_LINES = 10_000

Render = Callable[[EventDict], bytes]


def configure(level: str = "info", console: bool | None = None, stream: BinaryIO | None = None) -> "Lines":
    """Sets structlog and the standard library's logging up, for the whole process; gives where request lines go.

    `level`: debug, info, warning, error. `console`: colours and columns instead of JSON; None: where `stream` is a terminal.
    `stream`: stderr by default.
    """
    out = sys.stderr.buffer if stream is None else stream
    pretty = out.isatty() if console is None else console
    threshold = logging.getLevelNamesMapping()[level.upper()]
    render = _console_line if pretty else _json_line
    structlog.configure(
        processors=[*_PROCESSORS, _as_bytes(render)],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.BytesLoggerFactory(out),
        cache_logger_on_first_use=False,
    )
    _adopt_stdlib(max(threshold, logging.WARNING))
    return Lines(out, render, enabled=threshold <= logging.INFO)


class Lines:
    """Where finished lines go: rendered one by one, written in one piece."""

    def __init__(self, stream: BinaryIO, render: Render, enabled: bool = True) -> None:
        self._stream, self._render, self.enabled = stream, render, enabled

    def write(self, events: list[EventDict]) -> None:
        """Renders and writes. Blocks while the stream does: call it from a thread where that may be long."""
        lines = [self._render(_redact_names(event)) for event in events]
        self._stream.write(b"\n".join([*lines, b""]))
        self._stream.flush()


class LogSink:
    """One line per finished request. A `core.ports.Sink`. `flush` it regularly and at the end."""

    def __init__(self, lines: Lines, capacity: int = QUEUE_LINES) -> None:
        self._lines, self._capacity = lines, capacity
        self._queue: deque[EventDict] = deque()
        self.dropped = 0  # lines lost to a full queue since the start

    def emit(self, trail: Trail) -> None:
        if not self._lines.enabled:
            return
        if len(self._queue) >= self._capacity:
            self.dropped += 1
            return
        self._queue.append(request_event(trail))

    def flush(self) -> int:
        """Writes what is queued, and says how many lines that was. May run in another thread than `emit`."""
        count = len(self._queue)
        if count:
            self._lines.write([self._queue.popleft() for _ in range(count)])
        return count


def request_event(trail: Trail) -> EventDict:
    """The log line's members: `Trail.to_dict` in short, without decisions."""
    winner, fault, cost_pusd = trail.winner, trail.fault, trail.cost_pusd
    usage = winner.outcome.usage if winner and winner.outcome else None
    return {
        "timestamp": _utc(trail.started_wall_s + (trail.total_s or 0.0)),
        "level": "warning" if trail.status is not None and trail.status >= 500 else "info",
        "event": "request",
        "id": trail.request.id,
        "api": trail.request.api,
        "route": trail.route,
        "endpoint": winner.endpoint if winner else None,
        "status": trail.status,
        "failure": fault.failure.value if fault else None,
        "attempts": len(trail.attempts),
        "tried": [f"{a.endpoint} {a.role} {_end(a.failure)}" for a in trail.attempts if a is not winner],
        "stream": trail.request.stream,
        "ttft_ms": _ms(trail.ttft_s),
        "total_ms": _ms(trail.total_s),
        "overhead_ms": None if trail.ended_s is None else _ms(trail.overhead_s(trail.ended_s)),
        "cost_usd": None if cost_pusd is None else to_usd(cost_pusd),
        "cost_estimated": any(a.cost_estimated for a in trail.attempts),
        "objective_met": trail.objective_met,
        "tokens": _tokens(usage),
        "tags": trail.request.overrides.tags,
    }


def _redact_names(event: EventDict) -> EventDict:
    """Redacts the members of a request line that somebody named. The others come from closed sets, and redacting costs time."""
    return {**event, **{name: redact(event[name]) for name in ("id", "route", "endpoint", "tags") if event.get(name)}}


class _StdlibBridge(logging.Handler):
    """Takes what libraries log through `logging` into the same stream and shape."""

    def emit(self, record: logging.LogRecord) -> None:
        logger = structlog.get_logger().bind(logger=record.name)
        logger.log(record.levelno, record.getMessage(), exc_info=record.exc_info or None)


def _adopt_stdlib(threshold: int) -> None:
    root = logging.getLogger()
    root.handlers = [*(h for h in root.handlers if not isinstance(h, _StdlibBridge)), _StdlibBridge()]
    root.setLevel(threshold)


def _json_line(event: EventDict) -> bytes:
    return orjson.dumps(event, default=lambda value: redact_text(str(value)), option=orjson.OPT_NON_STR_KEYS)


_console = structlog.dev.ConsoleRenderer(colors=True)


def _console_line(event: EventDict) -> bytes:
    return str(_console(None, "", {k: v for k, v in event.items() if v is not None})).encode()


def _as_bytes(render: Render) -> Processor:
    def last(_logger: Any, _method: str, event: EventDict) -> bytes:
        return render(event)

    return last


_PROCESSORS: list[Processor] = [
    structlog.contextvars.merge_contextvars,
    structlog.processors.add_log_level,
    structlog.processors.TimeStamper(fmt="iso", utc=True),
    structlog.processors.format_exc_info,
    redact_event,
]


def _tokens(usage: Usage | None) -> dict[str, int] | None:
    """The counts that are known; None without usage."""
    if usage is None:
        return None
    counts = {
        "input": usage.input_tokens,
        "output": usage.output_tokens,
        "cached_input": usage.cached_input_tokens,
        "cache_write": usage.cache_write_tokens,
        "reasoning": usage.reasoning_tokens,
    }
    return {kind: count for kind, count in counts.items() if count is not None}


def _end(failure: object) -> str:
    return "ok" if failure is None else str(failure)


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds * 1000, 3)


def _utc(wall_s: float) -> str:
    return datetime.datetime.fromtimestamp(wall_s, datetime.UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
