"""`core.money`: published prices are whole numbers of pico-dollars."""

from decimal import Decimal

import pytest

from fastroute.core.money import PUSD_PER_USD, from_usd, per_token, show_usd, to_usd


@pytest.mark.parametrize(
    ("usd_per_mtok", "pusd"),
    [
        ("0.0375", 37_500),
        (0.0375, 37_500),
        (Decimal("0.0375"), 37_500),
        (15, 15_000_000),
        (0, 0),
        ("0.003625", 3_625),
        (0.1, 100_000),  # not 100000.00000000001
        ("0.0000001", 0),  # below a pico-dollar
        ("0.0000006", 1),
    ],
)
def test_a_price_per_million_tokens(usd_per_mtok: float | int | str | Decimal, pusd: int) -> None:
    price = per_token(usd_per_mtok)
    assert price == pusd
    assert isinstance(price, int)


@pytest.mark.parametrize("usd_per_mtok", ["", "free", "1,5", None])
def test_what_is_no_number_is_refused(usd_per_mtok: str) -> None:
    with pytest.raises(ArithmeticError):
        per_token(usd_per_mtok)


def test_a_million_tokens_cost_the_published_price() -> None:
    assert per_token("2.50") * 1_000_000 == from_usd("2.50")


def test_usd_there_and_back() -> None:
    assert from_usd(1) == PUSD_PER_USD
    assert to_usd(from_usd("0.0045")) == 0.0045
    assert from_usd("0.000000000001") == 1


def test_sixty_four_bits_hold_the_largest_bill() -> None:
    assert from_usd(9_200_000) < 2**63


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        (None, "unpriced"),
        (0, "0.0"),
        (PUSD_PER_USD, "1.0"),
        (4_500_000_000, "0.0045"),
        (1, "0.000000000001"),
        (37_500, "0.0000000375"),  # no exponent
        (123_450_000_000_000, "123.45"),
        (10 * PUSD_PER_USD, "10.0"),
    ],
)
def test_amounts_for_people(amount: int | None, shown: str) -> None:
    assert show_usd(amount) == shown
