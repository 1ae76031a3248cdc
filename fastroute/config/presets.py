"""Providers as data: how each speaks its dialect, where it is, and which environment variable holds its key.

A new OpenAI-compatible provider is an entry in `presets.json` and nothing else.
Source: wire notes 3.1 (addresses, authentication), 3.5 (streams); selection notes (whose billing stops on cancel).
"""

from functools import cache
from importlib import resources
from typing import Any, Literal
from urllib.parse import quote

import msgspec

from fastroute.core.types import Profile

GENERIC = {
    "openai_chat": "openai-compatible",
    "anthropic_messages": "anthropic-compatible",
    "gemini": "gemini-compatible",
    "anthropic_vertex": "vertex-claude",
    "bedrock_converse": "bedrock",
    "openai_responses": "responses-compatible",
}
"""The preset that stands for a dialect without any provider's departures from it."""


MAX_COMPLETION_TOKENS_SINCE = "2024-09"
"""Azure's `api-version` from which `max_completion_tokens` is known."""


class KnownModel(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A model that a start without a configuration offers. `size` is its price class."""

    name: str
    model: str
    size: Literal["small", "medium", "large"]


class Preset(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One provider. `base_url` None: the user must say. `local`: works without a key."""

    name: str
    title: str
    profile: Profile
    base_url: str | None = None
    key_env: str | None = None
    base_url_env: str | None = None
    example_base_url: str | None = None
    redundant_suffixes: tuple[str, ...] = ()  # of a base URL: part of chat_path already, though often written
    versioned_chat_path: str | None = None  # used where an api_version is given; `{model}` is the deployment
    local: bool = False
    general_key: bool = False  # the key opens more than models, so it is not taken from the environment unasked
    models: tuple[KnownModel, ...] = ()


@cache
def presets() -> dict[str, Preset]:
    """All presets by name, in the order of the file."""
    raw = msgspec.json.decode(resources.files("fastroute.config").joinpath("presets.json").read_bytes(), type=dict[str, Any])
    return {name: _preset(name, entry) for name, entry in raw.items()}


def _preset(name: str, entry: dict[str, Any]) -> Preset:
    profile = {"name": name, **entry["profile"]}
    return msgspec.convert({**entry, "name": name, "profile": profile}, Preset)


def chat_path(preset: Preset, model: str, api_version: str | None) -> str:
    """The path below the base URL, for one model. The model is quoted: it may come from a client."""
    if api_version is None or preset.versioned_chat_path is None:
        return preset.profile.chat_path
    return preset.versioned_chat_path.format(model=quote(model, safe=""))


def output_limit_field(preset: Preset, api_version: str | None) -> str:
    """The spelling of the output limit. Azure's older versions know `max_tokens` only, or do not know what newer models want."""
    old = api_version is not None and preset.versioned_chat_path is not None and api_version < MAX_COMPLETION_TOKENS_SINCE
    return "either" if old else preset.profile.max_tokens_field


def tidy_base_url(preset: Preset, url: str) -> str:
    """A base URL as written by people, without the slash, the chat path or the version that `chat_path` adds itself."""
    tidy = url.rstrip("/")
    for suffix in (preset.profile.chat_path, *preset.redundant_suffixes):
        if tidy.endswith(suffix):
            return tidy.removesuffix(suffix).rstrip("/")
    return tidy
