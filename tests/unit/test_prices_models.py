"""The shipped snapshot as a catalogue: which models, with what limits, at which presets; and prices that rise with the prompt."""

import pytest

from fastroute.config.presets import presets
from fastroute.core.types import Endpoint, EndpointView, Objective, Price, PriceTier, Profile, Situation, TailTable, Usage
from fastroute.policy.cost import expected_cost_pusd
from fastroute.prices.catalog import SNAPSHOT_PATH, PriceBook
from fastroute.prices.charge import charge
from fastroute.prices.snapshot import Entry, Snapshot, Tier, decode


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook.load()


# --- what is listed -----------------------------------------------------------------------------------------------------


def test_at_least_20_providers_and_500_chat_models(book: PriceBook) -> None:
    listed = {preset: book.models_of(preset) for preset in presets()}
    assert len([preset for preset, models in listed.items() if models]) >= 20
    distinct = {model.rpartition("/")[2].partition(":")[0].lower() for models in listed.values() for model in models}
    assert len(distinct) >= 500, "and they are not the same few at every provider"


def test_names_are_sorted_unique_and_can_be_asked_for(book: PriceBook) -> None:
    for preset in presets():
        models = book.models_of(preset)
        assert list(models) == sorted(set(models)), preset
        assert all(model.isascii() and model.isprintable() and " " not in model for model in models), preset


@pytest.mark.parametrize("preset", ["azure", "azure-foundry", "ollama", "vllm", "openai-compatible", "nobody"])
def test_presets_whose_models_only_their_owner_can_name(book: PriceBook, preset: str) -> None:
    assert book.models_of(preset) == ()


def test_a_hubs_models_say_who_serves_them(book: PriceBook) -> None:
    models = book.models_of("huggingface")
    assert len(models) > 100
    assert all(":" in model for model in models)
    assert all(book.price_of("huggingface", model) is not None for model in models)


def test_spelling_is_the_providers_own(book: PriceBook) -> None:
    assert any(model != model.lower() for model in book.models_of("together"))
    assert "openai/gpt-oss-120b" in book.models_of("groq")


def test_known_models_of_presets_are_in_the_snapshot(book: PriceBook) -> None:
    """The models of a start without a configuration: a price each, or they could not be compared."""
    for name, preset in presets().items():
        for known in preset.models:
            assert book.price_of(name, known.model) is not None, (name, known.model)


def test_most_listed_models_have_a_price_and_a_context(book: PriceBook) -> None:
    listed = [(preset, model) for preset in presets() for model in book.models_of(preset)]
    unpriced = sum(book.price_of(preset, model) is None for preset, model in listed)
    unknown = sum(book.capabilities_of(preset, model).context_tokens is None for preset, model in listed)
    assert unpriced < 0.03 * len(listed)
    assert unknown < 0.25 * len(listed)


def test_an_unpriced_model_is_none_and_still_has_its_limits(book: PriceBook) -> None:
    snapshot = decode(SNAPSHOT_PATH.read_bytes())
    provider, model, entry = next(
        (p, m, e) for p, models in snapshot.providers.items() for m, e in models.items() if e.price() is None
    )
    assert book.price_of(provider, model) is None
    assert book.capabilities_of(provider, model) == entry.capabilities()


def test_nothing_is_free_that_does_not_say_so() -> None:
    for models in decode(SNAPSHOT_PATH.read_bytes()).providers.values():
        for model, entry in models.items():
            assert (entry.input_pusd, entry.output_pusd) != (0, 0) or "free" in model, model


def test_capabilities_of_a_well_known_model(book: PriceBook) -> None:
    can = book.capabilities_of("openai", "gpt-6-luna")
    assert (can.vision, can.tools, can.json_schema, can.max_output_tokens) == (True, True, True, 128_000)
    assert can.context_tokens is not None


def test_tables_are_read_when_they_are_asked_for() -> None:
    book = PriceBook.load()
    assert book._tables == {}
    assert book.price_of("groq", "openai/gpt-oss-120b") is not None
    assert list(book._tables) == ["groq"]


# --- prices that rise with the prompt -----------------------------------------------------------------------------------

TIERED = Price(10, 20, 1, 12, 5, tiers=(PriceTier(100, 30, 40, 3, 36), PriceTier(1000, 50, 60)))


@pytest.mark.parametrize(("tokens", "input_pusd"), [(0, 10), (100, 10), (101, 30), (1000, 30), (1001, 50)])
def test_the_highest_tier_that_the_prompt_passes(tokens: int, input_pusd: int) -> None:
    assert TIERED.at(tokens).input_pusd == input_pusd


def test_a_tier_holds_for_all_tokens_of_the_request() -> None:
    usage = Usage(input_tokens=150, output_tokens=10, cached_input_tokens=40, cache_write_tokens=20)
    assert charge(TIERED, usage) == 5 + 40 * 3 + 20 * 36 + 90 * 30 + 10 * 40
    assert charge(TIERED, Usage(2000, 1, 500, 100)) == 5 + 2000 * 50 + 60, "no cache price there: as input"


def test_reasoning_at_its_own_price() -> None:
    price = Price(1, 8, reasoning_pusd=3)
    assert charge(price, Usage(10, 100, reasoning_tokens=60)) == 10 + 40 * 8 + 60 * 3
    assert charge(price, Usage(10, 100)) == 10 + 100 * 8
    assert charge(price, Usage(10, 100, reasoning_tokens=500)) == 10 + 100 * 3, "no more than the whole answer"


def test_an_entrys_tiers_are_its_prices_tiers() -> None:
    book = PriceBook(Snapshot("2026-01-01", "test", {"p": {"m": Entry(1, 2, tiers=(Tier(9, 3, 4, 1, None, 7),))}}))
    price = book.price_of("p", "m")
    assert price is not None
    assert price.tiers == (PriceTier(9, 3, 4, 1, None, 7),)
    entry = book.entry_of("p", "m")
    assert entry is not None
    assert entry.tiered


def test_forecasts_know_tiers_too() -> None:
    endpoint = Endpoint("e", "p", Profile("p", "openai_chat", "/c"), "https://x.example", "m", price=TIERED)
    table = TailTable((1.0,), (0.5,))
    made = EndpointView(
        endpoint=endpoint,
        ttft_tail=table,
        ttft_base_s=1.0,
        ttft_per_token_s=0.0,
        tpot_s=0.01,
        output_tokens=10.0,
        p_fail=0.0,
    )
    short, long = (Situation((made,), Objective(), 0.0, 10.0, tokens) for tokens in (100, 101))
    assert expected_cost_pusd(made, short) == 100 * 10 + 10 * 20 + 5
    assert expected_cost_pusd(made, long) == 101 * 30 + 10 * 40 + 5
