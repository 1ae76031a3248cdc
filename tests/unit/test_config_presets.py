from urllib.parse import urlsplit

import pytest

from fastroute.config.presets import GENERIC, Preset, chat_path, output_limit_field, presets, tidy_base_url

NAMES = [
    "openai",
    "azure",
    "azure-foundry",
    "anthropic",
    "gemini",
    "vertex",
    "vertex-claude",
    "bedrock",
    "mistral",
    "deepseek",
    "groq",
    "together",
    "xai",
    "openrouter",
    "perplexity",
    "fireworks",
    "cerebras",
    "huggingface",
    "zai",
    "moonshot",
    "alibaba",
    "databricks",
    "cohere",
    "sambanova",
    "nebius",
    "novita",
    "deepinfra",
    "hyperbolic",
    "nscale",
    "baseten",
    "nvidia",
    "friendli",
    "wandb",
    "scaleway",
    "ovhcloud",
    "minimax",
    "zhipuai",
    "ai21",
    "volcengine",
    "meta",
    "writer",
    "vercel-gateway",
    "cloudflare",
    "ollama",
    "vllm",
    "llamacpp",
    "sglang",
    "lmstudio",
    "openai-compatible",
    "gemini-compatible",
    "anthropic-compatible",
    "responses-compatible",
]
EVERY = [pytest.param(preset, id=preset.name) for preset in presets().values()]


def test_all_presets_are_there() -> None:
    assert list(presets()) == NAMES


@pytest.mark.parametrize("preset", EVERY)
def test_a_preset_is_complete(preset: Preset) -> None:
    assert preset.profile.name == preset.name
    assert preset.profile.dialect in GENERIC
    assert preset.profile.chat_path.startswith("/")
    assert preset.profile.auth in {"bearer", "x-api-key", "api-key", "x-goog-api-key", "none"}
    assert preset.profile.max_tokens_field in {"max_tokens", "max_completion_tokens", "either"}
    assert preset.title
    assert preset.base_url or preset.example_base_url
    assert preset.local or preset.key_env


@pytest.mark.parametrize("preset", EVERY)
def test_addresses_are_tidy_and_encrypted_unless_local(preset: Preset) -> None:
    address = preset.base_url or preset.example_base_url or ""
    assert tidy_base_url(preset, address) == address
    parts = urlsplit(address)
    assert parts.scheme == "https" or parts.hostname == "127.0.0.1"
    assert not parts.query


def test_names_of_known_models_are_unique() -> None:
    names = [model.name for preset in presets().values() for model in preset.models]
    assert len(names) == len(set(names))
    assert not set(names) & {"auto"}


@pytest.mark.parametrize(
    ("name", "url"),
    [
        ("openai", "https://api.openai.com/v1/chat/completions"),
        ("anthropic", "https://api.anthropic.com/v1/messages"),
        ("gemini", "https://generativelanguage.googleapis.com/v1beta/models/{model}:generateContent"),
        ("groq", "https://api.groq.com/openai/v1/chat/completions"),
        ("mistral", "https://api.mistral.ai/v1/chat/completions"),
        ("deepseek", "https://api.deepseek.com/chat/completions"),
        ("together", "https://api.together.ai/v1/chat/completions"),
        ("xai", "https://api.x.ai/v1/chat/completions"),
        ("openrouter", "https://openrouter.ai/api/v1/chat/completions"),
        ("perplexity", "https://api.perplexity.ai/chat/completions"),
        ("fireworks", "https://api.fireworks.ai/inference/v1/chat/completions"),
        ("cerebras", "https://api.cerebras.ai/v1/chat/completions"),
        ("huggingface", "https://router.huggingface.co/v1/chat/completions"),
        ("zai", "https://api.z.ai/api/paas/v4/chat/completions"),
        ("moonshot", "https://api.moonshot.ai/v1/chat/completions"),
        ("alibaba", "https://dashscope-intl.aliyuncs.com/compatible-mode/v1/chat/completions"),
        ("cohere", "https://api.cohere.ai/compatibility/v1/chat/completions"),
        ("sambanova", "https://api.sambanova.ai/v1/chat/completions"),
        ("nebius", "https://api.studio.nebius.ai/v1/chat/completions"),
        ("novita", "https://api.novita.ai/v3/openai/chat/completions"),
        ("deepinfra", "https://api.deepinfra.com/v1/openai/chat/completions"),
        ("nscale", "https://inference.api.nscale.com/v1/chat/completions"),
        ("baseten", "https://inference.baseten.co/v1/chat/completions"),
        ("nvidia", "https://integrate.api.nvidia.com/v1/chat/completions"),
        ("friendli", "https://api.friendli.ai/serverless/v1/chat/completions"),
        ("minimax", "https://api.minimax.io/v1/chat/completions"),
        ("zhipuai", "https://open.bigmodel.cn/api/paas/v4/chat/completions"),
        ("volcengine", "https://ark.cn-beijing.volces.com/api/v3/chat/completions"),
        ("meta", "https://api.llama.com/compat/v1/chat/completions"),
        ("writer", "https://api.writer.com/v1/chat"),
        ("vercel-gateway", "https://ai-gateway.vercel.sh/v1/chat/completions"),
        ("ollama", "http://127.0.0.1:11434/v1/chat/completions"),
        ("vllm", "http://127.0.0.1:8000/v1/chat/completions"),
        ("llamacpp", "http://127.0.0.1:8080/v1/chat/completions"),
    ],
)
def test_where_chats_go(name: str, url: str) -> None:
    preset = presets()[name]
    assert f"{preset.base_url}{chat_path(preset, 'm', None)}" == url


