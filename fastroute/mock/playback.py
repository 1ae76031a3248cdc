"""Performs one script on one connection: the right bytes at the right time, until it ends or the client goes.

Theory of operation. One timer, no task: it wakes when the next step is due, writes all that is due in one go, and sleeps again.
The connection calls back when the client has gone; then the rest is dropped, or, at an endpoint that bills after a cancel,
goes on being generated and charged without being written.
What can go wrong. A client that does not read: writing pauses with it. A script without end: it stops with its client, always.
"""

import asyncio
import time
from collections.abc import Callable, Iterator

from fastroute.mock.connection import Connection
from fastroute.mock.http1 import chunk, head
from fastroute.mock.ledger import Record
from fastroute.mock.script import Ending, Script, Step

_EARLY_S = 0.0005  # timers of event loops are this coarse
_MAX_BURST_BYTES = 256 * 1024  # in one turn of the loop


class Playback:
    """One response under way. `on_end` is called once, when neither client nor model is at it any more."""

    def __init__(
        self, script: Script, connection: Connection, record: Record, keep_alive: bool, on_end: Callable[[], None]
    ) -> None:
        self._script, self._connection, self._record = script, connection, record
        self._keep_alive = keep_alive and script.ending is Ending.COMPLETE
        self._on_end = on_end
        self._steps: Iterator[Step] = iter(script.steps)
        self._step = next(self._steps, None)
        self._counted = 0  # tokens of the current step that are in the record already
        self._head: bytes | None = script.interim + head(script.status, (*script.headers, self._framing()), self._keep_alive)
        self._timer: asyncio.TimerHandle | asyncio.Handle | None = None
        self._goes_on = False

    def begin(self, goes_on_after_cancel: bool = False) -> None:
        """Starts; may end before it returns."""
        self._goes_on = goes_on_after_cancel and self._script.finite
        self._record.billed = self._script.billed
        self._connection.on_lost = self._client_gone
        self._connection.on_resumed = self._play
        self._play()

    def stop(self) -> None:
        """Ends at once, counting no more tokens. The connection is the caller's."""
        self._cancel_timer()
        self._connection.on_lost = self._connection.on_resumed = None
        self._on_end()

    def break_off(self) -> None:
        """The endpoint dies: ends at once, with a TCP reset."""
        self.stop()
        self._connection.reset()

    # --- time ---

    def _play(self) -> None:
        """Does what is due, and sets the timer for what is not."""
        self._cancel_timer()
        elapsed_s = time.monotonic() - self._record.arrived_s + _EARLY_S
        out: list[bytes] = []
        size = 0
        while (step := self._step) is not None and step.at_s <= elapsed_s and size < _MAX_BURST_BYTES:
            size += self._emit(step, out)
            self._step = next(self._steps, None)
        if self._step is None:
            self._finish(out)
            return
        self._write(out)
        if not self._connection.paused or self._connection.closed:
            self._timer = asyncio.get_running_loop().call_later(max(0.0, self._step.at_s - elapsed_s + _EARLY_S), self._play)

    def _emit(self, step: Step, out: list[bytes]) -> int:
        self._record.generated(step.tokens - self._counted)
        self._counted = 0
        if self._head is not None:
            out.append(self._head)
            self._head, self._record.status = None, self._script.status
        out.append(chunk(step.payload) if self._script.declared_bytes is None else step.payload)
        return len(step.payload)

    def _write(self, out: list[bytes]) -> None:
        if out and not self._connection.closed:
            self._connection.send(b"".join(out))
            self._record.wrote(time.monotonic())

    # --- the end ---

    def _finish(self, out: list[bytes]) -> None:
        """All steps are done."""
        ending = self._script.ending
        if ending is Ending.COMPLETE and self._script.declared_bytes is None:
            out.append(b"0\r\n" + self._script.trailer + b"\r\n")
        self._write(out)
        if ending is Ending.SILENCE and not self._connection.closed:
            return  # until the client goes
        self._record.delivered = ending is Ending.COMPLETE and self._record.cancelled_s is None
        self._connection.on_lost = self._connection.on_resumed = None
        self._on_end()
        if ending is Ending.RESET:
            self._connection.reset()
        elif self._record.cancelled_s is None:
            self._connection.done(self._keep_alive)

    def _client_gone(self) -> None:
        now_s = time.monotonic()
        step = self._step
        if step is not None and self._script.billed:
            self._counted = step.generated(now_s - self._record.arrived_s)
            self._record.generated(self._counted)
        self._record.cancelled_s = now_s
        if not self._goes_on or step is None:
            self.stop()
        elif self._timer is None:  # it waited for the client to read
            self._play()

    def _framing(self) -> tuple[str, str]:
        declared = self._script.declared_bytes
        return ("transfer-encoding", "chunked") if declared is None else ("content-length", str(declared))

    def _cancel_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
