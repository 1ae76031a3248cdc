"""What every recorded exchange cost: as charged, and recomputed here from the recording and the snapshot's file alone.

The recomputation shares no code with fastroute: usage by each provider's own account of it (wire notes 3.4), prices out of the
JSON. Only which line of the snapshot is a model's is looked up by the price book; that has tests of its own.
"""

import json
import sys
from collections import Counter
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest

from fastroute.config.presets import Preset, presets
from fastroute.core.money import from_usd, per_token
from fastroute.core.types import Endpoint, Price
from fastroute.dialects.openai_chat import OpenAIChatApi
from fastroute.dialects.registry import dialects
from fastroute.prices.catalog import SNAPSHOT_PATH, PriceBook
from fastroute.prices.charge import charge

Json = dict[str, Any]

WIRE = Path(__file__).resolve().parents[3] / "shared" / "wire"
PRESETS = {"gemini": "openai-compatible"}
APIS = {"openai.chat": "openai_chat", "anthropic.messages": "anthropic_messages"}
BOOK, SNAPSHOT = PriceBook.load(), json.loads(SNAPSHOT_PATH.read_bytes())
SPEAKING = dialects(lambda: 1.0)


def exchanges() -> dict[str, Json]:
    found = {}
    for path in sorted(WIRE.glob("*/*.json")):
        exchange = json.loads(path.read_text())
        if exchange["api"] in APIS and exchange["response"]["status"] == 200 and usage_in(exchange):
            found[f"{path.parent.name}/{path.stem}"] = exchange
    return found


def events(exchange: Json) -> list[Json]:
    response = exchange["response"]
    if "sse" not in response:
        return [response["body"]] if isinstance(response.get("body"), dict) else []
    lines = [line[5:].strip() for line in "".join(response["sse"]).splitlines() if line.startswith("data:")]
    return [json.loads(line) for line in lines if line.startswith("{")]


def usage_in(exchange: Json) -> Json:
    """The last word on each number: reports of a stream are cumulative."""
    last: Json = {}
    for event in events(exchange):
        told = event.get("usage") or (event.get("message") or {}).get("usage") or (event.get("x_groq") or {}).get("usage") or {}
        last |= {name: value for name, value in told.items() if value is not None}
    return last


def tokens(exchange: Json) -> tuple[int, int, int, int, int]:
    """(fresh input, cached, written, output without reasoning, reasoning), each token in one of them."""
    told = usage_in(exchange)
    if exchange["api"] == "anthropic.messages":
        cached, written = (told.get(f"cache_{kind}_input_tokens") or 0 for kind in ("read", "creation"))
        thinking = (told.get("output_tokens_details") or {}).get("thinking_tokens") or 0
        return told["input_tokens"], cached, written, told["output_tokens"] - thinking, thinking
    within = told.get("prompt_tokens_details") or {}
    cached = within.get("cached_tokens")
    if cached is None:
        cached = told.get("prompt_cache_hit_tokens") or told.get("num_cached_tokens") or told.get("cached_tokens") or 0
    written = within.get("cache_write_tokens") or 0
    reasoning = (told.get("completion_tokens_details") or {}).get("reasoning_tokens") or 0
    completion, prompt = told["completion_tokens"], told["prompt_tokens"]
    outside = reasoning > completion or told.get("total_tokens") == prompt + completion + reasoning
    answer = completion if outside else completion - reasoning
    beside = cached > prompt  # xAI's models at Azure
    return prompt if beside else prompt - cached - written, cached, written, answer, reasoning


def line_of(entry_key: tuple[str, str]) -> Json:
    line: Json = SNAPSHOT["providers"][entry_key[0]][entry_key[1]]
    return line


def recomputed(line: Json, counts: tuple[int, int, int, int, int]) -> Fraction:
    """USD, by the snapshot's line."""
    fresh, cached, written, answer, reasoning = counts
    rates = {"in": line["in"], "out": line["out"], "cached": line.get("cached"), "write": line.get("write")}
    rates["reasoning"] = line.get("reasoning")
    for tier in line.get("tiers", []):
        if fresh + cached + written > tier[0]:
            names = ("in", "out", "cached", "write", "reasoning")
            rates = dict(zip(names, [*tier[1:], *[None] * (6 - len(tier))], strict=True))

    def of(kind: str, other: str) -> int:
        return rates[other] if rates[kind] is None else rates[kind]

    pusd = fresh * rates["in"] + cached * of("cached", "in") + written * of("write", "in")
    pusd += answer * rates["out"] + reasoning * of("reasoning", "out") + line.get("request", 0)
    return Fraction(pusd, 10**12)


