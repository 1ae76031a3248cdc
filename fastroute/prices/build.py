"""Writes `snapshot.json` from two pinned data packages: `make prices`. Never imported at run time.

Rules. Prices are those of `genai-prices`; only models with a price for both prompt and answer are taken from it. Limits,
capabilities and further models come from LiteLLM's model file (`build_models`), where its wheel is given. Dated prices are
resolved on the snapshot's day. Where a price depends on the prompt's size its tiers are kept; where it depends on the
time of day, the highest is kept and marked, so that a bill is never estimated too low. A second run with the same data
packages keeps the snapshot's date: the prices are no fresher for having been copied again.

Source: genai-prices (MIT), its `data.py`; model matching as in its `types.py`. See SOURCES.md beside this file.
"""

import argparse
import datetime
import importlib
import importlib.metadata
import sys
from collections.abc import Iterable
from decimal import Decimal
from pathlib import Path
from typing import Any

from fastroute.core.money import PUSD_PER_USD, per_token
from fastroute.prices.build_models import NO_CHAT, add_models, read_models
from fastroute.prices.catalog import SNAPSHOT_PATH
from fastroute.prices.snapshot import Entry, Snapshot, Tier, decode, encode

PACKAGE = "genai-prices"
PROVIDERS = (
    "anthropic",
    "aws",
    "azure",
    "cerebras",
    "cohere",
    "databricks",
    "deepseek",
    "fireworks",
    "google",
    "groq",
    "minimax",
    "mistral",
    "moonshotai",
    "novita",
    "openai",
    "openrouter",
    "perplexity",
    "together",
    "x-ai",
    "zai",
    "zhipuai",
)
PREFIX = "huggingface_"  # these too: one table per company that serves a model behind the hub
IDS_OF_THE_API = ("openrouter", "novita", "together", "mistral", "perplexity")  # elsewhere an id may stand for a family of models


def build(providers: Iterable[Any], day: datetime.date, source: str) -> Snapshot:
    """The snapshot of `providers` (of the data package's own types) as of `day`."""
    kept = {p.id: _models(p.models, day, _names_models(p.id)) for p in providers if p.id in PROVIDERS or p.id.startswith(PREFIX)}
    return Snapshot(date=day.isoformat(), source=source, providers={name: models for name, models in kept.items() if models})


def main(arguments: list[str] | None = None) -> int:
    """The command line. Exit 0; the package missing is an ImportError that names it."""
    providers = importlib.import_module("genai_prices.data").providers
    parser = argparse.ArgumentParser(description="Rebuild the price snapshot from the installed data package.")
    parser.add_argument("--out", type=Path, default=SNAPSHOT_PATH)
    parser.add_argument("--as-of", type=datetime.date.fromisoformat, help="resolve dated prices on this day (default: today)")
    parser.add_argument("--models", type=Path, help="LiteLLM's wheel, for limits, capabilities and further models")
    options = parser.parse_args(arguments)
    source = f"{PACKAGE} {importlib.metadata.version(PACKAGE)}"
    if options.models:
        source += f", {'-'.join(options.models.name.split('-')[:2]).replace('-', ' ')}"
    day = options.as_of or _former_day(options.out, source) or datetime.datetime.now(tz=datetime.UTC).date()
    snapshot = build(providers, day, source)
    if options.models:
        tables = add_models(snapshot.providers, read_models(options.models), day)
        snapshot = Snapshot(snapshot.date, source, tables)
    options.out.write_bytes(encode(snapshot))
    count = sum(len(models) for models in snapshot.providers.values())
    sys.stdout.write(f"{options.out}: {count} models of {len(snapshot.providers)} providers as of {day}, from {source}\n")
    return 0


def _former_day(path: Path, source: str) -> datetime.date | None:
    """The day of the snapshot that is there, where it came from the same data."""
    if not path.exists():
        return None
    former = decode(path.read_bytes())
    return datetime.date.fromisoformat(former.date) if former.source == source else None


def _names_models(provider: str) -> bool:
    """Whether its ids are names that its API takes."""
    return provider in IDS_OF_THE_API or provider.startswith(PREFIX)


