"""The shape of `snapshot.json`: dated, sourced, one line per model, so that a change of prices is a readable diff.

Prices are integers in pico-dollars per token (micro-dollars per million tokens is the same number) and per request.
All names are lower case. A model without prices is in it for its limits: it is unpriced, which is not the same as free.
"""

import msgspec

from fastroute.core.types import Capabilities, Price, PriceTier

_SHORT = {
    "input_pusd": "in",
    "output_pusd": "out",
    "cached_pusd": "cached",
    "write_pusd": "write",
    "reasoning_pusd": "reasoning",
    "request_pusd": "request",
    "context_tokens": "context",
    "output_limit_tokens": "longest",
    "spelling": "id",
    "source": "from",
}
_SKILLS = {"v": "vision", "t": "tools", "s": "json_schema"}


class Tier(msgspec.Struct, frozen=True, array_like=True):
    """Prices where the prompt has more than `above_tokens`; they hold for all tokens of the request."""

    above_tokens: int
    input_pusd: int
    output_pusd: int
    cached_pusd: int | None = None
    write_pusd: int | None = None
    reasoning_pusd: int | None = None


class Entry(msgspec.Struct, frozen=True, rename=_SHORT, omit_defaults=True):
    """One model at one provider.

    `also`: other exact ids; `starts_with`, `contains`: rules for ids not listed. `peak`: the price changes with the time of day,
    these are the highest. `chat`: a chat model that can be asked for now; `spelling`: its id where that is not lower case.
    `can` and `cannot`: letters of vision, tools, (JSON) schema; what is in neither is not known. `source`: who gave the prices,
    where it was not the first of the snapshot's sources.
    """

    input_pusd: int | None = None
    output_pusd: int | None = None
    cached_pusd: int | None = None
    write_pusd: int | None = None
    reasoning_pusd: int | None = None
    request_pusd: int = 0
    tiers: tuple[Tier, ...] = ()
    context_tokens: int | None = None
    output_limit_tokens: int | None = None
    can: str = ""
    cannot: str = ""
    peak: bool = False
    chat: bool = False
    spelling: str | None = None
    source: str = ""
    also: tuple[str, ...] = ()
    starts_with: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()

    @property
    def tiered(self) -> bool:
        """Dearer beyond some prompt size."""
        return bool(self.tiers)

    def price(self) -> Price | None:
        """The list price; None: unpriced."""
        if self.input_pusd is None or self.output_pusd is None:
            return None
        return Price(
            input_pusd=self.input_pusd,
            output_pusd=self.output_pusd,
            cached_input_pusd=self.cached_pusd,
            cache_write_pusd=self.write_pusd,
            request_pusd=self.request_pusd,
            reasoning_pusd=self.reasoning_pusd,
            tiers=tuple(PriceTier(*msgspec.structs.astuple(tier)) for tier in self.tiers),
        )

    def capabilities(self) -> Capabilities:
        """What the model can do, as far as it is known."""
        known = {word: letter in self.can for letter, word in _SKILLS.items() if letter in self.can or letter in self.cannot}
        return Capabilities(**known, context_tokens=self.context_tokens, max_output_tokens=self.output_limit_tokens)


class Snapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All prices as of one day. `date` is ISO 8601; `source` names the data packages and their versions."""

    date: str
    source: str
    providers: dict[str, dict[str, Entry]]

    def table(self, name: str) -> dict[str, Entry] | None:
        return self.providers.get(name)


class Shelf(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A snapshot whose tables are read when they are asked for: most sidecars need few of them."""

    date: str
    source: str
    providers: dict[str, msgspec.Raw]

    def table(self, name: str) -> dict[str, Entry] | None:
        """The models of one provider; None where it has none. Raises `msgspec.ValidationError`."""
        raw = self.providers.get(name)
        return None if raw is None else _table.decode(raw)


_table = msgspec.json.Decoder(dict[str, Entry])


def decode(data: bytes) -> Snapshot:
    """Reads a snapshot. Raises `msgspec.ValidationError`."""
    return msgspec.json.decode(data, type=Snapshot)


def open_shelf(data: bytes) -> Shelf:
    """Reads the outline of a snapshot, and keeps `data`. Raises `msgspec.ValidationError`."""
    return msgspec.json.decode(data, type=Shelf)


def encode(snapshot: Snapshot) -> bytes:
    """Writes a snapshot: sorted, one line per model."""
    line = msgspec.json.Encoder(order="deterministic")
    out = [b'{"date": ' + line.encode(snapshot.date) + b', "source": ' + line.encode(snapshot.source) + b', "providers": {']
    providers = sorted(snapshot.providers.items())
    for i, (provider, models) in enumerate(providers):
        lines = [line.encode(model) + b": " + line.encode(entry) for model, entry in sorted(models.items())]
        end = b"}" if i == len(providers) - 1 else b"},"
        out += [line.encode(provider) + b": {", b",\n".join(lines), end]
    return b"\n".join([*out, b"}}", b""])
