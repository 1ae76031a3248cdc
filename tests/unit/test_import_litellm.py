"""Five LiteLLM configurations in the styles found in the wild, and what people do to files."""

from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given, settings
from hypothesis import strategies as st

from fastroute.cli import main
from fastroute.config.load import ConfigError, parse_config
from fastroute.config.yaml_strict import scalar
from fastroute.importing.litellm import Imported, import_litellm
from fastroute.importing.remarks import Kind
from fastroute.importing.writing import text

BALANCED = """
model_list:
  - model_name: chat
    litellm_params: {model: openai/gpt-4o-mini, api_key: os.environ/KEY_A, rpm: 600, tpm: 90000}
  - model_name: chat
    litellm_params: {model: groq/llama-3.3-70b-versatile, api_key: os.environ/KEY_B, rpm: 300, temperature: 0.1}
    model_info: {input_cost_per_token: 0.00000059, output_cost_per_token: 7.9e-07, id: second}
router_settings: {routing_strategy: simple-shuffle, num_retries: 2, timeout: 30, allowed_fails: 3}
"""
FALLBACKS = """
model_list:
  - model_name: big
    litellm_params: {model: anthropic/claude-sonnet-4-5, timeout: 60, stream_timeout: 4}
  - model_name: small
    litellm_params: {model: mistral/mistral-small-latest, api_key: os.environ/M, order: 2}
  - model_name: small
    litellm_params: {model: deepseek/deepseek-chat, api_key: os.environ/D, order: 1}
litellm_settings: {fallbacks: [{big: [small, gone]}], context_window_fallbacks: [{small: [big]}], drop_params: true}
router_settings: {model_group_alias: {gpt-4: big}}
"""
WILDCARD = """
model_list:
  - model_name: gpt-5
    litellm_params: {model: gpt-5, api_key: os.environ/OTHER}
  - model_name: "openai/*"
    litellm_params: {model: "openai/*", api_key: os.environ/OPENAI_API_KEY, rpm: 5}
  - model_name: titan
    litellm_params: {model: bedrock/amazon.titan, aws_region_name: us-east-1}
"""
AZURE = """
model_list:
  - model_name: gpt-4o
    litellm_params:
      {model: azure/eu-4o, api_base: https://eu.openai.azure.com/, api_key: os.environ/EU, api_version: "2024-10-21", weight: 9}
    model_info: {base_model: azure/gpt-4o, max_input_tokens: 128000, supports_vision: true}
  - model_name: gpt-4o
    litellm_params:
      {model: azure/us-4o, api_base: https://us.openai.azure.com/, api_key: os.environ/US, api_version: "2024-10-21", weight: 1}
"""
REDIS = """
model_list:
  - model_name: local
    litellm_params: {model: hosted_vllm/llama, api_base: "http://127.0.0.1:8000/v1", api_key: very-secret-1}
router_settings: {redis_host: os.environ/H, redis_password: very-secret-2, routing_strategy: least-busy}
litellm_settings: {cache: true, cache_params: {type: redis}, success_callback: [langfuse]}
general_settings: {master_key: very-secret-3, database_url: "postgresql://u:very-secret-4@h/d"}
environment_variables: {X_KEY: very-secret-5}
"""
STYLES = {"balanced": BALANCED, "fallbacks": FALLBACKS, "wildcard": WILDCARD, "azure": AZURE, "redis": REDIS}
UNMAPPED = {
    "balanced": ["model_list[1].litellm_params.temperature", "model_list[1].model_info.id", "router_settings.allowed_fails"],
    "fallbacks": ["model_list[0].litellm_params.model", "litellm_settings.drop_params"],
    "wildcard": ["model_list[1].litellm_params.rpm", "model_list[2].litellm_params.model"],
    "azure": ["model_list[0].model_info.base_model"],
    "redis": [
        *("router_settings.redis_host", "router_settings.redis_password", "litellm_settings.cache"),
        *("litellm_settings.cache_params", "litellm_settings.success_callback", "general_settings.master_key"),
        *("general_settings.database_url", "environment_variables.X_KEY"),
    ],
}


def imported(source: str) -> Imported:
    return import_litellm(source.encode(), "config.yaml", {})


@pytest.mark.parametrize("style", STYLES)
def test_each_style_passes_the_check_and_lists_exactly_what_was_not_mapped(style: str) -> None:
    found = imported(STYLES[style])
    assert found.problems == ()
    assert found.config is not None
    assert [r.path for r in found.of_kind(Kind.UNMAPPED)] == UNMAPPED[style]
    assert all(r.why and r.value_kind and r.line > 1 for r in found.remarks)
    assert imported(STYLES[style]).yaml == found.yaml


