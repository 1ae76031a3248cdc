"""Limits, capabilities and further models for the snapshot."""

import datetime
import json
import zipfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from fastroute.prices.build_models import NO_CHAT, add_models, read_models
from fastroute.prices.snapshot import Entry, Tier

DAY = datetime.date(2026, 6, 1)
CHEAP = {"input_cost_per_token": Decimal("1e-7"), "output_cost_per_token": Decimal("5e-7")}


def facts(provider: str = "openai", **given: Any) -> dict[str, Any]:
    return {"litellm_provider": provider, "mode": "chat", **CHEAP, **given}


def added(name: str, given: dict[str, Any], tables: dict[str, dict[str, Entry]] | None = None) -> dict[str, dict[str, Entry]]:
    return add_models(tables or {}, {name: given}, DAY)


def one(given: dict[str, Any], name: str = "m") -> Entry:
    ((entry,),) = (list(table.values()) for table in added(name, given).values())
    return entry


def test_a_new_model_comes_with_its_price_its_limits_and_its_source() -> None:
    given = facts(
        cache_read_input_token_cost=Decimal("1e-8"),
        cache_creation_input_token_cost=Decimal("1.25e-7"),
        max_input_tokens=1000,
        max_output_tokens=200,
    )
    assert one(given) == Entry(
        100_000, 500_000, 10_000, 125_000, context_tokens=1000, output_limit_tokens=200, chat=True, source="litellm"
    )


def test_the_first_sources_price_wins_and_its_rules_stay() -> None:
    before = Entry(7, 8, context_tokens=50, starts_with=("m-",))
    entry = added("m", facts(max_input_tokens=1000, max_output_tokens=9), {"openai": {"m": before}})["openai"]["m"]
    assert (entry.input_pusd, entry.output_pusd, entry.source) == (7, 8, "")
    assert (entry.context_tokens, entry.output_limit_tokens, entry.starts_with) == (50, 9, ("m-",))


def test_a_model_of_a_known_family_has_the_familys_price_and_not_its_rules() -> None:
    table = added("m-large", facts(), {"openai": {"m": Entry(7, 8, starts_with=("m-",))}})["openai"]
    assert (table["m-large"].input_pusd, table["m-large"].starts_with, table["m-large"].chat) == (7, (), True)
    assert not table["m"].chat, "a family's name is no name of a model"


def test_a_guess_by_a_fragment_does_not_win() -> None:
    assert added("x-m-x", facts(), {"openai": {"m": Entry(7, 8, contains=("m",))}})["openai"]["x-m-x"].input_pusd == 100_000


@pytest.mark.parametrize(
    "given",
    [
        {"input_cost_per_token": 0, "output_cost_per_token": 0},
        {"input_cost_per_token": Decimal("0.0"), "output_cost_per_token": Decimal("0.0")},
        {"input_cost_per_token": None, "output_cost_per_token": Decimal("1e-7")},
        {"output_cost_per_token": None},
    ],
)
def test_no_price_is_unpriced_and_never_free(given: dict[str, Any]) -> None:
    entry = one(facts(max_input_tokens=9, **given))
    assert entry.price() is None
    assert (entry.chat, entry.context_tokens) == (True, 9)


def test_a_model_that_says_it_is_free_is_free() -> None:
    free = one(facts("openrouter", input_cost_per_token=0, output_cost_per_token=0), "openrouter/org/m:free")
    price = free.price()
    assert price is not None
    assert (price.input_pusd, price.output_pusd) == (0, 0)


def test_tiers_by_the_size_of_the_prompt() -> None:
    given = facts(
        input_cost_per_token_above_200k_tokens=Decimal("2e-7"),
        output_cost_per_token_above_200k_tokens=Decimal("7e-7"),
        input_cost_per_token_above_200k_tokens_priority=Decimal("9e-7"),
        cache_creation_input_token_cost_above_1hr=Decimal("9e-7"),
    )
    assert one(given).tiers == (Tier(200_000, 200_000, 700_000),)


