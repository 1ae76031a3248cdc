"""From a checked configuration to the endpoints and routes that the engine uses, and to what the operator should know.

Prices and capabilities come in as functions: the catalogs that hold them are packages above this one.
"""

from collections.abc import Callable, Iterator

import msgspec

from fastroute.config.advice import warnings_of
from fastroute.config.catalog import Catalog
from fastroute.config.presets import GENERIC, Preset, chat_path, output_limit_field, presets, tidy_base_url
from fastroute.config.schema import CapabilitiesOverride, Config, EndpointConfig, PriceOverride, Provider, RouteConfig, preset_of
from fastroute.config.section import Objective as ObjectiveConfig
from fastroute.core.money import from_usd, per_token
from fastroute.core.types import Capabilities, Endpoint, HedgeRule, Objective, Price, Profile, Route

PriceOf = Callable[[str, str], Price | None]
"""(preset, model) -> its price; None: not known."""
CapabilitiesOf = Callable[[str, str], Capabilities | None]
"""(preset, model) -> what it can do; None: not known."""
ModelsOf = Callable[[str], tuple[str, ...]]
"""preset -> the chat models that are known there."""


def resolve(
    config: Config, price_of: PriceOf, capabilities_of: CapabilitiesOf | None = None, models_of: ModelsOf | None = None
) -> Catalog:
    """Builds every endpoint and route. A price or capability in the configuration wins over the catalogs'."""
    maker = _Maker(config, price_of, capabilities_of or (lambda preset, model: None))
    endpoints = {name: maker.endpoint(name, entry) for name, entry in config.endpoints.items()}
    routes = {name: _route(name, entry, endpoints) for name, entry in config.routes.items()}
    return Catalog(
        endpoints,
        routes,
        warnings_of(config, endpoints),
        maker.on_demand,
        lambda: _offered(config, models_of) if models_of else (),
    )


def _offered(config: Config, models_of: ModelsOf) -> Iterator[tuple[str, str]]:
    """What can be asked for as `provider/model`, of providers that are to be listed whole; see docs/decisions/0014."""
    used = {endpoint.provider for endpoint in config.endpoints.values()}
    for name, provider in config.providers.items():
        if name not in used if provider.list_models is None else provider.list_models:
            for model in models_of(preset_of(name, provider).name):
                yield name, model


class _Maker:
    """Makes endpoints, now and for models that are asked for later."""

    def __init__(self, config: Config, price_of: PriceOf, capabilities_of: CapabilitiesOf) -> None:
        self._providers = config.providers
        self._price_of, self._capabilities_of = price_of, capabilities_of

    def on_demand(self, provider: str, model: str) -> Endpoint | None:
        """An endpoint that the configuration does not hold; None for an unknown provider."""
        if provider not in self._providers:
            return None
        return self.endpoint(f"{provider}/{model}", EndpointConfig(provider=provider, model=model))

    def endpoint(self, name: str, entry: EndpointConfig) -> Endpoint:
        provider = self._providers[entry.provider]
        preset = preset_of(entry.provider, provider)
        profile = _profile(preset, provider, entry)
        limits, expected = entry.limits, entry.expected
        return Endpoint(
            name=name,
            provider=entry.provider,
            profile=profile,
            base_url=tidy_base_url(_speaking(preset, provider), provider.base_url or preset.base_url or ""),
            model=entry.model,
            key=provider.api_key or None,
            region=entry.region or provider.region,
            headers=_headers(provider),
            query=_query(preset, provider),
            price=_price(entry.price) if entry.price else self._price_of(preset.name, entry.model),
            skills=dict(entry.skills),
            weight=entry.weight,
            max_in_flight=limits.max_in_flight if limits else None,
            requests_per_minute=limits.rpm if limits else None,
            tokens_per_minute=limits.tpm if limits else None,
            capabilities=_capabilities(entry.capabilities, self._capabilities_of(preset.name, entry.model)),
            prior_ttft_s=_seconds(expected.ttft_ms) if expected else None,
            prior_tpot_s=_seconds(expected.tpot_ms) if expected else None,
        )


