"""`prices.build`: from the data package's records to ours. Works on look-alikes; one test compares with the real package."""

import datetime
import sys
from decimal import Decimal
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest

from fastroute.prices import build as building
from fastroute.prices.catalog import PriceBook
from fastroute.prices.snapshot import Entry, Snapshot, decode, encode

DAY = datetime.date(2026, 6, 1)


def prices(**usd: str) -> SimpleNamespace:
    return SimpleNamespace(**{key: Decimal(value) for key, value in usd.items()})


def model(name: str, match: Any, given: Any, context: int | None = None, deprecated: bool = False) -> SimpleNamespace:
    return SimpleNamespace(id=name, match=match, prices=given, context_window=context, deprecated=deprecated)


def equals(text: str) -> SimpleNamespace:
    return SimpleNamespace(equals=text)


def built(*models: SimpleNamespace) -> dict[str, Entry]:
    provider = SimpleNamespace(id="openai", models=list(models))
    return building.build([provider], DAY, "test 1").providers.get("openai", {})


def dated(start: str | None, given: SimpleNamespace) -> SimpleNamespace:
    constraint = None if start is None else SimpleNamespace(start_date=datetime.date.fromisoformat(start))
    return SimpleNamespace(constraint=constraint, prices=given)


def hourly(given: SimpleNamespace) -> SimpleNamespace:
    constraint = SimpleNamespace(start_time=datetime.time(1), end_time=datetime.time(4))
    return SimpleNamespace(constraint=constraint, prices=given)


def test_usd_per_million_become_whole_pico_dollars_per_token() -> None:
    given = prices(
        input_mtok="0.0375", output_mtok="10", cache_read_mtok="0.003625", cache_write_mtok="3.75", requests_kcount="12"
    )
    entry = built(model("M", equals("M"), given, 128_000))["m"]
    assert entry == Entry(37_500, 10_000_000, 3_625, 3_750_000, request_pusd=12_000_000_000, context_tokens=128_000)


def test_no_price_for_the_answer_means_no_entry() -> None:
    assert built(model("embed", equals("embed"), prices(input_mtok="0.02")), model("free", equals("free"), prices())) == {}


def test_a_free_model_is_kept_as_free() -> None:
    assert built(model("m:free", equals("m:free"), prices(input_mtok="0", output_mtok="0")))["m:free"] == Entry(0, 0)


def test_matching_rules_by_kind_and_in_lower_case() -> None:
    clause = SimpleNamespace(
        or_=[
            equals("Big"),
            equals("big-Alias"),
            SimpleNamespace(ends_with="/Big"),
            SimpleNamespace(and_=[SimpleNamespace(starts_with="BIG-"), SimpleNamespace(regex="^(?!x)")]),
            SimpleNamespace(contains="The-Big"),
        ]
    )
    entry = built(model("Big", clause, prices(input_mtok="1", output_mtok="1")))["big"]
    assert (entry.also, entry.starts_with, entry.contains) == (("big-alias", "/big"), ("big-",), ("the-big",))


def test_the_first_model_to_claim_an_id_keeps_it() -> None:
    one, two = prices(input_mtok="1", output_mtok="1"), prices(input_mtok="2", output_mtok="2")
    both = SimpleNamespace(or_=[equals("b"), equals("shared")])
    found = built(model("a", SimpleNamespace(or_=[equals("a"), equals("shared")]), one), model("b", both, two))
    assert found["a"].also == ("shared",)
    assert found["b"].also == ()


def test_size_tiers_keep_the_base_price_and_are_marked() -> None:
    tiered = SimpleNamespace(base=Decimal(2), tiers=[SimpleNamespace(start=200_000, price=Decimal(4))])
    entry = built(model("m", equals("m"), SimpleNamespace(input_mtok=tiered, output_mtok=Decimal(8))))["m"]
    assert (entry.input_pusd, entry.output_pusd, entry.tiered) == (2_000_000, 8_000_000, True)


@pytest.mark.parametrize(("start", "expected"), [("2026-06-01", 2), ("2026-06-02", 1), ("2025-01-01", 2)])
def test_dated_prices_hold_from_their_day(start: str, expected: int) -> None:
    given = [
        dated(None, prices(input_mtok="1", output_mtok="1")),
        dated(start, prices(input_mtok="2", output_mtok="2")),
    ]
    assert built(model("m", equals("m"), given))["m"].input_pusd == expected * 1_000_000


