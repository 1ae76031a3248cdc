"""From files and options to a comparison; every mistake in words."""

from pathlib import Path

import pytest
from sim_support import ROUTE

from fastroute.sim import command
from fastroute.sim.command import Asked, Wrong, contender_names, expected_world, route_of, simulate
from fastroute.sim.worldfile import SHIPPED

CONFIG = """
version: 1
providers: {p: {preset: openai-compatible, base_url: "http://127.0.0.1:9/v1"}}
endpoints:
  a: {provider: p, model: a, price: {input_usd_per_mtok: 1, output_usd_per_mtok: 4}, expected: {ttft_ms: 700}}
  b: {provider: p, model: b, price: {input_usd_per_mtok: 9, output_usd_per_mtok: 9}}
routes:
  auto: {objective: {ttft_ms: 2000}, endpoints: [a, b]}
  other: {objective: {ttft_ms: 500}, tiers: [[a], [b]]}
"""
WORLD = "endpoints: {a: {}, b: {}}\n"


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    found = {}
    for name, text in (("config.yaml", CONFIG), ("world.yaml", WORLD), ("trace.jsonl", "")):
        found[name.split(".")[0]] = tmp_path / name
        (tmp_path / name).write_text(text)
    rows = [f'{{"at_s": {i}, "input_tokens": 50, "output_tokens": 20}}' for i in range(20)]
    found["trace"].write_text("\n".join(rows))
    return found


def asked(files: dict[str, Path], **changes: object) -> Asked:
    given = {"trace": str(files["trace"]), "configs": (files["config"],), "world": str(files["world"])}
    return Asked(**{**given, "requests": 40, "seeds": 1, "oracle": False, "processes": 1, **changes})


def test_a_simulation_from_files(files):
    found = simulate(asked(files))
    assert [c.name for c in found.configs] == ["config"]
    assert found.configs[0].requests == 40
    assert found.configs[0].attainment.mean == 1.0
    assert found.about["rate_per_s"] == pytest.approx(1.0)


def test_whole_replies_too(files):
    assert simulate(asked(files, stream=False)).configs[0].attainment.mean == 1.0


def test_requests_are_shared_out_among_the_seeds(files):
    found = simulate(asked(files, seeds=3, requests=60))
    assert (found.configs[0].requests, found.about["requests_per_seed"]) == (60, 20)


def test_another_route(files):
    assert simulate(asked(files, route="other")).configs[0].requests == 40


def test_without_a_world_endpoints_do_as_expected(files):
    found = simulate(asked(files, world=None))
    assert "expect" in found.about["world"]
    world = expected_world([route_of(files["config"], None)])
    assert (world.of("a").ttft_ms, world.of("b").ttft_ms) == (700, 300)


def test_a_model_of_arrivals(files):
    assert simulate(asked(files, trace="poisson", rate_per_s=5.0)).about["trace"] == "poisson"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"trace": "poisson"}, "the model `poisson` needs --rate"),
        ({"trace": "nowhere.csv"}, "nowhere.csv: cannot be read"),
        ({"world": "nowhere.yaml"}, "nowhere.yaml"),
        ({"route": "oter"}, "there is no route 'oter' (did you mean 'other'?)"),
        ({"route": "zzz"}, "(it has auto, other)"),
        ({"configs": (Path("nowhere.yaml"),)}, "nowhere.yaml:1:1: cannot be read"),
        ({"world": "six-phases"}, "endpoints: says nothing of a, b"),
    ],
)
def test_mistakes_are_told(files, change, told):
    with pytest.raises(Wrong) as caught:
        simulate(asked(files, **change))
    assert told in str(caught.value)


def test_a_bad_world_names_the_field(files):
    files["world"].write_text("endpoints: {a: {ttft: 3}, b: {}}")
    with pytest.raises(Wrong, match="unknown key 'ttft'"):
        simulate(asked(files))


def test_a_world_with_a_default_knows_everyone(files):
    files["world"].write_text("default: {ttft_ms: 100}")
    assert simulate(asked(files)).configs[0].attainment.mean == 1.0


def test_a_configuration_without_routes_cannot_be_simulated(files):
    files["config"].write_text(CONFIG.split("routes:", maxsplit=1)[0])
    with pytest.raises(Wrong, match="has no routes to simulate"):
        simulate(asked(files))


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["x/a.yaml", "y/b.yaml"], ["a", "b"]),
        (["x/a.yaml", "y/a.yaml"], ["x/a.yaml", "y/a.yaml"]),
        (["a.yaml", "a.yaml"], ["a.yaml (1)", "a.yaml (2)"]),
    ],
)
def test_contenders_are_told_apart(paths, names):
    assert contender_names([Path(p) for p in paths]) == names


def test_the_shipped_configuration_has_prices_and_one_objective():
    route = route_of(SHIPPED / "five-endpoints.yaml", None)
    assert all(e.price is not None for tier in route.tiers for e in tier)
    assert (route.objective.ttft_s, route.objective.total_s, route.objective.target) == (2.0, 10.0, 0.99)


def test_prices_come_from_the_snapshot_where_the_configuration_has_none(tmp_path):
    config = tmp_path / "c.yaml"
    config.write_text(
        'version: 1\nproviders: {openai: {preset: openai, api_key: "k"}}\n'
        "endpoints: {mini: {provider: openai, model: gpt-4o-mini}}\nroutes: {auto: {endpoints: [mini]}}\n"
    )
    assert route_of(config, None).tiers[0][0].price is not None
    assert command.expected_world([ROUTE]).of("cheap").tpot_ms == 15
