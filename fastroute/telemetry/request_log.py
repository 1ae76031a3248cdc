"""The log line of each request: made in batches off its path, written by a thread of its own.

Rules. One request, one line: its end, from its Trail. No prompt, no answer, no credential: the line has names, numbers and
classes of failure only; what a client or the configuration named passes `redaction`.

Theory of operation. `add` turns a batch into bytes: one struct a line, all encoded by one call. Times of day are worked out
once a second, names redacted once each; an id that can be no key, as ours cannot, is not searched for one. The bytes wait in
a bounded queue until `flush` writes them in one piece. `Writer` does that in a daemon thread.

What can go wrong. A reader of stderr that stops reading blocks that thread and nobody else; the queue fills, and the newest
lines are dropped and counted. So are lines that cannot be written.
"""

import datetime
import re
import threading
from collections import deque
from queue import SimpleQueue

import msgspec

from fastroute.core.money import PUSD_PER_USD
from fastroute.core.trail import Attempt, Trail
from fastroute.core.types import Usage
from fastroute.telemetry.log import Lines
from fastroute.telemetry.measures import Measured, measure
from fastroute.telemetry.redaction import redact, redact_text

QUEUE_LINES = 10_000
NAMES_KEPT = 4096
SECONDS_KEPT = 64

_NO_KEY = re.compile(r"[0-9a-f-]*").fullmatch  # every form of key that `redaction` knows has other characters
_MILLISECONDS = tuple(f".{ms:03d}Z" for ms in range(1000))
_NONE_TRIED: list[str] = []


class Tokens(msgspec.Struct, gc=False, omit_defaults=True):
    """The counts that are known."""

    input: int | None = None
    output: int | None = None
    cached_input: int | None = None
    cache_write: int | None = None
    reasoning: int | None = None


class Line(msgspec.Struct, gc=False):
    """The log line's members: `Trail.to_dict` in short, without decisions."""

    timestamp: str
    level: str
    event: str
    id: str
    api: str
    route: str | None
    endpoint: str | None
    status: int | None
    failure: str | None
    attempts: int
    tried: list[str]
    stream: bool
    ttft_ms: float | None
    total_ms: float | None
    overhead_ms: float | None
    cost_usd: float | None
    cost_estimated: bool
    objective_met: bool | None
    tokens: Tokens | None
    tags: dict[str, str]


