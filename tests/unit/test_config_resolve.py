from typing import Any

import pytest
from config_support import SMALL, parsed
from rich.pretty import pretty_repr

from fastroute.config.catalog import Catalog
from fastroute.config.resolve import resolve
from fastroute.core.types import Capabilities, Endpoint, Price

PRICE = Price(input_pusd=150_000, output_pusd=600_000)


def no_price(preset: str, model: str) -> Price | None:
    return None


def resolved(text: str, price_of: Any = no_price, **more: Any) -> Catalog:
    return resolve(parsed(text), price_of, **more)


def one(provider: str, endpoint: str = "model: m", **more: Any) -> Endpoint:
    text = f"providers: {{p: {{{provider}}}}}\nendpoints: {{e: {{provider: p, {endpoint}}}}}\n"
    return resolved(text, **more).endpoints["e"]


def test_an_endpoint_has_what_its_preset_and_provider_say() -> None:
    got = one("preset: openai, api_key: sk-x, region: eu", "model: gpt-mini, weight: 2, skills: {default: 0.5}")
    assert (got.name, got.provider, got.model, got.key, got.region) == ("e", "p", "gpt-mini", "sk-x", "eu")
    assert got.base_url == "https://api.openai.com/v1"
    assert got.profile.chat_path == "/chat/completions"
    assert got.profile.auth == "bearer"
    assert got.profile.cancel_stops_billing is True
    assert (got.weight, got.skills, got.max_in_flight) == (2.0, {"default": 0.5}, None)
    assert got.prior_ttft_s is None


def test_what_the_endpoint_says_wins() -> None:
    got = one(
        "preset: openai, api_key: sk-x, region: eu",
        "model: m, region: us, cancel_stops_billing: false, limits: {max_in_flight: 8}, expected: {ttft_ms: 250, tpot_ms: 20}",
    )
    assert (got.region, got.profile.cancel_stops_billing, got.max_in_flight) == ("us", False, 8)
    assert (got.prior_ttft_s, got.prior_tpot_s) == (0.25, 0.02)


def test_an_empty_section_says_nothing() -> None:
    got = one("preset: openai", "model: m, limits: {}, expected: {}, capabilities: {}")
    assert (got.max_in_flight, got.prior_ttft_s, got.prior_tpot_s, got.capabilities) == (None, None, None, Capabilities())


# --- how a provider is reached ---


def test_the_users_address_replaces_the_presets() -> None:
    assert one("preset: openai, base_url: 'https://proxy.example/v1/'").base_url == "https://proxy.example/v1"
    assert one("preset: anthropic, base_url: 'https://proxy.example/v1'").base_url == "https://proxy.example"


def test_azure_by_deployment() -> None:
    got = one(
        "preset: azure, api_key: k, base_url: 'https://r.openai.azure.com/openai', api_version: '2024-10-21'",
        "model: my-gpt",
    )
    assert got.base_url + got.profile.chat_path == "https://r.openai.azure.com/openai/deployments/my-gpt/chat/completions"
    assert got.query == (("api-version", "2024-10-21"),)
    assert got.profile.auth == "api-key"


def test_azure_by_its_newer_path() -> None:
    got = one("preset: azure, api_key: k, base_url: 'https://r.openai.azure.com/openai/v1/'")
    assert got.base_url + got.profile.chat_path == "https://r.openai.azure.com/openai/v1/chat/completions"
    assert got.query == ()


def test_azure_with_a_token() -> None:
    assert one("preset: azure, auth: bearer, api_key: k, base_url: 'https://r.openai.azure.com'").profile.auth == "bearer"


def test_a_version_given_in_the_query_is_not_sent_twice() -> None:
    got = one("preset: azure, base_url: 'https://r.example', api_version: v1, query: {api-version: v2}")
    assert got.query == (("api-version", "v2"),)


def test_a_version_means_nothing_to_others() -> None:
    assert one("preset: openai, api_version: v1").query == ()


def test_without_a_key_none_is_sent() -> None:
    got = one("preset: openai-compatible, base_url: 'http://127.0.0.1:8000/v1'")
    assert (got.key, got.profile.auth) == (None, "none")


def test_headers_of_an_account() -> None:
    got = one("preset: openai, organization: org-1, project: proj-1, headers: {X-Team: search}")
    assert got.headers == (("OpenAI-Organization", "org-1"), ("OpenAI-Project", "proj-1"), ("X-Team", "search"))


def test_a_users_header_replaces_the_presets_of_the_same_name() -> None:
    got = one("preset: anthropic, headers: {Anthropic-Version: '2024-01-01'}")
    assert got.profile.headers == ()
    assert got.headers == (("Anthropic-Version", "2024-01-01"),)
    assert one("preset: anthropic").profile.headers == (("anthropic-version", "2023-06-01"),)


def test_quirks() -> None:
    got = one("preset: openai, quirks: {stream_usage: false, max_tokens_field: max_tokens}").profile
    assert (got.stream_usage, got.max_tokens_field, got.developer_role) == (False, "max_tokens", True)


