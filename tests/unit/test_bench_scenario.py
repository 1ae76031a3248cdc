"""Scenarios: every one that is shipped loads; every mistake names its field."""

from pathlib import Path

import pytest

from bench.arrivals import Poisson, Ramp, Replay
from bench.commands import DEFAULT
from bench.peers import NAMES
from bench.scenario import FOLDER, Scenario, ScenarioError, load, parse

GOOD = """
says: An example.
contenders: [nginx, fastroute]
arrivals: {kind: poisson, rate_per_s: 100}
seconds: 5
"""


def read(text: str) -> Scenario:
    return parse(text, "example", NAMES)


def refusal(text: str) -> str:
    with pytest.raises(ScenarioError) as caught:
        read(text)
    return str(caught.value)


@pytest.mark.parametrize("path", sorted(FOLDER.glob("*.yaml")), ids=lambda p: p.stem)
def test_what_is_shipped_loads(path: Path) -> None:
    scenario = load(path, NAMES)
    assert scenario.name == path.stem
    assert "fastroute" in scenario.contenders
    assert scenario.says.endswith(".")


def test_the_default_set_fits_into_five_minutes() -> None:
    assert sum(load(FOLDER / f"{name}.yaml", NAMES).expected_s for name in DEFAULT) < 240


def test_the_default_set_begins_with_what_the_sentence_is_about() -> None:
    assert load(FOLDER / f"{DEFAULT[0]}.yaml", NAMES).paired


def test_defaults() -> None:
    scenario = read(GOOD)
    assert scenario.name == "example"
    assert scenario.arrivals == Poisson(rate_per_s=100)
    assert (scenario.connections, scenario.worker_counts, scenario.paired) == ([0], [1], True)
    assert scenario.load_text == "whole, 100 requests/s"


def test_a_closed_loop_may_have_several_sizes_and_is_not_paired() -> None:
    scenario = read("says: x\ncontenders: [nginx]\nclosed: {connections: [16, 1000]}\nseconds: 1\n")
    assert scenario.connections == [16, 1000]
    assert not scenario.paired
    assert scenario.load_text == "whole, full load"


def test_a_ramp_is_told_apart() -> None:
    scenario = read(GOOD.replace("{kind: poisson, rate_per_s: 100}", "{kind: ramp, from_per_s: 1, to_per_s: 2000}"))
    assert isinstance(scenario.ramp, Ramp)
    assert "1 to 2,000 requests/s" in scenario.load_text


def test_a_trace_lies_beside_its_scenario(tmp_path: Path) -> None:
    (tmp_path / "t.jsonl").write_text('{"at_s": 0}\n')
    text = GOOD.replace("{kind: poisson, rate_per_s: 100}", "{kind: replay, file: t.jsonl}")
    (tmp_path / "mine.yaml").write_text(text)
    scenario = load(tmp_path / "mine.yaml", NAMES)
    assert isinstance(scenario.arrivals, Replay)
    assert Path(scenario.arrivals.file) == tmp_path / "t.jsonl"
    assert scenario.load_text == "whole, replay of t.jsonl"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("seconds: 5", "seconds: soon"), "seconds: Expected `float`, got `str`"),
        (("seconds: 5", "seconds: 0"), "seconds: "),
        (("seconds: 5", ""), "Object missing required field `seconds`"),
        (("says: An example.", "says: An example.\nspeed: 3"), "unknown field `speed`"),
        (("rate_per_s: 100", "rate_per_s: -1"), "arrivals.rate_per_s: "),
        (("kind: poisson", "kind: normal"), "arrivals.kind: Invalid value 'normal'"),
        (("kind: poisson, ", ""), "arrivals: "),
        (("seconds: 5", "seconds: 5\nrequest: {chunks: many}"), "request.chunks: Expected `int`"),
        (("seconds: 5", "seconds: 5\nrequest: {chunk: 3}"), "request: Object contains unknown field `chunk`"),
        (("seconds: 5", "seconds: 5\nrounds: 0"), "rounds: "),
        (("seconds: 5", "seconds: 5\nseconds: 6"), "line 6: seconds: given twice"),
        (
            ("seconds: 5", "seconds: 5\nclosed: {connections: 2}"),
            "exactly one of arrivals, users, closed is needed, not arrivals and",
        ),
        (("arrivals: {kind: poisson, rate_per_s: 100}", ""), "not none"),
        (("[nginx, fastroute]", "[nginx, haproxy]"), "contenders: no contender 'haproxy'; there are"),
        (("[nginx, fastroute]", "[]"), "contenders: "),
        (("seconds: 5", "seconds: 5\nstalls: [{at_s: 5, for_s: 1}]"), "stalls: at_s 5 is after the end (5 s)"),
        (("seconds: 5", "seconds: 5\nstalls: [{at_s: 1}]"), "stalls[0]: Object missing required field `for_s`"),
        (("{kind: poisson, rate_per_s: 100}", "{kind: replay, file: none.csv}"), "arrivals.file: no file"),
        (
            ("arrivals: {kind: poisson, rate_per_s: 100}", "users: {class: Nobody, count: 2}"),
            "users.class: no user class 'Nobody'",
        ),
        (
            ("arrivals: {kind: poisson, rate_per_s: 100}", "users: {class: ChatUser}"),
            "users: Object missing required field `count`",
        ),
        (("says: An example.", "says: [unclosed"), "not valid YAML"),
    ],
)
def test_a_mistake_names_its_field(change: tuple[str, str], message: str) -> None:
    assert message in refusal(GOOD.replace(*change))


def test_a_closed_loop_cannot_show_a_stall() -> None:
    text = "says: x\ncontenders: [nginx]\nclosed: {connections: 2}\nseconds: 5\nstalls: [{at_s: 1, for_s: 1}]\n"
    assert "stalls: a closed loop cannot show a stall" in refusal(text)


def test_the_file_is_named(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("says: x\n")
    with pytest.raises(ScenarioError, match=r"mine\.yaml: Object missing required field"):
        load(path, NAMES)
    with pytest.raises(ScenarioError, match=r"absent\.yaml: No such file"):
        load(tmp_path / "absent.yaml", NAMES)


def test_a_file_that_is_not_a_mapping_is_refused() -> None:
    assert "Expected `object`" in refusal("- 1\n")
