"""The command line: what it chooses, changes, prints, and how it ends."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from bench_support import make_added, make_row

from bench import commands
from bench.driver import Refused
from bench.measure import DidNotAnswer
from bench.peers import NAMES
from bench.processes import DidNotStart
from bench.rows import Row
from bench.scenario import FOLDER, Scenario, ScenarioError, load

Run = Callable[[Scenario], list[Row]]


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[[Run], list[Scenario]]:
    """Replaces the measuring by a function; gives the scenarios that were run."""

    def install(run: Run) -> list[Scenario]:
        seen: list[Scenario] = []

        class Fake:
            def __init__(self, scenario: Scenario, say: Any, routers: Any) -> None:
                self.scenario, self.notes = scenario, ["a note"]

            def run(self, upstream_port: int | None) -> list[Row]:
                seen.append(self.scenario)
                return run(self.scenario)

        monkeypatch.setattr(commands, "Bench", Fake)
        monkeypatch.setattr(commands, "_many_files", lambda: None)
        return seen

    return install


def ended(*arguments: str) -> int:
    with pytest.raises(SystemExit) as caught:
        commands.main(arguments)
    code = caught.value.code
    assert isinstance(code, int)
    return code


def options(*arguments: str) -> Any:
    return commands.parser("bench").parse_args(arguments)


def test_the_first_line_is_the_sentence(fake: Any, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    fake(lambda s: [make_row(total=make_added(0.21, 0.6))])
    assert ended("open-loop-1000", "--out", str(tmp_path)) == 0
    out, err = capsys.readouterr()
    assert out.splitlines()[0].startswith("fastroute adds 0.21 ms at p50 and 0.60 ms at p99")
    assert "note: a note" in out
    assert err == ""
    [saved] = tmp_path.glob("*.json")
    assert json.loads(saved.read_bytes())["scenarios"]["open-loop-1000"]["seconds"] == 5
    assert len(list(tmp_path.glob("*.html"))) == 1


def test_nothing_is_saved_where_told(fake: Any, tmp_path: Path) -> None:
    fake(lambda s: [make_row()])
    assert ended("cpu-whole", "--no-save", "--out", str(tmp_path / "none")) == 0
    assert not (tmp_path / "none").exists()


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (Refused("open-loop-1000 is refused (fastroute): the driver's core was 99% busy"), 3),
        (DidNotStart("fastroute ended with 2"), 4),
        (DidNotAnswer("fastroute answered none of 10 calls well"), 4),
    ],
)
def test_a_scenario_that_was_not_measured_is_told_and_the_others_go_on(
    fake: Any, capsys: pytest.CaptureFixture[str], error: Exception, code: int
) -> None:
    def run(scenario: Scenario) -> list[Row]:
        if scenario.name == "open-loop-1000":
            raise error
        return [make_row(scenario="cpu-whole", load="whole, full load")]

    seen = fake(run)
    assert ended("open-loop-1000", "cpu-whole", "--no-save") == code
    out, err = capsys.readouterr()
    assert [s.name for s in seen] == ["open-loop-1000", "cpu-whole"]
    assert out.startswith("fastroute spends 66 us")
    assert f"NOT MEASURED: {error}" in err


def test_a_run_of_nothing_but_a_refusal_opens_with_it(fake: Any, capsys: pytest.CaptureFixture[str]) -> None:
    def run(scenario: Scenario) -> list[Row]:
        raise Refused("stall is refused (fastroute): too busy")

    fake(run)
    assert ended("stall", "--no-save") == 3
    assert capsys.readouterr().out.startswith("stall is refused")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nothing",), "no scenario 'nothing'; there are"),
        (("cpu-whole", "--only", "haproxy"), "--only haproxy: no such contender"),
        (("cpu-whole", "--seconds", "0"), "--seconds and --rounds must be above zero"),
        (("cpu-whole", "--rounds", "0"), "--seconds and --rounds must be above zero"),
        (("cpu-whole", "--router", "mine=https://x"), "must be NAME=http://host:port"),
        (("absent.yaml",), "absent.yaml: No such file"),
    ],
)
def test_mistakes_end_with_2_and_say_what(
    fake: Any, capsys: pytest.CaptureFixture[str], arguments: tuple[str, ...], message: str
) -> None:
    assert fake(lambda s: []) == []
    assert ended(*arguments) == 2
    assert message in capsys.readouterr().err


def test_the_list_names_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended("--list") == 0
    out = capsys.readouterr().out
    assert [line.split()[0] for line in out.splitlines()] == sorted(p.stem for p in FOLDER.glob("*.yaml"))


def test_which_scenarios_are_chosen() -> None:
    assert [p.stem for p in commands.chosen(options())] == list(commands.DEFAULT)
    assert [p.stem for p in commands.chosen(options("--peers"))] == ["cpu-whole"]
    assert [p.stem for p in commands.chosen(options("--peers", "burst"))] == ["burst"]
    assert len(commands.chosen(options("--all"))) == len(list(FOLDER.glob("*.yaml")))


def test_options_change_a_scenario() -> None:
    scenario = load(FOLDER / "cpu-whole.yaml", NAMES)
    found = commands.changed(scenario, options("--only", "nginx", "--seconds", "1", "--rounds", "1", "--connections", "64"))
    assert (found.contenders, found.seconds, found.rounds, found.connections) == (["nginx"], 1.0, 1, [64])
    assert commands.changed(scenario, options()) == scenario
    assert set(commands.changed(scenario, options("--peers")).contenders) == NAMES


def test_a_router_of_someone_else() -> None:
    name, target = commands._router("mine=http://127.0.0.1:8080/api/")
    assert (name, target.host, target.port, target.path) == ("mine", "127.0.0.1", 8080, "/api/v1/chat/completions")
    with pytest.raises(ScenarioError):
        commands._router("mine")
