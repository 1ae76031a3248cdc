"""What a model costs, and what it can take, by preset and model id.

Theory of operation. Each provider's table is built when it is first asked for. A model id is looked up exactly, then by
its longest matching prefix, then with a date or `-latest` taken off its end, then by the longest fragment it contains.
Case does not matter. A preset may draw on several tables, in order: a cloud that sells other makers' models charges the
makers' prices.

What can go wrong. A snapshot ages: `age_days` belongs in `/health`. Prices in the configuration win over this book.
An unknown model is None, counted and shown as unpriced, never free.
"""

import datetime
import re
from pathlib import Path
from typing import Self

from fastroute.core.types import Capabilities, Price
from fastroute.prices.snapshot import Entry, Snapshot, decode

SNAPSHOT_PATH = Path(__file__).with_name("snapshot.json")

_AZURE = ("azure", "openai", "anthropic", "deepseek", "x-ai", "moonshotai")

TABLES: dict[str, tuple[str, ...]] = {
    "alibaba": (),
    "azure": _AZURE,
    "azure-foundry": _AZURE,
    "bedrock": ("aws",),
    "gemini": ("google",),
    "hf": ("huggingface",),
    "kimi": ("moonshotai",),
    "moonshot": ("moonshotai",),
    "vertex": ("google", "anthropic"),
    "xai": ("x-ai",),
    "z.ai": ("zai", "zhipuai"),
    "zai": ("zai", "zhipuai"),
}
"""Preset -> provider tables of the snapshot, first match wins. A preset that is not listed is its own table."""

_DATED = re.compile(r"(?:[-@]20\d{2}-?[01]\d-?[0-3]\d|-latest|-00\d)$")


class _Table:
    """One provider's models, ready to look up."""

    def __init__(self, models: dict[str, Entry]) -> None:
        self._exact = {model_id: entry for entry in models.values() for model_id in entry.also} | models
        self._prefixes = _longest_first({rule: e for e in models.values() for rule in e.starts_with})
        self._fragments = _longest_first({rule: e for e in models.values() for rule in e.contains})

    def find(self, model: str) -> Entry | None:
        entry = self._exact.get(model)
        if entry is not None:
            return entry
        for prefix, candidate in self._prefixes:
            if model.startswith(prefix):
                return candidate
        undated = _DATED.sub("", model)
        if undated in self._exact:
            return self._exact[undated]
        return next((candidate for fragment, candidate in self._fragments if fragment in model), None)


class PriceBook:
    """Prices and context sizes as of `snapshot_date`. Immutable in effect; look-ups take about 1 us once its table is built."""

    def __init__(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        self._tables: dict[str, _Table] = {}
        self.snapshot_date = datetime.date.fromisoformat(snapshot.date)

    @classmethod
    def load(cls, path: Path = SNAPSHOT_PATH) -> Self:
        """The book that ships with fastroute, or the one at `path`. Raises `OSError`, `msgspec.ValidationError`."""
        return cls(decode(path.read_bytes()))

    @property
    def source(self) -> str:
        """The data package and version the prices came from."""
        return self._snapshot.source

    def age_days(self, today: datetime.date) -> int:
        """Days since the prices were taken, never negative."""
        return max(0, (today - self.snapshot_date).days)

    def price_of(self, preset: str, model: str) -> Price | None:
        """The list price of a model; None where it is not known."""
        entry = self.entry_of(preset, model)
        if entry is None:
            return None
        return Price(
            input_pusd=entry.input_pusd,
            output_pusd=entry.output_pusd,
            cached_input_pusd=entry.cached_pusd,
            cache_write_pusd=entry.write_pusd,
            request_pusd=entry.request_pusd,
        )

    def capabilities_of(self, preset: str, model: str) -> Capabilities:
        """What the snapshot knows of a model's limits; every member is None where it knows nothing."""
        entry = self.entry_of(preset, model)
        return Capabilities() if entry is None else Capabilities(context_tokens=entry.context_tokens)

    def entry_of(self, preset: str, model: str) -> Entry | None:
        """The snapshot's own record, with its `tiered` and `peak` marks."""
        preset, model = preset.lower(), model.lower()
        tables = TABLES.get(preset, (preset,))
        if tables == ("huggingface",):
            tables, model = _huggingface(model)
        for name in tables:
            table = self._table(name)
            entry = None if table is None else table.find(model)
            if entry is not None:
                return entry
        return None

    def _table(self, name: str) -> _Table | None:
        table = self._tables.get(name)
        if table is None and name in self._snapshot.providers:
            table = self._tables[name] = _Table(self._snapshot.providers[name])
        return table


def _huggingface(model: str) -> tuple[tuple[str, ...], str]:
    """`org/model:provider` names who serves it, and so the price; without a provider the hub chooses, and it is unknown."""
    name, _, provider = model.rpartition(":")
    return ((f"huggingface_{provider}",), name) if name else ((), model)


def _longest_first(rules: dict[str, Entry]) -> list[tuple[str, Entry]]:
    return sorted(rules.items(), key=lambda rule: (-len(rule[0]), rule[0]))
