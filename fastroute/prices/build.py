"""Writes `snapshot.json` from the `genai-prices` data package: `make prices`. Never imported at run time.

Rules. Only what can be charged is kept: models with a price for both prompt and answer. Dated prices are resolved on the
snapshot's day. Where a price depends on the prompt's size the base tier is kept and marked; where it depends on the
time of day, the highest is kept and marked, so that a bill is never estimated too low. A second run with the same data
package keeps the snapshot's date: the prices are no fresher for having been copied again.

Source: genai-prices (MIT), its `data.py`; model matching as in its `types.py`.
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
from fastroute.prices.catalog import SNAPSHOT_PATH
from fastroute.prices.snapshot import Entry, Snapshot, decode, encode

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


def build(providers: Iterable[Any], day: datetime.date, source: str) -> Snapshot:
    """The snapshot of `providers` (of the data package's own types) as of `day`."""
    kept = {p.id: _models(p.models, day) for p in providers if p.id in PROVIDERS or p.id.startswith(PREFIX)}
    return Snapshot(date=day.isoformat(), source=source, providers={name: models for name, models in kept.items() if models})


def main(arguments: list[str] | None = None) -> int:
    """The command line. Exit 0; the package missing is an ImportError that names it."""
    providers = importlib.import_module("genai_prices.data").providers
    parser = argparse.ArgumentParser(description="Rebuild the price snapshot from the installed data package.")
    parser.add_argument("--out", type=Path, default=SNAPSHOT_PATH)
    parser.add_argument("--as-of", type=datetime.date.fromisoformat, help="resolve dated prices on this day (default: today)")
    options = parser.parse_args(arguments)
    source = f"{PACKAGE} {importlib.metadata.version(PACKAGE)}"
    day = options.as_of or _former_day(options.out, source) or datetime.datetime.now(tz=datetime.UTC).date()
    snapshot = build(providers, day, source)
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


def _models(models: Iterable[Any], day: datetime.date) -> dict[str, Entry]:
    found: dict[str, Entry] = {}
    claimed: set[str] = set()
    for model in models:
        prices, peak = _prices_on(model, day)
        rules = _rules(model.match)
        rules["equals"] = [rule for rule in dict.fromkeys(rules["equals"]) if rule not in claimed]
        claimed.update(rules["equals"])
        entry = _entry(model, prices, peak, rules)
        if entry is not None:
            found[model.id.lower()] = entry
    return found


def _entry(model: Any, prices: dict[str, Any], peak: bool, rules: dict[str, list[str]]) -> Entry | None:
    """The record of one model; None where prompt or answer has no price."""
    base = {key: _base(value) for key, value in prices.items()}
    if base.get("input_mtok") is None or base.get("output_mtok") is None:
        return None
    cached, write, request = (base.get(key) for key in ("cache_read_mtok", "cache_write_mtok", "requests_kcount"))
    return Entry(
        input_pusd=per_token(base["input_mtok"]),
        output_pusd=per_token(base["output_mtok"]),
        cached_pusd=None if cached is None else per_token(cached),
        write_pusd=None if write is None else per_token(write),
        request_pusd=0 if request is None else round(request * PUSD_PER_USD / 1000),
        context_tokens=model.context_window,
        tiered=any(hasattr(value, "tiers") for value in prices.values()),
        peak=peak,
        also=tuple(rule for rule in rules["equals"] if rule != model.id.lower()),
        starts_with=tuple(rules["starts_with"]),
        contains=tuple(rules["contains"]),
    )


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
