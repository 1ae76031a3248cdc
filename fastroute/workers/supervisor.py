"""The process that starts the others and serves nobody.

Rules. One thread, no event loop, no request: nothing here can fail for a client's sake. SIGTERM or SIGINT: every worker
drains, and the office ends after the last of them. A second one ends everything at once. A member that dies is started
again.

Theory of operation. Members are forks: they begin with everything imported, in milliseconds, and share that memory. Each has a
socket to here. Orders go down it, `ready` and a wish to `drain` come up, and the end of either side shows the other that it is
gone: workers whose supervisor was killed drain, and end. Signals arrive as bytes on a socket too (`signal.set_wakeup_fd`),
so that one `select` waits for everything.

What can go wrong. Service managers signal every process of a group, and a terminal does so on Ctrl-C: workers take a signal
for the order to drain, however often it comes; only the supervisor's own order ends them sooner. A worker that hangs while
it drains is killed 10 s after its time.
"""

import contextlib
import os
import selectors
import signal
import socket
import sys
import time
import traceback
from collections.abc import Callable, Sequence
from typing import NoReturn

import msgspec
import structlog

from fastroute.workers.roster import Phase, Roster

DRAIN, QUIT = b"d", b"q"  # orders to members
READY, PLEASE_DRAIN = b"R", b"D"  # what they say
SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD)
OVERTIME_S = 10.0  # beyond its drain time, for a worker to end by itself
QUIT_S = 1.0  # to end at once by itself

log = structlog.get_logger("fastroute.workers")

Body = Callable[[socket.socket], int]


class Crew(msgspec.Struct, frozen=True):
    """Who is to run.

    `bodies`: what each member does with its socket to the supervisor, giving its exit code; the last one is the office.
    `on_ready`: once, when all serve. `on_death`: a member's process is gone. `drain_s`: how long workers may drain.
    """

    bodies: Sequence[Body]
    on_ready: Callable[[], None]
    on_death: Callable[[int], None]
    drain_s: float


class Supervisor:
    """Runs a crew until it is told to end. `run` once; gives the exit code."""

    def __init__(self, crew: Crew) -> None:
        self._crew = crew
        self._roster = Roster(len(crew.bodies))
        self._lines: dict[int, socket.socket] = {}  # to each member, by place
        self._selector = selectors.DefaultSelector()
        self._wake, self._bell = socket.socketpair()
        self._kill_s: float | None = None

    def run(self) -> int:
        self._listen_to_signals()
        while self._roster.phase is not Phase.STOPPING or self._roster.pids():
            now_s = time.monotonic()
            for place in self._roster.due(now_s):
                self._start(place)
            for key, _ in self._selector.select(self._patience_s(time.monotonic())):
                key.data()
            self._reap()
            self._end_overtime(time.monotonic())
        return self._roster.exit_code

    # --- members ---

    def _start(self, place: int) -> None:
        ours, theirs = socket.socketpair()
        pid = os.fork()
        if pid == 0:
            ours.close()  # or this member would keep its own line open when the supervisor is gone
            self._become(place, theirs)
        theirs.close()
        ours.setblocking(False)
        self._lines[place] = ours
        self._selector.register(ours, selectors.EVENT_READ, lambda: self._hear(place))
        self._roster.started(place, pid, time.monotonic())

    def _become(self, place: int, line: socket.socket) -> NoReturn:
        """In the new process: lets go of all that is the supervisor's, does the member's work, and never returns."""
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in SIGNALS:
                signal.signal(number, signal.SIG_DFL)
            self._selector.close()
            for other in (self._wake, self._bell, *self._lines.values()):
                other.close()
            code = self._crew.bodies[place](line)
        except SystemExit as left:
            code = left.code if isinstance(left.code, int) else 1
        except BaseException:
            traceback.print_exc()
            raise
        finally:
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)

    def _hear(self, place: int) -> None:
        line = self._lines[place]
        try:
            said = line.recv(64)
        except BlockingIOError:
            return
        except ConnectionError:
            said = b""
        if not said:
            self._hang_up(place)
        if READY in said and self._roster.is_ready(place):
            self._crew.on_ready()
        if PLEASE_DRAIN in said:
            self._stop()

    def _hang_up(self, place: int) -> None:
        line = self._lines.pop(place, None)
        if line is not None:
            self._selector.unregister(line)
            line.close()

    def _tell(self, places: Sequence[int], order: bytes) -> None:
        for place in places:
            if place in self._lines:
                with contextlib.suppress(OSError):
                    self._lines[place].send(order)

    def _reap(self) -> None:
        """Takes note of every process that has ended."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            code = os.waitstatus_to_exitcode(status)
            place = self._roster.ended(pid, code, time.monotonic())
            if place is not None:
                self._gone(place, pid, code)

    def _gone(self, place: int, pid: int, code: int) -> None:
        self._hang_up(place)
        self._crew.on_death(place)
        if self._roster.phase is Phase.SERVING:
            log.warning("a member died and is started again", member=place, pid=pid, exit_code=code)
        elif self._kill_s is None:
            self._stop()
        if not self._roster.pids(self._workers):
            self._tell([self._office], DRAIN)

    # --- the end ---

    @property
    def _office(self) -> int:
        return len(self._crew.bodies) - 1

    @property
    def _workers(self) -> range:
        return range(self._office)

    def _stop(self) -> None:
        """Drains; told once more, ends everything at once."""
        if self._kill_s is not None:
            return
        self._roster.stop()
        self._kill_s = time.monotonic() + self._crew.drain_s + OVERTIME_S
        self._tell(self._workers if self._roster.pids(self._workers) else [self._office], DRAIN)

    def _hurry(self) -> None:
        self._kill_s = time.monotonic() + QUIT_S
        self._tell(range(len(self._crew.bodies)), QUIT)

    def _end_overtime(self, now_s: float) -> None:
        if self._kill_s is not None and now_s >= self._kill_s:
            for pid in self._roster.pids():
                os.kill(pid, signal.SIGKILL)
            self._kill_s = now_s + QUIT_S

    def _patience_s(self, now_s: float) -> float | None:
        waits = [self._roster.wait_s(now_s), None if self._kill_s is None else max(0.0, self._kill_s - now_s)]
        return min((wait_s for wait_s in waits if wait_s is not None), default=None)

    # --- signals ---

    def _listen_to_signals(self) -> None:
        for end in (self._wake, self._bell):
            end.setblocking(False)
        for number in SIGNALS:
            signal.signal(number, lambda number, frame: None)
        signal.set_wakeup_fd(self._bell.fileno(), warn_on_full_buffer=False)
        self._selector.register(self._wake, selectors.EVENT_READ, self._signalled)

    def _signalled(self) -> None:
        with contextlib.suppress(BlockingIOError):
            for number in self._wake.recv(256):
                if number in (signal.SIGTERM, signal.SIGINT):
                    if self._kill_s is None:
                        self._stop()
                    else:
                        self._hurry()