def _speaking(preset: Preset, provider: Provider) -> Preset:
    """The preset whose dialect is spoken: the generic one where the provider departs from its own preset's."""
    if provider.dialect is None or provider.dialect == preset.profile.dialect:
        return preset
    return presets()[GENERIC[provider.dialect]]


def _profile(preset: Preset, provider: Provider, entry: EndpointConfig) -> Profile:
    """The preset's profile with everything that the provider and the endpoint say differently."""
    speaking = _speaking(preset, provider)
    own_headers = {name.lower() for name in provider.headers}
    billing = entry.cancel_stops_billing
    changes = {
        "name": preset.name,
        "max_tokens_field": output_limit_field(speaking, provider.api_version),
        "chat_path": chat_path(speaking, entry.model, provider.api_version),
        "auth": (provider.auth or speaking.profile.auth) if provider.api_key else "none",
        "headers": tuple(h for h in speaking.profile.headers if h[0].lower() not in own_headers),
        "cancel_stops_billing": preset.profile.cancel_stops_billing if billing is None else billing,
    }
    quirks = msgspec.structs.asdict(provider.quirks) if provider.quirks else {}
    said = {name: value for name, value in quirks.items() if value is not None}
    return msgspec.structs.replace(speaking.profile, **(changes | said))


def _headers(provider: Provider) -> tuple[tuple[str, str], ...]:
    named = (("OpenAI-Organization", provider.organization), ("OpenAI-Project", provider.project))
    return (*((name, value) for name, value in named if value), *provider.headers.items())


def _query(preset: Preset, provider: Provider) -> tuple[tuple[str, str], ...]:
    versioned = (
        provider.api_version is not None and preset.versioned_chat_path is not None and "api-version" not in provider.query
    )
    version = (("api-version", provider.api_version),) if versioned and provider.api_version else ()
    return (*version, *provider.query.items())


def _price(price: PriceOverride) -> Price:
    cached, write = price.cached_input_usd_per_mtok, price.cache_write_usd_per_mtok
    return Price(
        input_pusd=per_token(price.input_usd_per_mtok),
        output_pusd=per_token(price.output_usd_per_mtok),
        cached_input_pusd=None if cached is None else per_token(cached),
        cache_write_pusd=None if write is None else per_token(write),
        request_pusd=from_usd(price.usd_per_request),
    )


def _capabilities(said: CapabilitiesOverride | None, known: Capabilities | None) -> Capabilities:
    known = known or Capabilities()
    if said is None:
        return known
    overrides = {name: value for name, value in msgspec.structs.asdict(said).items() if value is not None}
    return msgspec.structs.replace(known, **overrides)


def _route(name: str, entry: RouteConfig, endpoints: dict[str, Endpoint]) -> Route:
    return Route(
        name=name,
        tiers=tuple(tuple(endpoints[endpoint] for endpoint in tier) for tier in entry.tier_names()),
        objective=_objective(entry.objective),
        deadline_s=entry.deadline_ms / 1000,
        deadline_covers=entry.deadline_covers,
        max_attempts=entry.max_attempts,
        first_content_timeout_s=_seconds(entry.first_content_timeout_ms),
        stall_timeout_s=_seconds(entry.stall_timeout_ms),
        strategy=entry.strategy,
        on_infeasible=entry.on_infeasible,
        hedge=None if entry.hedge is None else HedgeRule(entry.hedge.max_ratio, entry.hedge.max_spend_ratio),
    )


def _objective(objective: ObjectiveConfig | None) -> Objective:
    if objective is None:
        return Objective()
    return Objective(_seconds(objective.ttft_ms), _seconds(objective.total_ms), objective.target)


def _seconds(ms: float | None) -> float | None:
    return None if ms is None else ms / 1000
