"""A soak run from start to end, shortened: real processes, every kind of visit once."""

import signal
from pathlib import Path

import pytest

from bench import soak, soak_plan
from bench.soak import Child, DidNotRun, Options, Soak, main


@pytest.mark.slow
async def test_a_short_run_finds_nothing_broken_and_says_that_it_cannot_judge_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(soak, "QUIET_S", 2.0)  # idle connections to providers stay for most of a minute
    report = await Soak(Options(seconds=2.0, rate=40.0, workers=1, seed=1), tmp_path).run()
    kinds = {what.split(": ")[0] for what in report.visits}
    assert kinds == {kind for kind, _ in soak_plan.VISITS}
    assert (report.broken, report.total("broken"), report.exit_code, report.lost_records) == ([], 0, 0, [])
    assert report.levels.keys() <= {"info", "warning"}
    assert report.left_over.keys() <= {"provider_sockets", "fds", *soak.TRACKED}
    assert (report.end.in_flight, report.end.tasks) == (0, report.baseline.tasks)
    assert (report.warm_up_s, report.growth) == (None, None)
    assert any(failure.startswith("memory was not judged") for failure in report.failures)
    assert any(sample.in_flight for sample in report.samples)


async def test_a_sidecar_that_does_not_start_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(soak_plan, "SIDECAR", "version: 2\n")
    with pytest.raises(DidNotRun, match="ended with 2"):
        await Soak(Options(1.0, 1.0, 1, 1), tmp_path).run()


async def test_complaints_are_kept_and_lines_counted(tmp_path: Path) -> None:
    child = await Child.start("check", str(tmp_path / "missing.yaml"))
    assert await child.process.wait() == 2
    assert await child.stop() == 2
    assert child.levels["error"] >= 1
    assert any("missing.yaml" in line for line in child.complaints)


async def test_a_child_is_ended_by_a_signal(tmp_path: Path) -> None:
    config = tmp_path / "mock.yaml"
    config.write_text("endpoints: {a: {port: 0}}\n")
    child = await Child.start("mock", "--config", str(config))
    assert await child.stop() in (0, -signal.SIGTERM)  # by itself, or before it could listen


def test_the_exit_code_says_that_it_could_not_be_run(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    async def nothing(self: Soak) -> None:
        raise DidNotRun("no port")

    monkeypatch.setattr(Soak, "run", nothing)
    assert main(["--seconds", "1"]) == 2
    assert capsys.readouterr().out == "soak: could not be run: no port\n"
