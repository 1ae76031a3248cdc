"""What a model costs, what it can take, and which models there are, by preset and model id.

Theory of operation. Each provider's table is read and built when it is first asked for. A model id is looked up exactly, then by
its longest matching prefix, then with a date or `-latest` taken off its end, then by the longest fragment it contains.
Case does not matter. A preset may draw on several tables, in order: a cloud that sells other makers' models charges the
makers' prices.

What can go wrong. A snapshot ages: `age_days` belongs in `/health`. Prices in the configuration win over this book.
An unknown model is None, counted and shown as unpriced, never free.
"""

import datetime
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Self

from fastroute.core.types import Capabilities, Price
from fastroute.prices.snapshot import Entry, Shelf, Snapshot, open_shelf

SNAPSHOT_PATH = Path(__file__).with_name("snapshot.json")

_AZURE = ("azure", "openai", "anthropic", "deepseek", "x-ai", "moonshotai")

TABLES: dict[str, tuple[str, ...]] = {
    "azure": _AZURE,
    "azure-foundry": _AZURE,
    "bedrock": ("aws",),
    "gemini": ("google",),
    "hf": ("huggingface",),
    "kimi": ("moonshotai",),
    "moonshot": ("moonshotai",),
    "vertex": ("google", "anthropic"),
    "vertex-claude": ("anthropic",),
    "xai": ("x-ai",),
    "z.ai": ("zai", "zhipuai"),
    "zai": ("zai", "zhipuai"),
}
"""Preset -> provider tables of the snapshot, first match wins. A preset that is not listed is its own table."""

HUB = "huggingface"
_OWN_NAMES = frozenset(("azure", "azure-foundry"))  # their models are deployments, named by their owner

_DATED = re.compile(r"(?:[-@]20\d{2}-?[01]\d-?[0-3]\d|-latest|-00\d)$")


class Table:
    """One provider's models, ready to look up."""

    def __init__(self, models: dict[str, Entry]) -> None:
        self.models = models
        self._exact = {model_id: entry for entry in models.values() for model_id in entry.also} | models
        self._prefixes = _longest_first({rule: e for e in models.values() for rule in e.starts_with})
        self._fragments = _longest_first({rule: e for e in models.values() for rule in e.contains})

    def find(self, model: str) -> Entry | None:
        entry = self.named(model)
        if entry is not None:
            return entry
        return next((candidate for fragment, candidate in self._fragments if fragment in model), None)

    def named(self, model: str) -> Entry | None:
        """What `find` gives without the rules about fragments, which are guesses beside the others."""
        entry = self._exact.get(model)
        if entry is not None:
            return entry
        for prefix, candidate in self._prefixes:
            if model.startswith(prefix):
                return candidate
        return self._exact.get(_DATED.sub("", model))


class PriceBook:
    """Prices and context sizes as of `snapshot_date`. Immutable in effect; look-ups take about 1 us once its table is built."""

    def __init__(self, snapshot: Snapshot | Shelf) -> None:
        self._snapshot = snapshot
        self._tables: dict[str, Table] = {}
        self.snapshot_date = datetime.date.fromisoformat(snapshot.date)

    @classmethod
    def load(cls, path: Path = SNAPSHOT_PATH) -> Self:
        """The book that ships with fastroute, or the one at `path`. Raises `OSError`, `msgspec.ValidationError`."""
        return cls(open_shelf(path.read_bytes()))

    @property
    def source(self) -> str:
        """The data packages and versions the prices came from."""
        return self._snapshot.source

    def age_days(self, today: datetime.date) -> int:
        """Days since the prices were taken, never negative."""
        return max(0, (today - self.snapshot_date).days)

    def price_of(self, preset: str, model: str) -> Price | None:
        """The list price of a model; None where it is not known."""
        entry = self.entry_of(preset, model)
        return None if entry is None else entry.price()

    def capabilities_of(self, preset: str, model: str) -> Capabilities:
        """What the snapshot knows of a model's limits; every member is None where it knows nothing."""
        entry = self.entry_of(preset, model)
        return Capabilities() if entry is None else entry.capabilities()

    def models_of(self, preset: str) -> tuple[str, ...]:
        """The chat models that can be asked for at a preset, as its API spells them; none where the names are the user's own."""
        preset = preset.lower()
        if preset in _OWN_NAMES:
            return ()
        found = dict.fromkeys(name for table, suffix in self._tables_of(preset) for name in _chat_models(table, suffix))
        return tuple(sorted(found))

    def _tables_of(self, preset: str) -> Iterator[tuple[Table, str]]:
        """The tables whose models a preset offers, and what it adds to their ids."""
        names = TABLES.get(preset, (preset,))[:1]
        hub = f"{HUB}_"
        suffixes = [(n, f":{n.removeprefix(hub)}") for n in self._snapshot.providers if n.startswith(hub)]
        for name, suffix in suffixes if names == (HUB,) else [(n, "") for n in names]:
            table = self._table(name)
            if table is not None:
                yield table, suffix

    def entry_of(self, preset: str, model: str) -> Entry | None:
        """The snapshot's own record, with its tiers and its `peak` mark."""
        preset, model = preset.lower(), model.lower()
        tables = TABLES.get(preset, (preset,))
        if tables == (HUB,):
            tables, model = _huggingface(model)
        for name in tables:
            table = self._table(name)
            entry = None if table is None else table.find(model)
            if entry is not None:
                return entry
        return None

    def _table(self, name: str) -> Table | None:
        table = self._tables.get(name)
        if table is None:
            models = self._snapshot.table(name)
            table = None if models is None else self._tables.setdefault(name, Table(models))
        return table


def _chat_models(table: Table, suffix: str) -> Iterator[str]:
    return ((entry.spelling or name) + suffix for name, entry in table.models.items() if entry.chat)


def _huggingface(model: str) -> tuple[tuple[str, ...], str]:
    """`org/model:provider` names who serves it, and so the price; without a provider the hub chooses, and it is unknown."""
    name, _, provider = model.rpartition(":")
    return ((f"huggingface_{provider}",), name) if name else ((), model)


def _longest_first(rules: dict[str, Entry]) -> list[tuple[str, Entry]]:
    return sorted(rules.items(), key=lambda rule: (-len(rule[0]), rule[0]))
