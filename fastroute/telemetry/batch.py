"""One sink for all that an operator sees, fed in batches: metrics, request lines, remembered Trails.

Rules. On a request's path nothing happens but an append. Whoever reads (a scrape, a look-up by id) sees every request that
has ended: reading digests what waits. Trails digested are over: their prompt and answer are taken out.

Theory of operation. A batch is digested when it is full, so that neither memory nor the pause grows with the load, and by
`tick`, so that nothing waits long. What a Trail comes to in numbers is worked out once for all. Not in a thread: rendering
holds the interpreter's lock, and the loop would wait longer for it than the work takes. Only the write, which may block, is
in one.
"""

from fastroute.core.trail import Trail
from fastroute.telemetry.measures import measure
from fastroute.telemetry.metrics import Metrics
from fastroute.telemetry.recent import RecentTrails
from fastroute.telemetry.request_log import RequestLog, Writer

BATCH = 64  # some 0.3 ms of work


class Telemetry:
    """Takes finished Trails. A `core.ports.Sink`, and the last one: see the Rules. `tick` it regularly, `close` it at the end."""

    def __init__(self, metrics: Metrics, log: RequestLog | None, recent: RecentTrails) -> None:
        self.metrics, self.log, self.recent = metrics, log, recent
        self._writer = None if log is None else Writer(log)
        self._pending: list[Trail] = []

    def emit(self, trail: Trail) -> None:
        pending = self._pending
        pending.append(trail)
        if len(pending) >= BATCH:
            self.digest()

    def digest(self) -> None:
        """Counts, logs and remembers what waits."""
        batch = self._pending
        if not batch:
            return
        self._pending = []
        measured = [measure(trail) for trail in batch]
        add = self.metrics.counts.add
        for trail, of_trail in zip(batch, measured, strict=True):
            add(trail, of_trail)
        if self.log is not None:
            self.log.extend(batch, measured)
        self.recent.extend(batch)

    def tick(self) -> None:
        """Call a few times a second: digests, and has request lines written."""
        self.digest()
        if self._writer is not None and self.log is not None and self.log.waiting:
            self._writer.wake()

    def close(self) -> None:
        """Digests and writes the rest; waits a second at most for a stream that nobody reads."""
        self.digest()
        if self._writer is not None:
            self._writer.close()

    # --- for readers ---

    @property
    def dropped(self) -> dict[str, int]:
        """Records lost since the start, by what lost them."""
        return {} if self.log is None else {"log": self.log.dropped}

    def lookup(self, request_id: str) -> Trail | None:
        """The Trail of a request that has ended; None once it has been pushed out, or never was."""
        self.digest()
        return self.recent.lookup(request_id)

    def last(self, n: int) -> list[Trail]:
        """Up to `n` Trails, newest first."""
        self.digest()
        return self.recent.last(n)

    def render(self, accept: str | None = None) -> tuple[bytes, str]:
        """Metrics and their content type, in the format that the `Accept` header asks for."""
        self.digest()
        return self.metrics.render(accept)

    def snapshot(self) -> bytes:
        """What this process has counted since its start, for `Metrics.merge` in another one."""
        self.digest()
        return self.metrics.snapshot()
