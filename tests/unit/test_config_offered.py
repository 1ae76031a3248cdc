"""What the shipped catalogue adds to a configuration: models that can be listed, and what filters know of them."""

import pytest

from fastroute.app import catalog_of
from fastroute.config.load import parse_config
from fastroute.core.types import Endpoint, EndpointView, Needs, Objective, Situation, TailTable
from fastroute.policy.eligible import unfit
from fastroute.prices.catalog import PriceBook

TABLE = TailTable((1.0,), (0.5,))


def asked(text: str, model: str) -> Endpoint:
    route = catalog_of(parse_config(text, env={})).route_for(model)
    assert route is not None
    return route.tiers[0][0]


def why_not(endpoint: Endpoint, input_tokens: int = 10, max_output_tokens: int | None = None, **needs: bool) -> str | None:
    view = EndpointView(
        endpoint=endpoint, ttft_tail=TABLE, ttft_base_s=1, ttft_per_token_s=0, tpot_s=0.01, output_tokens=10, p_fail=0
    )
    situation = Situation((view,), Objective(), 0.0, 10.0, input_tokens, max_output_tokens, needs=Needs(**needs))
    return unfit(view, situation)


def one_that(can: str, value: bool) -> str:
    """A listed OpenRouter model whose capability is known to be so."""
    book = PriceBook.load()
    models = book.models_of("openrouter")
    return next(m for m in models if getattr(book.capabilities_of("openrouter", m), can) is value)


@pytest.mark.parametrize("can", ["vision", "tools", "json_schema"])
def test_filters_use_the_catalogue_for_models_asked_for_by_name(can: str) -> None:
    text = "providers: {openrouter: {api_key: k}}"
    assert why_not(asked(text, f"openrouter/{one_that(can, True)}"), **{can: True}) is None
    unable = asked(text, f"openrouter/{one_that(can, False)}")
    assert why_not(unable, **{can: True}) is not None
    assert why_not(unable) is None


def test_limits_of_the_catalogue_count_too() -> None:
    luna = asked("providers: {openai: {api_key: k}}", "openai/gpt-6-luna")
    assert why_not(luna, input_tokens=2_000_000) is not None
    assert why_not(luna, max_output_tokens=128_001) is not None
    assert why_not(luna, input_tokens=1000, max_output_tokens=128_000, vision=True, tools=True, json_schema=True) is None


def test_a_users_word_wins_over_the_catalogue() -> None:
    text = """
providers: {openai: {api_key: k}}
endpoints:
  luna:
    provider: openai
    model: gpt-6-luna
    price: {input_usd_per_mtok: 9, output_usd_per_mtok: 0}
    capabilities: {vision: false, context_tokens: 100}
"""
    luna = asked(text, "luna")
    assert luna.price is not None
    assert (luna.price.input_pusd, luna.price.output_pusd, luna.price.tiers) == (9_000_000, 0, ())
    assert (luna.capabilities.vision, luna.capabilities.context_tokens, luna.capabilities.tools) == (False, 100, True)


def test_a_model_that_nobody_knows_is_unpriced_and_unlimited() -> None:
    unknown = asked("providers: {groq: {api_key: k}}", "groq/org/next-years-model")
    assert unknown.price is None
    assert why_not(unknown, input_tokens=10**9, vision=True, tools=True, json_schema=True) is None


@pytest.mark.parametrize(("version", "field"), [("2024-06-01", "either"), ("2024-10-21", "max_completion_tokens")])
def test_azures_spelling_of_the_output_limit_is_by_version(version: str, field: str) -> None:
    base = f"providers: {{azure: {{api_key: k, base_url: 'https://r.openai.azure.com', api_version: '{version}'"
    assert asked(base + "}}", "azure/d").profile.max_tokens_field == field
    assert asked(base + ", quirks: {max_tokens_field: max_tokens}}}", "azure/d").profile.max_tokens_field == "max_tokens"


def test_a_route_or_an_endpoint_of_the_same_name_is_listed_once() -> None:
    text = """
providers: {groq: {api_key: k, list_models: true}}
endpoints: {"groq/openai/gpt-oss-120b": {provider: groq, model: openai/gpt-oss-120b}}
"""
    listed = catalog_of(parse_config(text, env={})).model_ids()
    assert listed.count(("groq/openai/gpt-oss-120b", "groq")) == 1
    assert len(listed) > 1
