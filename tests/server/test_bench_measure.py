"""Whole scenarios over real processes, short ones; processes and what is read of them."""

import os
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from bench import measure, processes
from bench.contenders import Launch, Missing, Site, free_port
from bench.driver import Refused
from bench.measure import Bench, DidNotAnswer
from bench.peers import CONTENDERS, NAMES
from bench.processes import DidNotStart
from bench.scenario import Scenario, parse

ROOT = Path(__file__).resolve().parents[2]
OPEN = """
says: Short.
contenders: [reverse_proxy]
arrivals: {kind: poisson, rate_per_s: 100}
seconds: 0.6
warmup_s: 0.1
rounds: 1
judge_driver: false
"""


def scenario(text: str = OPEN) -> Scenario:
    return parse(text, "short", NAMES)


def silent(text: str, takes_s: float) -> None:
    """Progress that nobody watches."""


def test_an_open_loop_through_a_proxy_gives_pairs_cpu_and_memory() -> None:
    said: list[str] = []
    bench = Bench(scenario(), lambda text, takes_s: said.append(text))
    [row] = bench.run()
    assert said == ["short: round 1/1, reverse_proxy"]
    assert row.errors == 0
    assert row.total is not None
    assert row.total.n == row.n > 20
    assert row.total.p50.value > 0  # a proxy costs something
    assert row.cpu_us is not None
    assert row.cpu_us.value > 10
    assert 5 < row.rss_mib <= row.rss_peak_mib < 500
    assert (row.x_nginx, row.per_stream_kib, row.saturation) == (None, None, None)
    assert row.timeline
    assert row.driver.lag_p50_ms > 0
    assert bench.notes == []


def test_a_closed_loop_with_slow_streams_gives_memory_of_a_stream() -> None:
    text = OPEN.replace(
        "arrivals: {kind: poisson, rate_per_s: 100}",
        "closed: {connections: 50}\nrequest: {stream: true, chunks: 6, pause_ms: 100}",
    )
    [row] = Bench(scenario(text.replace("seconds: 0.6", "seconds: 0.3")), silent).run()
    assert (row.n, row.errors, row.connections) == (50, 0, 50)
    assert row.total is None
    assert row.per_stream_kib is not None
    assert row.latency_ms["p50"] > 250


def test_users_and_a_router_that_someone_else_runs(tmp_path: Path) -> None:
    text = OPEN.replace("arrivals: {kind: poisson, rate_per_s: 100}", "users: {class: PacedUser, count: 4, spawn_per_s: 100}")
    upstream, port = free_port(), free_port()
    command = [sys.executable, "-m", "bench.reverse_proxy", str(port), f"http://127.0.0.1:{upstream}"]
    with processes.process(command, port, os.sched_getaffinity(0), tmp_path / "log"):
        chosen = msgspec.structs.replace(scenario(text), contenders=[])
        [row] = Bench(chosen, silent, {"theirs": measure.Target("theirs", port)}).run(upstream)
    assert (row.contender, row.errors, row.cpu_us) == ("theirs", 0, None)
    assert row.total is not None
    assert row.n >= 4


def test_what_is_missing_is_noted_and_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(CONTENDERS, "nginx", lambda site: Missing("nginx is not installed"))
    bench = Bench(msgspec.structs.replace(scenario(), contenders=["nginx"], rounds=2), silent)
    assert bench.run() == []
    assert bench.notes == ["nginx is left out: nginx is not installed"]


def test_a_driver_that_is_the_bottleneck_is_tried_again_and_then_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(measure, "objection", lambda driver, p99_ms: "the driver's core was 99% busy")
    monkeypatch.setattr(measure, "ATTEMPTS", 2)
    bench = Bench(msgspec.structs.replace(scenario(), judge_driver=True, seconds=0.1), silent)
    with pytest.raises(Refused, match=r"short is refused \(reverse_proxy\): the driver's core was 99% busy"):
        bench.run()
    assert bench.notes == ["short, reverse_proxy: round 1 was run again: the driver's core was 99% busy"]


def test_a_contender_that_answers_nothing_well(monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(site: Site) -> Launch:
        return Launch([sys.executable, "-m", "bench.reverse_proxy", str(site.port), f"http://127.0.0.1:{free_port()}"])

    monkeypatch.setitem(CONTENDERS, "reverse_proxy", lost)
    with pytest.raises(DidNotAnswer, match=r"reverse_proxy answered no call well: \d+ x status 500"):
        Bench(msgspec.structs.replace(scenario(), seconds=0.1), silent).run()


def test_a_process_that_ends_is_told_with_its_last_words(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "raise SystemExit('no such config')"]
    with (
        pytest.raises(DidNotStart, match="no such config"),
        processes.process(command, free_port(), os.sched_getaffinity(0), tmp_path / "log"),
    ):
        pass


def test_a_process_that_does_not_listen_is_told_and_ended(tmp_path: Path) -> None:
    command = [sys.executable, "-c", "import time; time.sleep(60)"]
    on = os.sched_getaffinity(0)
    with (
        pytest.raises(DidNotStart, match=r"does not listen after 0\.2 s"),
        processes.process(command, free_port(), on, tmp_path / "log", ready_s=0.2),
    ):
        pass


def test_a_process_runs_where_it_is_told_and_this_one_stays(tmp_path: Path) -> None:
    before, port = os.sched_getaffinity(0), free_port()
    core = max(before)
    with processes.process([sys.executable, "-m", "bench.canned", str(port)], port, {core}, tmp_path / "log") as pid:
        assert os.sched_getaffinity(pid) == {core}
        assert os.sched_getaffinity(0) == before
    assert processes.tree(pid) == []


def test_cpu_time_and_memory_of_a_tree() -> None:
    code = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'import sys; sys.stdin.read()'])"
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as child:
        until_s = time.monotonic() + 20
        while processes.rss_bytes(child.pid) < 15 << 20 and time.monotonic() < until_s:  # until both interpreters are up
            time.sleep(0.01)
        found = processes.of_tree(child.pid)
        assert len(found) == 2
        assert all(s.cpu_s > 0 and s.waited_s >= 0 for s in found.values())
        child.communicate(b"")
    assert processes.rss_bytes(child.pid) == 0


def test_the_command_says_clearly_when_the_package_is_missing() -> None:
    """As in an installation of `fastroute` alone: the import of `bench` fails."""
    code = (
        "import sys; sys.modules['bench'] = None; from fastroute.cli import main\n"
        "try: main(['bench', '--list'])\n"
        "except SystemExit as e: sys.exit(e.code)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 2
    assert "the bench package is not installed" in done.stderr


def test_fastroute_bench_works_from_a_checkout(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "fastroute", "bench", "--list"], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert "open-loop-1000" in done.stdout
