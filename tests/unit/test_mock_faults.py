"""The fault board: which faults strike, how often, and when."""

from random import Random
from typing import Any

import msgspec
import pytest

from fastroute.mock.faults import CONNECTION_KINDS, MODIFIERS, FaultBoard, FaultKind, FaultSpec


def spec(kind: str = "status", **parameters: Any) -> FaultSpec:
    return msgspec.convert({"fault": kind, **parameters}, FaultSpec)


def board(*specs: FaultSpec, now_s: float = 100.0) -> FaultBoard:
    made = FaultBoard(Random(1))
    for one in specs:
        made.add(one, now_s)
    return made


def struck(faults: FaultBoard, now_s: float = 100.0) -> list[str]:
    return [s.fault.value for s in faults.drawn(now_s)]


def test_an_empty_board_is_false_and_strikes_nothing() -> None:
    empty = board()
    assert not empty
    assert struck(empty) == []
    assert not empty.refusing(0.0)


def test_a_fault_strikes_until_it_is_cleared() -> None:
    faults = board(spec())
    assert faults
    assert struck(faults, 100.0) == struck(faults, 1e9) == ["status"]
    assert faults.clear() == 1
    assert struck(faults) == []


def test_clearing_one_kind_leaves_the_others() -> None:
    faults = board(spec("status"), spec("brownout"), spec("status", status=503))
    assert faults.clear(FaultKind.STATUS) == 2
    assert struck(faults) == ["brownout"]
    assert faults.clear(FaultKind.STATUS) == 0


def test_a_scheduled_fault_begins_and_ends_on_time() -> None:
    faults = board(spec(at_s=5, for_s=10), now_s=100.0)
    assert struck(faults, 104.999) == []
    assert struck(faults, 105.0) == ["status"]
    assert struck(faults, 114.999) == ["status"]
    assert struck(faults, 115.0) == []


def test_only_the_first_fault_that_replaces_an_answer_strikes_beside_all_modifiers() -> None:
    faults = board(spec("clean_cut"), spec("gzip"), spec("status"), spec("brownout"))
    assert sorted(struck(faults)) == ["brownout", "clean_cut", "gzip"]


def test_modifiers_come_before_the_fault_that_replaces() -> None:
    assert struck(board(spec("clean_cut"), spec("gzip")))[-1] == "clean_cut"


@pytest.mark.parametrize("kind", sorted(CONNECTION_KINDS))
def test_connection_faults_never_strike_a_request(kind: str) -> None:
    assert struck(board(spec(kind))) == []


def test_connection_faults_strike_by_name() -> None:
    faults = board(spec("accept_close"))
    assert faults.strikes(FaultKind.ACCEPT_CLOSE, 100.0)
    assert not faults.strikes(FaultKind.STALE_KEEP_ALIVE, 100.0)


@pytest.mark.parametrize("ratio", [0.05, 0.5, 0.95])
def test_a_ratio_is_met(ratio: float) -> None:
    faults = board(spec(ratio=ratio))
    hits = sum(bool(faults.drawn(100.0)) for _ in range(4000))
    assert hits / 4000 == pytest.approx(ratio, abs=0.03)


def test_ratio_zero_never_strikes() -> None:
    faults = board(spec(ratio=0))
    assert not any(faults.drawn(100.0) for _ in range(100))


def test_the_same_seed_strikes_the_same_requests() -> None:
    first, second = board(spec(ratio=0.5)), board(spec(ratio=0.5))
    assert [struck(first) for _ in range(50)] == [struck(second) for _ in range(50)]


def test_two_faults_of_ratio_one_half_share_the_requests() -> None:
    faults = board(spec("status", ratio=0.5), spec("clean_cut", ratio=0.5))
    seen = [tuple(struck(faults)) for _ in range(2000)]
    assert seen.count(("status",)) / 2000 == pytest.approx(0.5, abs=0.05)
    assert seen.count(("clean_cut",)) / 2000 == pytest.approx(0.25, abs=0.05)


def test_refuse_holds_while_it_is_active() -> None:
    faults = board(spec("refuse", at_s=1, for_s=2), now_s=10.0)
    assert [faults.refusing(t) for t in (10.5, 11.0, 12.9, 13.0)] == [False, True, True, False]


def test_refuse_tells_when_the_socket_must_change() -> None:
    faults = board(spec("refuse", at_s=1, for_s=2), spec("refuse", at_s=9), spec("status", at_s=4), now_s=10.0)
    assert list(faults.turns_s()) == [11.0, 13.0, 19.0]


def test_refuse_cannot_have_a_ratio() -> None:
    with pytest.raises(msgspec.ValidationError, match="refuse"):
        spec("refuse", ratio=0.5)


@pytest.mark.parametrize("bad", [{"ratio": 1.1}, {"status": 302}, {"factor": -1}, {"at_s": -1}, {"colour": "red"}])
def test_parameters_out_of_range_are_refused(bad: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        spec(**bad)


def test_the_listing_shows_times_and_leaves_out_what_has_ended() -> None:
    faults = board(spec("brownout", factor=3, at_s=5, for_s=10), spec("status"), now_s=100.0)
    shown = faults.listing(102.0)
    assert [(f["fault"], f["active"], f["starts_in_s"], f["ends_in_s"]) for f in shown] == [
        ("brownout", False, 3.0, 13.0),
        ("status", True, 0.0, None),
    ]
    assert shown[0]["factor"] == 3
    assert [f["fault"] for f in faults.listing(115.0)] == ["status"]


def test_every_kind_is_a_modifier_or_of_the_connection_or_replaces() -> None:
    assert not MODIFIERS & CONNECTION_KINDS
    assert set(FaultKind) > MODIFIERS | CONNECTION_KINDS
