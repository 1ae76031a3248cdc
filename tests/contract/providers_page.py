"""Writes `docs/providers.md`: `make providers`. One table of the presets, one of the recordings beside the checkout."""

import sys
from pathlib import Path

from openai_recordings import recordings
from wire_table import markdown, table

from fastroute.config.presets import Preset, presets
from fastroute.prices.catalog import PriceBook

PAGE = Path(__file__).resolve().parents[2] / "docs" / "providers.md"
MARK = "<!-- recordings -->\n"
HEAD = """# Providers

Written by `make providers`; do not edit. A preset is data (`fastroute/config/presets.json`): a provider that speaks one of the
dialects needs no code. How to configure one: [configuration reference](config-reference.md), `configs/providers.yaml`.

*Models*: chat models of the price snapshot ({date}, from {source}) that are listed as `provider/model` for a provider with a key;
any other model can be asked for all the same. *Unpriced*: those of them whose price nobody wrote down; their requests are counted
as unpriced, never as free. *Bill stops*: whether closing a stream early ends the bill; `?` is not known, and taken as no.
*Refused*: members that the provider does not take and that shape the answer: such a request goes to another endpoint. *Left out*:
members it does not take that leave the answer as it is; these never include tools, schemas, `n` or logprobs.

"""
RECORDED = """
## Recorded traffic

Exchanges that public projects recorded with these providers, each replayed and held against the laws of its kind: text, reasoning
and arguments arrive as sent, at any cut of the bytes down to one; one index and one id a call; one finish reason a choice;
usage only where asked for, its sums true; a broken stream never looks whole; OpenAI's own bytes unchanged; errors of the right
class; the recorded request goes out as it was. Cells are passed/recorded; `-` is not recorded.

"""


def presets_table(book: PriceBook) -> str:
    lines = [
        "| preset | provider | address | key | variable | models | unpriced | bill stops | refused | left out, renamed |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    return "\n".join([*lines, *(_row(preset, book) for preset in presets().values())]) + "\n"


def _row(preset: Preset, book: PriceBook) -> str:
    profile, models = preset.profile, book.models_of(preset.name)
    unpriced = sum(book.price_of(preset.name, model) is None for model in models)
    stops = {True: "yes", False: "no", None: "?"}[profile.cancel_stops_billing]
    refused, changed = _departures(preset)
    address = f"`{preset.base_url or preset.example_base_url}{profile.chat_path}`"
    key = f"`{preset.key_env}`" if preset.key_env else "-"
    counts = (str(len(models)), str(unpriced)) if models else ("-", "-")
    return "| " + " | ".join((preset.name, preset.title, address, profile.auth, key, *counts, stops, refused, changed)) + " |"


def _departures(preset: Preset) -> tuple[str, str]:
    ways = preset.profile.departures
    if ways is None:
        return "-", "-"
    renamed = [f"{ours} as {theirs}" for ours, theirs in ways.renamed]
    messages = ["of messages: " + " ".join(ways.left_out_of_messages)] if ways.left_out_of_messages else []
    return ", ".join(ways.refused) or "-", ", ".join([*ways.left_out, *renamed, *messages]) or "-"


def first_part() -> str:
    book = PriceBook.load()
    return HEAD.format(date=book.snapshot_date, source=book.source) + presets_table(book)


def page(recorded: str) -> str:
    return first_part() + RECORDED + MARK + recorded + "\n"


def main() -> int:
    recorded = PAGE.read_text().partition(MARK)[2].rstrip("\n")  # true when the recordings were there
    if recordings():
        recorded = markdown(table(recordings()))
    PAGE.write_text(page(recorded))
    sys.stdout.write(f"{PAGE}: {len(presets())} presets, {len(recordings())} recordings\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
