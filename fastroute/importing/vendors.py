"""LiteLLM's provider prefixes as our presets, and the environment variable that LiteLLM takes each one's key from.

From LiteLLM's documentation as its users know it; its source was not read. What is not listed is reported as unknown.
"""

import re
from typing import NamedTuple
from urllib.parse import urlsplit

from fastroute.config.presets import presets


class Vendor(NamedTuple):
    """One prefix. `preset` None: nothing here speaks to it, for the reason in `why`."""

    preset: str | None
    key_env: str | None = None
    base_env: str | None = None
    why: str = ""


_AWS = "Amazon's signed API has no counterpart in the importer"
_TEXT = "the text completion API is not served"

VENDORS: dict[str, Vendor] = {
    "openai": Vendor("openai", "OPENAI_API_KEY", "OPENAI_API_BASE"),
    "azure": Vendor("azure", "AZURE_API_KEY", "AZURE_API_BASE"),
    "azure_ai": Vendor("azure-foundry", "AZURE_AI_API_KEY", "AZURE_AI_API_BASE"),
    "anthropic": Vendor("anthropic", "ANTHROPIC_API_KEY"),
    "gemini": Vendor("gemini", "GEMINI_API_KEY"),
    "vertex_ai": Vendor("vertex"),
    "vertex_ai_beta": Vendor("vertex"),
    "mistral": Vendor("mistral", "MISTRAL_API_KEY"),
    "deepseek": Vendor("deepseek", "DEEPSEEK_API_KEY"),
    "groq": Vendor("groq", "GROQ_API_KEY"),
    "xai": Vendor("xai", "XAI_API_KEY"),
    "openrouter": Vendor("openrouter", "OPENROUTER_API_KEY"),
    "together_ai": Vendor("together", "TOGETHERAI_API_KEY"),
    "fireworks_ai": Vendor("fireworks", "FIREWORKS_API_KEY"),
    "perplexity": Vendor("perplexity", "PERPLEXITYAI_API_KEY"),
    "cerebras": Vendor("cerebras", "CEREBRAS_API_KEY"),
    "huggingface": Vendor("huggingface", "HF_TOKEN"),
    "cohere": Vendor("cohere", "COHERE_API_KEY"),
    "cohere_chat": Vendor("cohere", "COHERE_API_KEY"),
    "zai": Vendor("zai", "ZAI_API_KEY"),
    "moonshot": Vendor("moonshot", "MOONSHOT_API_KEY"),
    "dashscope": Vendor("alibaba", "DASHSCOPE_API_KEY"),
    "databricks": Vendor("databricks", "DATABRICKS_API_KEY", "DATABRICKS_API_BASE"),
    "sambanova": Vendor("sambanova", "SAMBANOVA_API_KEY"),
    "nebius": Vendor("nebius", "NEBIUS_API_KEY"),
    "novita": Vendor("novita", "NOVITA_API_KEY"),
    "deepinfra": Vendor("deepinfra", "DEEPINFRA_API_KEY"),
    "hyperbolic": Vendor("hyperbolic", "HYPERBOLIC_API_KEY"),
    "nscale": Vendor("nscale", "NSCALE_API_KEY"),
    "baseten": Vendor("baseten", "BASETEN_API_KEY"),
    "nvidia_nim": Vendor("nvidia", "NVIDIA_NIM_API_KEY"),
    "friendliai": Vendor("friendli", "FRIENDLI_TOKEN"),
    "wandb": Vendor("wandb", "WANDB_API_KEY"),
    "ovhcloud": Vendor("ovhcloud", "OVHCLOUD_API_KEY"),
    "minimax": Vendor("minimax", "MINIMAX_API_KEY"),
    "ai21": Vendor("ai21", "AI21_API_KEY"),
    "ai21_chat": Vendor("ai21", "AI21_API_KEY"),
    "volcengine": Vendor("volcengine", "VOLCENGINE_API_KEY"),
    "meta_llama": Vendor("meta", "LLAMA_API_KEY"),
    "vercel_ai_gateway": Vendor("vercel-gateway", "VERCEL_AI_GATEWAY_API_KEY"),
    "ollama": Vendor("ollama", None, "OLLAMA_API_BASE"),
    "ollama_chat": Vendor("ollama", None, "OLLAMA_API_BASE"),
    "hosted_vllm": Vendor("vllm", None, "HOSTED_VLLM_API_BASE"),
    "vllm": Vendor("vllm"),
    "lm_studio": Vendor("lmstudio", None, "LM_STUDIO_API_BASE"),
    "llamafile": Vendor("openai-compatible"),
    "openai_like": Vendor("openai-compatible"),
    "custom_openai": Vendor("openai-compatible"),
    "litellm_proxy": Vendor("openai-compatible", "LITELLM_PROXY_API_KEY", "LITELLM_PROXY_API_BASE"),
    "bedrock": Vendor(None, why=_AWS),
    "bedrock_converse": Vendor(None, why=_AWS),
    "sagemaker": Vendor(None, why=_AWS),
    "sagemaker_chat": Vendor(None, why=_AWS),
    "text-completion-openai": Vendor(None, why=_TEXT),
    "azure_text": Vendor(None, why=_TEXT),
}

_BARE = (
    (re.compile(r"(?:gpt-|chatgpt-|o[1-9](?:-|$))"), "openai"),
    (re.compile(r"claude-"), "anthropic"),
    (re.compile(r"gemini-"), "vertex_ai"),
    (re.compile(r"command-"), "cohere"),
    (re.compile(r"deepseek-"), "deepseek"),
)
"""Whose a model without a prefix is. LiteLLM looks it up in a list; these are the families in it that people write so."""

_MODES = {"azure": ("o_series/", "gpt5_series/", "responses/"), "openai": ("responses/", "chat/"), "vertex_ai": ("gemini/",)}
"""Second prefixes that choose a way of asking, and are no part of the model's name."""


def split_model(model: str, said: str | None) -> tuple[str | None, str]:
    """LiteLLM's `model` as (prefix, the provider's own name). `said`: `custom_llm_provider`. None: no prefix, none known."""
    prefix, slash, rest = model.partition("/")
    if said is not None:
        return said, rest if slash and prefix == said else model
    if slash and prefix in VENDORS:
        return prefix, _without_mode(prefix, rest)
    if slash:
        return prefix, rest
    return ("openai" if model == "*" else None), model


def family(model: str) -> str | None:
    """The prefix that LiteLLM would find for a model written without one; None: not known here."""
    return next((prefix for pattern, prefix in _BARE if pattern.match(model)), None)


def _without_mode(prefix: str, model: str) -> str:
    mode = next((mode for mode in _MODES.get(prefix, ()) if model.startswith(mode)), "")
    return model.removeprefix(mode)


def preset_at(url: str) -> str | None:
    """The preset whose own address is on the host of `url`."""
    host = host_of(url)
    own = ((name, preset.base_url) for name, preset in presets().items() if preset.base_url and not preset.local)
    return next((name for name, base_url in own if host and host == host_of(base_url)), None)


def host_of(url: str) -> str | None:
    """The host of a URL; None where it has none or is none."""
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None
