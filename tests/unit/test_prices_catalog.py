"""`prices.catalog`: the shipped snapshot, its aliases, and how a model id finds its price."""

import datetime
import time
from pathlib import Path

import msgspec
import pytest

from fastroute.core.money import per_token
from fastroute.core.types import Capabilities, Price
from fastroute.prices.catalog import SNAPSHOT_PATH, TABLES, PriceBook
from fastroute.prices.snapshot import Entry, Snapshot, decode, encode


@pytest.fixture(scope="module")
def book() -> PriceBook:
    return PriceBook.load()


@pytest.fixture
def small() -> PriceBook:
    """A book small enough to reason about."""
    return PriceBook(
        Snapshot(
            date="2026-01-31",
            source="by hand",
            providers={
                "acme": {
                    "roadrunner": Entry(1, 2, also=("beep",), starts_with=("roadrunner-",)),
                    "roadrunner-pro": Entry(3, 4, starts_with=("roadrunner-pro-",)),
                    "roadrunner-2024-05-13": Entry(5, 6),
                    "anvil": Entry(7, 8, contains=("anvil-x",)),
                    "heavy": Entry(9, 10, contains=("anvil-x-heavy",)),
                    "plain": Entry(11, 12, context_tokens=8192),
                },
                "openai": {"gpt-0": Entry(20, 21)},
                "azure": {"phi": Entry(22, 23)},
                "huggingface_acme": {"org/plain": Entry(30, 31)},
            },
        )
    )


@pytest.mark.parametrize(
    ("model", "input_pusd"),
    [
        ("roadrunner", 1),
        ("ROADRUNNER", 1),
        ("beep", 1),
        ("roadrunner-mini", 1),  # the shorter prefix
        ("roadrunner-pro", 3),
        ("roadrunner-pro-2026", 3),  # the longer prefix wins
        ("roadrunner-2024-05-13", 5),  # an exact id outranks any prefix
        ("plain-20250101", 11),
        ("plain-2025-01-01", 11),
        ("plain@20250101", 11),
        ("plain-latest", 11),
        ("plain-001", 11),
        ("eu.anvil-x:0", 7),
        ("eu.anvil-x-heavy:0", 9),  # the longer fragment wins
    ],
)
def test_how_an_id_finds_its_entry(small: PriceBook, model: str, input_pusd: int) -> None:
    price = small.price_of("acme", model)
    assert price is not None
    assert price.input_pusd == input_pusd


@pytest.mark.parametrize("model", ["", "plai", "plain-pro", "plain-20259999", "plain-latest-pro", "unplain", "anvil-"])
def test_an_unknown_model_is_none_and_not_free(small: PriceBook, model: str) -> None:
    assert small.price_of("acme", model) is None
    assert small.capabilities_of("acme", model) == Capabilities()


def test_an_unknown_preset_is_none(small: PriceBook) -> None:
    assert small.price_of("nobody", "plain") is None
    assert small.price_of("openai-compatible", "gpt-0") is None


def test_a_preset_may_draw_on_several_tables(small: PriceBook) -> None:
    assert small.price_of("azure", "phi") == Price(22, 23)
    assert small.price_of("Azure", "gpt-0") == Price(20, 21)
    assert small.price_of("azure-foundry", "gpt-0") == Price(20, 21)


def test_the_hub_is_priced_by_who_serves(small: PriceBook) -> None:
    assert small.price_of("huggingface", "org/plain:acme") == Price(30, 31)
    assert small.price_of("hf", "Org/Plain:ACME") == Price(30, 31)
    assert small.price_of("huggingface", "org/plain") is None
    assert small.price_of("huggingface", "org/plain:nobody") is None


def test_capabilities_say_only_what_is_known(small: PriceBook) -> None:
    assert small.capabilities_of("acme", "plain") == Capabilities(context_tokens=8192)
    assert small.capabilities_of("acme", "beep").context_tokens is None


def test_age_counts_days_and_is_never_negative(small: PriceBook) -> None:
    assert small.snapshot_date == datetime.date(2026, 1, 31)
    assert small.age_days(datetime.date(2026, 3, 2)) == 30
    assert small.age_days(datetime.date(2025, 12, 31)) == 0


@pytest.mark.parametrize(
    ("preset", "model", "input_usd", "output_usd", "cached_usd"),
    [
        ("openai", "gpt-4o", "2.50", "10", "1.25"),
        ("openai", "gpt-4o-2024-08-06", "2.50", "10", "1.25"),
        ("openai", "gpt-4o-2024-05-13", "5", "15", None),
        ("openai", "gpt-4o-mini-2024-07-18", "0.15", "0.60", "0.075"),
        ("azure", "gpt-4o", "2.50", "10", "1.25"),
        ("anthropic", "claude-3-5-sonnet", "3", "15", "0.30"),
        ("anthropic", "claude-3-5-sonnet-20241022", "3", "15", "0.30"),
        ("anthropic", "claude-3-5-sonnet-latest", "3", "15", "0.30"),
        ("gemini", "gemini-1.5-flash", "0.075", "0.30", "0.01875"),
        ("gemini", "gemini-1.5-flash-002", "0.075", "0.30", "0.01875"),
        ("groq", "llama-3.3-70b-versatile", "0.59", "0.79", None),
        ("together", "meta-llama/Llama-3.3-70B-Instruct-Turbo", "0.88", "0.88", None),
        ("perplexity", "sonar", "1", "1", None),
        ("xai", "grok-3", "3", "15", "0.75"),
    ],
)
def test_published_prices(
    book: PriceBook, preset: str, model: str, input_usd: str, output_usd: str, cached_usd: str | None
) -> None:
    """Prices of models that are no longer repriced, as their makers published them."""
    price = book.price_of(preset, model)
    assert price is not None
    assert (price.input_pusd, price.output_pusd) == (per_token(input_usd), per_token(output_usd))
    assert price.cached_input_pusd == (None if cached_usd is None else per_token(cached_usd))


