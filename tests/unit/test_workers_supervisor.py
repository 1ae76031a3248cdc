"""The supervisor with members made for the test, in a process of its own: it forks and takes signals."""

import os
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import os, signal, socket, sys, time
from fastroute.workers import supervisor
from fastroute.workers.supervisor import DRAIN, PLEASE_DRAIN, QUIT, READY, Crew, Supervisor

supervisor.OVERTIME_S = 0.3
supervisor.QUIT_S = 0.3

def say(*words):
    os.write(1, (" ".join(str(w) for w in words) + "\\n").encode())

def member(name, obeys=DRAIN + QUIT, code=0, wish=b""):
    def body(line):
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        say("start", name, os.getpid())
        line.send(READY + wish)
        while order := line.recv(1):
            say("order", name, order.decode())
            if order in obeys:
                say("end", name)
                return code if order == DRAIN else 1
        say("orphan", name)
        return 0
    return body

def broken(line):
    raise SystemExit(2)

def crew(*bodies, drain_s=5.0):
    say("supervisor", os.getpid())
    made = Crew(bodies, lambda: say("ready"), lambda place: say("death", place), drain_s)
    code = Supervisor(made).run()
    say("exit", code)
    sys.exit(code)

"""


class Crew:
    def __init__(self, process):
        self.process = process
        self.said = []

    def until(self, *words):
        """Reads on to a line that begins with these words; gives the rest of it."""
        while True:
            line = self.process.stdout.readline()
            assert line, self.said
            self.said.append(line.split())
            if self.said[-1][: len(words)] == list(words):
                return self.said[-1][len(words) :]

    def rest(self):
        self.said.extend(line.split() for line in self.process.stdout)
        return self.process.wait(timeout=10)

    def signal(self, number):
        self.process.send_signal(number)


@contextmanager
def running(code):
    command = [sys.executable, "-c", SCRIPT + code]
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=env) as process:
        try:
            yield Crew(process)
        finally:
            process.kill()


TWO = "crew(member('a'), member('b'), member('office'))"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_drains_the_workers_and_then_the_office(number):
    with running(TWO) as crew:
        crew.until("ready")
        crew.signal(number)
        assert crew.rest() == 0
        ends = [words[1] for words in crew.said if words[0] == "end"]
        assert sorted(ends[:2]) == ["a", "b"]
        assert ends[2:] == ["office"]


def test_a_member_that_is_killed_is_started_again_and_the_others_are_left_alone():
    with running(TWO) as crew:
        crew.until("ready")
        pids = {words[1]: int(words[2]) for words in crew.said if words[0] == "start"}
        for name, place in (("b", "1"), ("office", "2")):
            os.kill(pids[name], signal.SIGKILL)
            crew.until("death", place)
            (again,) = crew.until("start", name)
            assert int(again) != pids[name]
        assert not [words for words in crew.said if words[0] == "order"]
        os.kill(pids["a"], 0)
        crew.signal(signal.SIGTERM)
        assert crew.rest() == 0


def test_a_member_that_cannot_start_ends_it_all_with_its_code():
    with running("crew(member('a'), broken, member('office'))") as crew:
        assert crew.rest() == 2
        assert ["ready"] not in crew.said
        assert "Traceback" not in crew.process.stderr.read()


def test_a_member_that_raises_says_what_and_ends_with_1():
    with running("crew(lambda line: 1 // 0, member('office'))") as crew:
        assert crew.rest() == 1
        assert "ZeroDivisionError" in crew.process.stderr.read()


def test_a_member_may_ask_for_a_drain_of_all():
    with running("crew(member('a'), member('b'), member('office', wish=PLEASE_DRAIN))") as crew:
        assert crew.rest() == 0
        assert {words[1] for words in crew.said if words[0] == "end"} == {"a", "b", "office"}


def test_a_second_signal_ends_everything_at_once():
    with running("crew(member('a', obeys=QUIT), member('office'), drain_s=60.0)") as crew:
        crew.until("ready")
        crew.signal(signal.SIGTERM)
        crew.until("order", "a", "d")
        started_s = time.monotonic()
        crew.signal(signal.SIGTERM)
        assert crew.rest() == 1
        assert time.monotonic() - started_s < 5


def test_who_ignores_even_that_is_killed():
    with running("crew(member('a', obeys=b''), member('office'), drain_s=60.0)") as crew:
        crew.until("ready")
        crew.signal(signal.SIGTERM)
        crew.until("order", "a", "d")
        crew.signal(signal.SIGINT)
        assert crew.rest() == 1


def test_a_worker_that_hangs_while_it_drains_is_killed_after_its_time():
    with running("crew(member('a', obeys=b''), member('b'), member('office'), drain_s=0.1)") as crew:
        crew.until("ready")
        crew.signal(signal.SIGTERM)
        assert crew.rest() == 1
        assert ["end", "b"] in crew.said


def test_a_worker_that_cut_requests_off_shows_in_the_exit_code():
    with running("crew(member('a', code=1), member('b'), member('office'))") as crew:
        crew.until("ready")
        crew.signal(signal.SIGTERM)
        assert crew.rest() == 1


def test_members_whose_supervisor_is_killed_end_by_themselves():
    with running(TWO) as crew:
        crew.until("ready")
        crew.signal(signal.SIGKILL)
        for _ in range(3):
            crew.until("orphan")
        assert {words[1] for words in crew.said if words[0] == "orphan"} == {"a", "b", "office"}
