"""The mock's books: exact sums, right at any instant."""

from typing import Any

from fastroute.mock.ledger import Ledger, Record
from fastroute.mock.schema import PriceSpec

PRICES = {
    "a": PriceSpec(input_usd_per_mtok=1, output_usd_per_mtok=10, cached_input_usd_per_mtok=0.5),
    "b": PriceSpec(input_usd_per_mtok=3, output_usd_per_mtok=15, request_usd=0.001),
}


def ledger(keep: int = 10) -> Ledger:
    return Ledger(PRICES, keep)


def record(endpoint: str = "a", **members: Any) -> Record:
    usual: dict[str, Any] = {"arrived_s": 100.0, "arrived_wall_s": 1e9, "billed": True, "input_tokens": 10}
    return Record(endpoint, **{**usual, **members})


def test_an_empty_ledger_bills_nothing_for_every_endpoint() -> None:
    bill = ledger().bill()
    assert (bill["total_usd"], bill["total_pusd"]) == (0.0, 0)
    assert set(bill["by_endpoint"]) == {"a", "b"}
    assert bill["by_endpoint"]["a"]["requests"] == 0


def test_a_closed_request_is_charged() -> None:
    books = ledger()
    one = books.open(record())
    one.generated(4)
    books.close(one, 101.0)
    bill = books.bill()
    assert bill["total_pusd"] == 10 * 1_000_000 + 4 * 10_000_000
    assert bill["by_endpoint"]["a"]["output_tokens"] == 4
    assert bill["by_endpoint"]["a"]["usd"] == bill["total_usd"] == 50e-6


def test_an_open_request_counts_as_far_as_it_has_come() -> None:
    books = ledger()
    one = books.open(record())
    one.generated(1)
    assert books.bill()["by_endpoint"]["a"]["output_tokens"] == 1
    one.generated(1)
    assert books.bill()["by_endpoint"]["a"]["output_tokens"] == 2
    assert books.open_requests == 1
    books.close(one, 101.0)
    assert books.bill()["by_endpoint"]["a"]["output_tokens"] == 2
    assert books.open_requests == 0


def test_closing_twice_counts_once() -> None:
    books = ledger()
    one = books.open(record())
    books.close(one, 101.0)
    books.close(one, 102.0)
    assert books.bill()["by_endpoint"]["a"]["requests"] == 1
    assert one.ended_s == 101.0


def test_what_no_model_made_is_counted_and_free() -> None:
    books = ledger()
    books.close(books.open(record("b", billed=False, status=503)), 101.0)
    sums = books.bill()["by_endpoint"]["b"]
    assert (sums["requests"], sums["failed"], sums["billed"], sums["usd"], sums["input_tokens"]) == (1, 1, 0, 0.0, 0)


def test_a_price_per_request_is_charged_once_per_billed_request() -> None:
    books = ledger()
    books.close(books.open(record("b", input_tokens=0)), 101.0)
    books.close(books.open(record("b", input_tokens=0, billed=False)), 101.0)
    assert books.bill()["total_pusd"] == 1_000_000_000


def test_cached_input_is_cheaper() -> None:
    books = ledger()
    books.close(books.open(record(cached_tokens=4)), 101.0)
    assert books.bill()["total_pusd"] == 6 * 1_000_000 + 4 * 500_000


def test_tokens_after_a_cancel_are_told_apart_and_charged() -> None:
    books = ledger()
    one = books.open(record())
    one.generated(2)
    one.cancelled_s = 100.5
    one.generated(3)
    books.close(one, 101.0)
    sums = books.bill()["by_endpoint"]["a"]
    assert (sums["cancelled"], sums["output_tokens"], sums["tokens_after_cancel"]) == (1, 5, 3)
    assert books.bill()["total_pusd"] == 10 * 1_000_000 + 5 * 10_000_000


def test_endpoints_are_summed_apart_and_together() -> None:
    books = ledger()
    for name in ("a", "b", "b"):
        books.close(books.open(record(name)), 101.0)
    bill = books.bill()
    assert bill["by_endpoint"]["b"]["requests"] == 2
    assert bill["total_pusd"] == sum(e["pusd"] for e in bill["by_endpoint"].values())


def test_counted_requests_need_no_record() -> None:
    books = ledger()
    books.count("a", 16, 5)
    books.count("a", 16, 5)
    sums = books.bill()["by_endpoint"]["a"]
    assert (sums["requests"], sums["billed"], sums["input_tokens"], sums["output_tokens"]) == (2, 2, 32, 10)
    assert books.requests() == []


def test_the_log_shows_times_since_arrival() -> None:
    books = ledger()
    one = books.open(record(id="r1", model="m", stream=True))
    one.wrote(100.25)
    one.wrote(100.5)
    books.close(one, 100.75)
    (shown,) = books.requests()
    assert (shown["id"], shown["endpoint"], shown["model"], shown["stream"]) == ("r1", "a", "m", True)
    assert (shown["first_byte_ms"], shown["last_byte_ms"], shown["ended_ms"]) == (250.0, 500.0, 750.0)
    assert (shown["cancelled_ms"], shown["cancelled"], shown["open"]) == (None, False, False)
    assert shown["writes"] == 2
    assert shown["usd"] == 10e-6


def test_the_log_shows_open_and_cancelled_requests() -> None:
    books = ledger()
    one = books.open(record())
    one.cancelled_s = 100.1
    (shown,) = books.requests()
    assert (shown["open"], shown["cancelled"], shown["cancelled_ms"]) == (True, True, 100.0)


def test_the_log_keeps_the_latest_in_order() -> None:
    books = ledger(keep=3)
    for i in range(5):
        books.close(books.open(record(id=str(i))), 101.0)
    assert [r["id"] for r in books.requests()] == ["2", "3", "4"]
    assert [r["id"] for r in books.requests(2)] == ["3", "4"]
    assert books.requests(0) == []
    assert len(books.requests(99)) == 3


def test_what_the_log_forgets_stays_in_the_bill() -> None:
    books = ledger(keep=1)
    for _ in range(4):
        books.close(books.open(record()), 101.0)
    assert books.bill()["by_endpoint"]["a"]["requests"] == 4


def test_arrivals_and_ends_are_announced() -> None:
    books, told = ledger(), []
    books.on_change = lambda: told.append(books.open_requests)
    one = books.open(record())
    books.close(one, 101.0)
    books.close(one, 102.0)
    assert told == [1, 0]