@pytest.mark.parametrize(
    ("preset", "model"),
    [
        ("mistral", "mistral-large-latest"),
        ("deepseek", "deepseek-chat"),
        ("openrouter", "anthropic/claude-haiku-4.5"),
        ("fireworks", "accounts/fireworks/models/gpt-oss-120b"),
        ("cerebras", "gpt-oss-120b"),
        ("cohere", "command-r-plus"),
        ("moonshot", "kimi-k2.5"),
        ("zai", "glm-4.6"),
        ("bedrock", "anthropic.claude-3-5-sonnet-20241022-v2:0"),
        ("huggingface", "Qwen/Qwen3-32B:novita"),
        ("vertex", "claude-3-5-sonnet@20241022"),
    ],
)
def test_every_preset_family_is_priced(book: PriceBook, preset: str, model: str) -> None:
    price = book.price_of(preset, model)
    assert price is not None
    assert price.input_pusd > 0


def test_fees_per_request_are_kept(book: PriceBook) -> None:
    price = book.price_of("perplexity", "sonar")
    assert price is not None
    assert price.request_pusd == 12_000_000_000


def test_prices_by_size_and_by_hour_are_marked(book: PriceBook) -> None:
    by_size, by_hour, flat = (
        book.entry_of(*key) for key in [("gemini", "gemini-2.5-pro"), ("deepseek", "deepseek-chat"), ("openai", "gpt-4o")]
    )
    assert by_size is not None
    assert by_size.tiered
    assert by_hour is not None
    assert by_hour.peak
    assert flat is not None
    assert not flat.tiered
    assert not flat.peak


def test_every_alias_leads_somewhere() -> None:
    providers = decode(SNAPSHOT_PATH.read_bytes()).providers
    missing = {name for names in TABLES.values() for name in names if name not in providers and name != "huggingface"}
    assert not missing


def test_the_shipped_snapshot_is_dated_sourced_and_sane(book: PriceBook) -> None:
    snapshot = decode(SNAPSHOT_PATH.read_bytes())
    entries = [(p, m, e) for p, models in snapshot.providers.items() for m, e in models.items()]
    assert len(entries) > 1000
    assert book.source.startswith("genai-prices ")
    dear = per_token(2000)  # USD per million tokens: above anything sold
    for provider, model, entry in entries:
        assert (entry.input_pusd is None) == (entry.output_pusd is None), (provider, model)
        ints = (entry.input_pusd or 0, entry.output_pusd or 0, entry.cached_pusd or 0, entry.write_pusd or 0, entry.request_pusd)
        assert all(isinstance(n, int) and n >= 0 for n in ints), (provider, model)
        assert max(ints[:4]) < dear, (provider, model)
        names = (model, *entry.also, *entry.starts_with, *entry.contains)
        assert all(name == name.lower() and name for name in names), (provider, model)
        assert entry.context_tokens is None or entry.context_tokens > 0, (provider, model)


def test_the_file_is_one_line_per_model_and_round_trips() -> None:
    data = SNAPSHOT_PATH.read_bytes()
    snapshot = decode(data)
    assert encode(snapshot) == data
    models = sum(len(m) for m in snapshot.providers.values())
    assert len(data.splitlines()) == models + 2 * len(snapshot.providers) + 2


def test_a_damaged_snapshot_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "snapshot.json"
    path.write_text('{"date": "2026-01-01", "source": "x", "providers": {"a": {"m": {"in": 1.5, "out": 2}}}}')
    with pytest.raises(msgspec.ValidationError, match="int"):
        PriceBook.load(path).price_of("a", "m")
    path.write_text('{"date": "2026-01-01", "providers": {}}')
    with pytest.raises(msgspec.ValidationError, match="source"):
        PriceBook.load(path)


def test_loading_and_looking_up_are_quick() -> None:
    """Budgets are 30 ms and about 1 us; the limits here are loose, for shared machines, and catch a change of order."""
    started_s = time.perf_counter()
    book = PriceBook.load()
    book.price_of("openrouter", "openai/gpt-4o")
    assert time.perf_counter() - started_s < 0.3
    started_s = time.perf_counter()
    for _ in range(1000):
        book.price_of("anthropic", "claude-3-5-sonnet-20241022")
    assert (time.perf_counter() - started_s) / 1000 < 50e-6