def test_departures_that_cost_money_or_answers_if_forgotten() -> None:
    assert [name for name, p in presets().items() if not p.profile.reasoning_in_output] == ["xai"]
    assert [name for name, p in presets().items() if p.profile.developer_role] == ["openai", "azure"]
    newer = [name for name, p in presets().items() if p.profile.max_tokens_field == "max_completion_tokens"]
    assert newer == ["openai", "azure"], "trap 32: reasoning models refuse max_tokens"
    assert not presets()["perplexity"].profile.done_sentinel
    assert presets()["openai"].profile.done_sentinel
    assert not presets()["mistral"].profile.stream_usage


def test_whose_bill_stops_when_a_stream_is_closed() -> None:
    stops = {answer: {n for n, p in presets().items() if p.profile.cancel_stops_billing is answer} for answer in (True, False)}
    assert stops == {True: {"openai", "azure", "anthropic", "together"}, False: {"gemini", "mistral", "groq"}}


def test_anthropic_says_its_version() -> None:
    assert presets()["anthropic"].profile.headers == (("anthropic-version", "2023-06-01"),)
    assert presets()["anthropic"].profile.auth == "x-api-key"
    assert presets()["azure"].profile.auth == "api-key"


@pytest.mark.parametrize(
    ("name", "written", "tidy"),
    [
        ("openai", "https://proxy.example/v1/", "https://proxy.example/v1"),
        ("openai", "https://proxy.example/v1/chat/completions", "https://proxy.example/v1"),
        ("openai", "https://proxy.example", "https://proxy.example"),
        ("anthropic", "https://proxy.example", "https://proxy.example"),
        ("anthropic", "https://proxy.example/v1", "https://proxy.example"),
        ("anthropic", "https://proxy.example/v1/", "https://proxy.example"),
        ("anthropic", "https://proxy.example/v1/messages", "https://proxy.example"),
        ("anthropic", "https://proxy.example/api/v1///", "https://proxy.example/api"),
        ("azure", "https://r.openai.azure.com/", "https://r.openai.azure.com"),
        ("azure", "https://r.openai.azure.com/openai/v1/", "https://r.openai.azure.com"),
        ("azure", "https://r.openai.azure.com/openai", "https://r.openai.azure.com"),
        ("azure-foundry", "https://r.services.ai.azure.com/models", "https://r.services.ai.azure.com"),
        ("openai-compatible", "http://h:1/v1", "http://h:1/v1"),
        ("anthropic-compatible", "http://h:1/anthropic/v1", "http://h:1/anthropic"),
    ],
)
def test_addresses_as_people_write_them(name: str, written: str, tidy: str) -> None:
    assert tidy_base_url(presets()[name], written) == tidy


@pytest.mark.parametrize(
    ("name", "api_version", "path"),
    [
        ("azure", None, "/openai/v1/chat/completions"),
        ("azure", "2024-10-21", "/openai/deployments/my%2Fgpt%3Fx/chat/completions"),
        ("azure-foundry", "2024-05-01-preview", "/models/chat/completions"),
        ("openai", "2024-10-21", "/chat/completions"),
    ],
)
def test_paths_by_version_quote_the_model(name: str, api_version: str | None, path: str) -> None:
    assert chat_path(presets()[name], "my/gpt?x", api_version) == path


def test_a_model_cannot_climb_out_of_its_path() -> None:
    assert "/../" not in chat_path(presets()["azure"], "../../secrets", "2024-10-21")


@pytest.mark.parametrize(
    ("name", "api_version", "field"),
    [
        ("openai", None, "max_completion_tokens"),
        ("azure", None, "max_completion_tokens"),
        ("azure", "2024-10-21", "max_completion_tokens"),
        ("azure", "2024-09-01-preview", "max_completion_tokens"),
        ("azure", "2024-06-01", "either"),
        ("groq", "2024-06-01", "max_tokens"),
    ],
)
def test_how_the_output_limit_is_spelled(name: str, api_version: str | None, field: str) -> None:
    assert output_limit_field(presets()[name], api_version) == field


def test_there_are_forty_providers() -> None:
    assert len([preset for preset in presets().values() if not preset.name.endswith("-compatible")]) >= 40


def test_variables_of_keys_are_unique() -> None:
    variables = [preset.key_env for preset in presets().values() if preset.key_env]
    assert len(variables) == len(set(variables))


def test_what_shapes_an_answer_is_never_left_out() -> None:
    shaping = {"tools", "functions", "response_format", "n", "logprobs", "top_logprobs", "stop", "messages", "logit_bias"}
    for preset in presets().values():
        ways = preset.profile.departures
        if ways is not None:
            assert not shaping & set(ways.left_out), preset.name
            assert not set(ways.refused) & set(ways.left_out), preset.name
            assert not {"content", "role", "tool_calls", "tool_call_id"} & set(ways.left_out_of_messages), preset.name


def test_a_key_that_opens_more_than_models_is_marked() -> None:
    general = [name for name, preset in presets().items() if preset.general_key]
    assert general == ["huggingface", "databricks", "wandb", "scaleway", "cloudflare"]
