"""World files: strict, with places and names in every complaint."""

from pathlib import Path

import pytest

from fastroute.config.problems import ConfigError
from fastroute.sim.worldfile import NEEDS, SHIPPED, EndpointWorld, find_world, load_world, parse_world

GOOD = """
period_s: 1000
endpoints:
  a: {ttft_ms: 400, requests_per_minute: 60}
  b: {}
faults:
  - {kind: brownout, endpoints: [a], from_s: 10, for_s: 20, factor: 3}
  - {kind: clock_step, from_s: 50, step_s: -3600}
"""


def complaints(text: str) -> str:
    with pytest.raises(ConfigError) as caught:
        parse_world(text, "w.yaml")
    return str(caught.value)


def test_a_good_world_is_read():
    world = parse_world(GOOD)
    assert world.of("a").ttft_ms == 400
    assert world.of("b") == EndpointWorld()
    assert [f.name for f in world.faults] == ["brownout a", "clock_step"]


def test_an_endpoint_that_is_not_named_is_the_default_or_an_error():
    with pytest.raises(KeyError):
        parse_world(GOOD).of("c")
    assert parse_world(GOOD + "default: {tpot_ms: 50}\n").of("c").tpot_ms == 50


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (("ttft_ms: 400", "ttft: 400"), "w.yaml:4:7: unknown key 'ttft' (did you mean 'ttft_ms'?)"),
        (("ttft_ms: 400", "ttft_ms: fast"), "endpoints.a.ttft_ms: expected a number"),
        (("ttft_ms: 400", "sigma: 9"), "endpoints.a.sigma: must be at most 3"),
        (("kind: brownout", "kind: brown"), "faults[0].kind: 'brown' is not one of"),
        (("endpoints: [a]", "endpoints: [aa]"), "faults[0].endpoints: there is no endpoint 'aa'"),
        ((", factor: 3", ""), "faults[0]: a brownout needs 'factor'"),
        (("factor: 3", "factor: 3, share: 0.5"), "faults[0]: 'share' means nothing to a brownout"),
        ((", for_s: 20", ""), "faults[0]: a brownout needs 'for_s'"),
        (("for_s: 20", "for_s: 2000"), "ends at 2010 s, after the schedule's period of 1000 s"),
        (("from_s: 50, ", ""), "faults[1]: required key 'from_s' is missing"),
        (("kind: brownout, endpoints: [a]", "kind: rate_cut, endpoints: [b]"), "b has no requests_per_minute"),
        (("clock_step, from_s", "clock_step, endpoints: [a], from_s"), "faults[1]: a clock_step has no 'endpoints'"),
        (("endpoints: [a], ", ""), "faults[0]: a brownout needs 'endpoints'"),
        (("faults:", "faults: 3\nx:"), "faults: expected a list"),
    ],
)
def test_every_mistake_names_its_field(change, told):
    assert told in complaints(GOOD.replace(*change))


def test_all_mistakes_are_told_at_once():
    text = GOOD.replace("ttft_ms: 400", "ttft_ms: -1").replace(", factor: 3", "")
    assert len(complaints(text).splitlines()) == 2


def test_not_yaml_and_no_file_are_told(tmp_path: Path):
    assert "not valid YAML" in complaints("a: [")
    with pytest.raises(ConfigError, match=r"nowhere\.yaml.*cannot be read"):
        load_world(tmp_path / "nowhere.yaml")


def test_every_kind_of_fault_can_be_said():
    said = {"factor": "factor: 2", "share: ": "", "share": "share: 0.1", "how": "how: hang", "step_s": "step_s: 5"}
    for kind, needs in NEEDS.items():
        where = "" if kind == "clock_step" else "endpoints: [a], for_s: 5, "
        needed = ", ".join(said[n] for n in needs)
        text = f"endpoints: {{a: {{tokens_per_minute: 9}}}}\nfaults:\n  - {{kind: {kind}, from_s: 1, {where}{needed}}}\n"
        assert parse_world(text).faults[0].kind == kind


@pytest.mark.parametrize("name", sorted(p.stem for p in SHIPPED.glob("*.yaml") if p.stem != "five-endpoints"))
def test_shipped_worlds_are_good_and_know_the_shipped_configuration(name):
    world = load_world(find_world(name))
    assert world.about
    assert set(world.endpoints) == {"nano", "mini", "small", "medium", "large"}


def test_the_two_schedules_together_have_every_kind_of_fault():
    kinds = {f.kind for name in ("six-phases", "other-faults") for f in load_world(find_world(name)).faults}
    assert kinds == set(NEEDS)


def test_the_six_phases_take_some_forty_percent_of_the_time():
    world = load_world(find_world("six-phases"))
    assert len(world.faults) == 6
    assert sum(f.for_s for f in world.faults) / world.period_s == pytest.approx(0.4, abs=0.02)


def test_a_file_goes_before_a_shipped_world_of_its_name(tmp_path: Path, monkeypatch):
    assert find_world("six-phases") == SHIPPED / "six-phases.yaml"
    assert find_world("mine.yaml") == Path("mine.yaml")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "six-phases").write_text("{}")
    assert find_world("six-phases") == Path("six-phases")
