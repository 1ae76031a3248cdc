"""What is allowed but probably not meant, in words for the operator. `serve` and `check` print them; nothing stops for them."""

from collections.abc import Iterator

from fastroute.config.schema import Config, Provider, RouteConfig, preset_of
from fastroute.config.schema_planned import PLANNED_ROUTE_KEYS, PLANNED_SECTIONS, PLANNED_TELEMETRY_KEYS
from fastroute.core.types import Endpoint

_NO_EFFECT = "accepted but not acted on in this version"
_AUTH_HEADERS = {"authorization", "api-key", "x-api-key"}
_CONSEQUENCES = {
    "sensitive": "; sensitive prompts may go to any endpoint of their route",
    "keys": "; clients need no key",
}


def warnings_of(config: Config, endpoints: dict[str, Endpoint]) -> tuple[str, ...]:
    """All warnings, in the order of the configuration. `endpoints`: the resolved ones."""
    return (
        *_about_providers(config),
        *_about_endpoints(config, endpoints),
        *_about_routes(config),
        *_about_planned(config),
    )


def _about_providers(config: Config) -> Iterator[str]:
    used = {endpoint.provider for endpoint in config.endpoints.values()}
    for name, provider in config.providers.items():
        preset = preset_of(name, provider)
        authenticated = provider.api_key or _AUTH_HEADERS & {header.lower() for header in provider.headers}
        if name in used and not authenticated and not preset.local:
            hint = f'; write api_key: "${{{preset.key_env}}}"' if preset.key_env else ""
            yield f"providers.{name}: no api_key, so {preset.name} will refuse its requests{hint}"
        yield from _about_extras(name, provider)


def _about_extras(name: str, provider: Provider) -> Iterator[str]:
    """Keys that only some presets can use, and a danger."""
    preset = preset_of(name, provider)
    if provider.tls is not None and not provider.tls.verify:
        yield f"providers.{name}.tls.verify: false, so whoever is on the way can read its key and all prompts"
    for key, value in (("organization", provider.organization), ("project", provider.project)):
        if value and preset.name not in ("openai", "openai-compatible"):
            yield f"providers.{name}.{key}: {preset.name} does not know this; it is sent all the same"
    if provider.api_version and preset.versioned_chat_path is None:
        yield f"providers.{name}.api_version: has no effect with preset {preset.name}"


def _about_endpoints(config: Config, endpoints: dict[str, Endpoint]) -> Iterator[str]:
    if not endpoints:
        yield "endpoints: none, so only provider/model can be asked for"
    for name, endpoint in endpoints.items():
        if name in config.routes:
            yield f"endpoints.{name}: a route has the same name, so clients cannot name this endpoint"
        if endpoint.price is None:
            yield f"endpoints.{name}: no price known for {endpoint.model} at {endpoint.profile.name}; its requests are unpriced"


def _about_routes(config: Config) -> Iterator[str]:
    for name, route in config.routes.items():
        yield from _about_times(f"routes.{name}", route)
        if route.strategy == "weighted":
            for i, tier in enumerate(route.tier_names()):
                if all(config.endpoints[endpoint].weight == 0 for endpoint in tier):
                    yield f"routes.{name}.tiers[{i}]: every weight is 0"


def _about_times(where: str, route: RouteConfig) -> Iterator[str]:
    objective, deadline_ms = route.objective, route.deadline_ms
    if objective and (objective.ttft_ms or 0) > deadline_ms:
        yield f"{where}.objective.ttft_ms: {objective.ttft_ms} ms is more than deadline_ms, {deadline_ms} ms"
    if objective and (objective.total_ms or 0) > deadline_ms and route.deadline_covers == "last_byte":
        yield f"{where}.objective.total_ms: {objective.total_ms} ms is more than deadline_ms, {deadline_ms} ms"
    if (route.first_content_timeout_ms or 0) >= deadline_ms:
        yield f"{where}.first_content_timeout_ms: not less than deadline_ms, so one silent endpoint uses it all up"


def _about_planned(config: Config) -> Iterator[str]:
    """Sections that are there but have no effect yet."""
    for name, route in config.routes.items():
        for key in PLANNED_ROUTE_KEYS:
            if getattr(route, key) is not None:
                yield f"routes.{name}.{key}: {_NO_EFFECT}"
    for key in PLANNED_SECTIONS:
        if getattr(config, key) is not None:
            yield f"{key}: {_NO_EFFECT}{_CONSEQUENCES.get(key, '')}"
    for key in PLANNED_TELEMETRY_KEYS:
        if getattr(config.telemetry, key):
            yield f"telemetry.{key}: {_NO_EFFECT}"