def test_tiers_given_as_ranges() -> None:
    steps = [
        {"range": [0, 32_000], "input_cost_per_token": Decimal("1e-6"), "output_cost_per_token": Decimal("2e-6")},
        {"range": [32_000, 128_000], "input_cost_per_token": Decimal("3e-6"), "output_cost_per_token": Decimal("4e-6")},
    ]
    given = {"litellm_provider": "dashscope", "mode": "chat", "tiered_pricing": steps}
    entry = added("dashscope/qwen", given)["alibaba"]["qwen"]
    assert (entry.input_pusd, entry.output_pusd, entry.tiers) == (1_000_000, 2_000_000, (Tier(32_000, 3_000_000, 4_000_000),))


def test_reasoning_has_a_price_only_where_it_differs() -> None:
    assert one(facts(output_cost_per_reasoning_token=Decimal("9e-7"))).reasoning_pusd == 900_000
    assert one(facts(output_cost_per_reasoning_token=Decimal("5e-7"))).reasoning_pusd is None


def test_capabilities_that_nobody_mentions_are_not_known() -> None:
    entry = one(facts(supports_vision=True, supports_function_calling=False))
    assert (entry.can, entry.cannot) == ("v", "t")
    can = entry.capabilities()
    assert (can.vision, can.tools, can.json_schema) == (True, False, None)


def test_a_model_that_takes_text_only_takes_no_images() -> None:
    assert one(facts(supported_modalities=["text"], supports_vision=True)).cannot == "v"


@pytest.mark.parametrize("ends", ["2026-06-01", "2025-12-31"])
def test_a_model_past_its_day_is_priced_and_not_offered(ends: str) -> None:
    entry = one(facts(deprecation_date=ends))
    assert not entry.chat
    assert entry.price() is not None
    assert one(facts(deprecation_date="2026-06-02")).chat


@pytest.mark.parametrize(
    ("name", "given", "found"),
    [
        ("groq/openai/gpt-oss", facts("groq"), ("groq", "openai/gpt-oss", None)),
        ("together_ai/Org/Model", facts("together_ai"), ("together", "org/model", "Org/Model")),
        ("gemini/gemini-x", facts("gemini"), ("google", "gemini-x", None)),
        ("azure/eu/gpt", facts("azure"), None),
        ("ft:gpt", facts(), None),
        ("whatever", facts("github_copilot"), None),
        ("m", facts(mode="embedding"), None),
    ],
)
def test_names_as_the_providers_spell_them(name: str, given: dict[str, Any], found: tuple[str, str, str | None] | None) -> None:
    got = [(table, key, entry.spelling) for table, models in added(name, given).items() for key, entry in models.items()]
    assert got == ([] if found is None else [found])


@pytest.mark.parametrize(
    "name", ["text-embedding-3", "whisper-large", "gpt-realtime", "container", "babbage-002", "llama-guard-4"]
)
def test_what_is_no_chat_model_is_not_offered(name: str) -> None:
    assert NO_CHAT.search(name)
    assert not one(facts(), name).chat


def test_the_tables_given_are_not_changed() -> None:
    tables = {"openai": {"m": Entry(1, 2)}}
    added("m", facts(max_output_tokens=5), tables)
    assert tables == {"openai": {"m": Entry(1, 2)}}


def test_the_file_is_read_out_of_the_wheel_with_exact_numbers(tmp_path: Path) -> None:
    wheel = tmp_path / "litellm-1.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr("litellm/model_prices_and_context_window_backup.json", json.dumps({"m": {"input_cost_per_token": 7e-8}}))
    assert read_models(wheel) == {"m": {"input_cost_per_token": Decimal("7E-8")}}
    with pytest.raises(OSError, match="nothing"):
        read_models(tmp_path / "nothing.whl")