def key_of(preset: Preset, model: str) -> tuple[str, str] | None:
    """Where the snapshot has the model: (table, id)."""
    entry = BOOK.entry_of(preset.name, model)
    if entry is None or entry.price() is None:
        return None
    return next((name, key) for name, table in BOOK._tables.items() for key, e in table.models.items() if e is entry)


def charged(exchange: Json, preset: Preset, price: Price | None) -> int | None:
    """As the sidecar does it: the provider's bytes through its dialect, the usage that gives, at the endpoint's price."""
    streamed = "sse" in exchange["response"]
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "stream": streamed}
    request = OpenAIChatApi().decode(json.dumps(body).encode(), "r", 0.0)
    endpoint = Endpoint("e", preset.name, preset.profile, "https://x.example", "m", key="k", price=price)
    translator = SPEAKING[preset.profile.dialect].translator(request, endpoint)
    if streamed:
        translator.feed("".join(exchange["response"]["sse"]).encode())
        translator.end()
    else:
        translator.whole(json.dumps(exchange["response"]["body"]).encode())
    return charge(price, translator.usage)


def account(name: str, exchange: Json) -> tuple[Preset, str]:
    folder = name.partition("/")[0]
    preset = presets()[PRESETS.get(folder, folder)]
    if preset.profile.dialect != APIS[exchange["api"]]:
        preset = presets()["openai-compatible"]
    sent = ((exchange["request"] or {}).get("body") or {}).get("model")
    return preset, sent or exchange["model"] or next((e["model"] for e in events(exchange) if e.get("model")), "?")


EXCHANGES = exchanges()
ABSENT = [pytest.param("", marks=pytest.mark.skip(reason="no recorded traffic beside the checkout (shared/wire)"))]


@pytest.mark.parametrize("name", list(EXCHANGES) or ABSENT)
def test_the_cost_is_the_snapshots_to_the_pico_dollar(name: str) -> None:
    exchange = EXCHANGES[name]
    preset, model = account(name, exchange)
    where = key_of(preset, model)
    cost = charged(exchange, preset, BOOK.price_of(preset.name, model))
    if where is None:
        assert cost is None, "no price is no cost, never 0"
        return
    assert cost is not None
    assert Fraction(cost, 10**12) == recomputed(line_of(where), tokens(exchange))


@pytest.mark.parametrize("name", list(EXCHANGES) or ABSENT)
def test_tokens_of_unpriced_models_are_counted_right_too(name: str) -> None:
    """Whatever the price: at one where every kind of token costs something else, the bill is the same either way."""
    exchange = EXCHANGES[name]
    preset, _ = account(name, exchange)
    line = {"in": 1_000_003, "out": 7_000_001, "cached": 100_019, "write": 1_300_021, "reasoning": 900_007, "request": 17}
    cost = charged(exchange, preset, Price(1_000_003, 7_000_001, 100_019, 1_300_021, 17, 900_007))
    assert cost is not None
    assert Fraction(cost, 10**12) == recomputed(line, tokens(exchange))


def test_a_gateways_own_bill_agrees() -> None:
    """Vercel's gateway says what each call cost; reasoning is beside its completion tokens, though its total leaves it out."""
    names = [name for name in EXCHANGES if name.startswith("vercel-gateway/") and "gemini" in str(EXCHANGES[name]["model"])]
    if not names:
        pytest.skip("no recorded traffic beside the checkout (shared/wire)")
    for name in names:
        cost = charged(EXCHANGES[name], presets()["vercel-gateway"], Price(per_token(2), per_token(12)))
        assert cost == from_usd(usage_in(EXCHANGES[name])["cost"])


def test_how_many_there_were(capsys: pytest.CaptureFixture[str]) -> None:
    if not EXCHANGES:
        pytest.skip("no recorded traffic beside the checkout (shared/wire)")
    seen: Counter[str] = Counter()
    for name, exchange in EXCHANGES.items():
        priced = key_of(*account(name, exchange)) is not None
        seen["priced" if priced else "unpriced"] += 1
        fresh, cached, written, _, reasoning = tokens(exchange)
        seen["with cached tokens"] += bool(cached)
        seen["with written tokens"] += bool(written)
        seen["with reasoning"] += bool(reasoning)
        assert min(fresh, cached, written, reasoning) >= 0, name
    with capsys.disabled():
        sys.stdout.write(f"\nwire, costs: {dict(seen)}\n")
    assert seen["priced"] + seen["unpriced"] >= 150
    assert seen["priced"] > seen["unpriced"]
