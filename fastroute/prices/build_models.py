"""Limits, capabilities and further models for the snapshot, from LiteLLM's model file; for `build.py` only.

Rules. Prices that the first source has by a model's name or prefix win; others are taken from here and marked. A model that costs
nothing here is one whose price nobody wrote down, unless its name says that it is free: it is unpriced. What the file does not
say of a model's capabilities is not known. Models past their deprecation date stay for their price and are not offered.

Source: LiteLLM (MIT), `model_prices_and_context_window_backup.json` of its wheel.
"""

import datetime
import json
import re
import zipfile
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

from fastroute.core.money import from_usd
from fastroute.prices.catalog import Table
from fastroute.prices.snapshot import Entry, Tier

Json = Mapping[str, Any]
Tables = dict[str, dict[str, Entry]]

PACKAGE = "litellm"
_FILE = "litellm/model_prices_and_context_window_backup.json"
_TABLES = {  # LiteLLM's provider -> our table
    **{name: name for name in ("openai", "azure", "anthropic", "mistral", "deepseek", "groq", "openrouter", "perplexity", "zai")},
    **{name: name for name in ("cerebras", "databricks", "novita", "deepinfra", "nebius", "hyperbolic", "nscale", "sambanova")},
    **{name: name for name in ("baseten", "ovhcloud", "minimax", "ai21", "volcengine", "wandb", "scaleway", "cloudflare")},
    "cohere_chat": "cohere",
    "dashscope": "alibaba",
    "fireworks_ai": "fireworks",
    "friendliai": "friendli",
    "gemini": "google",
    "meta_llama": "meta",
    "moonshot": "moonshotai",
    "together_ai": "together",
    "vercel_ai_gateway": "vercel-gateway",
    "xai": "x-ai",
}
NO_CHAT = re.compile(
    r"embed|rerank|moderation|whisper|tts|transcri|audio|speech|realtime|image|video|ocr|sonic|guard|^container$"
    r"|(^|/)(ada|babbage|curie|davinci)"
)
"""Ids of what is no chat model, though a source may say so."""

_SKILLS = (("v", "supports_vision"), ("t", "supports_function_calling"), ("s", "supports_response_schema"))
_ABOVE = re.compile(r"(input_cost|output_cost|cache_read_input|cache_creation_input)_.*above_(\d+)k_tokens")
_KINDS = {
    "input": "input_cost_per_token",
    "output": "output_cost_per_token",
    "cached": "cache_read_input_token_cost",
    "write": "cache_creation_input_token_cost",
    "reasoning": "output_cost_per_reasoning_token",
}


def read_models(wheel: Path) -> dict[str, Json]:
    """The model file inside the wheel. Raises `OSError`, `KeyError`, `zipfile.BadZipFile`, `ValueError`."""
    with zipfile.ZipFile(wheel) as archive:
        models: dict[str, Json] = json.loads(archive.read(_FILE), parse_float=Decimal)
    return models


def add_models(tables: Tables, models: Mapping[str, Json], day: datetime.date) -> Tables:
    """The tables with limits and capabilities, and with models that they lack."""
    found = {name: dict(entries) for name, entries in tables.items()}
    known = {name: Table(entries) for name, entries in tables.items()}
    for table, model, facts in _chat_models(models):
        key = model.lower()
        before = known[table].named(key) if table in known else None
        entry = _prices(facts, key) if before is None or before.price() is None else before
        own = before is not None and key in known[table].models
        found.setdefault(table, {})[key] = _described(entry, facts, model, day, own)
    return found


def _chat_models(models: Mapping[str, Json]) -> Iterator[tuple[str, str, Json]]:
    """(table, model id as its provider spells it, facts). Regional copies and fine-tunes have other names for the same model."""
    for name, facts in models.items():
        provider = facts.get("litellm_provider")
        table = _TABLES.get(str(provider))
        model = name.removeprefix(f"{provider}/").removeprefix("cohere/")
        regional = table in ("azure", "openai", "anthropic") and "/" in model
        if table is not None and facts.get("mode") == "chat" and not regional and not model.startswith("ft:"):
            yield table, model, facts


def _described(entry: Entry, facts: Json, model: str, day: datetime.date, own: bool) -> Entry:
    """`entry` with what the file says of the model. `own`: it was this model's entry, so its rules stay."""
    ends = facts.get("deprecation_date")
    over = isinstance(ends, str) and ends[:10] <= day.isoformat()
    said = [(letter, facts.get(name)) for letter, name in _SKILLS]
    modalities = facts.get("supported_modalities")
    if isinstance(modalities, list) and "image" not in modalities:
        said[0] = ("v", False)
    return msgspec.structs.replace(
        entry,
        context_tokens=entry.context_tokens or _count(facts.get("max_input_tokens")),
        output_limit_tokens=_count(facts.get("max_output_tokens")),
        can="".join(letter for letter, value in said if value is True),
        cannot="".join(letter for letter, value in said if value is False),
        chat=not over and NO_CHAT.search(model.lower()) is None,
        spelling=None if model == model.lower() else model,
        also=entry.also if own else (),
        starts_with=entry.starts_with if own else (),
        contains=entry.contains if own else (),
    )


def _count(value: object) -> int | None:
    return int(value) if isinstance(value, int | Decimal) and not isinstance(value, bool) and value > 0 else None


# --- prices -------------------------------------------------------------------------------------------------------------


def _prices(facts: Json, model: str) -> Entry:
    steps = facts.get("tiered_pricing")
    ranged = [step for step in steps if isinstance(step.get("range"), list)] if isinstance(steps, list) else []
    base = _rates({**facts, **(ranged[0] if ranged else {})})
    if base["input"] is None or base["output"] is None or (not base["input"] and not base["output"] and ":free" not in model):
        return Entry()
    rates = dict(_above(facts)) or {int(step["range"][0]): _rates(step) for step in ranged[1:]}
    return Entry(
        input_pusd=base["input"],
        output_pusd=base["output"],
        cached_pusd=base["cached"],
        write_pusd=base["write"] or None,
        reasoning_pusd=base["reasoning"] if base["reasoning"] != base["output"] else None,
        request_pusd=0 if facts.get("input_cost_per_request") is None else from_usd(facts["input_cost_per_request"]),
        tiers=tuple(_tier(above, rates[above], base) for above in sorted(rates)),
        source=PACKAGE,
    )


def _rates(facts: Json, suffix: str = "") -> dict[str, int | None]:
    """Pico-dollars per token by kind."""
    return {kind: _pusd(facts.get(name + suffix)) for kind, name in _KINDS.items()}


def _pusd(usd: object) -> int | None:
    return None if not isinstance(usd, int | Decimal) else int(from_usd(usd))


def _above(facts: Json) -> Iterator[tuple[int, dict[str, int | None]]]:
    for thousands in {int(match[2]) for match in map(_ABOVE.fullmatch, facts) if match}:
        yield thousands * 1000, _rates(facts, f"_above_{thousands}k_tokens")


def _tier(above: int, rates: Mapping[str, int | None], base: Mapping[str, int | None]) -> Tier:
    def of(kind: str) -> int | None:
        return base[kind] if rates[kind] is None else rates[kind]

    reasoning = rates["reasoning"] if rates["reasoning"] != rates["output"] else None
    return Tier(above, of("input") or 0, of("output") or 0, of("cached"), of("write") or None, reasoning)
