"""The statistics' file: replaced whole or not at all, and never a reason not to start or to serve."""

import asyncio
import errno
import os

import pytest
from kept_support import WALL_S, A, experienced, fresh, served
from structlog.testing import capture_logs

from fastroute.engine import state_file
from fastroute.engine.state_file import StateFile, read, replace
from fastroute.stats import kept


class Clock:
    def __init__(self, at_s=0.0):
        self.at_s = at_s

    def now_s(self):
        return self.at_s

    def wall_s(self):
        return WALL_S + self.at_s


@pytest.fixture
def path(tmp_path):
    return tmp_path / "statistics.json"


@pytest.fixture
def written(path):
    """A file that a sidecar has written."""
    board, now_s = experienced(100)
    StateFile(path, board, Clock(now_s)).save()
    return path


def loaded(path):
    board = fresh()
    with capture_logs() as lines:
        StateFile(path, board, Clock(50.0)).load()
    return board, lines


def no_space(*_):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def test_what_is_saved_is_loaded(written):
    board, lines = loaded(written)
    assert board.view(A, 50.0).samples == 50
    assert [(line["log_level"], line["endpoints"]) for line in lines] == [("info", 1)]


def test_no_file_yet_is_no_matter(path):
    board, lines = loaded(path)
    assert (board.newest_s(), lines) == (None, [])


@pytest.mark.parametrize(
    "spoil",
    [
        lambda p: p.write_bytes(b"\x00" * 100),
        lambda p: p.write_bytes(b""),
        lambda p: p.write_bytes(p.read_bytes()[:-20]),
        lambda p: p.write_bytes(p.read_bytes().replace(b'statistics":1', b'statistics":9')),
        lambda p: (p.unlink(), p.mkdir()),
        lambda p: (p.unlink(), os.mkfifo(p)),
        lambda p: (p.unlink(), p.symlink_to(p)),
    ],
    ids=["zeros", "empty", "truncated", "another version", "a folder", "a pipe", "a loop"],
)
def test_a_file_that_cannot_be_used_is_a_warning_that_names_it(written, spoil):
    spoil(written)
    board, lines = loaded(written)
    assert board.newest_s() is None
    assert [(line["log_level"], line["file"]) for line in lines] == [("warning", str(written))]


def test_an_unreadable_file_is_a_warning(written, monkeypatch):
    def denied(self):
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr("pathlib.Path.read_bytes", denied)
    assert loaded(written)[1][0]["log_level"] == "warning"


def test_a_giant_is_not_read(written, monkeypatch):
    monkeypatch.setattr(state_file, "MAX_BYTES", 100)
    with pytest.raises(kept.NotKept, match="too many"):
        read(written)


def test_only_its_owner_may_read_it(written):
    assert written.stat().st_mode & 0o777 == 0o600


def test_nothing_learned_nothing_written(written):
    """What is read back counts half: writing that again at each restart would halve it each time."""
    before = written.read_bytes()
    for _ in range(5):
        board, clock = fresh(), Clock(50.0)
        file = StateFile(written, board, clock)
        file.load()
        file.save()
    assert written.read_bytes() == before
    served(board, 51.0)
    file.save()
    assert written.read_bytes() != before


def test_a_full_disk_costs_nothing_but_a_warning(written, monkeypatch):
    before, (board, now_s) = written.read_bytes(), experienced(120)
    clock = Clock(now_s)
    file = StateFile(written, board, clock)
    with monkeypatch.context() as patched, capture_logs() as lines:
        patched.setattr("os.fsync", no_space)
        file.save()
        file.save()
    assert [line["log_level"] for line in lines] == ["warning"], "once"
    assert written.read_bytes() == before
    assert list(written.parent.iterdir()) == [written]
    file.save()
    assert written.read_bytes() != before, "tried again, although nothing new was learned"


def test_a_missing_folder_is_a_warning(path):
    board, now_s = experienced(20)
    with capture_logs() as lines:
        StateFile(path.parent / "none" / "it.json", board, Clock(now_s)).save()
    assert lines[0]["log_level"] == "warning"


@pytest.mark.parametrize("call", ["os.fsync", "os.replace"])
def test_killed_in_the_middle_the_old_file_is_whole(written, monkeypatch, call):
    before = written.read_bytes()

    def killed(*_):
        raise KeyboardInterrupt  # nothing after it runs, as nothing would

    monkeypatch.setattr(call, killed)
    with pytest.raises(KeyboardInterrupt):
        replace(written, b"half of a new one")
    assert written.read_bytes() == before
    assert read(written).endpoints


def test_what_a_killed_writer_left_is_overwritten(written):
    written.with_name(written.name + ".new").write_bytes(b"rubbish" * 1000)
    replace(written, b"short")
    assert written.read_bytes() == b"short"
    assert list(written.parent.iterdir()) == [written]


def test_a_minute_is_the_most_that_is_lost():
    assert state_file.EVERY_S <= 60.0


async def test_it_is_written_again_and_again_off_the_loop(path, monkeypatch):
    board, now_s = experienced(100)
    clock, loop, threads, wrote = Clock(now_s), asyncio.get_running_loop(), [], asyncio.Event()
    import threading

    really = state_file.replace

    def noted(to, data):
        threads.append(threading.current_thread())
        really(to, data)
        loop.call_soon_threadsafe(wrote.set)

    monkeypatch.setattr(state_file, "EVERY_S", 0.001)
    monkeypatch.setattr(state_file, "replace", noted)
    task = asyncio.create_task(StateFile(path, board, clock).keep())
    async with asyncio.timeout(5):
        await wrote.wait()
        first = path.read_bytes()
        wrote.clear()
        served(board, now_s + 1.0)
        clock.at_s += 5.0
        await wrote.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert path.read_bytes() != first
    assert threading.main_thread() not in threads
    assert len(threads) == 2, "not without news"
