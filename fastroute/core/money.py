"""Money as whole pico-dollars.

One micro-dollar per million tokens is one pico-dollar per token, so every published price is an exact
integer (USD 0.0375 per Mtok = 37,500 pUSD per token) and a bill is an exact sum. 64 bits hold USD 9.2 million.
"""

from decimal import Decimal
from typing import NewType

Pusd = NewType("Pusd", int)
"""An amount in pico-dollars (1e-12 USD)."""

PUSD_PER_USD = 1_000_000_000_000


def per_token(usd_per_mtok: float | int | str | Decimal) -> Pusd:
    """A price in USD per million tokens as pico-dollars per token, rounded to the nearest."""
    return Pusd(round(Decimal(str(usd_per_mtok)) * 1_000_000))


def from_usd(usd: float | int | str | Decimal) -> Pusd:
    """An amount in USD as pico-dollars, rounded to the nearest."""
    return Pusd(round(Decimal(str(usd)) * PUSD_PER_USD))


def to_usd(amount: int) -> float:
    """Pico-dollars as USD; for display and JSON only, never for sums."""
    return amount / PUSD_PER_USD


def show_usd(amount: int | None) -> str:
    """Pico-dollars for people: plain decimals, never an exponent, `unpriced` for None."""
    if amount is None:
        return "unpriced"
    digits = f"{to_usd(amount):.12f}".rstrip("0")
    return digits + "0" if digits.endswith(".") else digits
