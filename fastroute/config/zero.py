"""A configuration from the environment alone: whatever providers have a key there, and one route, `auto`.

Every model known at these providers is listed and can be asked for as `provider/model`: nobody chose among them.

What can go wrong. `OPENAI_BASE_URL` is also how a client is pointed at fastroute. Where it names our own data port it is meant
for clients, and following it would send every request back to us for ever; the provider's own address is used instead.
"""

import re
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from fastroute.config.catalog import IMPLICIT_DEADLINE_COVERS, IMPLICIT_DEADLINE_S
from fastroute.config.presets import KnownModel, Preset, presets
from fastroute.config.problems import START, Problems
from fastroute.config.references import is_loopback, url_complaint
from fastroute.config.schema import DEFAULT_PORT, Config, EndpointConfig, Provider, RouteConfig

AUTO = "auto"
SIZES = ("small", "medium", "large")
"""Price classes, cheapest first: a tier each."""

_KEY_PATTERN = re.compile(r"[\x21-\x7e]{1,8192}")


def config_from_env(env: Mapping[str, str], port: int = DEFAULT_PORT) -> Config | None:
    """Endpoints for every provider with a key in `env`, and a route over them; None where there is no key.

    `port`: our own data port. Raises `ConfigError` where a variable cannot be what it should.
    """
    problems = Problems("environment")
    found = [(preset, _provider(preset, env, port, problems)) for preset in presets().values() if _has_key(preset, env)]
    problems.raise_if_any()
    if not found:
        return None
    models = [(preset, model) for preset, _ in found for model in preset.models]
    routes = {AUTO: _auto([model for _, model in models])} if models else {}
    return Config(
        providers={preset.name: provider for preset, provider in found},
        endpoints={model.name: EndpointConfig(provider=preset.name, model=model.model) for preset, model in models},
        routes=routes,
    )


def _has_key(preset: Preset, env: Mapping[str, str]) -> bool:
    """Whether it can be asked: it has an address, and a key that is there for models."""
    address = preset.base_url or env.get(preset.base_url_env or "", "").strip()
    return bool(address and preset.key_env and not preset.general_key and env.get(preset.key_env, "").strip())


def _provider(preset: Preset, env: Mapping[str, str], port: int, problems: Problems) -> Provider:
    key = env[preset.key_env or ""].strip()
    if _KEY_PATTERN.fullmatch(key) is None:
        problems.add(START, f"{preset.key_env} holds a space, a line break or a character that no key has")
    base_url = env.get(preset.base_url_env or "", "").strip() or None
    complaint = url_complaint(base_url) if base_url else None
    if complaint:
        problems.add(START, f"{preset.base_url_env}: {complaint}")
    elif base_url and _is_ours(base_url, port):
        base_url = None
    return Provider(preset=preset.name, api_key=key, base_url=base_url, list_models=True)


def _is_ours(base_url: str, port: int) -> bool:
    parts = urlsplit(base_url)
    return parts.port == port and is_loopback(parts.hostname)


def _auto(models: list[KnownModel]) -> RouteConfig:
    return RouteConfig(
        tiers=tuple(_tiers(models)), deadline_ms=round(IMPLICIT_DEADLINE_S * 1000), deadline_covers=IMPLICIT_DEADLINE_COVERS
    )


def _tiers(models: list[KnownModel]) -> Iterator[tuple[str, ...]]:
    for size in SIZES:
        tier = tuple(model.name for model in models if model.size == size)
        if tier:
            yield tier
