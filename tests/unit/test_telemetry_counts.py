"""`telemetry.counts`: what adds up, how it is bounded, how processes' totals are added. Samples: `test_telemetry_metrics`."""

from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastroute.core.failures import Failure, Fault
from fastroute.core.trail import Attempt, Trail
from fastroute.core.types import ChatRequest, Objective, Outcome, Role, Usage
from fastroute.telemetry import names
from fastroute.telemetry.counts import KEYS_KEPT, Counts, Totals, added
from fastroute.telemetry.measures import measure

MakeTrail = Callable[..., Trail]


def counted(*trails: Trail) -> Counts:
    counts = Counts(["auto"], ["flash", "sonnet"])
    for trail in trails:
        counts.add(trail, measure(trail))
    return counts


def counters(totals: Totals) -> dict[tuple[str, tuple[str, ...]], int]:
    return {(name.removeprefix("fastroute_").removesuffix("_total"), labels): value for name, labels, value in totals.counters}


def test_nothing_counted_is_no_series_but_the_one_without_labels() -> None:
    totals = counted().totals()
    assert totals.counters == []
    assert [(name, labels, sum(buckets)) for name, labels, _, buckets in totals.timings] == [(names.OVERHEAD.name, (), 0)]


def test_all_that_one_request_counts_as(make_trail: MakeTrail) -> None:
    assert counters(counted(make_trail(objective=Objective(ttft_s=1.0))).totals()) == {
        ("requests", ("auto", "flash", "2xx")): 1,
        ("attempts", ("flash", "primary", "ok")): 1,
        ("objective", ("auto", "true")): 1,
        ("tokens", ("flash", "input")): 100,
        ("tokens", ("flash", "output")): 20,
        ("cost_usd", ("flash",)): 5_000_000_000,
    }


def test_money_is_exact_however_much(make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> None:
    counts = counted(*(make_trail(attempts=[make_attempt(cost_pusd=10**18 + 1)]) for _ in range(100)))
    assert counters(counts.totals())["cost_usd", ("flash",)] == 100 * 10**18 + 100


@pytest.mark.parametrize("role", list(Role))
@pytest.mark.parametrize("failure", [None, *Failure])
def test_every_role_and_every_end_has_its_own_count(
    make_trail: MakeTrail, make_attempt: Callable[..., Any], role: Role, failure: Failure | None
) -> None:
    fault = None if failure is None else Fault(failure, "said")
    totals = counted(make_trail(attempts=[make_attempt("flash", role, Outcome(fault))])).totals()
    assert counters(totals)["attempts", ("flash", role.value, failure.value if failure else "ok")] == 1


def test_statuses_of_a_class_are_one_series(make_trail: MakeTrail) -> None:
    counts = counted(*(make_trail(status=status) for status in (500, 503, 504, 429, 404, None)))
    shown = {labels[2]: n for (name, labels), n in counters(counts.totals()).items() if name == "requests"}
    assert shown == {"5xx": 3, "4xx": 2, "none": 1}


def test_names_from_clients_do_not_pile_up(make_trail: MakeTrail, make_attempt: Callable[..., Any]) -> None:
    many = KEYS_KEPT + 10
    counts = counted(*(make_trail(route=f"r{i}", attempts=[make_attempt(f"e{i}")]) for i in range(many)))
    assert len(counts._request_of) <= KEYS_KEPT
    assert len(counts._attempt_of) <= KEYS_KEPT
    shown = counters(counts.totals())
    assert shown["requests", ("other", "other", "2xx")] == shown["attempts", ("other", "primary", "ok")] == many
    assert len(shown) == 5


def test_a_name_that_becomes_known_counts_under_itself_from_then_on(make_trail: MakeTrail) -> None:
    counts = counted(make_trail(route="new"))
    counts.know(["auto", "new"], ["flash"])
    trail = make_trail(route="new")
    counts.add(trail, measure(trail))
    shown = counters(counts.totals())
    assert shown["requests", ("other", "flash", "2xx")] == shown["requests", ("new", "flash", "2xx")] == 1


# --- adding processes up ---


@st.composite
def trails(draw: st.DrawFn) -> Trail:
    request = ChatRequest("r", "openai_chat", "auto", {}, 0.0, 4)
    tokens = st.none() | st.integers(0, 1000)
    attempts = [
        Attempt(
            draw(st.sampled_from(["flash", "sonnet", "gone"])),
            "p",
            "m",
            0,
            draw(st.sampled_from(list(Role))),
            0.0,
            outcome=draw(
                st.none() | st.builds(Outcome, usage=st.none() | st.builds(Usage, tokens, tokens, tokens, tokens, tokens))
            ),
            cost_pusd=draw(tokens),
            cost_estimated=draw(st.booleans()),
        )
        for _ in range(draw(st.integers(0, 3)))
    ]
    return Trail(
        request,
        0.0,
        route=draw(st.sampled_from([None, "auto", "gone"])),
        objective=draw(st.none() | st.just(Objective(ttft_s=1.0))),
        attempts=attempts,
        first_content_s=draw(st.none() | st.integers(0, 200)),
        ended_s=draw(st.none() | st.integers(0, 200)),  # whole numbers, so that sums do not depend on their order
        status=draw(st.sampled_from([None, 200, 404, 503])),
        winner=attempts[-1] if attempts else None,
    )


def in_order(totals: Totals) -> tuple[list[Any], list[Any]]:
    return sorted(totals.counters), sorted(totals.timings)


@given(st.lists(trails(), max_size=12), st.integers(0, 12), st.integers(0, 12))
def test_counted_apart_and_added_is_counted_together(all_: list[Trail], one: int, two: int) -> None:
    first, second = sorted((one, two))
    parts = [counted(*all_[:first]), counted(*all_[first:second]), counted(*all_[second:])]
    sent = [msgspec.msgpack.decode(msgspec.msgpack.encode(p.totals()), type=Totals) for p in parts]
    assert in_order(added(sent)) == in_order(counted(*all_).totals())


def test_totals_are_a_copy(make_trail: MakeTrail) -> None:
    counts = counted(make_trail())
    totals = counts.totals()
    before = repr(totals)
    counts.add(make_trail(), measure(make_trail()))
    added((totals, totals))
    assert repr(totals) == before


def test_other_buckets_are_refused() -> None:
    one = Totals(timings=[("t", (), 1.0, [1, 0])])
    with pytest.raises(ValueError, match=r"shorter|longer"):
        added((one, Totals(timings=[("t", (), 1.0, [1, 0, 0])])))
