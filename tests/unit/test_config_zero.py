import pytest

from fastroute.config.load import ConfigError
from fastroute.config.presets import presets
from fastroute.config.resolve import resolve
from fastroute.config.schema import Config
from fastroute.config.zero import config_from_env


def config(**env: str) -> Config:
    found = config_from_env(env)
    assert found is not None
    return found


@pytest.mark.parametrize(
    "env", [{}, {"HOME": "/root"}, {"OPENAI_API_KEY": ""}, {"OPENAI_API_KEY": "  "}, {"OPENAI_BASE_URL": "https://x.example"}]
)
def test_without_a_key_there_is_nothing(env: dict[str, str]) -> None:
    assert config_from_env(env) is None


def test_one_key_gives_a_tier_for_each_price_class() -> None:
    found = config(OPENAI_API_KEY="sk-o")
    assert list(found.providers) == ["openai"]
    assert found.providers["openai"].api_key == "sk-o"
    tiers = found.routes["auto"].tier_names()
    assert len(tiers) == 3
    assert [name for tier in tiers for name in tier] == list(found.endpoints)


def test_several_keys_share_the_tiers() -> None:
    found = config(OPENAI_API_KEY="sk-o", ANTHROPIC_API_KEY="sk-a", GROQ_API_KEY="sk-g")
    small, medium, large = found.routes["auto"].tier_names()
    providers = [{found.endpoints[name].provider for name in tier} for tier in (small, medium, large)]
    assert providers == [{"openai", "anthropic", "groq"}, {"openai", "anthropic"}, {"openai", "anthropic"}]


def test_a_price_class_that_nobody_has_is_no_tier() -> None:
    assert len(config(GROQ_API_KEY="sk-g").routes["auto"].tier_names()) == 1


@pytest.mark.parametrize(
    "variable",
    [
        "OPENAI_API_KEY",
        "ANTHROPIC_API_KEY",
        "GROQ_API_KEY",
        "MISTRAL_API_KEY",
        "DEEPSEEK_API_KEY",
        "XAI_API_KEY",
        "TOGETHER_API_KEY",
        "OPENROUTER_API_KEY",
        "GEMINI_API_KEY",
        "FIREWORKS_API_KEY",
        "CEREBRAS_API_KEY",
        "ZAI_API_KEY",
        "MOONSHOT_API_KEY",
    ],
)
def test_every_provider_alone_serves(variable: str) -> None:
    catalog = resolve(config(**{variable: "sk-1"}), lambda preset, model: None)
    route = catalog.route_for("auto")
    assert route is not None
    assert all(endpoint.key == "sk-1" for tier in route.tiers for endpoint in tier)
    assert (route.deadline_s, route.deadline_covers) == (60.0, "first_content")


def test_all_keys_at_once() -> None:
    env = {preset.key_env: "sk-1" for preset in presets().values() if preset.key_env}
    found = config(**env)
    reachable = [p for p in presets().values() if p.key_env and p.base_url and not p.general_key]
    assert list(found.providers) == [preset.name for preset in reachable]
    assert len(found.providers) >= 30
    assert all(provider.list_models for provider in found.providers.values()), "nobody chose among their models"
    assert len(found.endpoints) == sum(len(preset.models) for preset in presets().values())


def test_a_key_that_opens_more_than_models_or_has_no_address_is_left_alone() -> None:
    assert config_from_env({"HF_TOKEN": "hf_x", "DATABRICKS_TOKEN": "d", "AZURE_OPENAI_API_KEY": "a"}) is None


def test_addresses_from_the_environment() -> None:
    found = config(
        OPENAI_API_KEY="sk-o",
        OPENAI_BASE_URL="https://proxy.example/v1",
        ANTHROPIC_API_KEY="sk-a",
        ANTHROPIC_BASE_URL=" https://proxy.example ",
    )
    assert found.providers["openai"].base_url == "https://proxy.example/v1"
    assert found.providers["anthropic"].base_url == "https://proxy.example"


def test_an_empty_address_is_none() -> None:
    assert config(OPENAI_API_KEY="sk-o", OPENAI_BASE_URL="").providers["openai"].base_url is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:4000/v1", "http://localhost:4000/v1", "http://[::1]:4000"])
def test_our_own_address_is_not_followed(url: str) -> None:
    assert config(OPENAI_API_KEY="sk-o", OPENAI_BASE_URL=url).providers["openai"].base_url is None


@pytest.mark.parametrize("url", ["http://127.0.0.1:4001/v1", "http://10.0.0.1:4000/v1", "https://api.example:4000/v1"])
def test_other_addresses_are(url: str) -> None:
    assert config(OPENAI_API_KEY="sk-o", OPENAI_BASE_URL=url).providers["openai"].base_url == url


def test_our_own_port_may_be_another() -> None:
    env = {"OPENAI_API_KEY": "sk-o", "OPENAI_BASE_URL": "http://127.0.0.1:9000/v1"}
    moved, usual = config_from_env(env, port=9000), config_from_env(env)
    assert moved is not None
    assert usual is not None
    assert moved.providers["openai"].base_url is None
    assert usual.providers["openai"].base_url == "http://127.0.0.1:9000/v1"


def test_a_trailing_line_break_is_no_part_of_a_key() -> None:
    assert config(OPENAI_API_KEY="sk-o\n").providers["openai"].api_key == "sk-o"


def test_everything_wrong_with_the_environment_at_once_and_no_secret_told() -> None:
    env = {"OPENAI_API_KEY": "sk hunter2", "OPENAI_BASE_URL": "https://u:hunter2@x", "GROQ_API_KEY": "a\nhunter2"}
    with pytest.raises(ConfigError) as raised:
        config_from_env(env)
    text = str(raised.value)
    assert len(raised.value.problems) == 3
    assert all(name in text for name in env)
    assert "hunter2" not in text


def test_no_key_is_shown() -> None:
    assert "sk-o" not in repr(config(OPENAI_API_KEY="sk-o"))


def test_a_provider_without_models_of_a_size_is_for_provider_and_model() -> None:
    found = config(NEBIUS_API_KEY="k")
    assert (list(found.providers), found.endpoints, found.routes) == (["nebius"], {}, {})
    route = resolve(found, lambda preset, model: None).route_for("nebius/org/model")
    assert route is not None
    assert (route.tiers[0][0].base_url, route.tiers[0][0].key) == ("https://api.studio.nebius.ai/v1", "k")


def test_azure_needs_its_address() -> None:
    found = config(AZURE_OPENAI_API_KEY="k", AZURE_OPENAI_ENDPOINT="https://r.openai.azure.com/")
    route = resolve(found, lambda preset, model: None).route_for("azure/my-deployment")
    assert route is not None
    assert route.tiers[0][0].base_url == "https://r.openai.azure.com"
