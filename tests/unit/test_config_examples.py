"""The annotated examples load, resolve and say what their comments say."""

from pathlib import Path

import pytest

from fastroute.config.catalog import Catalog
from fastroute.config.load import load_config
from fastroute.config.presets import presets
from fastroute.config.resolve import resolve
from fastroute.config.schema import Config, preset_of
from fastroute.core.types import Price

CONFIGS = Path(__file__).resolve().parents[2] / "configs"
NAMES = ["sidecar.yaml", "slo-tuning.yaml", "providers.yaml"]
KEYS = {preset.key_env: "sk-example" for preset in presets().values() if preset.key_env}


def example(name: str, env: dict[str, str] | None = None) -> Config:
    return load_config(CONFIGS / name, KEYS if env is None else env)


def resolved(name: str) -> Catalog:
    return resolve(example(name), lambda preset, model: Price(1, 1))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("env", [{}, KEYS], ids=["no keys", "all keys"])
def test_an_example_loads_with_and_without_keys(name: str, env: dict[str, str]) -> None:
    assert example(name, env).endpoints


@pytest.mark.parametrize("name", NAMES)
def test_with_keys_an_example_draws_no_warning(name: str) -> None:
    assert [warning for warning in resolved(name).warnings if "azure-entra" not in warning] == []


@pytest.mark.parametrize("name", NAMES)
def test_an_example_points_editors_at_the_schema(name: str) -> None:
    first = (CONFIGS / name).read_text().splitlines()[0]
    pointer = first.partition("$schema=")[2]
    assert first.startswith("# yaml-language-server: ")
    assert (CONFIGS / pointer).resolve().name == "fastroute.schema.json"
    assert (CONFIGS / pointer).resolve().exists()


def test_the_sidecars_port_and_server_come_from_the_environment() -> None:
    config = example("sidecar.yaml", {"FASTROUTE_PORT": "4400", "LOCAL_BASE_URL": "http://gpu:9000/v1/"})
    assert config.listen.port == 4400
    assert resolve(config, lambda preset, model: None).endpoints["llama"].base_url == "http://gpu:9000/v1"
    assert example("sidecar.yaml").listen.port == 4000


def test_tuning_shows_every_kind_of_promise() -> None:
    routes = resolved("slo-tuning.yaml").routes
    assert routes["chat"].first_content_timeout_s == 2.5
    assert routes["tool"].on_infeasible == "reject"
    assert (routes["batch"].deadline_s, routes["batch"].max_attempts) == (60.0, 5)  # merged, and its own key wins
    assert (routes["quick-terra"].max_attempts, routes["quick-terra"].strategy) == (2, "least_latency")
    assert [len(tier) for tier in routes["batch"].tiers] == [1, 1]


def test_providers_shows_every_preset() -> None:
    shown = {preset_of(name, provider).name for name, provider in example("providers.yaml").providers.items()}
    assert shown == set(presets())


def test_the_comment_about_other_models_is_true() -> None:
    route = resolved("providers.yaml").route_for("openrouter/meta-llama/llama-4-scout")
    assert route is not None
    assert route.tiers[0][0].model == "meta-llama/llama-4-scout"
    assert dict(route.tiers[0][0].headers) == {"HTTP-Referer": "https://example.com", "X-Title": "fastroute"}