class RequestLog:
    """Lines of finished requests, on their way to `lines`. `add` on the loop's thread, `flush` on any one thread."""

    def __init__(self, lines: Lines, capacity: int = QUEUE_LINES) -> None:
        self._lines, self._capacity = lines, capacity
        self._encoder = msgspec.json.Encoder()
        self._names, self._seconds = _Names(), _Seconds()
        self._queue: deque[tuple[int, bytes]] = deque()  # (how many lines, their bytes)
        self._queued = self._refused = 0  # written by `add` only
        self._left = self._lost = 0  # written by `flush` only

    @property
    def waiting(self) -> int:
        """Lines not yet written."""
        return self._queued - self._left

    @property
    def dropped(self) -> int:
        """Lines that a full queue refused or the stream did not take, since the start."""
        return self._refused + self._lost

    def add(self, trail: Trail) -> None:
        """Queues the line of one request."""
        self.extend([trail], [measure(trail)])

    def extend(self, batch: list[Trail], measured: list[Measured]) -> None:
        """Queues the lines of a batch; `measured` as `batch`, in the same order."""
        if not self._lines.enabled:
            return
        room = self._capacity - self.waiting
        if room < len(batch):
            self._refused += len(batch) - max(room, 0)
            batch = batch[: max(room, 0)]
        lines = [self._line(trail, of_trail) for trail, of_trail in zip(batch, measured, strict=False)]
        if lines:
            self._queue.append((len(lines), self._encoded(lines)))
            self._queued += len(lines)

    def flush(self) -> int:
        """Writes what is queued, and says how many lines that was. May block: call it from a thread."""
        count, pieces = 0, []
        while self._queue:
            lines, data = self._queue.popleft()
            count += lines
            pieces.append(data)
        if count:
            try:
                self._lines.write(b"".join(pieces))
            except (OSError, ValueError):  # nobody reads any more, or the stream is closed
                self._lost += count
            self._left += count
        return count

    def _line(self, trail: Trail, measured: Measured) -> Line:
        request, attempts, winner, fault, status = trail.request, trail.attempts, trail.winner, trail.fault, trail.status
        ttft_s, total_s, overhead_s, met, cost_pusd = measured
        usage = winner.outcome.usage if winner is not None and winner.outcome is not None else None
        tags, known = request.overrides.tags, self._names
        alone = len(attempts) == 1 and attempts[0] is winner
        return Line(
            self._timestamp(trail.started_wall_s + (total_s or 0.0)),
            "warning" if status is not None and status >= 500 else "info",
            "request",
            request.id if _NO_KEY(request.id) else redact_text(request.id),
            request.api,
            known[trail.route],
            None if winner is None else known[winner.endpoint],
            status,
            None if fault is None else fault.failure._value_,  # as `value`, without a property call
            len(attempts),
            _NONE_TRIED if alone else [_tried(a, known) for a in attempts if a is not winner],
            request.stream,
            # To the microsecond: `round(seconds * 1000, 3)` for positive times, in half the time.
            None if ttft_s is None else int(ttft_s * 1e6 + 0.5) / 1000.0,
            None if total_s is None else int(total_s * 1e6 + 0.5) / 1000.0,
            None if overhead_s is None else int(overhead_s * 1e6 + 0.5) / 1000.0,
            None if cost_pusd is None else cost_pusd / PUSD_PER_USD,
            attempts[0].cost_estimated if alone else any(a.cost_estimated for a in attempts),
            met,
            None if usage is None else _tokens(usage),
            redact(tags) if tags else tags,
        )

    def _timestamp(self, wall_s: float) -> str:
        ms = int(wall_s * 1000.0 + 0.0005)  # rounded to the microsecond, cut to the millisecond
        return self._seconds[ms // 1000] + _MILLISECONDS[ms % 1000]

    def _encoded(self, lines: list[Line]) -> bytes:
        try:
            if self._lines.render is not None:
                return b"".join([self._lines.render(msgspec.to_builtins(line)) + b"\n" for line in lines])
            return self._encoder.encode_lines(lines)
        except UnicodeEncodeError:  # a header brought half a character; rare, so the price is paid here only
            return self._encoded([_encodable(line) for line in lines])


class Writer:
    """Flushes a request log whenever it is woken, in a daemon thread: a blocked stream blocks neither the loop nor the exit."""

    def __init__(self, log: RequestLog) -> None:
        self._log, self._wakes = log, SimpleQueue[bool]()
        self._thread: threading.Thread | None = None

    def wake(self) -> None:
        """Has what is queued written soon."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="request-log", daemon=True)
            self._thread.start()
        if self._wakes.empty():
            self._wakes.put(True)

    def close(self, wait_s: float = 1.0) -> None:
        """Writes the rest and ends the thread; waits up to `wait_s` for it."""
        if self._thread is None:
            self._log.flush()
            return
        self._wakes.put(False)
        self._thread.join(wait_s)
        self._thread = None

    def _run(self) -> None:
        while self._wakes.get():
            self._log.flush()
        self._log.flush()


class _Names(dict[str | None, str | None]):
    """Names with what has the form of a key taken out, each once."""

    def __missing__(self, name: str | None) -> str | None:
        if len(self) >= NAMES_KEPT:
            self.clear()
        clean = self[name] = None if name is None else redact_text(name)
        return clean


class _Seconds(dict[int, str]):
    """Seconds since the epoch as ISO 8601 without their fraction, each once."""

    def __missing__(self, second: int) -> str:
        if len(self) >= SECONDS_KEPT:
            self.clear()
        text = self[second] = datetime.datetime.fromtimestamp(second, datetime.UTC).isoformat()[:19]
        return text


def _tried(attempt: Attempt, known: _Names) -> str:
    return f"{known[attempt.endpoint]} {attempt.role} {attempt.failure or 'ok'}"


def _tokens(usage: Usage) -> Tokens:
    return Tokens(
        usage.input_tokens,
        usage.output_tokens,
        usage.cached_input_tokens,
        usage.cache_write_tokens,
        usage.reasoning_tokens,
    )


def _encodable(line: Line) -> Line:
    """The line with every half of a surrogate pair, which UTF-8 cannot say, as `?`."""
    texts = {name: _whole(value) for name, value in msgspec.structs.asdict(line).items() if isinstance(value, str)}
    tags = {_whole(name): _whole(value) for name, value in line.tags.items()}
    return msgspec.structs.replace(line, **texts, tags=tags, tried=[_whole(text) for text in line.tried])


def _whole(text: str) -> str:
    return text.encode(errors="replace").decode()
