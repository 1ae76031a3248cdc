"""The shape of `snapshot.json`: dated, sourced, one line per model, so that a change of prices is a readable diff.

Prices are integers in pico-dollars per token (micro-dollars per million tokens is the same number) and per request.
All names are lower case.
"""

import msgspec

_SHORT = {
    "input_pusd": "in",
    "output_pusd": "out",
    "cached_pusd": "cached",
    "write_pusd": "write",
    "request_pusd": "request",
    "context_tokens": "context",
}


class Entry(msgspec.Struct, frozen=True, rename=_SHORT, omit_defaults=True):
    """One model at one provider.

    `also`: other exact ids; `starts_with`, `contains`: rules for ids not listed. `tiered`: dearer beyond some prompt size,
    these are the base prices. `peak`: the price changes with the time of day, these are the highest.
    """

    input_pusd: int
    output_pusd: int
    cached_pusd: int | None = None
    write_pusd: int | None = None
    request_pusd: int = 0
    context_tokens: int | None = None
    tiered: bool = False
    peak: bool = False
    also: tuple[str, ...] = ()
    starts_with: tuple[str, ...] = ()
    contains: tuple[str, ...] = ()


class Snapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """All prices as of one day. `date` is ISO 8601; `source` names the data package and its version."""

    date: str
    source: str
    providers: dict[str, dict[str, Entry]]


def decode(data: bytes) -> Snapshot:
    """Reads a snapshot. Raises `msgspec.ValidationError`."""
    return msgspec.json.decode(data, type=Snapshot)


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
