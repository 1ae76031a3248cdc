"""Logs: JSON lines on stderr, or coloured ones for a terminal. The line of each request is made in `request_log`.

Rules. No credential: every line passes `redaction`. What libraries log through `logging` comes out in the same shape.
"""

import logging
import sys
from collections.abc import Callable
from typing import Any, BinaryIO

import orjson
import structlog
from structlog.typing import EventDict, Processor

from fastroute.telemetry.redaction import redact_event, redact_text

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
    return Lines(out, _console_line if pretty else None, enabled=threshold <= logging.INFO)


class Lines:
    """Where lines of requests go. `render`: how a line of members is shown to people; None: lines are JSON."""

    def __init__(self, stream: BinaryIO, render: Render | None = None, enabled: bool = True) -> None:
        self._stream, self.render, self.enabled = stream, render, enabled

    def write(self, lines: bytes) -> None:
        """Writes finished lines in one piece. Blocks while the stream does: call it from a thread. Raises OSError, ValueError."""
        self._stream.write(lines)
        self._stream.flush()


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
