"""Child processes: started on given cores, waited for, read from /proc, ended.

CPU times are the scheduler's (`schedstat`), to the nanosecond; a process's figures include its children's.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import NamedTuple

PYTHON = sys.executable
PACKAGE_PARENT = str(Path(__file__).resolve().parents[1])


class DidNotStart(RuntimeError):
    """A process that ended or does not listen; the message has the end of its log."""


def cores() -> tuple[int, int]:
    """The contender's core and that of driver and upstream; the same one where there is only one."""
    allowed = sorted(os.sched_getaffinity(0))
    return allowed[0], allowed[-1]


@contextmanager
def pinned(to: set[int]) -> Iterator[None]:
    """This process, and what it starts meanwhile, runs on these cores."""
    before = os.sched_getaffinity(0)
    os.sched_setaffinity(0, to)
    try:
        yield
    finally:
        os.sched_setaffinity(0, before)


@contextmanager
def process(
    command: list[str], port: int, on: set[int], log: Path, env: Mapping[str, str] | None = None, ready_s: float = 15.0
) -> Iterator[int]:
    """A child process listening on `port` of 127.0.0.1, on these cores. Gives its pid; ends it on the way out."""
    path = os.pathsep.join(filter(None, [PACKAGE_PARENT, os.environ.get("PYTHONPATH")]))
    told = {**os.environ, "PYTHONPATH": path, **(env or {})}
    with log.open("wb") as out, pinned(on):
        child = subprocess.Popen(command, stdout=out, stderr=out, start_new_session=True, env=told)
    try:
        _wait(port, child, log, ready_s)
        yield child.pid
    finally:
        with suppress(ProcessLookupError):
            os.killpg(child.pid, signal.SIGKILL)
        child.wait()


def _wait(port: int, child: subprocess.Popen[bytes], log: Path, ready_s: float) -> None:
    until_s = time.monotonic() + ready_s
    while time.monotonic() < until_s:
        with suppress(OSError), socket.create_connection(("127.0.0.1", port), 0.2):
            return
        if child.poll() is not None:
            raise DidNotStart(f"{child.args!r} ended with {child.returncode}: {_tail(log)}")
        time.sleep(0.02)
    raise DidNotStart(f"{child.args!r} does not listen after {ready_s:g} s: {_tail(log)}")


def _tail(log: Path) -> str:
    return log.read_text(errors="replace")[-500:].strip() or "(its log is empty)"


def tree(pid: int) -> list[int]:
    """A process and its children, theirs too. A process that has ended is not in it."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except (FileNotFoundError, ProcessLookupError):
        return []
    return [pid, *(p for child in children for p in tree(int(child)))]


class Scheduled(NamedTuple):
    """What the scheduler gave a process: seconds on a core, and seconds ready to run without one."""

    cpu_s: float
    waited_s: float


def scheduled(pid: int) -> Scheduled:
    """One process with all its threads, so far."""
    cpu_ns = waited_ns = 0
    for file in Path(f"/proc/{pid}/task").glob("*/schedstat"):
        with suppress(FileNotFoundError, ProcessLookupError):  # a thread that has just ended
            ran, waited, _ = file.read_text().split()
            cpu_ns, waited_ns = cpu_ns + int(ran), waited_ns + int(waited)
    return Scheduled(cpu_ns / 1e9, waited_ns / 1e9)


def of_tree(pid: int) -> dict[int, Scheduled]:
    """The same for each process of the tree."""
    return {p: scheduled(p) for p in tree(pid)}


def rss_bytes(pid: int) -> int:
    """Resident memory of the tree. Pages that processes share count for each of them."""
    pages = 0
    for p in tree(pid):
        with suppress(FileNotFoundError, ProcessLookupError):
            pages += int(Path(f"/proc/{p}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")