def test_limits_shares_prices_and_times_of_balanced_deployments() -> None:
    config = imported(BALANCED).config
    assert config is not None
    first, second = config.endpoints["gpt-4o-mini@openai"], config.endpoints["llama-3.3-70b-versatile@groq"]
    assert first.limits is not None
    assert (first.limits.rpm, first.limits.tpm, first.weight, second.weight) == (600, 90000, 600, 300)
    assert second.price is not None
    assert (second.price.input_usd_per_mtok, second.price.output_usd_per_mtok) == (0.59, 0.79)
    route = config.routes["chat"]
    assert (route.strategy, route.max_attempts, route.deadline_ms) == ("weighted", 3, 30_000)


def test_fallbacks_and_orders_are_tiers() -> None:
    config = imported(FALLBACKS).config
    assert config is not None
    big, small = ("claude-sonnet-4-5@anthropic",), (("deepseek-chat@deepseek",), ("mistral-small-latest@mistral",))
    assert config.routes["big"].tier_names() == (big, *small) == config.routes["gpt-4"].tier_names()
    assert config.routes["small"].tier_names() == (*small, big)
    assert (config.routes["big"].deadline_ms, config.routes["big"].first_content_timeout_ms) == (60_000, 4_000)


def test_a_wildcard_keeps_the_name_that_clients_use() -> None:
    found = imported(WILDCARD)
    assert found.config is not None
    assert found.config.providers["openai"].list_models is True
    assert found.config.endpoints["gpt-5@openai-2"].provider == "openai-2"
    assert '"${OPENAI_API_KEY}"' in found.yaml
    assert found.unset == ("OPENAI_API_KEY", "OTHER")


def test_azure_resources_are_providers_with_their_version() -> None:
    config = imported(AZURE).config
    assert config is not None
    assert {p.api_version for p in config.providers.values()} == {"2024-10-21"}
    assert [e.weight for e in config.endpoints.values()] == [9, 1]
    capabilities = config.endpoints["eu-4o@azure"].capabilities
    assert capabilities is None or capabilities.vision


def test_secrets_are_carried_over_with_a_warning_and_never_told(tmp_path: Path) -> None:
    source, out = tmp_path / "c.yaml", tmp_path / "o.yaml"
    source.write_text(REDIS)
    result = CliRunner().invoke(main, ["import", "litellm", str(source), "-o", str(out)])
    assert result.exit_code == 0, result.output
    assert "very-secret" not in result.output
    assert out.read_text().count("very-secret") == 1
    assert "literal secrets, carried over as written: 1" in result.output
    assert CliRunner().invoke(main, ["check", str(out)]).exit_code == 0


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("model_list: [", ": not valid YAML"),
        ("a: 1\na: 2", ":2:1: key 'a' is given twice"),
        ("- 1", ":1:1: a mapping"),
        ("", ":1:1:"),
        ("model_list: []", "no deployment"),
    ],
)
def test_what_cannot_be_read_exits_2_with_a_place(source: str, told: str, tmp_path: Path) -> None:
    file = tmp_path / "c.yaml"
    file.write_text(source)
    result = CliRunner().invoke(main, ["import", "litellm", str(file)])
    assert result.exit_code == 2
    assert told in result.output


KEYS = st.sampled_from(
    [
        "model_list",
        "litellm_params",
        "model_name",
        "model",
        "api_key",
        "api_base",
        "rpm",
        "timeout",
        "fallbacks",
        "order",
        "router_settings",
        "litellm_settings",
        "model_info",
        "max_tokens",
        "weight",
        "extra_headers",
        "*",
        "x",
    ]
)
LEAVES = (
    st.none()
    | st.booleans()
    | st.integers(-9, 10**7)
    | st.text("ab/*$:{ \n\u2028", max_size=6)
    | st.sampled_from(["openai/a", "a"])
)
VALUES = st.recursive(LEAVES, lambda v: st.lists(v, max_size=3) | st.dictionaries(KEYS, v, max_size=4), max_leaves=12)
ENTRY = st.fixed_dictionaries(
    {
        "model_name": VALUES,
        "litellm_params": st.fixed_dictionaries(
            {"model": LEAVES},
            optional=dict.fromkeys(("api_key", "rpm", "timeout", "api_base", "order", "extra_headers", "weight"), VALUES),
        ),
    }
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(KEYS, VALUES), st.lists(ENTRY, max_size=3))
def test_no_mapping_crashes_it_and_the_result_passes_the_check(rest: dict[str, object], entries: list[object]) -> None:
    import json

    try:
        found = imported(json.dumps({**rest, "model_list": entries}))
    except ConfigError:
        return
    assert found.problems == ()


@given(st.text(max_size=20))
def test_a_written_text_reads_back(word: str) -> None:
    written = text(word)
    assert written.startswith('"') or scalar(written) == word


def test_the_output_is_what_parse_config_reads() -> None:
    assert parse_config(imported(REDIS).yaml, env={}).routes.keys() == {"local"}