def _models(models: Iterable[Any], day: datetime.date, offered: bool = False) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    claimed: set[str] = set()
    for model in models:
        prices, peak = _prices_on(model, day)
        rules = _rules(model.match)
        rules["equals"] = [rule for rule in dict.fromkeys(rules["equals"]) if rule not in claimed]
        claimed.update(rules["equals"])
        chat = offered and not model.deprecated and NO_CHAT.search(model.id.lower()) is None
        entry = _entry(model, prices, rules, peak=peak, chat=chat)
        if entry is not None:
            found[model.id.lower()] = entry
    return found


def _entry(model: Any, prices: dict[str, Any], rules: dict[str, list[str]], *, peak: bool, chat: bool) -> Entry | None:
    """The record of one model; None where prompt or answer has no price."""
    base = {key: _base(value) for key, value in prices.items()}
    if base.get("input_mtok") is None or base.get("output_mtok") is None:
        return None
    request, rates = base.get("requests_kcount"), _rates(base)
    return Entry(
        **rates,
        request_pusd=0 if request is None else round(request * PUSD_PER_USD / 1000),
        tiers=tuple(Tier(start, **_rates(_from(prices, start))) for start in _starts(prices)),
        context_tokens=model.context_window,
        peak=peak,
        chat=chat,
        spelling=model.id if chat and model.id != model.id.lower() else None,
        also=tuple(rule for rule in rules["equals"] if rule != model.id.lower()),
        starts_with=tuple(rules["starts_with"]),
        contains=tuple(rules["contains"]),
    )


_KINDS = {
    "input_pusd": "input_mtok",
    "output_pusd": "output_mtok",
    "cached_pusd": "cache_read_mtok",
    "write_pusd": "cache_write_mtok",
    "reasoning_pusd": "output_reasoning_mtok",
}


def _rates(prices: dict[str, Any]) -> dict[str, Any]:
    """Pico-dollars per token by kind."""
    return {ours: None if prices.get(theirs) is None else per_token(prices[theirs]) for ours, theirs in _KINDS.items()}


def _starts(prices: dict[str, Any]) -> list[int]:
    """The prompt sizes beyond which prices of tokens change."""
    tiered = [prices[name] for name in _KINDS.values() if hasattr(prices.get(name), "tiers")]
    return sorted({tier.start for value in tiered for tier in value.tiers})


def _from(prices: dict[str, Any], start: int) -> dict[str, Any]:
    """The prices beyond `start`."""
    found = {}
    for name, value in prices.items():
        passed = [tier.price for tier in getattr(value, "tiers", ()) if tier.start <= start]
        found[name] = passed[-1] if passed else _base(value)
    return found


def _base(value: Any) -> Decimal:
    base: Decimal = value.base if hasattr(value, "tiers") else value
    return base


def _prices_on(model: Any, day: datetime.date) -> tuple[dict[str, Any], bool]:
    """The prices in force on `day`, and whether they change within it."""
    if not isinstance(model.prices, list):
        return _given(model.prices), False
    dated = [p for p in model.prices if not hasattr(p.constraint, "start_time")]
    hourly = [p for p in model.prices if hasattr(p.constraint, "start_time")]
    active = [p for p in dated if p.constraint is None or p.constraint.start_date <= day]
    candidates = [(active or model.prices)[-1 if active else 0], *hourly]
    highest = max((_given(p.prices) for p in candidates), key=_dearness)
    return highest, bool(hourly)


def _dearness(prices: dict[str, Any]) -> Decimal:
    return sum((_base(prices[key]) for key in ("input_mtok", "output_mtok") if key in prices), Decimal(0))


def _given(prices: Any) -> dict[str, Any]:
    return {key: value for key, value in vars(prices).items() if value is not None}


def _rules(clause: Any) -> dict[str, list[str]]:
    """A matching clause as rules by kind (equals, starts_with, contains), lower case.

    What ends with a text is taken as that text alone. A regular expression adds nothing: the package uses them for dated ids,
    which the book strips, and to exclude variants that have entries of their own.
    """
    rules: dict[str, list[str]] = {"equals": [], "starts_with": [], "contains": []}
    for leaf in _leaves(clause):
        for attribute, kind in (("equals", "equals"), ("ends_with", "equals"), ("starts_with",) * 2, ("contains",) * 2):
            if hasattr(leaf, attribute):
                rules[kind].append(getattr(leaf, attribute).lower())
    return rules


def _leaves(clause: Any) -> list[Any]:
    inner = getattr(clause, "or_", None) or getattr(clause, "and_", None)
    return [leaf for part in inner for leaf in _leaves(part)] if inner else [clause]


if __name__ == "__main__":
    raise SystemExit(main())
