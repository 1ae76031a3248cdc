"""The file that the statistics live in between two runs, so that a restart is not cold.

Rules. Read once, before the first request; written every `EVERY_S` and when all requests have ended, by one process, off the
request path: the state is taken on the loop (under a millisecond for 50 endpoints), written and synced in a thread. A file is
replaced whole or not at all. Whatever is wrong with it, or with the disk, is a warning that names it and nothing more.

What can go wrong. A process that is killed loses what it learned since the last write: a minute at most. Two routers with
one file overwrite each other's: each needs its own.
"""

import asyncio
import contextlib
import os
import stat
from pathlib import Path

import structlog

from fastroute.core.ports import Clock
from fastroute.stats import kept
from fastroute.stats.board import Scoreboard

EVERY_S = 60.0
MAX_BYTES = 64 << 20
log = structlog.get_logger("fastroute.statistics")


class StateFile:
    """The statistics' file. `board`: whose."""

    def __init__(self, path: Path, board: Scoreboard, clock: Clock) -> None:
        self._path, self._board, self._clock = path, board, clock
        self._ill = False  # the last write failed, and that was said
        self._written_s: float | None = None  # the newest sample that the file has

    def load(self) -> None:
        """Recalls what was kept. Never raises: it starts cold where it must, and says why."""
        try:
            found = read(self._path)
        except FileNotFoundError:
            return
        except (OSError, kept.NotKept) as error:
            log.warning("statistics start cold: their file cannot be used", file=str(self._path), error=_short(error))
            return
        recalled = self._board.recall(found, self._clock.now_s(), self._clock.wall_s())
        self._written_s = self._board.newest_s()
        log.info("statistics recalled", file=str(self._path), endpoints=len(recalled), kept=len(found.endpoints))

    async def keep(self) -> None:
        """Writes now and then, until cancelled."""
        while True:
            await asyncio.sleep(EVERY_S)
            data = self._news()
            if data is not None:
                await asyncio.to_thread(self._write, data)

    def save(self) -> None:
        """Writes at once, where there is news."""
        data = self._news()
        if data is not None:
            self._write(data)

    def _news(self) -> bytes | None:
        """The file's next content; None where nothing was learned: what is read back counts half, so it is not written back."""
        newest_s = self._board.newest_s()
        if newest_s is None or newest_s == self._written_s:
            return None
        self._written_s = newest_s
        return kept.encode(self._board.kept(self._clock.now_s(), self._clock.wall_s()))

    def _write(self, data: bytes) -> None:
        try:
            replace(self._path, data)
        except OSError as error:
            self._written_s = None
            if not self._ill:
                log.warning("statistics cannot be written; tried again", file=str(self._path), error=_short(error))
            self._ill = True
            return
        self._ill = False


def read(path: Path) -> kept.KeptBoard:
    """What a file holds. Raises OSError; `kept.NotKept` for what is no such file."""
    found = path.stat()
    if not stat.S_ISREG(found.st_mode):
        raise kept.NotKept("not a regular file")
    if found.st_size > MAX_BYTES:
        raise kept.NotKept(f"{found.st_size} bytes are too many")
    return kept.decode(path.read_bytes())


def replace(path: Path, data: bytes) -> None:
    """Replaces a file in one step, on the disk too. Raises OSError; the old file is then as it was."""
    new = path.with_name(path.name + ".new")
    try:
        with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(new, path)
    except OSError:
        with contextlib.suppress(OSError):
            new.unlink()
        raise
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def _short(error: Exception) -> str:
    return str(error)[:200]