def test_another_dialect_than_the_presets() -> None:
    got = one("preset: zai, api_key: k, dialect: anthropic_messages, base_url: 'https://api.z.ai/api/anthropic/v1'")
    assert got.base_url + got.profile.chat_path == "https://api.z.ai/api/anthropic/v1/messages"
    assert (got.profile.name, got.profile.dialect, got.profile.auth) == ("zai", "anthropic_messages", "x-api-key")
    assert got.profile.headers == (("anthropic-version", "2023-06-01"),)


def test_the_presets_own_dialect_said_again_changes_nothing() -> None:
    assert one("preset: openai, dialect: openai_chat").profile == one("preset: openai").profile


# --- prices and capabilities ---


def test_prices_come_from_the_catalog_by_preset_and_model() -> None:
    asked: list[tuple[str, str]] = []

    def price_of(preset: str, model: str) -> Price | None:
        asked.append((preset, model))
        return PRICE

    assert one("preset: groq, api_key: k", "model: m1", price_of=price_of).price == PRICE
    assert asked == [("groq", "m1")]


def test_a_price_in_the_configuration_wins_and_is_exact() -> None:
    price = (
        "price: {input_usd_per_mtok: 0.0375, output_usd_per_mtok: 0.15, cached_input_usd_per_mtok: 0.01, usd_per_request: 0.005}"
    )
    assert one("preset: openai", f"model: m, {price}", price_of=lambda p, m: PRICE).price == Price(
        input_pusd=37_500, output_pusd=150_000, cached_input_pusd=10_000, cache_write_pusd=None, request_pusd=5_000_000_000
    )


def test_free_is_a_price_and_unknown_is_none() -> None:
    assert one("preset: openai", "model: m, price: {input_usd_per_mtok: 0, output_usd_per_mtok: 0}").price == Price(0, 0)
    assert one("preset: openai").price is None


def test_capabilities_are_overridden_one_by_one() -> None:
    known = Capabilities(vision=True, tools=True, context_tokens=128_000)
    got = one("preset: openai", "model: m, capabilities: {tools: false, json_schema: true}", capabilities_of=lambda p, m: known)
    assert got.capabilities == Capabilities(vision=True, tools=False, json_schema=True, context_tokens=128_000)


# --- routes ---


def test_a_route_with_everything() -> None:
    text = SMALL.replace(
        "{tiers: [[mini]]}",
        "{objective: {ttft_ms: 1500, total_ms: 8000, target: 0.95}, deadline_ms: 9000, deadline_covers: first_content,"
        " first_content_timeout_ms: 2500, stall_timeout_ms: 700, max_attempts: 5, strategy: weighted, on_infeasible: reject,"
        " tiers: [mini, [mini]]}",
    )
    route = resolved(text).routes["auto"]
    assert (route.objective.ttft_s, route.objective.total_s, route.objective.target) == (1.5, 8.0, 0.95)
    assert (route.deadline_s, route.deadline_covers, route.max_attempts) == (9.0, "first_content", 5)
    assert (route.first_content_timeout_s, route.stall_timeout_s) == (2.5, 0.7)
    assert (route.strategy, route.on_infeasible) == ("weighted", "reject")
    assert [[e.name for e in tier] for tier in route.tiers] == [["mini"], ["mini"]]


def test_a_route_with_nothing_but_endpoints() -> None:
    route = resolved(SMALL.replace("tiers: [[mini]]", "endpoints: [mini]")).routes["auto"]
    assert (route.objective.ttft_s, route.objective.total_s) == (None, None)
    assert (route.deadline_s, route.max_attempts, len(route.tiers)) == (10.0, 3, 1)


def test_routes_and_the_catalog_hold_the_same_endpoint() -> None:
    catalog = resolved(SMALL)
    assert catalog.routes["auto"].tiers[0][0] is catalog.endpoints["mini"]


# --- on demand ---


def test_any_model_of_a_known_provider_can_be_asked_for() -> None:
    catalog = resolved(SMALL, lambda preset, model: PRICE if (preset, model) == ("openai", "gpt-new") else None)
    route = catalog.route_for("openai/gpt-new")
    assert route is not None
    made = route.tiers[0][0]
    assert (made.name, made.provider, made.model, made.key) == ("openai/gpt-new", "openai", "gpt-new", "sk-test-1234567890")
    assert made.price == PRICE
    assert catalog.route_for("anthropic/claude") is None


def test_a_deployment_asked_for_is_quoted() -> None:
    catalog = resolved("providers: {azure: {api_key: k, base_url: 'https://r.example', api_version: v}}\n")
    route = catalog.route_for("azure/../x?y")
    assert route is not None
    assert route.tiers[0][0].profile.chat_path == "/openai/deployments/..%2Fx%3Fy/chat/completions"


# --- secrets ---


@pytest.mark.parametrize("show", [repr, str, pretty_repr])
def test_no_key_is_shown(show: Any) -> None:
    catalog = resolved(SMALL)
    shown = [catalog, catalog.endpoints["mini"], catalog.routes["auto"], catalog.route_for("openai/x"), catalog.warnings]
    assert "sk-test" not in "".join(show(value) for value in shown)