def test_prices_by_the_hour_keep_the_highest_in_force() -> None:
    given = [
        dated(None, prices(input_mtok="9", output_mtok="9")),  # superseded
        dated("2026-01-01", prices(input_mtok="1", output_mtok="2")),
        hourly(prices(input_mtok="3", output_mtok="6")),
    ]
    entry = built(model("m", equals("m"), given))["m"]
    assert (entry.input_pusd, entry.output_pusd, entry.peak) == (3_000_000, 6_000_000, True)


def test_only_listed_providers_and_the_hub_are_kept() -> None:
    one = [model("m", equals("m"), prices(input_mtok="1", output_mtok="1"))]
    names = ["openai", "some-reseller", "huggingface_novita"]
    snapshot = building.build([SimpleNamespace(id=name, models=one) for name in names], DAY, "test 1")
    assert sorted(snapshot.providers) == ["huggingface_novita", "openai"]
    assert (snapshot.date, snapshot.source) == ("2026-06-01", "test 1")


@pytest.fixture
def package(monkeypatch: pytest.MonkeyPatch) -> None:
    """A data package of one model, version 9.9."""
    data = ModuleType("genai_prices.data")
    one = model("m", equals("m"), prices(input_mtok="1", output_mtok="1"))
    data.providers = [SimpleNamespace(id="openai", models=[one])]  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "genai_prices", ModuleType("genai_prices"))
    monkeypatch.setitem(sys.modules, "genai_prices.data", data)
    monkeypatch.setattr(building.importlib.metadata, "version", lambda name: "9.9")


@pytest.mark.usefixtures("package")
def test_the_command_writes_and_says_what_it_wrote(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "snapshot.json"
    assert building.main(["--out", str(out), "--as-of", "2026-02-03"]) == 0
    assert decode(out.read_bytes()) == Snapshot("2026-02-03", "genai-prices 9.9", {"openai": {"m": Entry(1_000_000, 1_000_000)}})
    assert "1 models of 1 providers as of 2026-02-03" in capsys.readouterr().out


@pytest.mark.usefixtures("package")
def test_copying_the_same_data_again_does_not_make_it_fresher(tmp_path: Path) -> None:
    out = tmp_path / "snapshot.json"
    building.main(["--out", str(out), "--as-of", "2026-02-03"])
    first = out.read_bytes()
    building.main(["--out", str(out)])
    assert out.read_bytes() == first
    out.write_bytes(encode(Snapshot("2026-02-03", "genai-prices 9.8", {})))
    building.main(["--out", str(out)])
    assert decode(out.read_bytes()).date > "2026-02-03"


def test_the_book_agrees_with_the_package_on_every_id_it_lists() -> None:
    """No id that the package can price is missing here or priced differently (where ours is built from that version)."""
    data = pytest.importorskip("genai_prices.data", reason="genai-prices is only installed by `make prices`")
    book = PriceBook.load()
    if book.source != f"genai-prices {building.importlib.metadata.version('genai-prices')}":
        pytest.skip("the snapshot was built from another version of genai-prices")
    compared = 0
    for provider in data.providers:
        table = book._table(provider.id)
        for name in sorted(_ids(provider)) if table is not None else []:
            theirs = _entry_of(provider.find_model(name), book.snapshot_date)
            if theirs is None:
                continue
            ours = table.find(name)
            assert ours is not None, (provider.id, name)
            assert _money(ours) == _money(theirs), (provider.id, name)
            compared += 1
    assert compared > 2000


def _ids(provider: Any) -> set[str]:
    rules = [building._rules(m.match) for m in provider.models]
    listed = {name for r in rules for name in r["equals"]} | {m.id.lower() for m in provider.models}
    prefixes = {name for r in rules for name in r["starts_with"]}
    return listed | prefixes | {f"{prefix}-20260101" for prefix in prefixes}


def _entry_of(found: Any, day: datetime.date) -> Entry | None:
    if found is None:
        return None
    given, peak = building._prices_on(found, day)
    return building._entry(found, given, peak, {"equals": [], "starts_with": [], "contains": []})


def _money(entry: Entry) -> tuple[int | None, ...]:
    return entry.input_pusd, entry.output_pusd, entry.cached_pusd, entry.write_pusd, entry.request_pusd
